"""``manage.py ms_identity check`` and ``clear-sign-ins``: output, deleted rows and exit codes."""

import json
import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import responses
from django.conf import settings as project
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_ms_identity import conf, runtime
from django_ms_identity.checks import ids
from django_ms_identity.emulator.keys import WORK, signing_key
from django_ms_identity.entra.jwks import parse_keys
from django_ms_identity.models import Credential, Identity, SignIn
from tests.support.builders import make_identity, make_mapper

from . import commands

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).resolve().parent.parent.parent
PROVIDER = project.MS_IDENTITY["PROVIDERS"][0]
TENANT = PROVIDER["microsoft_tenant"]
CALLBACK = "/ms/callback/microsoft/"
KEYS = f"https://login.microsoftonline.com/{TENANT}/discovery/v2.0/keys"


def provider(**changes):
    return {"PROVIDERS": [{**PROVIDER, **changes}]}


@pytest.fixture(autouse=True)
def _deployed(settings):
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")


def run(*arguments):
    """Return what the command printed, and whether it succeeded."""
    shown, error = commands.run(*arguments)
    return shown, not error


# check


def test_check_command_passes_a_healthy_project_without_asking_microsoft(wire):
    shown, ready = run("check")

    assert ready
    assert shown.endswith("The sign-in is ready.\n")
    assert not [text for text in ("ms_identity.E", "ms_identity.W", "sample claims") if text in shown]
    assert not wire.calls


@pytest.mark.parametrize(
    ("changes", "uris"),
    [
        pytest.param(
            {"MS_IDENTITY": provider() | {"BASE_REDIRECT_URI": "https://www.example.com/"}},
            [f"https://www.example.com{CALLBACK}"],
            id="base address",
        ),
        pytest.param(
            {"ALLOWED_HOSTS": ["www.example.com", "example.com"]},
            [f"https://www.example.com{CALLBACK}", f"https://example.com{CALLBACK}"],
            id="every host",
        ),
        pytest.param(
            {"ALLOWED_HOSTS": ["localhost", "127.0.0.1", "[::1]"]},
            [f"http://localhost:8000{CALLBACK}"],
            id="of this machine only localhost",
        ),
        pytest.param(
            {"ALLOWED_HOSTS": [], "DEBUG": True}, [f"http://localhost:8000{CALLBACK}"], id="while developing"
        ),
        pytest.param(
            {"ALLOWED_HOSTS": ["*", ".example.com"]}, [f"https://<your host>{CALLBACK}"], id="patterns only"
        ),
    ],
)
def test_check_command_prints_redirect_uris_to_register(changes, uris):
    with override_settings(**changes):
        shown, _ = run("check")

    assert re.findall(r"^    (https?://\S*|https://<.*)$", shown, re.MULTILINE) == uris


def test_check_command_describes_every_provider():
    two = {"PROVIDERS": [PROVIDER, {**PROVIDER, "id": "gov", "cloud": "usgov", "label": "Government"}]}

    with override_settings(MS_IDENTITY=two):
        shown, _ = run("check")

    assert f"Provider microsoft: tenant {TENANT}, cloud global" in shown
    assert f"Provider gov: tenant {TENANT}, cloud usgov" in shown
    assert "/ms/callback/gov/" in shown


@pytest.mark.parametrize(
    ("changes", "check_id"),
    [
        pytest.param({"MS_IDENTITY": provider(client_id="")}, ids.E_SETTINGS, id="settings"),
        pytest.param({"AUTHENTICATION_BACKENDS": []}, ids.E_BACKEND, id="project"),
        pytest.param({"ROOT_URLCONF": "django.contrib.auth.urls"}, ids.E_URLS, id="no URLs"),
        pytest.param({"MS_IDENTITY": provider(mapper_url=make_mapper("{"))}, ids.E_MAPPER, id="mapper"),
    ],
)
def test_check_command_fails_and_prints_error_with_hint(changes, check_id):
    with override_settings(**changes):
        shown, ready = run("check")

    assert not ready
    assert re.search(rf"^{check_id}: .+\n    \S", shown, re.MULTILINE)
    assert "ready" not in shown


def test_check_command_prints_no_redirect_uri_for_invalid_settings():
    with override_settings(MS_IDENTITY=provider() | {"FLOW_LIFESPAN": 0}):
        shown, ready = run("check")

    assert not ready
    assert CALLBACK not in shown


def test_check_command_reports_changed_subject_source():
    make_identity()
    Credential.objects.update(subject_source="oid")

    shown, ready = run("check")

    assert not ready
    assert ids.E_SUBJECT_SOURCE in shown


def test_check_command_prints_warning_without_failing():
    with override_settings(SESSION_COOKIE_SECURE=False):
        shown, ready = run("check")

    assert ready
    assert ids.W_INSECURE_COOKIES in shown


