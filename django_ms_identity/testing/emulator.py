"""Microsoft within the process of a test: the emulator answers every request to a host of Microsoft."""

from __future__ import annotations

import html
import re
from collections import defaultdict, deque
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from enum import StrEnum
from http import HTTPStatus
from types import MappingProxyType
from typing import Self
from urllib.parse import urlencode, urljoin, urlsplit

import requests
import responses
from django.conf import settings
from django.http import HttpResponse, HttpResponseNotFound
from django.test import Client, RequestFactory, override_settings
from django.urls import Resolver404, resolve, reverse

from django_ms_identity import conf
from django_ms_identity.emulator import CLIENT_ID, CLIENT_SECRET, TENANT_ID
from django_ms_identity.emulator.grants import Grants
from django_ms_identity.emulator.microsoft import ENVIRON_KEY, Microsoft
from django_ms_identity.emulator.personas import CANCEL, PERSONAS, Persona, oid_for
from django_ms_identity.emulator.tenants import CONTOSO, FABRIKAM, GRAPH_HOSTS, LOGIN_HOSTS, Tenant

from .browser import Callback, navigate, same_path

URLCONF = "django_ms_identity.testing.urls"
_Response = tuple[int, Mapping[str, str], bytes]
"""Status, headers and body, as ``responses`` takes them."""
_HOSTS = re.compile(rf"https://({'|'.join(map(re.escape, [*GRAPH_HOSTS, *LOGIN_HOSTS]))})/")


class Endpoint(StrEnum):
    """The endpoints that the app's server requests from Microsoft."""

    METADATA = "metadata"
    KEYS = "keys"
    TOKEN = "token"  # noqa: S105 - the name of an endpoint
    ME = "me"
    USERINFO = "userinfo"


class ShownByMicrosoft(AssertionError):
    """Microsoft showed an error page of its own instead of sending the browser back."""


