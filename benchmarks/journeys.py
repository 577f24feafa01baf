"""Sign-ins as visitors make them, each with the cookies that they come with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.sessions.backends.db import SessionStore
from django.core.handlers.wsgi import WSGIHandler
from django.test import Client, override_settings

from django_ms_identity.testing.emulator import Emulator

from . import microsoft
from .browser import HOST, Browser
from .measure import Budget, Clock, Prepare, Row, Wire, measured

HOME = "/home/"
KNOWN = "ines"
SESSION = "sessionid"
REGISTRATION = "registration"


class Journeys:
    """Prepare sign-ins at one site; a class because it holds the site and counts its newcomers."""

    def __init__(self, emulator: Emulator, site: WSGIHandler) -> None:
        self._emulator = emulator
        self._site = site
        self._newcomers = count()

    def start(self) -> Callable[[], object]:
        """Press the button."""
        return partial(Browser(site=self._site).redirected, _start("microsoft"))

    def callback(
        self, *, provider: str = "microsoft", person: str = KNOWN, session: Callable[[], str] | None = None
    ) -> Callable[[], object]:
        """Return from Microsoft; ``session`` makes the key of the session that the browser sends."""
        browser = Browser(site=self._site)
        url = microsoft.callback(self._emulator, browser.redirected(_start(provider)), person)
        if session is not None:
            browser.cookies[SESSION] = session()
        return partial(_finish, browser, url)

    def registration(self, *, provider: str = "microsoft") -> Callable[[], object]:
        """Return from Microsoft as a new person."""
        return self.callback(provider=provider, person=f"{provider}-newcomer-{next(self._newcomers)}")


def rows(emulator: Emulator, wire: Wire, *, rounds: int) -> Iterator[Row]:
    """Measure start, callback and registration."""
    site = Journeys(emulator, WSGIHandler())
    measure = partial(measured, wire=wire, rounds=rounds)
    yield measure("start", site.start, budget=Budget(milliseconds=1, statements=0, requests=0))
    visitors: dict[str, tuple[Prepare, int | None]] = {
        "fresh browser": (site.callback, 6),
        "stale session cookie": (partial(site.callback, session=stale), 7),
        "anonymous session": (partial(site.callback, session=anonymous), 9),
        "session of another user": (partial(site.callback, session=another_users), 10),
        "own session": (partial(site.callback, session=own), None),
    }
    for visitor, (prepare, statements) in visitors.items():
        yield measure(f"callback, {visitor}", prepare, budget=Budget(statements=statements, requests=1))
    with override_settings(SESSION_ENGINE="django.contrib.sessions.backends.cache"):
        prepare = Journeys(emulator, WSGIHandler()).callback
        yield measure("callback, cache sessions", prepare, budget=Budget(statements=3, requests=1))
    yield measure(
        "callback, subject_source me",
        # Another person: at another provider the first one would collide with their own address.
        partial(site.callback, provider="graph", person="graph"),
        budget=Budget(statements=6, requests=2),
    )
    # The mapper runs in another process.
    measure = partial(measure, clock=Clock.WALL)
    yield measure(REGISTRATION, site.registration, budget=Budget(statements=6 + 6, requests=1))
    for name in ("editors", "reviewers"):
        Group.objects.get_or_create(name=name)
    prepare = partial(site.registration, provider="groups")
    yield measure("registration with groups", prepare, budget=Budget(statements=6 + 6 + 3, requests=1))


def stale() -> str:
    return "k" * 32


def anonymous() -> str:
    store = SessionStore()
    store["basket"] = [1, 2, 3]
    store.create()
    return store.session_key or ""


def another_users() -> str:
    return _session_of("another.user")


def own() -> str:
    return _session_of(microsoft.email(KNOWN))


def _start(provider: str) -> str:
    return f"http://{HOST}/ms/start/{provider}/?next={HOME}"


def _finish(browser: Browser, url: str) -> None:
    if (location := browser.redirected(url)) != HOME:
        raise AssertionError(f"the callback led to {location}")


def _session_of(username: str) -> str:
    user, _ = get_user_model().objects.get_or_create(username=username)
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client.cookies[SESSION].value