def test_check_command_omits_silenced_checks():
    silenced = {"SESSION_COOKIE_SAMESITE": "Strict", "SILENCED_SYSTEM_CHECKS": [ids.E_SAMESITE_STRICT]}
    with override_settings(**silenced):
        shown, ready = run("check")

    assert ready
    assert ids.E_SAMESITE_STRICT not in shown


def test_check_command_reports_disabled_sign_in():
    with override_settings(MS_IDENTITY=provider() | {"ENABLED": False}):
        shown, ready = run("check")

    assert ready
    assert "switched off" in shown
    assert "is ready" not in shown


def test_check_command_prints_no_secret():
    with override_settings(
        MS_IDENTITY=provider(microsoft_tenant="", mapper_url="base64://planted-client-secret")
    ):
        broken, _ = run("check")
    healthy, _ = run("check")

    assert PROVIDER["client_secret"] not in broken + healthy


def test_check_command_prints_schema_problems_of_sample_without_failing(tmp_path):
    schema = tmp_path / "schema.json"
    schema.write_text(
        json.dumps({"properties": {"traits": {"type": "object", "required": ["phone", "name"]}}})
    )

    with override_settings(MS_IDENTITY=provider() | {"IDENTITY_SCHEMA_URL": schema.as_uri()}):
        shown, ready = run("check")

    assert ready
    assert "traits that the identity schema refuses:\n    phone: missing\n" in shown
    assert "name: missing" not in shown


def test_check_command_reports_unreadable_schema_once():
    with override_settings(MS_IDENTITY=provider() | {"IDENTITY_SCHEMA_URL": "file:///nowhere"}):
        shown, ready = run("check")

    assert ready
    assert shown.count(ids.W_SCHEMA) == 1
    assert "sample claims" not in shown


def web_hook(program, **config):
    body = {"id": "crm", "url": URL, "method": "POST", "body": make_mapper(program)}
    return {"hook": "web_hook", "config": body | config}


URL = "https://hooks.contoso.example/planted"


def checked(wire, **hooks):
    wire.add(responses.POST, URL)
    with override_settings(MS_IDENTITY=provider() | {"HOOKS": hooks}):
        shown, ready = run("check")
    assert not wire.calls
    return shown, ready


def test_check_command_tries_web_hook_bodies_and_sends_none(wire):
    broken = "function(ctx) { mail: ctx.identity.traits.mail }"

    shown, ready = checked(wire, after_login=[web_hook(broken)])

    assert ready
    detail = shown.partition("after_login, tried on sample claims and not sent: the body of web hook crm")[2]
    assert "mail" in detail
    assert "planted" not in shown


@pytest.mark.parametrize(
    "program",
    [
        "function(ctx) { mail: ctx.identity.traits.email, at: ctx.identity.created_at }",
        "function(ctx) error 'cancel'",
    ],
)
def test_check_command_omits_web_hooks_whose_bodies_can_be_made(wire, program):
    shown, _ = checked(wire, after_registration=[web_hook(program)], after_settings=[web_hook(program)])

    assert "web hook" not in shown


def test_check_command_tries_parsed_registration_web_hook_on_unsaved_identity(wire):
    at = web_hook("function(ctx) { at: ctx.identity.created_at }", response={"parse": True})

    shown, _ = checked(wire, after_registration=[at], after_login=[at])

    assert "after_registration, tried on sample claims" in shown
    assert "after_login, tried on sample claims" not in shown


def test_check_command_reports_web_hook_body_that_is_no_form(wire):
    form = web_hook("function(ctx) { n: 1 }", headers={"Content-Type": "application/x-www-form-urlencoded"})

    assert "the body of web hook crm is no form" in checked(wire, after_login=[form])[0]


def test_check_command_reports_mapper_that_refuses_sample_once(wire):
    with override_settings(
        MS_IDENTITY=provider(mapper_url=make_mapper("error 1"))
        | {"HOOKS": {"after_login": [web_hook("function(ctx) 1")]}}
    ):
        shown, _ = run("check")

    assert shown.count(ids.W_MAPPER) == 1
    assert "web hook" not in shown


# check --online


@pytest.fixture
def wire():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def jwks():
    return json.dumps({"keys": [signing_key(WORK).jwk(f"https://login.microsoftonline.com/{TENANT}/v2.0")]})


def test_check_online_asks_microsoft_for_keys(wire, jwks):
    wire.get(KEYS, body=jwks)

    shown, ready = run("check", "--online")

    assert ready
    assert f"Microsoft answers: tenant {TENANT}, 1 signing keys" in shown


def test_check_online_neither_reads_nor_fills_the_caches_of_the_site(wire, jwks):
    wire.get(KEYS, body=jwks)

    run("check", "--online")
    run("check", "--online")
    assert len(wire.calls) == 2

    runtime.documents(conf.get_config()).read(KEYS, parse_keys)
    assert len(wire.calls) == 3


