"""The end of a sign-in: Microsoft sends the visitor back here."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import assert_never

from django.contrib.auth.models import AbstractBaseUser
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
    QueryDict,
)
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt

from django_ms_identity import runtime, sessions
from django_ms_identity.cache import Acquisition
from django_ms_identity.conf import Config
from django_ms_identity.entra.authentication_context import refuse_stale
from django_ms_identity.entra.code_exchange import exchange
from django_ms_identity.entra.errors import error_for
from django_ms_identity.entra.providers import Provider, ResponseMode
from django_ms_identity.exceptions import (
    CallbackInvalid,
    FlowMismatch,
    FlowMissing,
    FlowReplayed,
    MSIdentityError,
)
from django_ms_identity.flows import return_urls
from django_ms_identity.flows.flow_cookies import (
    PARAMETERS,
    AuthorizationRequest,
    AuthorizationResponse,
    FlowCookies,
)
from django_ms_identity.identities.linking.confirmation import connect_account
from django_ms_identity.identities.sign_in import reauthenticate, sign_in
from django_ms_identity.identities.sign_in_result import ResultKind, SignInResult
from django_ms_identity.sign_in_context import Intent, SignInContext

from . import responses
from .base import UNREADABLE, public_page, refuse
from .error_reports import empty_query

RESPONSE_SECONDS = 60
"""How long the answer of a form_post waits for the GET that picks it up."""


@csrf_exempt
@public_page("GET", "POST")
def callback(request: HttpRequest, config: Config, provider: str) -> HttpResponse:
    """Finish the sign-in that this browser started, or say in plain words why not.

    GET answers ``response_mode=query``; for ``form_post`` the POST keeps the answer in a cookie and
    redirects to a GET, because the cross-site POST carries no session.
    """
    query = _pop_query(request)
    chosen = config.provider(provider)
    form_post = chosen.response_mode is ResponseMode.FORM_POST
    posted = request.method == "POST"
    if posted is not form_post and not (form_post and "code" not in query):
        return HttpResponseNotAllowed(["POST" if form_post else "GET"])
    handler = CallbackHandler(request, chosen, config, query)
    try:
        if posted:
            return handler.form_post_redirect()
        response = handler.finish()
    except MSIdentityError as error:
        response = refuse(
            request, error, provider=provider, next_url=handler.return_to, retry_url=handler.retry_url
        )
    return handler.without_cookies(response)


def _pop_query(request: HttpRequest) -> QueryDict:
    """Take what Microsoft sent out of the request, so that no template, report or later code shows it."""
    try:
        query = request.POST if request.method == "POST" else request.GET
    except UNREADABLE as error:
        raise CallbackInvalid(f"the request cannot be read: {type(error).__name__}") from None
    finally:
        empty_query(request)
    return query


class CallbackHandler:
    """Handle one response of Microsoft.

    A class because the error page needs ``return_to`` and ``retry_url``, which are set on the way.
    Raises ``CallbackInvalid`` where the answer does not name its flow.
    """

    def __init__(self, request: HttpRequest, provider: Provider, config: Config, query: QueryDict) -> None:
        for name in PARAMETERS:
            if len(query.getlist(name)) > 1:
                raise CallbackInvalid(f"{name} came more than once")
        self._request = request
        self._provider = provider
        self._config = config
        self._query = query
        self._redirect_uri = return_urls.redirect_uri(provider.id, config=config, request=request)
        self._header = request.META.get("HTTP_COOKIE", "")
        self._cookies = FlowCookies(
            state=query.get("state", ""),
            provider=provider.id,
            secure=return_urls.is_secure(self._redirect_uri),
            keyring=runtime.keyring(),
        )
        self.return_to = ""
        self.retry_url = ""
        """Where to try again for other intents than login: only the page that asked for it can start it."""

    def form_post_redirect(self) -> HttpResponse:
        """Keep a form_post's answer for the GET that follows; the sign-in is not finished yet."""
        self._load_request()
        cookies, expires_at = self._cookies, int(time.time()) + RESPONSE_SECONDS
        answer = replace(AuthorizationResponse.parse(self._query), expires_at=expires_at)
        path = reverse("ms_identity:callback", args=[self._provider.id])
        response = HttpResponseRedirect(f"{path}?state={cookies.state}", status=303)
        response.set_cookie(
            cookies.response_name,
            cookies.seal_response(answer),
            max_age=RESPONSE_SECONDS,
            secure=cookies.secure,
            httponly=True,
            samesite="Lax",
        )
        return response

    def finish(self) -> HttpResponse:
        """Load the request, redeem the code, verify the login, and sign the person in."""
        digest = self._cookies.digest
        try:
            started = self._load_request()
            code = self._code()
            self._use_state(digest, until=started.expires_at)
        except (FlowMissing, FlowReplayed):
            # The back button, or a reload, of the very visitor whom this flow signed in.
            finished = sessions.finished_return_to(self._request, digest=digest)
            if finished is None:
                raise
            return responses.redirect_to_next(self._request, self._config, finished)
        starter = self._starter(started)
        context = self._verify(started, code)
        result = self._handle(context, started, starter)
        if result.kind in (ResultKind.SIGNED_IN, ResultKind.LINKED):
            sessions.remember_finished(self._request, digest=digest, return_to=context.return_to)
        return responses.respond(context, result)

    def without_cookies(self, response: HttpResponse) -> HttpResponse:
        """Delete what the browser kept of this flow: it is over, whatever came of it."""
        for name in (self._cookies.request_name, self._cookies.response_name):
            if f"{name}=" in self._header:
                response.delete_cookie(name)
        return response

    def _load_request(self) -> AuthorizationRequest:
        started = self._cookies.load_request(self._header, now=time.time())
        self.return_to = started.return_to
        if started.intent is not Intent.LOGIN:
            self.retry_url = return_urls.safe_return_to(self._request, started.return_to, config=self._config)
        if started.redirect_uri != self._redirect_uri:
            raise FlowMismatch(
                f"the sign-in started for {started.redirect_uri} and ended at {self._redirect_uri}",
                hint="Set BASE_REDIRECT_URI, and SECURE_PROXY_SSL_HEADER behind a proxy.",
            )
        return started

    def _code(self) -> str:
        if self._provider.response_mode is ResponseMode.QUERY:
            answer = AuthorizationResponse.parse(self._query)
        else:
            answer = self._cookies.load_response(self._header, now=time.time())
        if answer.error:
            raise error_for(answer.error, answer.description)
        if not answer.code:
            raise CallbackInvalid("neither code nor error came back")
        return answer.code

    def _use_state(self, digest: str, *, until: int) -> None:
        seconds = max(1, until - int(time.time()) + 1)
        # With the cache down, Microsoft redeems a code only once.
        acquired = runtime.shared_cache().acquire_once(f"flow:{digest}", seconds=seconds)
        if acquired is Acquisition.TAKEN:
            raise FlowReplayed("this state was used before")

    def _verify(self, started: AuthorizationRequest, code: str) -> SignInContext:
        login = exchange(
            self._provider,
            code=code,
            nonce=started.nonce,
            verifier=started.verifier,
            redirect_uri=started.redirect_uri,
            http=runtime.http_client(self._config),
            documents=runtime.documents(self._config),
        )
        return SignInContext(
            request=self._request,
            config=self._config,
            login=login,
            return_to=started.return_to,
            intent=started.intent,
        )

    def _starter(self, started: AuthorizationRequest) -> AbstractBaseUser | None:
        """Return the user who started any intent but login; none for a login."""
        if started.intent is Intent.LOGIN:
            return None
        user = sessions.user_of(self._request)
        # What a signed-in user started must never become a login, or another user's link.
        if user is None or not sessions.is_bound(self._request, user=started.user, binding=started.binding):
            raise FlowMismatch(
                f"the flow ({started.intent}) belongs to another session",
                hint="The visitor signed out or in as another user meanwhile, or BASE_REDIRECT_URI names "
                "another host than the one where they are signed in.",
            )
        return user

    def _handle(
        self, context: SignInContext, started: AuthorizationRequest, starter: AbstractBaseUser | None
    ) -> SignInResult:
        if starter is None:
            return sign_in(context)
        match context.intent:
            case Intent.LINK:
                return connect_account(context, starter)
            case Intent.REAUTHENTICATE:
                refuse_stale(context.claims, started_at=started.started_at)
                return reauthenticate(context, starter)
            case Intent.STEP_UP:
                return reauthenticate(context, starter)
            case Intent.LOGIN:
                raise AssertionError("a login has no starter")
        assert_never(context.intent)
