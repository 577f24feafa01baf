"""Django's reports of a fault inside each of our views, at whatever statement the database fails."""

from __future__ import annotations

import itertools
import logging
import sys

import pytest
from django.core.signals import got_request_exception
from django.utils.log import AdminEmailHandler
from django.views.debug import ExceptionReporter

from django_ms_identity import sessions, signals
from tests.builders import CLIENT_SECRET
from tests.faults.outages import outage
from tests.journeys.steps import page, pick
from tests.web import Browser

from .conftest import EMAIL, STATES

pytestmark = pytest.mark.django_db

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


@pytest.fixture
def reports(listen):
    gathered = []

    def report(sender, request, **_):
        reporter = ExceptionReporter(request, *sys.exc_info())
        gathered.extend([reporter.get_traceback_html(), reporter.get_traceback_text()])

    listen(got_request_exception, report)
    return gathered


def secrets_of(world):
    """Return what only this browser, this session and Microsoft know."""
    cookies = {name: cookie.value for name, cookie in world.browser.cookies.items()}
    bound = {value for name, value in cookies.items() if name in (PENDING, "sessionid")}
    session = world.browser.session
    kept = {session.get(sessions.BINDING), *(session.get("_ms_identity_resume") or [])[-1:]}
    return {CLIENT_SECRET, TYPED, EMAIL, "Okafor", *CLAIMS.values(), *bound, *kept} - {None, ""}


@pytest.mark.parametrize("visit", VISITS)
def test_no_report_shows_what_is_secret(world, visit, reports, mailoutbox, settings):
    settings.ADMINS = [("Operator", "operator@contoso.example")]
    settings.DEBUG_PROPAGATE_EXCEPTIONS = False
    world.browser = Browser(raise_request_exception=False)
    world.microsoft.persona("work", claims=CLAIMS)
    method, path, fields, own = visit(world)
    secrets = secrets_of(world) | own
    send = getattr(world.browser, method.lower())
    cookies = dict(world.browser.cookies)
    mailer = AdminEmailHandler(include_html=True)
    logging.getLogger("django.request").addHandler(mailer)
    try:
        for at in itertools.count(1):
            world.browser.cookies.update(cookies)
            with outage(at=at, lasting=False) as failing:
                response = send(path, fields)
            if not failing.struck or response.status_code != 500:
                break
            assert not [secret[:12] for secret in secrets if secret in page(response)]
    finally:
        logging.getLogger("django.request").removeHandler(mailer)

    assert reports
    mails = [part for mail in mailoutbox for part in (mail.body, *(html for html, _ in mail.alternatives))]
    assert any("<!DOCTYPE html>" in part for part in mails)
    for text in (*reports, *mails):
        assert not [secret[:12] for secret in secrets if secret in text]


def test_a_developer_sees_the_variables(world, listen, settings):
    """The emulator's people have no secrets, and whoever writes a receiver has to see what it was given."""
    shown = []

    def report(sender, request, **_):
        frames = ExceptionReporter(request, *sys.exc_info()).get_traceback_frames()
        shown.extend(value for frame in frames for name, value in frame["vars"] if name == "row")

    def fail(**_):
        row = "visible"
        raise ValueError(row)

    settings.DEBUG = True
    listen(got_request_exception, report)
    listen(signals.identity_registering, fail)
    world.browser = Browser(raise_request_exception=False)

    world.arrive()

    assert shown == ["visible"]
