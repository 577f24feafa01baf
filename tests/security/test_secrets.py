"""Secrets are planted wherever one could be, and looked for wherever one could come out."""

from __future__ import annotations

import json
import sys
from urllib.parse import parse_qs

import pytest
import requests
from django.contrib.auth import get_user_model
from django.core.signals import got_request_exception
from django.urls import reverse
from django.views.debug import ExceptionReporter

from django_ms_identity import conf, runtime, signals
from django_ms_identity.entra.authorization_url import authorize
from django_ms_identity.entra.code_exchange import Tokens
from django_ms_identity.exceptions import MSIdentityError
from django_ms_identity.flows.flow_cookies import AuthorizationRequest, AuthorizationResponse
from django_ms_identity.flows.pending_step import StepKind, StoredStep
from django_ms_identity.identities.user_fields import UserFields as Account
from django_ms_identity.models import Credential, Identity, SignIn
from django_ms_identity.net import http
from django_ms_identity.testing.emulator import Emulator
from django_ms_identity.traits.mapping_result import Address, MappedUser
from tests.journeys.steps import asked, code_of, page, pick, press
from tests.support.builders import (
    CLIENT_SECRET,
    make_claims,
    make_identity,
    make_mapped,
    make_mapper,
    make_provider,
    make_settings,
)
from tests.support.loopback import serve
from tests.support.web import Browser
from tests.support.web_hooks import make_hook

pytestmark = pytest.mark.django_db

EMAIL = "ines.okafor@contoso.example"
PERSONAL = {EMAIL, "Okafor", "Ines"}


class Watched(Emulator):
    """An emulator that remembers every secret that goes over the wire."""

    def __init__(self):
        super().__init__()
        self.secrets = {CLIENT_SECRET}

    def callback(self, location, persona="work"):
        callback = super().callback(location, persona)
        given = dict(callback.fields) or asked(callback.url)
        self.secrets |= {asked(location)["nonce"], asked(location)["state"], given.get("code", CLIENT_SECRET)}
        return callback

    def _answer(self, request):
        status, headers, body = super()._answer(request)
        form = parse_qs(request.body if isinstance(request.body, str) else (request.body or b"").decode())
        self.secrets |= {value for name in ("code", "code_verifier") for value in form.get(name, [])}
        if "/token" in request.url and body.startswith(b"{"):
            answer = json.loads(body)
            self.secrets |= {value for name, value in answer.items() if name.endswith("_token")}
        return status, headers, body


@pytest.fixture
def microsoft():
    with Watched() as emulator:
        yield emulator


def assert_free_of(text, secrets):
    leaked = {secret[:12] for secret in secrets if secret in text}
    assert not leaked, f"leaked: {leaked}"


ERROR = '{"error": "invalid_grant", "error_description": "AADSTS70008: planted-description"}'
JOURNEYS = [
    pytest.param({}, "work", [], "", id="registration"),
    pytest.param({"subject_source": "me"}, "work", [], "", id="me"),
    pytest.param({"subject_source": "oid"}, "work", [], "", id="oid"),
    pytest.param({}, "cancel", [], "sign_in_cancelled", id="cancelled"),
    pytest.param({}, "work", [("token", {"status": 400, "body": ERROR})], "code_expired", id="code refused"),
    pytest.param({}, "work", [("token", {"body": "x"})], "microsoft_answer_invalid", id="token broken"),
    pytest.param({}, "work", [("keys", {"body": "x"})], "microsoft_answer_invalid", id="keys broken"),
    pytest.param(
        {},
        "work",
        [("token", {"exception": OSError("planted-in-the-exception")})],
        "microsoft_unavailable",
        id="no wire",
    ),
    pytest.param(
        {"subject_source": "me"},
        "work",
        [("me", {"status": 403, "body": "x"})],
        "client_misconfigured",
        id="Graph",
    ),
    pytest.param(
        {"subject_source": "me"},
        "work",
        [("me", {"body": '{"id": "planted-id"}'})],
        "subject_mismatch",
        id="mismatch",
    ),
    pytest.param(
        {"microsoft_tenant": "common", "allowed_tenants": ["8eaef023-2b34-4da1-9baa-8bc8c9d6a490"]},
        "guest",
        [],
        "tenant_not_allowed",
        id="tenant",
    ),
    pytest.param(
        {"mapper_url": make_mapper("error 'planted: ' + std.extVar('claims').email")},
        "work",
        [],
        "mapper_runtime_failed",
        id="mapper raises",
    ),
    pytest.param(
        {"mapper_url": make_mapper("{identity: {traits: std.extVar('claims').email}}")},
        "work",
        [],
        "mapper_result_invalid",
        id="mapper emits nonsense",
    ),
    pytest.param(
        {
            "microsoft_tenant": "common",
            "mapper_url": make_mapper(
                "local c = std.extVar('claims');"
                "{identity: {traits: {}}, user: {email: c.email, password: c.email, [c.email]: 'x'}}"
            ),
        },
        "work",
        [],
        "",
        id="mapper wants too much",
    ),
]


