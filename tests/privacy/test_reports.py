"""Django's reports of a fault inside each of our views, at whatever statement the database fails."""

from __future__ import annotations

import itertools
import logging
import sys

import pytest
from django.core.signals import got_request_exception
from django.utils.log import AdminEmailHandler
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter

from django_ms_identity import signals
from django_ms_identity.env import settings_from_env
from tests.faults.outages import outage
from tests.journeys.steps import page
from tests.web import Browser

from .visits import CLAIMS, VISITS, secrets_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def reports(listen):
    gathered = []

    def report(sender, request, **_):
        reporter = ExceptionReporter(request, *sys.exc_info())
        gathered.extend([reporter.get_traceback_html(), reporter.get_traceback_text()])

    listen(got_request_exception, report)
    return gathered


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


def test_djangos_list_of_settings_shows_no_secret(settings, monkeypatch):
    """It stands below every report, and ``diffsettings`` aside it is the only dump of what ``.env`` held."""
    monkeypatch.setenv("MS_IDENTITY_CLIENT_ID", "shown-in-env")
    monkeypatch.setenv("MS_IDENTITY_CLIENT_SECRET", "planted-in-env")
    api_key = {"name": "X-Key", "value": "planted-api-key", "in": "header"}
    hook = {"url": "https://hooks.example/", "auth": {"type": "api_key", "config": api_key}}
    basic = hook | {"auth": {"type": "basic_auth", "config": {"user": "u", "password": "planted-password"}}}
    headers = hook | {"headers": {"Authorization": "planted-header"}}
    settings.MS_IDENTITY = settings_from_env() | {
        "HOOKS": {"after": [{"hook": "web_hook", "config": it} for it in (hook, basic, headers)]}
    }

    shown = str(SafeExceptionReporterFilter().get_safe_settings()["MS_IDENTITY"])

    assert "shown-in-env" in shown
    assert "hooks.example" in shown
    assert "planted" not in shown
