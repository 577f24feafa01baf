"""Microsoft within the process of a test: the emulator behind every request to a host of Microsoft's."""

from __future__ import annotations

import html
import re
from collections import defaultdict, deque
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from enum import StrEnum
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Self
from urllib.parse import urlencode, urlsplit

import requests
import responses
from django.conf import settings
from django.http import HttpResponse, HttpResponseBase, HttpResponseNotFound
from django.test import Client, RequestFactory, override_settings
from django.urls import Resolver404, get_urlconf, resolve, reverse, set_urlconf

from django_ms_identity import conf
from django_ms_identity.emulator import CLIENT_ID, CLIENT_SECRET, TENANT_ID
from django_ms_identity.emulator.grants import Grants
from django_ms_identity.emulator.microsoft import ENVIRON_KEY, Microsoft
from django_ms_identity.emulator.personas import PERSONAS, Persona, oid_for
from django_ms_identity.emulator.tenants import CONTOSO, FABRIKAM, GRAPH_HOSTS, LOGIN_HOSTS, Tenant

from .browser import Callback, absolute, navigate

if TYPE_CHECKING:
    from types import TracebackType

    from django_ms_identity.entra.providers import Provider

URLCONF = "django_ms_identity.testing.urls"
_HOSTS = re.compile(rf"https://({'|'.join(map(re.escape, [*GRAPH_HOSTS, *LOGIN_HOSTS]))})/")


class Endpoint(StrEnum):
    """What the app asks of Microsoft, server to server."""

    METADATA = "metadata"
    KEYS = "keys"
    TOKEN = "token"  # noqa: S105 - the name of an endpoint
    ME = "me"
    USERINFO = "userinfo"