@pytest.mark.parametrize(("provider", "persona", "faults", "code"), JOURNEYS)
def test_nothing_secret_comes_out_of_a_sign_in(
    client, microsoft, settings, logged, provider, persona, faults, code
):
    settings.MS_IDENTITY = make_settings(provider)
    for endpoint, answer in faults:
        for _attempt in range(2):
            microsoft.answer_next(endpoint, **answer)
    started = press(client)
    location = started.headers["Location"]
    callback = microsoft.callback(location, persona)
    cookie = next(iter(client.cookies.values())).value

    response = callback.send(client)
    again = callback.send(client)
    elsewhere = callback.send(Browser())

    assert code_of(response) == code, page(response)
    secrets = microsoft.secrets | {cookie}
    assert len(secrets) >= 4 + 2 * (not code)
    out = logged()
    assert "django_ms_identity" in out
    assert_free_of(out, secrets | PERSONAL)
    assert "planted" not in out
    for answer in (response, again, elsewhere):
        assert_free_of(f"{page(answer)} {answer.headers} {answer.cookies}", secrets | PERSONAL)
        assert "planted" not in page(answer)
    assert_free_of(str(started.cookies), secrets - {cookie})


def test_the_log_says_who_by_ids_alone(client, microsoft, logged):
    microsoft.sign_in(client)

    identity = Identity.objects.get()
    out = logged()
    assert f"Registered identity {identity.pk}" in out
    assert f"Signed in identity {identity.pk}" in out
    assert identity.credentials.get().object_id in out


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(lambda: get_user_model().objects.create_user("local", EMAIL), id="collision"),
        pytest.param(lambda: get_user_model().objects.create_user(EMAIL), id="taken username"),
    ],
)
def test_a_conflict_names_nobody(client, microsoft, logged, failure):
    failure()

    response = microsoft.sign_in(client)

    assert_free_of(logged() + page(response), PERSONAL)


# A report of a fault of the project's own


@pytest.fixture
def reports(listen):
    """The debug pages and mails that Django makes of unhandled exceptions, in both their forms."""
    made = []

    def report(sender, request, **_):
        reporter = ExceptionReporter(request, *sys.exc_info())
        made.extend([reporter.get_traceback_html(), reporter.get_traceback_text()])

    listen(got_request_exception, report)
    return made


@pytest.mark.parametrize(
    "signal", ["identity_registering", "identity_signing_in"], ids=["registration", "sign-in"]
)
def test_djangos_report_of_a_projects_fault_shows_no_secret(microsoft, listen, logged, reports, signal):
    """A receiver that breaks is a fault of the project's; the report goes out by e-mail."""

    def fail(**_):
        raise ValueError("the receiver broke")

    listen(getattr(signals, signal), fail)
    browser = Browser(raise_request_exception=False)
    callback = pick(browser, microsoft)

    response = callback.send(browser)

    assert response.status_code == 500
    assert len(reports) == 2
    assert all("the receiver broke" in report for report in reports)
    assert len(microsoft.secrets) == 7
    for text in (*reports, logged()):
        assert_free_of(text, microsoft.secrets | PERSONAL)


@pytest.mark.parametrize("mode", ["query", "form_post"])
def test_djangos_report_of_our_own_fault_shows_no_secret(microsoft, settings, reports, mode):
    """As it would be if the database went away: before the code is redeemed, and after."""
    settings.MS_IDENTITY = make_settings({"response_mode": mode})
    settings.SESSION_ENGINE = "tests.support.broken_sessions"
    browser = Browser(raise_request_exception=False)
    location = browser.get("/ms/start/microsoft/", secure=True).headers["Location"]
    callback = microsoft.callback(location)
    browser.cookies["sessionid"] = "x" * 32

    response = callback.send(browser)

    assert response.status_code == 500
    assert "the store is gone" in reports[0]
    for text in reports:
        assert_free_of(text, microsoft.secrets | PERSONAL)


@pytest.mark.parametrize("mode", ["query", "form_post"])
def test_djangos_report_of_a_fault_on_arrival_shows_no_secret(microsoft, settings, reports, mode):
    """A setting that is broken: what Microsoft sent is still in our hands."""
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "messages" not in name]
    settings.MS_IDENTITY = make_settings({"response_mode": mode})
    browser = Browser(raise_request_exception=False)
    location = browser.get("/ms/start/microsoft/", secure=True).headers["Location"]
    callback = microsoft.callback(location)
    settings.SECRET_KEY_FALLBACKS = None

    response = callback.send(browser)

    assert response.status_code == 500
    assert "TypeError" in reports[0]
    for text in reports:
        assert_free_of(text, microsoft.secrets)


