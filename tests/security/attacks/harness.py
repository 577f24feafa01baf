"""One case of the catalogue, and the project, provider and browsers that it runs in."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from importlib import import_module
from types import MappingProxyType
from typing import Any
from unittest import mock
from urllib.parse import urlencode

from django.conf import settings as django_settings
from django.contrib.auth import SESSION_KEY, get_user_model
from django.contrib.sessions.models import Session
from django.http import HttpResponse

from django_ms_identity import exceptions
from django_ms_identity.emulator.personas import Persona
from django_ms_identity.models import Credential, Identity, SignIn, VerifiableAddress
from django_ms_identity.testing.browser import Callback
from tests.security.malicious_provider import UNTAMPERED, MaliciousProvider, Tampering
from tests.support.builders import make_settings
from tests.support.web import Browser

STATUSES = {
    kind.code: int(kind.status)
    for kind in vars(exceptions).values()
    if isinstance(kind, type) and issubclass(kind, exceptions.MSIdentityError)
}

INVALID, UNAVAILABLE = "microsoft_answer_invalid", "microsoft_unavailable"
NOBODY = "nobody"
"""What the project calls a visitor who is not signed in."""


class Group(StrEnum):
    """What an attack is about; the headings of the table."""

    ALGORITHMS = "Algorithms and signatures"
    KEYS = "Signing keys"
    CLAIMS = "Claims"
    TENANTS = "Tenants"
    NONCE = "Nonce"
    TOKEN = "Answers of the token endpoint"
    METADATA = "Metadata of a tenant"
    GRAPH = "Answers of Microsoft Graph"
    AUTHORIZE = "What the browser brings back"
    FLOWS = "Flows and cookies"
    PEOPLE = "Accounts and links"
    MAPPERS = "Mappers and web hooks"


class Harness:
    """A project, a malicious provider, and browsers."""

    def __init__(self, microsoft: MaliciousProvider, settings: Any) -> None:
        self.microsoft = microsoft
        self.settings = settings
        self.browsers: list[Browser] = []
        self.browser = self.open_browser()
        """The browser of the attacker or of the victim."""
        self.front = ""
        """The address of a machine in the middle, if there is one."""
        self.watch()

    def configure(self, *providers: Mapping[str, object], **changes: object) -> None:
        self.settings.MS_IDENTITY = make_settings(*providers, **changes)

    def open_browser(self) -> Browser:
        self.browsers.append(Browser())
        return self.browsers[-1]

    def press(
        self, browser: Browser, provider: str = "microsoft", *, secure: bool = False, **query: str
    ) -> str:
        """Press the button; return the address at Microsoft."""
        response = browser.get(f"/ms/start/{provider}/?{urlencode(query)}", secure=secure)
        return self.at_microsoft(response)

    def at_microsoft(self, response: HttpResponse) -> str:
        location = str(response.headers["Location"])
        return location.replace(f"{self.front}/", "https://", 1) if self.front else location

    def pick(
        self,
        browser: Browser,
        persona: str | Persona = "work",
        *,
        provider: str = "microsoft",
        secure: bool = False,
        **query: str,
    ) -> Callback:
        """Press the button and pick an account; the way back is not taken yet."""
        location = self.press(browser, provider, secure=secure, **query)
        return self.microsoft.callback(location, persona)

    def sign_in(
        self, browser: Browser | None = None, persona: str | Persona = "work", **how: Any
    ) -> HttpResponse:
        browser = browser or self.browser
        return self.pick(browser, persona, **how).send(browser)

    def local_user(self, name: str, **fields: object) -> Any:
        return get_user_model().objects.create_user(name, password="pw", **fields)

    def sign_in_locally(self, browser: Browser, name: str) -> None:
        assert browser.login(username=name, password="pw")

    def person(self, browser: Browser) -> str:
        """Say which persona the project believes to be there; a user without an account by user name.

        By object id, which no two share: names and addresses are what some of the cases forge.
        """
        name = who(browser)
        account = Credential.objects.filter(identity__user__username=name).first()
        if account is None:
            return name
        (persona,) = [
            persona.id
            for persona in self.microsoft.personas.values()
            if account.object_id in (persona.oid, persona.oid_as(guest=True))
        ]
        return persona

    def watch(self) -> None:
        """Say that from here on nothing may change: no row, and not who is signed in."""
        self._before = self._state()

    def assert_untouched(self) -> None:
        assert self._state() == self._before

    def _state(self) -> dict[str, object]:
        rows = {
            model.__name__: list(model.objects.order_by("pk").values())
            for model in (get_user_model(), Identity, Credential, VerifiableAddress, SignIn)
        }
        # Nobody is the same in a browser that was opened only now.
        signed_in = [(browser, user) for browser in self.browsers if (user := user_in(browser))]
        return {**rows, "Session": Session.objects.count(), "signed in": signed_in}


def end_of(response: HttpResponse) -> str:
    """Say where a visitor is sent, or else of which address they see the page."""
    location: str = response.headers.get("Location", response.request["PATH_INFO"])
    return location


def user_in(browser: Browser) -> str | None:
    """Return the key of the user whose session a browser has; reading it makes none."""
    cookie = browser.cookies.get(django_settings.SESSION_COOKIE_NAME)
    if cookie is None:
        return None
    user: str | None = (
        import_module(django_settings.SESSION_ENGINE).SessionStore(cookie.value).get(SESSION_KEY)
    )
    return user


def who(browser: Browser) -> str:
    """Return the name of the user whom the project takes the visitor for."""
    return browser.get("/home/").content.decode()


def statuses(harness: Harness, end: str) -> list[int]:
    """List what Microsoft has answered at the addresses that end so."""
    return [
        call.response.status_code for call in harness.microsoft.wire.calls if call.request.url.endswith(end)
    ]


@contextmanager
def later(seconds: float) -> Iterator[None]:
    """Let time pass."""
    with mock.patch("time.time", return_value=time.time() + seconds):
        yield


def _sign_in(harness: Harness) -> HttpResponse:
    return harness.sign_in()


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One attack and its outcome."""

    id: str
    """Stable, in kebab-case."""
    group: Group
    sentence: str
    """What is tried, in plain words."""
    code: str = ""
    """The error code that refuses it."""
    status: int = 0
    """The HTTP status of a refusal that has no code, because Django or HTTP itself refuses."""
    harmless: str = ""
    """The outcome of an attack that is not refused; the act asserts it."""
    tampering: Tampering = UNTAMPERED
    act: Callable[[Harness], HttpResponse] = _sign_in
    """Do it, and return the decisive answer."""
    provider: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    settings: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    lands: str = "/home/"
    """Where a visitor ends who is not refused: the address they are sent to, or that of the page they see."""
    signed_in: str = "work"
    """Who is in ``harness.browser`` then: a persona, a user who came without Microsoft, or nobody."""
    next_visitor: str = "work"
    """Who signs in afterwards, as everybody should."""
    remembered: bool = False
    """Whether the app keeps a key set that is genuine but useless until it asks again: after five
    minutes at the latest for a key that is not in it, else after an hour."""

    def __post_init__(self) -> None:
        outcomes = (self.code in STATUSES, self.status in (*HTTPStatus,), bool(self.harmless))
        assert outcomes.count(True) == 1, self.id

    @property
    def expected(self) -> tuple[str, int]:
        return self.code, self.status or STATUSES[self.code]
