"""What visitors do who have got far: each ends just before one request, and says what that one is."""

from __future__ import annotations

from django_ms_identity import sessions
from tests.builders import CLIENT_SECRET
from tests.journeys.steps import pick

from .conftest import EMAIL, STATES

PENDING = "ms_identity_pending_token"
TYPED = "planted-typed-trait"
CLAIMS = {"sid": "planted-sid", "login_hint": "planted-login-hint", "secret_claim": "planted-claim"}


def finishes_the_form(world):
    STATES["waits_for_traits"](world)
    ticket = world.browser.get("/ms/complete/").context["ticket"]
    return "POST", "/ms/complete/", {"ticket": ticket, "trait-0": TYPED}, {ticket}


def opens_the_form(world):
    STATES["waits_for_traits"](world)
    return "GET", "/ms/complete/", {}, set()


def confirms(world):
    STATES["proved_to_be_the_owner"](world)
    ticket = world.browser.get("/ms/confirm-link/").context["ticket"]
    return "POST", "/ms/confirm-link/", {"ticket": ticket}, {ticket}


def looks_at_what_to_confirm(world):
    STATES["proved_to_be_the_owner"](world)
    return "GET", "/ms/confirm-link/", {}, set()


def looks_at_connections(world):
    STATES["signed_in_by_password"](world)
    location = world.browser.post("/ms/connections/microsoft/link/").headers["Location"]
    world.microsoft.callback(location).send(world.browser)
    return "GET", "/ms/connections/", {}, set()


def disconnects(world):
    looks_at_connections(world)
    (row,) = world.browser.get("/ms/connections/").context["connections"]
    return "POST", f"/ms/connections/{row['id']}/unlink/", {}, set()


def is_to_prove_first(world):
    looks_at_connections(world)
    (row,) = world.browser.get("/ms/connections/").context["connections"]
    session = world.browser.session
    session[sessions.AUTHENTICATED_AT] = 0
    session.save()
    return "POST", f"/ms/connections/{row['id']}/unlink/", {}, set()


def connects(world):
    STATES["signed_in_by_password"](world)
    return "POST", "/ms/connections/microsoft/link/", {}, set()


def steps_up(world):
    looks_at_connections(world)
    return "GET", "/ms/step-up/", {"need": "recent", "next": "/home/"}, set()


def comes_back(world):
    callback = pick(world.browser, world.microsoft)
    path, _, query = callback.url.removeprefix("http://testserver").partition("?")
    given = dict(pair.split("=") for pair in query.split("&"))
    return "GET", path, given, {given["code"], given["state"]}


def signs_out(world):
    looks_at_connections(world)
    return "POST", "/ms/sign-out/", {"microsoft": "1"}, set()


VISITS = [
    comes_back,
    confirms,
    connects,
    disconnects,
    finishes_the_form,
    is_to_prove_first,
    looks_at_connections,
    looks_at_what_to_confirm,
    opens_the_form,
    signs_out,
    steps_up,
]


def secrets_of(world):
    """Return what only this browser, this session and Microsoft know."""
    cookies = {name: cookie.value for name, cookie in world.browser.cookies.items()}
    bound = {value for name, value in cookies.items() if name in (PENDING, "sessionid")}
    session = world.browser.session
    kept = {session.get(sessions.BINDING), *(session.get("_ms_identity_resume") or [])[-1:]}
    return {CLIENT_SECRET, TYPED, EMAIL, "Okafor", *CLAIMS.values(), *bound, *kept} - {None, ""}