# A real wire


def test_the_libraries_on_a_real_wire_log_no_secret(client, settings, logged):
    """Here urllib3 and http.client are not replaced, and log as they do in production at DEBUG."""
    microsoft = Watched()

    def answer(handler):
        body, url = server.received[-1].body, f"https://{handler.path.removeprefix('/emulator/')}"
        status, headers, octets = microsoft._answer(
            requests.Request(handler.command, url, dict(handler.headers.items()), data=body).prepare()
        )
        handler.reply(octets, status=status, Content_Type=headers["Content-Type"])

    with serve(answer) as server:
        settings.DEBUG = True
        settings.MS_IDENTITY = make_settings({"subject_source": "me"}, EMULATOR_URL=f"{server.url}/emulator")
        location = press(client).headers["Location"]
        callback = microsoft.callback(location.replace(f"{server.url}/emulator/", "https://"))

        response = callback.send(client)

    assert response.status_code == 302, page(response)
    assert len(server.received) == 3
    out = logged()
    assert "/oauth2/v2.0/token HTTP/1.1" in out
    assert len(microsoft.secrets) == 7
    assert_free_of(out, microsoft.secrets | PERSONAL)


# Pages of the admin


def test_the_admin_shows_no_secret(microsoft):
    microsoft.persona("work", claims={"sid": "planted-microsoft-session"})
    visitor = Browser()
    microsoft.sign_in(visitor)
    operator = Browser()
    superuser = get_user_model().objects.create_superuser("root")
    operator.force_login(superuser, "django.contrib.auth.backends.ModelBackend")
    identity, sign_in = Identity.objects.get(), SignIn.objects.get()
    credential = Credential.objects.get()
    secrets = {
        CLIENT_SECRET,
        "planted-microsoft-session",
        visitor.session.session_key,
        sign_in.session,
        credential.key,
    }

    pages = [
        operator.get(reverse("admin:ms_identity_identity_changelist")),
        operator.get(reverse("admin:ms_identity_identity_change", args=[identity.pk])),
        operator.get(reverse("admin:ms_identity_identity_history", args=[identity.pk])),
        operator.get(reverse("admin:ms_identity_identity_delete", args=[identity.pk])),
    ]

    assert EMAIL in page(pages[1])
    for shown in pages:
        assert_free_of(page(shown), secrets)


# Values


def test_no_value_shows_a_secret_when_it_is_printed(microsoft, client):
    provider = make_provider(mapper_url=make_mapper("'planted-program'"))
    begun = authorize(provider, redirect_uri="https://a.example/", prompt="", emulator_url="")
    started = AuthorizationRequest(
        provider="microsoft",
        state=begun.state,
        nonce=begun.nonce,
        verifier=begun.verifier,
        redirect_uri="https://a.example/",
        return_to="/",
        expires_at=0,
    )
    values = [
        provider,
        conf.get_config(),
        conf.parse(),
        begun,
        started,
        AuthorizationResponse(code="planted-code", error="x", description="planted-description"),
        Tokens(id_token="planted-token", access_token="planted-token"),
        make_claims(email=EMAIL),
        make_mapped(verified=(EMAIL,), email=EMAIL, user={"email": EMAIL}),
        runtime.keyring(),
        runtime.shared_cache(),
        runtime.http_client(conf.get_config()),
        runtime.documents(conf.get_config()),
        make_identity(),
        SignIn(provider="microsoft", session="planted-session", sid="planted-sid"),
        Account(fields={"email": EMAIL}, groups=None),
        Address(via="email", value=EMAIL),
        MappedUser(fields={"email": EMAIL}),
        http.Response(status=200, headers={}, body=b"planted-token"),
        StoredStep(kind=StepKind.COMPLETE, browser_secret="planted-binder"),
        make_hook(
            url="https://hooks.example/planted-path",
            auth={"type": "api_key", "config": {"name": "X-Key", "value": "planted-key", "in": "header"}},
        ),
    ]

    for value in values:
        for shown in (repr(value), str(value)):
            state = {begun.state} if value is not begun else set()
            assert_free_of(shown, {CLIENT_SECRET, "planted", begun.verifier, EMAIL} | state)
            if value is not begun:
                assert_free_of(shown, {begun.nonce})


@pytest.mark.parametrize("leaf", MSIdentityError.__subclasses__(), ids=lambda leaf: leaf.__name__)
def test_what_a_visitor_reads_is_fixed_text(leaf):
    """Titles and advice hold no placeholder through which anything could come out."""
    assert "%" not in f"{leaf.title}{leaf.advice}"
    assert "{" not in f"{leaf.title}{leaf.advice}"
