"""The end of a sign-in: Microsoft sends the visitor back here; DESIGN section 4."""

from __future__ import annotations

import time
from dataclasses import replace

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

from django_ms_identity import conf, runtime, sessions
from django_ms_identity.cache import Claim
from django_ms_identity.conf import Config
from django_ms_identity.entra.authentication_context import refuse_stale
from django_ms_identity.entra.code_exchange import VerifiedLogin, exchange
from django_ms_identity.entra.errors import error_for
from django_ms_identity.entra.providers import Provider, ResponseMode
from django_ms_identity.exceptions import (
    CallbackInvalid,
    FlowMismatch,
    FlowMissing,
    FlowReplayed,
    MSIdentityError,
)
from django_ms_identity.flows import authorization_request, return_urls
from django_ms_identity.flows.authorization_request import AuthorizationRequest, AuthorizationResponse, Intent
from django_ms_identity.flows.pending_step import StoredStep
from django_ms_identity.identities.linking.confirmation import connect
from django_ms_identity.identities.sign_in import Arrived, reauthenticate, sign_in

from . import authorization_response, flash_messages, responses
from .base import public_page, refuse
from .flash_messages import Notice


@csrf_exempt
@public_page("GET", "POST")
def callback(request: HttpRequest, provider: str) -> HttpResponse:
    """Finish the sign-in that this browser started, or say in plain words why not.

    GET answers ``response_mode=query``; for ``form_post`` the POST keeps the answer in a cookie and
    redirects to a GET, because the cross-site POST carries no session.
    """
    query = authorization_response.pop_query(request)
    config = conf.get_config()
    chosen = config.provider(provider)
    posts = chosen.response_mode is ResponseMode.FORM_POST
    posted = request.method == "POST"
    if posted is not posts and not (posts and "code" not in query):
        return HttpResponseNotAllowed(["POST" if posts else "GET"])
    arrival = _Arrival(request, chosen, config)
    try:
        if posted:
            return arrival.bounce(query)
        response = arrival.finish(query)
    except MSIdentityError as error:
        response = refuse(
            request, error, provider=provider, next_url=arrival.return_to, retry_url=arrival.retry_url
        )
    return arrival.without_cookies(response)