def test_check_online_resolves_domain(wire, jwks):
    login = "https://login.microsoftonline.com"
    wire.get(
        f"{login}/contoso.example/v2.0/.well-known/openid-configuration",
        json={"issuer": f"{login}/{TENANT}/v2.0"},
    )
    wire.get(f"{login}/contoso.example/discovery/v2.0/keys", body=jwks)

    with override_settings(MS_IDENTITY=provider(microsoft_tenant="contoso.example")):
        shown, ready = run("check", "--online")

    assert ready
    assert f"tenant {TENANT}, 1 signing" in shown


@pytest.mark.parametrize(
    ("answer", "printed"),
    [
        pytest.param(
            {"status": 400, "json": {"error": "invalid_tenant"}}, "Check microsoft_tenant", id="unknown"
        ),
        pytest.param({"status": 503}, "microsoft_unavailable", id="down"),
        pytest.param({"body": ConnectionError()}, "HTTPS_PROXY", id="out of reach"),
        pytest.param({"body": "<html>"}, "microsoft_answer_invalid", id="a proxy's page"),
    ],
)
def test_check_online_fails_when_microsoft_cannot_be_asked(wire, answer, printed):
    wire.get(KEYS, **answer)

    shown, ready = run("check", "--online")

    assert not ready
    assert printed in shown


# clear-sign-ins


@pytest.fixture
def sign_in_of():
    identity = make_identity()

    def sign_in(**age):
        row = SignIn.objects.create(identity=identity, provider="microsoft")
        SignIn.objects.filter(pk=row.pk).update(created_at=timezone.now() - timedelta(**age))
        return row

    return sign_in


def test_clear_sign_ins_deletes_old_rows_only(sign_in_of):
    sign_in_of(days=31)
    sign_in_of(days=30, minutes=1)
    kept = [sign_in_of(days=30, minutes=-1), sign_in_of()]

    shown, succeeded = run("clear-sign-ins", "--older-than", "30")

    assert succeeded
    assert shown == "Deleted 2 sign-ins older than 30 days.\n"
    assert list(SignIn.objects.order_by("pk")) == kept
    assert Identity.objects.count() == 1
    assert run("clear-sign-ins", "--older-than", "30")[0].startswith("Deleted 0 ")


def test_clear_sign_ins_deletes_in_batches(sign_in_of):
    identity = sign_in_of(days=2).identity
    SignIn.objects.bulk_create(SignIn(identity=identity, provider="microsoft") for _ in range(5000))
    SignIn.objects.update(created_at=timezone.now() - timedelta(days=2))

    with CaptureQueriesContext(connection) as captured:
        shown, _ = run("clear-sign-ins", "--older-than", "1")

    assert shown.startswith("Deleted 5001 ")
    assert not SignIn.objects.exists()
    assert sum(query["sql"].startswith("DELETE") for query in captured) > 1


class Elsewhere:
    """A router that keeps the app's rows in another database."""

    def db_for_read(self, model, **hints):
        return "replica" if model is SignIn else None

    def db_for_write(self, model, **hints):
        return "default" if model is SignIn else None


def test_clear_sign_ins_deletes_in_the_database_for_writes(sign_in_of, settings):
    sign_in_of(days=2)
    settings.DATABASE_ROUTERS = [Elsewhere()]

    shown, _ = run("clear-sign-ins", "--older-than", "1")

    assert shown.startswith("Deleted 1 ")


@pytest.mark.parametrize("days", ["-1", "36501", "999999999999"])
def test_clear_sign_ins_refuses_invalid_number_of_days(days, sign_in_of):
    sign_in_of(days=2)

    _, succeeded = run("clear-sign-ins", f"--older-than={days}")

    assert not succeeded
    assert SignIn.objects.exists()


@pytest.mark.parametrize(
    "arguments", [[], ["clear-sign-ins"], ["clear-sign-ins", "--older-than", "x"], ["chekc"]]
)
def test_command_refuses_missing_or_unknown_arguments(arguments):
    with pytest.raises(CommandError):
        call_command("ms_identity", *arguments)


# As a program


def program(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "django", "ms_identity", *arguments],
        cwd=ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings", "COLUMNS": "100"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_command_help_names_every_subcommand():
    answer = program("--help")

    assert answer.returncode == 0
    assert re.search(r"check +run every check", answer.stdout)
    assert re.search(r"map +try a mapper", answer.stdout)
    assert re.search(r"import-kratos +import the identities", answer.stdout)
    assert re.search(r"clear-sign-ins +delete old rows", answer.stdout)


def test_command_exit_codes():
    assert program("check").returncode == 0
    wrong = program("chekc")
    assert wrong.returncode == 2
    assert "invalid choice" in wrong.stderr
