"""The end of a sign-in: Microsoft sends the visitor back here; DESIGN section 4."""

from __future__ import annotations

import time
from dataclasses import replace

from django.contrib.auth import logout
from django.core.exceptions import BadRequest, SuspiciousOperation
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
    QueryDict,
    UnreadablePostError,
)
from django.http.multipartparser import MultiPartParserError
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from django_ms_identity import conf, flow, links, sessions, wiring
from django_ms_identity.cache import Claim
from django_ms_identity.conf import Config
from django_ms_identity.entra import client, graph, keys, tokens
from django_ms_identity.entra.providers import Provider, ResponseMode, SubjectSource
from django_ms_identity.entra.refusals import refusal
from django_ms_identity.entra.tokens import Claims
from django_ms_identity.exceptions import (
    CallbackInvalid,
    FlowMismatch,
    FlowMissing,
    FlowReplayed,
    MSIdentityError,
)
from django_ms_identity.flow import Answer, Flow
from django_ms_identity.sign_in import sign_in

from .pages import public_page, refuse

MAX_CODE = 2800
"""Characters of a code that fit into a cookie (4,096 bytes) once sealed; Microsoft's have about 1,200."""
_PARAMETERS = ("state", "code", "error", "error_description")


@csrf_exempt
@sensitive_post_parameters()
@public_page("GET", "POST")
@sensitive_variables()  # Also in every frame below.
def callback(request: HttpRequest, provider: str) -> HttpResponse:
    """Finish the sign-in that this browser started, or say in plain words why not.

    GET answers ``response_mode=query``; for ``form_post`` the POST keeps the answer in a cookie and
    redirects to a GET, because the cross-site POST carries no session.
    """
    query = _taken(request)
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
        response = refuse(request, error, provider=provider, next_url=arrival.return_to)
    return arrival.without_cookies(response)