class _Arrival:
    """One answer of Microsoft's at our callback; a class because errors need what was known till then."""

    def __init__(self, request: HttpRequest, provider: Provider, config: Config) -> None:
        self._request = request
        self._provider = provider
        self._config = config
        self._redirect_uri = return_urls.redirect_uri(provider.id, config=config, request=request)
        self._secure = return_urls.is_secure(self._redirect_uri)
        self._cookies = request.META.get("HTTP_COOKIE", "")
        self._state = ""
        self.return_to = ""
        self.retry_url = ""
        """Where to try again what is no login: only the page that asked for it can start it."""

    def bounce(self, query: QueryDict) -> HttpResponse:
        """Keep a form_post's answer for the GET that follows; the flow is not finished yet."""
        self._read_state(query)
        self._recall()
        value = authorization_request.seal_response(
            replace(
                authorization_response.parse(query),
                expires_at=int(time.time()) + authorization_request.ANSWER_SECONDS,
            ),
            runtime.keyring(),
            state=self._state,
            provider=self._provider.id,
            secure=self._secure,
        )
        path = reverse("ms_identity:callback", args=[self._provider.id])
        response = HttpResponseRedirect(f"{path}?state={self._state}", status=303)
        response.set_cookie(
            authorization_request.response_cookie(self._state, secure=self._secure),
            value,
            max_age=authorization_request.ANSWER_SECONDS,
            secure=self._secure,
            httponly=True,
            samesite="Lax",
        )
        return response

    def finish(self, query: QueryDict) -> HttpResponse:
        """Take the flow, redeem the code, verify who came, and sign them in."""
        self._read_state(query)
        digest = authorization_request.digest(self._state)
        try:
            started = self._recall()
            code = self._code(query)
            self._claim(digest, until=started.expires_at)
        except (FlowMissing, FlowReplayed):
            # The back button, or a reload, of the very visitor whom this flow signed in.
            finished = sessions.finished_return_to(self._request, digest=digest)
            if finished is None:
                raise
            return responses.redirect_to_next(self._request, finished, config=self._config)
        starter = self._starter(started)
        outcome = self._arrive(started, starter, self._prove(started, code))
        if outcome is Arrived.SIGNED_IN:
            sessions.remember_finished(self._request, digest=digest, return_to=self.return_to)
        return responses.respond(
            self._request,
            outcome,
            provider=self._provider.id,
            return_to=self.return_to,
            config=self._config,
        )

    def without_cookies(self, response: HttpResponse) -> HttpResponse:
        """Delete what the browser kept of this flow: it is over, whatever came of it."""
        for name in (
            authorization_request.request_cookie(self._state, secure=self._secure),
            authorization_request.response_cookie(self._state, secure=self._secure),
        ):
            if f"{name}=" in self._cookies:
                response.delete_cookie(name)
        return response

    def _read_state(self, query: QueryDict) -> None:
        for name in authorization_response.PARAMETERS:
            if len(query.getlist(name)) > 1:
                raise CallbackInvalid(f"{name} came more than once")
        state = query.get("state", "")
        if not authorization_request.is_state(state):
            raise CallbackInvalid("state is missing or malformed")
        self._state = state

    def _recall(self) -> AuthorizationRequest:
        started = authorization_request.load_request(
            self._cookies,
            state=self._state,
            provider=self._provider.id,
            secure=self._secure,
            keyring=runtime.keyring(),
            now=time.time(),
        )
        self.return_to = started.return_to
        if started.intent is not Intent.LOGIN:
            self.retry_url = return_urls.safe_return_to(self._request, started.return_to, config=self._config)
        if started.redirect_uri != self._redirect_uri:
            raise FlowMismatch(
                f"the sign-in started for {started.redirect_uri} and ended at {self._redirect_uri}",
                hint="Set BASE_REDIRECT_URI, and SECURE_PROXY_SSL_HEADER behind a proxy.",
            )
        return started

    def _code(self, query: QueryDict) -> str:
        answer = self._answer(query)
        if answer.error:
            raise error_for(answer.error, answer.description)
        if not answer.code:
            raise CallbackInvalid("neither code nor error came back")
        return answer.code

    def _claim(self, digest: str, *, until: int) -> None:
        seconds = max(1, until - int(time.time()) + 1)
        # With the cache down, Microsoft redeems a code only once.
        if runtime.shared_cache().claim(f"flow:{digest}", seconds=seconds) is Claim.LOST:
            raise FlowReplayed("this state was used before")

    def _answer(self, query: QueryDict) -> AuthorizationResponse:
        if self._provider.response_mode is ResponseMode.QUERY:
            return authorization_response.parse(query)
        return authorization_request.load_response(
            self._cookies,
            state=self._state,
            provider=self._provider.id,
            secure=self._secure,
            keyring=runtime.keyring(),
            now=time.time(),
        )

    def _prove(self, started: AuthorizationRequest, code: str) -> VerifiedLogin:
        return exchange(
            self._provider,
            code=code,
            nonce=started.nonce,
            verifier=started.verifier,
            redirect_uri=started.redirect_uri,
            http=runtime.http_client(),
            documents=runtime.documents(),
        )

    def _arrive(
        self, started: AuthorizationRequest, starter: AbstractBaseUser | None, proof: VerifiedLogin
    ) -> Arrived | StoredStep:
        request, return_to = self._request, self.return_to
        if starter is None:
            return sign_in(request, proof=proof, return_to=return_to)
        match started.intent:
            case Intent.LINK:
                connected = connect(request, user=starter, proof=proof, return_to=return_to)
                if isinstance(connected, StoredStep):
                    return connected
                flash_messages.leave(request, Notice.LINKED)
            case Intent.REAUTHENTICATE:
                refuse_stale(proof.claims, started_at=started.started_at)
                reauthenticate(request, user=starter, proof=proof)
            case Intent.STEP_UP:
                reauthenticate(request, user=starter, proof=proof, second_factor=True)
        return Arrived.SIGNED_IN

    def _starter(self, started: AuthorizationRequest) -> AbstractBaseUser | None:
        """Return who started what is no login; nobody for a login."""
        if started.intent is Intent.LOGIN:
            return None
        user = sessions.user_of(self._request)
        # What somebody started who was signed in must never become a login, or another's link; DESIGN 5.1.
        if user is None or not sessions.is_bound(self._request, user=started.user, binding=started.binding):
            raise FlowMismatch(
                f"the flow ({started.intent}) belongs to another session",
                hint="The visitor signed out or in as somebody else meanwhile, or BASE_REDIRECT_URI names "
                "another host than the one where they are signed in.",
            )
        return user
