"""What visitors do who have got far: each ends just before one request, and says what that one is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from django.http import HttpResponse

from django_ms_identity import sessions
from tests.journeys.steps import asked, pick
from tests.support.builders import CLIENT_SECRET

from .conftest import EMAIL, STATES

PENDING = "ms_identity_pending_token"
TYPED = "planted-typed-trait"
CLAIMS = {"sid": "planted-sid", "login_hint": "planted-login-hint", "secret_claim": "planted-claim"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request, ready to be sent."""

    send: Callable[[], HttpResponse]
    secrets: frozenset[str] = frozenset()
    """What it holds that nobody else may read."""


def asks(world, path, **query):
    return Visit(send=partial(world.browser.get, path, query))


def posts(world, path, *secret, **fields):
    return Visit(send=partial(world.browser.post, path, fields), secrets=frozenset(secret))


def returns(world, callback):
    given = dict(callback.fields) or asked(callback.url)
    secrets = frozenset({given["code"], given["state"]})
    return Visit(send=partial(callback.send, world.browser), secrets=secrets)


def finishes_the_form(world):
    STATES["waits_for_traits"](world)
    ticket = world.browser.get("/ms/complete/").context["ticket"]
    return posts(world, "/ms/complete/", ticket, ticket=ticket, **{"trait-0": TYPED})


def opens_the_form(world):
    STATES["waits_for_traits"](world)
    return asks(world, "/ms/complete/")


def confirms(world):
    STATES["proved_to_be_the_owner"](world)
    ticket = world.browser.get("/ms/confirm-link/").context["ticket"]
    return posts(world, "/ms/confirm-link/", ticket, ticket=ticket)


def looks_at_what_to_confirm(world):
    STATES["proved_to_be_the_owner"](world)
    return asks(world, "/ms/confirm-link/")


def comes_back_to_connect(world):
    STATES["signed_in_by_password"](world)
    location = world.browser.post("/ms/connections/microsoft/link/").headers["Location"]
    return returns(world, world.microsoft.callback(location))


def looks_at_connections(world):
    comes_back_to_connect(world).send()
    return asks(world, "/ms/connections/")


def disconnects(world):
    looks_at_connections(world)
    (row,) = world.browser.get("/ms/connections/").context["connections"]
    return posts(world, f"/ms/connections/{row['id']}/unlink/")


def is_to_prove_first(world):
    visit = disconnects(world)
    session = world.browser.session
    session[sessions.AUTHENTICATED_AT] = 0
    session.save()
    return visit


def connects(world):
    STATES["signed_in_by_password"](world)
    return posts(world, "/ms/connections/microsoft/link/")


def steps_up(world):
    looks_at_connections(world)
    return asks(world, "/ms/step-up/", need="recent", next="/home/")


def registers(world):
    return returns(world, pick(world.browser, world.microsoft))


def signs_in(world):
    registers(world).send()
    world.browser.cookies.clear()
    return returns(world, pick(world.browser, world.microsoft))


def takes_over_the_browser(world):
    registers(world).send()
    STATES["signed_in_by_password"](world)
    return returns(world, pick(world.browser, world.microsoft, prompt="select_account"))


def signs_out(world):
    looks_at_connections(world)
    return posts(world, "/ms/sign-out/", microsoft="1")


VISITS = [
    comes_back_to_connect,
    confirms,
    connects,
    disconnects,
    finishes_the_form,
    is_to_prove_first,
    looks_at_connections,
    looks_at_what_to_confirm,
    opens_the_form,
    registers,
    signs_in,
    signs_out,
    steps_up,
    takes_over_the_browser,
]


def secrets_of(world):
    """Return what only this browser, this session and Microsoft know."""
    cookies = {name: cookie.value for name, cookie in world.browser.cookies.items()}
    bound = {value for name, value in cookies.items() if name in (PENDING, "sessionid")}
    session = world.browser.session
    kept = {session.get(sessions.BINDING), *(session.get("_ms_identity_resume") or [])[-1:]}
    return {CLIENT_SECRET, TYPED, EMAIL, "Okafor", *CLAIMS.values(), *bound, *kept} - {None, ""}