class _Arrival:
    """One answer of Microsoft's at our callback; a class because errors need what was known till then."""

    def __init__(self, request: HttpRequest, provider: Provider, config: Config) -> None:
        self._request = request
        self._provider = provider
        self._config = config
        self._redirect_uri = links.redirect_uri(provider.id, config=config, request=request)
        self._secure = links.is_secure(self._redirect_uri)
        self._cookies = request.META.get("HTTP_COOKIE", "")
        self._state = ""
        self.return_to = ""

    def bounce(self, query: QueryDict) -> HttpResponse:
        """Keep a form_post's answer for the GET that follows; the flow is not finished yet."""
        self._read_state(query)
        self._recall()
        value = flow.seal_answer(
            replace(_answer(query), expires_at=int(time.time()) + flow.ANSWER_SECONDS),
            wiring.keyring(),
            state=self._state,
            provider=self._provider.id,
            secure=self._secure,
        )
        path = reverse("ms_identity:callback", args=[self._provider.id])
        response = HttpResponseRedirect(f"{path}?state={self._state}", status=303)
        response.set_cookie(
            flow.answer_cookie(self._state, secure=self._secure),
            value,
            max_age=flow.ANSWER_SECONDS,
            secure=self._secure,
            httponly=True,
            samesite="Lax",
        )
        return response

    def finish(self, query: QueryDict) -> HttpResponse:
        """Take the flow, redeem the code, verify who came, and sign them in."""
        self._read_state(query)
        digest = flow.digest(self._state)
        try:
            started = self._recall()
            code = self._code(query)
            self._claim(digest, until=started.expires_at)
        except (FlowMissing, FlowReplayed):
            # The back button, or a reload, of the very visitor whom this flow signed in.
            finished = sessions.finished_return_to(self._request, digest=digest)
            if finished is None:
                raise
            return self._onwards(finished)
        claims, subject = self._prove(started, code)
        if not sign_in(self._request, provider=self._provider, claims=claims, subject=subject):
            return self._registered()
        sessions.remember_finished(self._request, digest=digest, return_to=self.return_to)
        return self._onwards(self.return_to)

    def without_cookies(self, response: HttpResponse) -> HttpResponse:
        """Delete what the browser kept of this flow: it is over, whatever came of it."""
        for name in (
            flow.flow_cookie(self._state, secure=self._secure),
            flow.answer_cookie(self._state, secure=self._secure),
        ):
            if f"{name}=" in self._cookies:
                response.delete_cookie(name)
        return response

    def _read_state(self, query: QueryDict) -> None:
        for name in _PARAMETERS:
            if len(query.getlist(name)) > 1:
                raise CallbackInvalid(f"{name} came more than once")
        state = query.get("state", "")
        if not flow.is_state(state):
            raise CallbackInvalid("state is missing or malformed")
        self._state = state

    def _recall(self) -> Flow:
        started = flow.recall(
            self._cookies,
            state=self._state,
            provider=self._provider.id,
            secure=self._secure,
            keyring=wiring.keyring(),
            now=time.time(),
        )
        self.return_to = started.return_to
        if started.redirect_uri != self._redirect_uri:
            raise FlowMismatch(
                f"the sign-in started for {started.redirect_uri} and ended at {self._redirect_uri}",
                hint="Set BASE_REDIRECT_URI, and SECURE_PROXY_SSL_HEADER behind a proxy.",
            )
        return started

    def _code(self, query: QueryDict) -> str:
        answer = self._answer(query)
        if answer.error:
            raise refusal(answer.error, answer.description)
        if not answer.code:
            raise CallbackInvalid("neither code nor error came back")
        return answer.code

    def _claim(self, digest: str, *, until: int) -> None:
        seconds = max(1, until - int(time.time()) + 1)
        # With the cache down, Microsoft redeems a code only once.
        if wiring.shared_cache().claim(f"flow:{digest}", seconds=seconds) is Claim.LOST:
            raise FlowReplayed("this state was used before")

    def _answer(self, query: QueryDict) -> Answer:
        if self._provider.response_mode is ResponseMode.QUERY:
            return _answer(query)
        return flow.recall_answer(
            self._cookies,
            state=self._state,
            provider=self._provider.id,
            secure=self._secure,
            keyring=wiring.keyring(),
            now=time.time(),
        )

    def _prove(self, started: Flow, code: str) -> tuple[Claims, str]:
        transport, documents = wiring.transport(), wiring.documents()
        received = client.redeem(
            self._provider,
            code=code,
            state=started.state,
            nonce=started.nonce,
            verifier=started.verifier,
            redirect_uri=started.redirect_uri,
            transport=transport,
        )
        claims = tokens.verify(
            received.id_token,
            provider=self._provider,
            tenant=keys.configured_tenant(self._provider, documents),
            nonce=started.nonce,
            key_for=lambda kid: keys.signing_key(self._provider, kid, documents),
        )
        if self._provider.subject_source is not SubjectSource.ME:
            return claims, tokens.subject_of(claims, self._provider.subject_source)
        subject = graph.me(
            received.access_token, claims=claims, cloud=self._provider.cloud, transport=transport
        )
        return claims, subject

    def _onwards(self, return_to: str) -> HttpResponse:
        # Checked when stored too, but the settings or the host may have changed since.
        target = links.safe_return_to(self._request, return_to, config=self._config)
        return HttpResponseRedirect(target or links.default_return_to())

    def _registered(self) -> HttpResponse:
        # Whoever else is signed in here, the visitor has just proved to be another person.
        if self._request.user.is_authenticated:
            logout(self._request)
        url = links.start_url(self._provider.id, next_url=self.return_to)
        return render(self._request, "ms_identity/registered.html", {"sign_in_url": url})


def _taken(request: HttpRequest) -> QueryDict:
    """Take what Microsoft sent out of the request, so that no template, report or later code shows it."""
    try:
        query = request.POST if request.method == "POST" else request.GET
    except (
        BadRequest,
        LookupError,  # a charset that decodes no text
        MultiPartParserError,
        SuspiciousOperation,
        UnreadablePostError,
    ) as error:
        raise CallbackInvalid(f"the request cannot be read: {type(error).__name__}") from None
    finally:
        request.GET = QueryDict()
        for name in ("QUERY_STRING", "REQUEST_URI", "RAW_URI"):
            if name in request.META:
                request.META[name] = ""
    return query


def _answer(query: QueryDict) -> Answer:
    code, error = query.get("code", ""), query.get("error", "")
    if code and error:
        raise CallbackInvalid("code and error came together")
    # RFC 6749 appendix A.11; also what the cookie's size counts on.
    if len(code) > MAX_CODE or not (code.isascii() and code.isprintable()):
        raise CallbackInvalid("the code is too long or holds characters that no code has")
    return Answer(code=code, error=error[:64], description=query.get("error_description", "")[:1024])