class ShownByMicrosoft(AssertionError):
    """Microsoft kept the person on a page of its own instead of sending them back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    status: int
    body: bytes
    headers: Mapping[str, str]
    exception: Exception | None


class Emulator:
    """Answer as Microsoft for as long as the context lasts, for the providers of ``MS_IDENTITY``.

    Requests to Microsoft's hosts by ``requests`` end in the emulator's views, in the same thread; requests to
    any other host are refused unless the test adds them to ``wire``. The project's DEBUG, URLs and middleware
    do not matter. The client id and secret of each configured provider are known; a tenant that is configured
    by its GUID or domain is Contoso. ``EMULATOR_URL``, if the settings have one, does not count meanwhile.
    """

    def __init__(self) -> None:
        self.personas: dict[str, Persona] = {persona.id: persona for persona in PERSONAS}
        """Who can sign in, by id: work, admin, mfa (has a second factor, as admin has), collides, no-email,
        guest, personal, personal-without-email, many-groups, disabled, admin-consent."""
        self.requests: list[tuple[str, str]] = []
        """Method and URL of every request that the app sent to Microsoft, in order. Signing keys are asked
        for once in a process, so the first test that signs somebody in sees a request more."""
        self.wire = responses.RequestsMock(assert_all_requests_are_fired=False)
        """Where a test may answer for other hosts."""
        self._grants = Grants()
        self._answers: defaultdict[Endpoint, deque[_Answer]] = defaultdict(deque)
        self._context = ExitStack()

    def __enter__(self) -> Self:
        configured = getattr(settings, "MS_IDENTITY", None)
        if isinstance(configured, Mapping) and "EMULATOR_URL" in configured:
            without = {key: value for key, value in configured.items() if key != "EMULATOR_URL"}
            self._context.enter_context(override_settings(MS_IDENTITY=without))
        self._context.enter_context(self.wire)
        for method in (responses.GET, responses.POST):
            self.wire.add_callback(method, _HOSTS, callback=self._answer, content_type=None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.__exit__(kind, error, trace)

    def sign_in(
        self,
        client: Client,
        persona: str | Persona = "work",
        provider: str = "microsoft",
        next: str | None = None,
    ) -> HttpResponse:
        """Press the button, pick ``persona`` at Microsoft, come back; return the app's last answer.

        That is the redirect to ``next`` when all went well, which is not followed, or the page that refuses.
        An answer of the start view that does not lead to Microsoft is returned as it is. ``persona`` may be
        "cancel", for somebody who turns back.
        """
        query = f"?{urlencode({'next': next})}" if next else ""
        start = f"http://testserver{reverse('ms_identity:start', args=[provider])}{query}"
        response = navigate(client, start)
        # Twice at most: to https, and to the host of BASE_REDIRECT_URI.
        for _attempt in range(2):
            location = absolute(response.headers.get("Location", ""), start)
            if urlsplit(location).path == urlsplit(start).path:
                response = navigate(client, location)
        location = response.headers.get("Location", "")
        return self.callback(location, persona).send(client) if _HOSTS.match(location) else response

    def authorize(self, location: str, persona: str | Persona = "work") -> str:
        """Pick ``persona`` at the authorize URL ``location``; return the callback URL with code or error."""
        callback = self.callback(location, persona)
        if callback.fields:
            raise ValueError("response_mode is form_post: use callback(), which has the fields too")
        return callback.url

    def callback(self, location: str, persona: str | Persona = "work") -> Callback:
        """Pick ``persona`` as ``authorize`` does; return what the browser brings back, in either mode.

        Raises ``ShownByMicrosoft`` with the AADSTS code where Microsoft shows an error and sends nobody back.
        """
        if not _HOSTS.match(location):
            raise ValueError(f"not an address of Microsoft: {location}")
        if isinstance(persona, Persona):
            self.personas[persona.id] = persona
            persona = persona.id
        if persona not in (*self.personas, "cancel"):
            raise ValueError(f"no persona {persona!r}; there are: {', '.join((*self.personas, 'cancel'))}")
        response = self._ask("GET", f"{location}&{urlencode({'persona': persona, 'return': '1'})}")
        if "Location" in response.headers:
            return Callback(url=response.headers["Location"])
        page = _content(response).decode()
        action = re.search(r'<form method="post" action="([^"]*)"', page)
        if action is None:
            raise ShownByMicrosoft(_reason_on(response))
        fields = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', page)
        return Callback(
            url=html.unescape(action[1]),
            fields={html.unescape(name): html.unescape(value) for name, value in fields},
        )

    def sign_out(self, location: str) -> str:
        """Open Microsoft's sign-out page at ``location``; return where it sends the browser, or nothing.

        Nothing, when the person stays there; ``ShownByMicrosoft``, when an error is shown.
        """
        if not _HOSTS.match(location):
            raise ValueError(f"not an address of Microsoft: {location}")
        response = self._ask("GET", location)
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            raise ShownByMicrosoft(_reason_on(response))
        return response.headers.get("Location", "")

    def persona(self, like: str = "work", /, **changes: object) -> Persona:
        """Change a persona for the rest of the test, or make another one by giving it an ``id``.

        ``changes`` are the fields of ``Persona``: ``email=None``, ``groups=("…",)``, ``tenant="Northwind"``,
        ``mfa=True``, ``claims={"acct": 1, "oid": None}``. A new id has an object id of its own.
        """
        changed_id = changes.get("id", like)
        if changed_id != like:
            changes = {"oid": oid_for(str(changed_id)), **changes}
        persona: Persona = replace(self.personas[like], **changes)  # type: ignore[arg-type]  # the test says which
        self.personas[persona.id] = persona
        return persona

    def answer_next(
        self,
        endpoint: Endpoint | str,
        *,
        status: int = 200,
        body: bytes | str = b"",
        headers: Mapping[str, str] = MappingProxyType({}),
        exception: Exception | None = None,
    ) -> None:
        """Answer the next request to ``endpoint`` like this, or fail it with ``exception``; calls queue up.

        ``answer_next("token", status=503)``, ``answer_next("keys", exception=requests.ConnectTimeout())``.
        """
        octets = body.encode() if isinstance(body, str) else body
        answer = _Answer(status=status, body=octets, headers=headers, exception=exception)
        self._answers[Endpoint(endpoint)].append(answer)

    @property
    def microsoft(self) -> Microsoft:
        """The Microsoft behind it, as the settings and personas are now."""
        providers = conf.get_config().providers
        return Microsoft(
            clients={CLIENT_ID: CLIENT_SECRET} | {one.client_id: one.client_secret for one in providers},
            tenants=_tenants(providers),
            personas=tuple(self.personas.values()),
            grants=self._grants,
            # Django's test client calls its site http://testserver, which Microsoft would not take.
            http_hosts=frozenset({"localhost", "127.0.0.1", "testserver"}),
        )

    def _answer(self, request: requests.PreparedRequest) -> tuple[int, Mapping[str, str], bytes]:
        method, url = request.method or "GET", request.url or ""
        self.requests.append((method, url))
        endpoint = endpoint_of(url)
        if endpoint and self._answers[endpoint]:
            answer = self._answers[endpoint].popleft()
            if answer.exception is not None:
                raise answer.exception
            return answer.status, answer.headers, answer.body
        body = request.body or b""
        octets = body.encode() if isinstance(body, str) else bytes(body)
        response = self._ask(method, url, body=octets, headers=dict(request.headers))
        return response.status_code, dict(response.headers), _content(response)

    def _ask(
        self, method: str, url: str, *, body: bytes = b"", headers: Mapping[str, str] = MappingProxyType({})
    ) -> HttpResponseBase:
        parts = urlsplit(url)
        request = RequestFactory().generic(
            method,
            f"/{parts.netloc}{parts.path}?{parts.query}",
            data=body,
            content_type=headers.get("Content-Type", "application/octet-stream"),
            headers=dict(headers),
        )
        request.META[ENVIRON_KEY] = self.microsoft
        before = get_urlconf()
        set_urlconf(URLCONF)
        try:
            match = resolve(request.path_info)
            response: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
        except Resolver404:
            return HttpResponseNotFound()
        finally:
            set_urlconf(before)
        return response


def _content(response: HttpResponseBase) -> bytes:
    return response.content if isinstance(response, HttpResponse) else b""


def _reason_on(response: HttpResponseBase) -> str:
    page = _content(response).decode()
    reason = re.search(r"AADSTS\d+: [^<]*", page)
    return html.unescape(reason[0]) if reason else page


def endpoint_of(url: str) -> Endpoint | None:
    """Say which endpoint an address of Microsoft's is, if it is one that the app asks."""
    parts = urlsplit(url)
    try:
        return Endpoint(resolve(f"/{parts.netloc}{parts.path}", urlconf=URLCONF).url_name or "")
    except (Resolver404, ValueError):
        return None


def _tenants(providers: tuple[Provider, ...]) -> tuple[Tenant, ...]:
    """Found Contoso under the GUIDs and domains that are configured; the first GUID is its home."""
    single = [provider.tenant.value for provider in providers if provider.tenant.single]
    domains = tuple(value for value in single if "." in value and value not in FABRIKAM.domains)
    guids = [value for value in single if "." not in value and value != FABRIKAM.id]
    home, *others = dict.fromkeys(guids or [TENANT_ID])
    return (
        Tenant(id=home, name=CONTOSO.name, domains=CONTOSO.domains + domains),
        *(Tenant(id=other, name=CONTOSO.name) for other in others),
        FABRIKAM,
    )
