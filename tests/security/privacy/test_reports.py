"""Django's reports of a fault inside each of our views, at whatever statement the database fails."""

from __future__ import annotations

import itertools
import logging
import sys

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.core.signals import got_request_exception
from django.urls import ResolverMatch, resolve
from django.utils.log import AdminEmailHandler
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter

from django_ms_identity import signals
from django_ms_identity.env import settings_from_env
from django_ms_identity.models import Identity
from django_ms_identity.views.error_reports import hide_from_error_reports
from tests.concurrency.faults.outages import outage
from tests.journeys.steps import page, pick
from tests.support.web import Browser

from .conftest import EMAIL
from .visits import CLAIMS, VISITS, registers, returns, secrets_of

pytestmark = [
    pytest.mark.django_db(transaction=True),
    # Django 5.2 knows neither MAILERS nor plain addresses in ADMINS, which 6.1 asks for.
    pytest.mark.filterwarnings(
        "ignore:Django 2028 will not have a default mailer", r"ignore:Using \(name, address\) pairs"
    ),
]


@pytest.fixture
def reports(listen):
    gathered = []

    def report(sender, request, **_):
        reporter = ExceptionReporter(request, *sys.exc_info())
        gathered.extend([reporter.get_traceback_html(), reporter.get_traceback_text()])

    listen(got_request_exception, report)
    return gathered


@pytest.fixture
def mailer(settings):
    """Django's own way to report: by e-mail, here with the page that a developer would see."""
    settings.ADMINS = [("Operator", "operator@contoso.example")]
    settings.DEBUG_PROPAGATE_EXCEPTIONS = False
    handler = AdminEmailHandler(include_html=True)
    logging.getLogger("django.request").addHandler(handler)
    yield handler
    logging.getLogger("django.request").removeHandler(handler)


def forget_everybody():
    for model in (get_user_model(), Identity, Session):
        model.objects.all().delete()
    cache.clear()


def texts_of(mails):
    return [part for mail in mails for part in (mail.body, *(html for html, _ in mail.alternatives))]


@pytest.mark.usefixtures("mailer")
@pytest.mark.parametrize("visit", VISITS)
def test_no_report_shows_what_is_secret(world, visit, reports, mailoutbox):
    # Not the address: Django's reports name the user who is signed in.
    world.microsoft.persona("work", username="ines", claims=CLAIMS)
    for at in itertools.count(1):
        forget_everybody()
        reports.clear()
        mailoutbox.clear()
        world.browser = Browser(raise_request_exception=False)
        ready = visit(world)
        secrets = secrets_of(world) | ready.secrets

        with outage(at=at, lasting=False) as failing:
            response = ready.send()

        secrets |= secrets_of(world)
        refusals = [page(response)] if response.status_code == 500 else []
        for text in (*reports, *texts_of(mailoutbox), *refusals):
            assert not [secret[:12] for secret in secrets if secret in text], f"statement {at}"
        if not failing.struck:
            break
        assert response.status_code != 500 or len(reports) == 2
    assert response.status_code in (200, 302), page(response)
    assert at > 1


@pytest.mark.usefixtures("mailer")
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(
            {
                "MIDDLEWARE": [
                    *settings.MIDDLEWARE,
                    "django.contrib.auth.middleware.LoginRequiredMiddleware",
                ]
            },
            id="login required",
        ),
        pytest.param({"CSRF_USE_SESSIONS": True}, id="CSRF token in the session"),
    ],
)
def test_no_report_of_a_middleware_that_fails_first_shows_what_is_secret(world, reports, mailoutbox, changes):
    for name, value in changes.items():
        setattr(world.settings, name, value)
    world.browser = Browser(raise_request_exception=False)
    world.log_in("local")
    ready = returns(world, pick(world.browser, world.microsoft, prompt="select_account"))

    with outage(at=1, lasting=False):
        response = ready.send()

    assert response.status_code == 500
    mails = texts_of(mailoutbox)
    assert len(reports) == 2
    assert any("<!DOCTYPE html>" in text for text in mails)
    secrets = secrets_of(world) | ready.secrets | {cookie.value for cookie in world.browser.cookies.values()}
    for text in (*reports, *mails):
        assert not [secret[:12] for secret in secrets if secret in text]


@pytest.mark.usefixtures("mailer")
def test_no_report_of_the_admins_pages_shows_what_is_secret(world, reports, mailoutbox):
    registers(world).send()
    operator = Browser(raise_request_exception=False)
    operator.force_login(get_user_model().objects.create_superuser("root"))

    with outage(at=4, lasting=False):
        response = operator.get("/admin/ms_identity/identity/", {"q": EMAIL})

    assert response.status_code == 500
    for text in (*reports, *texts_of(mailoutbox)):
        assert EMAIL not in text


def broken_hook(*, claims, **_):
    email = claims.payload["email"]
    raise ValueError(f"a name of {len(email)} letters is too long")


def test_no_report_of_a_hook_that_fails_shows_what_it_was_given(world, mailer, mailoutbox):
    """It is logged where it fails, and never becomes an error 500."""
    hook = {"hook": f"{__name__}.broken_hook"}
    world.configure(HOOKS={"after_registration": [hook, {"hook": "session"}]})
    logger = logging.getLogger("django_ms_identity")
    logger.addHandler(mailer)
    try:
        registers(world).send()
    finally:
        logger.removeHandler(mailer)

    texts = texts_of(mailoutbox)
    assert any("broken_hook" in text and "<!DOCTYPE html>" in text for text in texts)
    assert not any(EMAIL in text for text in texts)


def test_the_address_of_the_page_before_is_not_reported(world, reports):
    world.browser = Browser(raise_request_exception=False)
    world.log_in("local")

    with outage(at=1, lasting=False):
        world.browser.get("/ms/connections/", headers={"Referer": "http://testserver/?code=planted-code"})

    assert "planted-code" not in reports[0]
    assert "HTTP_REFERER" in reports[0]


def test_a_filter_that_the_project_set_keeps_its_state(rf):
    class Ours(SafeExceptionReporterFilter):
        def __init__(self, more):
            self.more = more

    request = rf.get("/")
    request.exception_reporter_filter = Ours("kept")

    for _ in range(2):
        hide_from_error_reports(request)

    assert isinstance(request.exception_reporter_filter, Ours)
    assert request.exception_reporter_filter.more == "kept"


@pytest.mark.parametrize(
    "match",
    [
        pytest.param(None, id="by its path"),
        pytest.param(resolve("/admin/auth/user/"), id="another page of the admin"),
        pytest.param(ResolverMatch(registers, (), {}, url_name="ms_identity_x"), id="a name like ours"),
    ],
)
def test_reports_of_the_projects_own_pages_are_its_own_affair(rf, match):
    request = rf.get("/home/", {"q": "x"})
    request.resolver_match = match

    got_request_exception.send(None, request=request)

    assert not hasattr(request, "exception_reporter_filter")
    assert request.GET["q"] == "x"


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