class Emulator:
    """Answer as Microsoft for as long as the context lasts, for the providers of ``MS_IDENTITY``.

    Requests to Microsoft's hosts by ``requests`` end in the emulator's views, in the same thread; requests to
    any other host fail unless the test adds them to ``wire``. The project's DEBUG, URLs and middleware do not
    matter. The client id and secret of each configured provider are known; a tenant that is configured by its
    GUID or domain is Contoso. ``EMULATOR_URL`` of the settings is ignored within the context.
    """

    def __init__(self) -> None:
        self.personas: dict[str, Persona] = {persona.id: persona for persona in PERSONAS}
        """The personas, by their id: work, admin, mfa (both with a second factor), collides, no-email,
        guest, personal, personal-without-email, many-groups, disabled, admin-consent."""
        self.requests: list[tuple[str, str]] = []
        """Method and URL of every request that the app sent to Microsoft, in order. Signing keys are
        fetched once in a process, so the first test that signs in sees one request more."""
        self.wire = responses.RequestsMock(assert_all_requests_are_fired=False)
        """For answers of other hosts."""
        self._grants = Grants()
        self._answers: defaultdict[Endpoint, deque[_Response | Exception]] = defaultdict(deque)
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

    def __exit__(self, *exception: object) -> None:
        self._context.close()

    def sign_in(
        self,
        client: Client,
        persona: str | Persona = "work",
        provider: str = "microsoft",
        next: str | None = None,
    ) -> HttpResponse:
        """Press the button, pick ``persona`` at Microsoft, come back; return the app's last answer.

        That is the redirect to ``next``, which is not followed, or the page of a refusal. A response of the
        start view that does not lead to Microsoft is returned as it is. ``persona`` "cancel" goes back to the
        app without signing in.
        """
        query = f"?{urlencode({'next': next})}" if next else ""
        start = f"http://testserver{reverse('ms_identity:start', args=[provider])}{query}"
        response = navigate(client, start)
        location = response.headers.get("Location", "")
        # Twice at most: to https, and to the host of BASE_REDIRECT_URI.
        for _redirect in range(2):
            if location and same_path(urljoin(start, location), start):
                response = navigate(client, urljoin(start, location))
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

        Raises ``ShownByMicrosoft`` with the AADSTS code where Microsoft shows an error page instead.
        """
        if isinstance(persona, Persona):
            self.personas[persona.id] = persona
            persona = persona.id
        if persona not in (*self.personas, CANCEL):
            raise ValueError(f"no persona {persona!r}; there are: {', '.join((*self.personas, CANCEL))}")
        response = self._open(f"{location}&{urlencode({'persona': persona, 'return': '1'})}")
        if "Location" in response.headers:
            return Callback(url=response.headers["Location"])
        page = response.content.decode()
        [action] = re.findall(r'<form method="post" action="([^"]*)"', page)
        fields = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', page)
        return Callback(
            url=html.unescape(action),
            fields={html.unescape(name): html.unescape(value) for name, value in fields},
        )

    def sign_out(self, location: str) -> str:
        """Open Microsoft's sign-out page at ``location``; return where it sends the browser.

        Returns an empty string if the browser stays there; raises ``ShownByMicrosoft`` if an error is shown.
        """
        return self._open(location).headers.get("Location", "")

    def persona(self, like: str = "work", /, **changes: object) -> Persona:
        """Change a persona for the rest of the test, or make another one by giving it an ``id``.

        ``changes`` are the fields of ``Persona``: ``email=None``, ``groups=("…",)``, ``tenant="Northwind"``,
        ``mfa=True``, ``claims={"acct": 1, "oid": None}``. A new ``id`` gets its own object id.
        """
        changed_id = changes.get("id", like)
        if changed_id != like:
            changes = {"oid": oid_for(str(changed_id)), **changes}
        persona: Persona = replace(self.personas[like], **changes)  # type: ignore[arg-type]  # fields are the caller's
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
        """Answer the next request to ``endpoint`` so, or raise ``exception``; further calls queue up.

        ``answer_next("token", status=503)``, ``answer_next("keys", exception=requests.ConnectTimeout())``.
        """
        answer = exception or (status, headers, _octets(body))
        self._answers[Endpoint(endpoint)].append(answer)

    @property
    def microsoft(self) -> Microsoft:
        """The emulated Microsoft, as the settings and personas are now.

        Contoso has the GUIDs and domains of the configured tenants; the first GUID is its home tenant.
        """
        providers = conf.get_config().providers
        single = [provider.tenant.value for provider in providers if provider.tenant.single]
        guids = [value for value in single if "." not in value and value != FABRIKAM.id] or [TENANT_ID]
        domains = CONTOSO.domains + tuple(value for value in single if "." in value)
        return Microsoft(
            clients={CLIENT_ID: CLIENT_SECRET} | {one.client_id: one.client_secret for one in providers},
            # Of the tenants with a domain the first counts: Fabrikam, then Contoso's home.
            tenants=(FABRIKAM, *(Tenant(id=guid, name=CONTOSO.name, domains=domains) for guid in guids)),
            personas=tuple(self.personas.values()),
            grants=self._grants,
            # The host of Django's test client, which Microsoft would not accept.
            http_hosts=frozenset({"localhost", "127.0.0.1", "testserver"}),
        )

    def _answer(self, request: requests.PreparedRequest) -> _Response:
        method, url = request.method or "GET", request.url or ""
        self.requests.append((method, url))
        endpoint = endpoint_of(url)
        if endpoint and self._answers[endpoint]:
            answer = self._answers[endpoint].popleft()
            if isinstance(answer, Exception):
                raise answer
            return answer
        response = self._ask(method, url, body=_octets(request.body or b""), headers=dict(request.headers))
        return response.status_code, dict(response.headers), response.content

    def _open(self, location: str) -> HttpResponse:
        """Open an address of Microsoft's as a browser; raise what an error page says."""
        if not _HOSTS.match(location):
            raise ValueError(f"not an address of Microsoft: {location}")
        response = self._ask("GET", location)
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            page = response.content.decode()
            reason = re.search(r"AADSTS\d+: [^<]*", page)
            raise ShownByMicrosoft(html.unescape(reason[0] if reason else page))
        return response

    def _ask(
        self, method: str, url: str, *, body: bytes = b"", headers: Mapping[str, str] = MappingProxyType({})
    ) -> HttpResponse:
        parts = urlsplit(url)
        request = RequestFactory().generic(
            method,
            f"/{parts.netloc}{parts.path}?{parts.query}",
            data=body,
            content_type=headers.get("Content-Type", "application/octet-stream"),
            headers=dict(headers),
        )
        request.META[ENVIRON_KEY] = self.microsoft
        try:
            match = resolve(request.path_info, urlconf=URLCONF)
            response: HttpResponse = match.func(request, *match.args, **match.kwargs)
        except Resolver404:
            return HttpResponseNotFound()
        return response


def _octets(body: bytes | str) -> bytes:
    return body.encode() if isinstance(body, str) else body


def endpoint_of(url: str) -> Endpoint | None:
    """Return the endpoint that an address of Microsoft's belongs to; ``None`` for pages and other hosts."""
    parts = urlsplit(url)
    try:
        return Endpoint(resolve(f"/{parts.netloc}{parts.path}", urlconf=URLCONF).url_name or "")
    except (Resolver404, ValueError):
        return None
