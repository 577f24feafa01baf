"""Every system check: the faulty configuration that it reports, and none for a healthy one."""

import copy
import sys
from io import StringIO
from pathlib import Path
from types import ModuleType

import pytest
from django.conf import settings as project
from django.core import checks
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from django_ms_identity.checks import TAG, ids
from django_ms_identity.checks.content_security_policy import allows
from django_ms_identity.models import Credential
from tests.support.builders import make_identity, make_mapper, make_schema

PROVIDER = project.MS_IDENTITY["PROVIDERS"][0]
LOGIN = "https://login.microsoftonline.com"
HTTPS = {"BASE_REDIRECT_URI": "https://www.example.com"}
WITH_EMULATOR = {"INSTALLED_APPS": [*project.INSTALLED_APPS, "django_ms_identity.emulator"]}


class SignedCookies(ModuleType):
    """A session engine of a project, made of Django's signed cookies."""

    from django.contrib.sessions.backends.signed_cookies import SessionStore


@pytest.fixture(autouse=True)
def _engine(monkeypatch):
    monkeypatch.setitem(sys.modules, "project_sessions", SignedCookies("project_sessions"))


def ms(*, top=None, **changes):
    """Return settings with one provider that differs from the tests' own; ``top`` are top-level keys."""
    return {"MS_IDENTITY": {"PROVIDERS": [{**PROVIDER, **changes}], **(top or {})}}


def mapped_by(program, **changes):
    return ms(mapper_url=make_mapper(program), **changes)


def after_login(hook):
    return ms(top={"HOOKS": {"after_login": [{"hook": hook}]}})


def without(names, unwanted):
    return [name for name in names if not name.endswith(unwanted)]


def templates(*processors):
    changed = copy.deepcopy(project.TEMPLATES)
    changed[0]["OPTIONS"]["context_processors"] = list(processors)
    return changed


def run(*, deploy=False, databases=()):
    return checks.run_checks(tags=[TAG], include_deployment_checks=deploy, databases=list(databases))


def found(*, deploy=False, **changes):
    with override_settings(**changes):
        return sorted(message.id for message in run(deploy=deploy))


MAPPERS = "tests.support.mapper_functions"
BROKEN = [
    pytest.param(ids.E_SETTINGS, ms(top={"PROVIDRS": []}), id="unknown key"),
    pytest.param(ids.E_SETTINGS, ms(client_id=""), id="no client id"),
    pytest.param(ids.E_SETTINGS, {"MS_IDENTITY": 5}, id="no dict"),
    pytest.param(
        ids.E_SETTINGS,
        ms(top={"EMULATOR_URL": "http://localhost/emulator"}),
        id="emulator address outside DEBUG",
    ),
    pytest.param(ids.E_SETTINGS, ms(mapper_url="/etc/mapper.jsonnet"), id="mapper without scheme"),
    pytest.param(ids.E_MAPPER, ms(mapper="nowhere.at_all"), id="Python mapper that is not there"),
    pytest.param(ids.E_MAPPER, ms(mapper=f"{MAPPERS}.NOT_A_FUNCTION"), id="no function"),
    pytest.param(ids.E_MAPPER, ms(mapper=f"{MAPPERS}.asynchronous"), id="asynchronous Python mapper"),
    pytest.param(ids.W_SETTINGS, ms(pkce="never"), id="PKCE off"),
    pytest.param(ids.W_SETTINGS, ms(auth_url="https://x"), id="key without meaning"),
    pytest.param(
        ids.E_BACKEND,
        {"AUTHENTICATION_BACKENDS": ["django.contrib.auth.backends.ModelBackend"]},
        id="no backend",
    ),
    pytest.param(
        ids.E_MIDDLEWARE,
        {"MIDDLEWARE": without(project.MIDDLEWARE, "AuthenticationMiddleware")},
        id="no authentication middleware",
    ),
    pytest.param(
        ids.E_MIDDLEWARE,
        {"MIDDLEWARE": without(project.MIDDLEWARE, "SessionMiddleware")},
        id="no session middleware",
    ),
    pytest.param(ids.E_URLS, {"ROOT_URLCONF": "django.contrib.auth.urls"}, id="URLs not included"),
    pytest.param(ids.W_CONTEXT_PROCESSOR, {"TEMPLATES": templates()}, id="no context processor"),
    pytest.param(ids.E_SAMESITE_STRICT, {"SESSION_COOKIE_SAMESITE": "Strict"}, id="SameSite=Strict"),
    pytest.param(
        ids.E_COOKIE_SESSIONS,
        {"SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies"},
        id="signed cookies",
    ),
    pytest.param(ids.E_COOKIE_SESSIONS, {"SESSION_ENGINE": "project_sessions"}, id="made of signed cookies"),
    pytest.param(ids.E_FORM_POST_HTTP, ms(response_mode="form_post"), id="form_post over http"),
    pytest.param(ids.W_NO_PROVIDER, {"MS_IDENTITY": {}}, id="no provider"),
    pytest.param(ids.W_OPEN_TO_ALL, ms(microsoft_tenant="common"), id="common"),
    pytest.param(ids.W_OPEN_TO_ALL, ms(microsoft_tenant="organizations"), id="organizations"),
    pytest.param(ids.W_OPEN_TO_ALL, ms(microsoft_tenant="consumers"), id="consumers"),
    pytest.param(ids.W_FORM_ACTION, {"SECURE_CSP": {"form-action": ["'self'"]}}, id="Django's policy"),
    pytest.param(ids.W_FORM_ACTION, {"SECURE_CSP": {"form-action": "'none'"}}, id="policy as text"),
    pytest.param(
        ids.W_FORM_ACTION,
        {"CONTENT_SECURITY_POLICY": {"DIRECTIVES": {"form-action": ("'self'",)}}},
        id="django-csp",
    ),
    pytest.param(ids.W_FORM_ACTION, {"CSP_FORM_ACTION": ["'self'"]}, id="django-csp 3"),
    pytest.param(
        ids.W_FORM_ACTION,
        ms(cloud="china") | {"SECURE_CSP": {"form-action": [LOGIN]}},
        id="policy for another cloud",
    ),
    pytest.param(ids.W_ANY_HOST, {"ALLOWED_HOSTS": ["*"]}, id="any host"),
    pytest.param(ids.E_HOOK, after_login("tests.nowhere.hook"), id="hook that is not there"),
    pytest.param(ids.E_HOOK, after_login("tests.settings.USE_TZ"), id="hook that cannot be called"),
    pytest.param(ids.W_EMULATOR, WITH_EMULATOR, id="emulator outside DEBUG"),
]


@pytest.mark.parametrize(("check_id", "changes"), BROKEN)
def test_project_check_reports_fault_with_hint(check_id, changes):
    with override_settings(**changes):
        (message,) = run()

    assert message.id == check_id
    assert message.hint
    assert message.level == (checks.ERROR if check_id.rpartition(".")[2][0] == "E" else checks.WARNING)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="as the tests have it"),
        pytest.param(ms(microsoft_tenant="contoso.example"), id="a domain"),
        pytest.param(
            ms(microsoft_tenant="common", top={"REGISTRATION_ENABLED": False}), id="closed to strangers"
        ),
        pytest.param(
            ms(microsoft_tenant="common", allowed_tenants=[PROVIDER["microsoft_tenant"]]),
            id="tenants are named",
        ),
        pytest.param({"SESSION_COOKIE_SAMESITE": "Lax"}, id="SameSite=Lax"),
        pytest.param({"SESSION_COOKIE_SAMESITE": False}, id="no SameSite"),
        pytest.param(
            {"SESSION_ENGINE": "django.contrib.sessions.backends.cached_db"}, id="sessions at the server"
        ),
        pytest.param(ms(response_mode="form_post", top=HTTPS), id="form_post to an https base"),
        pytest.param(
            ms(response_mode="form_post") | {"SESSION_COOKIE_SECURE": True},
            id="form_post with secure cookies",
        ),
        pytest.param({"SECURE_CSP": {"form-action": ["'self'", LOGIN]}}, id="policy with Microsoft"),
        pytest.param({"SECURE_CSP": {"form-action": f"'self' {LOGIN}/"}}, id="policy as text"),
        pytest.param({"SECURE_CSP": {"default-src": ["'none'"]}}, id="policy without form-action"),
        pytest.param({"SECURE_CSP": {"form-action": None}}, id="directive off"),
        pytest.param({"SECURE_CSP": {"form-action": []}}, id="directive empty"),
        pytest.param({"CONTENT_SECURITY_POLICY": {"DIRECTIVES": {"form-action": [LOGIN]}}}, id="django-csp"),
        pytest.param({"CONTENT_SECURITY_POLICY": {"EXCLUDE_URL_PREFIXES": ["/a"]}}, id="django-csp, empty"),
        pytest.param({"CONTENT_SECURITY_POLICY": None}, id="django-csp, none"),
        pytest.param({"ALLOWED_HOSTS": ["*"]} | ms(top=HTTPS), id="any host, but a base"),
        pytest.param({"ALLOWED_HOSTS": [".example.com"]}, id="subdomains"),
        pytest.param(after_login("builtins.print"), id="hook"),
        pytest.param(after_login("revoke_active_sessions"), id="built-in hook"),
        pytest.param(
            WITH_EMULATOR | {"DEBUG": True} | ms(top={"EMULATOR_URL": "http://localhost/emulator"}),
            id="emulator in DEBUG",
        ),
        pytest.param(
            {"MIDDLEWARE": [*project.MIDDLEWARE, "tests.nowhere.Middleware"]},
            id="a middleware of others is broken",
        ),
        pytest.param({"MIDDLEWARE": ["builtins.callable", *project.MIDDLEWARE]}, id="function middleware"),
        pytest.param({"TEMPLATES": []}, id="no templates"),
        pytest.param(
            {"TEMPLATES": [{"BACKEND": "django.template.backends.jinja2.Jinja2"}]}, id="only other templates"
        ),
    ],
)
def test_project_checks_pass_healthy_project(changes):
    assert found(**changes) == []


def test_middleware_check_accepts_subclass(monkeypatch):
    from django.contrib.auth.middleware import AuthenticationMiddleware

    module = ModuleType("project_middleware")
    module.Ours = type("Ours", (AuthenticationMiddleware,), {})
    monkeypatch.setitem(sys.modules, "project_middleware", module)
    replaced = [*without(project.MIDDLEWARE, "AuthenticationMiddleware"), "project_middleware.Ours"]

    assert found(MIDDLEWARE=replaced) == []


@pytest.mark.parametrize("setting", ["MIDDLEWARE", "hook"])
def test_project_checks_survive_module_that_cannot_be_imported(setting, tmp_path, monkeypatch):
    (tmp_path / "broken_module.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(str(tmp_path))
    changes = {
        "MIDDLEWARE": {"MIDDLEWARE": [*project.MIDDLEWARE, "broken_module.Middleware"]},
        "hook": after_login("broken_module.hook"),
    }[setting]

    assert found(**changes) == ([ids.E_HOOK] if setting == "hook" else [])


def test_url_check_reports_project_without_root_urlconf(settings):
    del settings.ROOT_URLCONF

    assert [message.id for message in run()] == [ids.E_URLS]


def test_checks_report_several_faults_at_once():
    broken = {
        "SESSION_COOKIE_SAMESITE": "Strict",
        "ALLOWED_HOSTS": ["*"],
        "MS_IDENTITY": {"HOKS": {}, "X": 1},
    }

    assert found(**broken) == [ids.E_SETTINGS, ids.E_SETTINGS, ids.E_SAMESITE_STRICT, ids.W_ANY_HOST]


@pytest.mark.parametrize("deploy", [False, True])
def test_checks_report_nothing_while_sign_in_is_disabled(deploy):
    broken = {
        "AUTHENTICATION_BACKENDS": [],
        "SESSION_COOKIE_SAMESITE": "Strict",
        **mapped_by("{", microsoft_tenant="common", top={"ENABLED": False}),
    }

    assert found(deploy=deploy, **broken) == []


def test_open_registration_hint_names_the_check_to_silence():
    with override_settings(**ms(microsoft_tenant="common")):
        (message,) = run()

    assert f'SILENCED_SYSTEM_CHECKS = ["{message.id}"]' in message.hint
    assert 'REGISTRATION_ENABLED": False' in message.hint


@pytest.mark.parametrize(
    ("source", "allowed"),
    [
        ("*", True),
        ("https:", True),
        (LOGIN, True),
        (f"{LOGIN}:443", True),
        (f"{LOGIN}:*", True),
        (f"{LOGIN}/common/", True),
        ("login.microsoftonline.com", True),
        ("LOGIN.microsoftonline.COM", True),
        ("https://*.microsoftonline.com", True),
        ("https://*microsoftonline.com", False),
        ("'self'", False),
        ("'none'", False),
        ("http:", False),
        ("http://login.microsoftonline.com", False),
        (f"{LOGIN}:8443", False),
        ("microsoftonline.com", False),
        ("https://*.login.microsoftonline.com", False),
        ("https://login.microsoftonline.com.example", False),
        ("https://[", False),
        ("", False),
    ],
)
def test_form_action_source_is_matched_as_in_browsers(source, allowed):
    assert allows(source, LOGIN) is allowed


@given(st.text())
def test_form_action_source_of_any_text_is_matched(source):
    assert allows(source, LOGIN) in (True, False)


# Only under --deploy


PRIVILEGES = "{identity: {traits: {}}, user: {is_staff: false, groups: []}}"
DEPLOYED = {
    "SESSION_COOKIE_SECURE": True,
    "CSRF_COOKIE_SECURE": True,
    "SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https"),
}


@pytest.mark.parametrize(
    ("check_id", "changes"),
    [
        pytest.param(ids.W_INSECURE_COOKIES, {"SESSION_COOKIE_SECURE": False}, id="session cookie"),
        pytest.param(ids.W_INSECURE_COOKIES, {"CSRF_COOKIE_SECURE": False}, id="CSRF cookie"),
        pytest.param(ids.W_HTTP_REDIRECT, {"SECURE_PROXY_SSL_HEADER": None}, id="scheme unknown"),
        pytest.param(
            ids.W_HTTP_REDIRECT,
            ms(top={"BASE_REDIRECT_URI": "http://localhost"}) | {"SECURE_PROXY_SSL_HEADER": None},
            id="base over http",
        ),
        pytest.param(ids.E_MAPPER, mapped_by("{"), id="mapper that is no Jsonnet"),
        pytest.param(ids.E_MAPPER, mapped_by("{}"), id="mapper without identity"),
        pytest.param(ids.W_MAPPER, mapped_by("error 'not you'"), id="mapper that refuses the sample"),
        pytest.param(ids.W_MAPPER, ms(mapper_url="file:///nowhere/mapper.jsonnet"), id="mapper out of reach"),
        *(
            pytest.param(ids.W_MAPPER, ms(mapper=f"{MAPPERS}.{name}"), id=name)
            for name in ("quote", "refuse_registration", "refuse_sign_in")
        ),
        pytest.param(ids.W_PRIVILEGES_STAY, mapped_by(PRIVILEGES), id="privileges that stay"),
    ],
)
def test_deployment_check_reports_fault_under_deploy_only(check_id, changes):
    with override_settings(**DEPLOYED | changes):
        assert run() == []
        (message,) = run(deploy=True)

    assert message.id == check_id
    assert message.hint


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="behind a proxy"),
        pytest.param(ms(top=HTTPS) | {"SECURE_PROXY_SSL_HEADER": None}, id="with a base address"),
        pytest.param({"CSRF_COOKIE_SECURE": False, "CSRF_USE_SESSIONS": True}, id="CSRF in the session"),
        pytest.param(
            mapped_by(PRIVILEGES, update_identity_on_login="automatic"), id="privileges that follow"
        ),
        pytest.param(
            mapped_by("{identity: {traits: {}}, user: {username: 'a'}}"), id="a user without privileges"
        ),
    ],
)
def test_deployment_checks_pass_healthy_project(changes):
    assert found(deploy=True, **DEPLOYED | changes) == []


def test_python_mapper_check_reports_a_missing_function_once_under_deploy():
    assert found(deploy=True, **DEPLOYED, **ms(mapper="nowhere.at_all")) == [ids.E_MAPPER]


def test_mapper_check_hint_quotes_the_engine():
    mapper = "{ identity: { traits: { a: std.extVar('claims').nickname } } }"
    with override_settings(**DEPLOYED, **mapped_by(mapper)):
        (message,) = run(deploy=True)

    assert "'microsoft'" in message.msg
    assert "nickname" in message.hint


@pytest.mark.parametrize(
    ("user", "named"),
    [
        ("{is_superuser: true}", "is_superuser"),
        ("{groups: ['a']}", "groups"),
        ("{is_staff: true, groups: []}", "is_staff, groups"),
    ],
)
def test_privilege_check_names_privileges(user, named):
    mapper = f"{{identity: {{traits: {{}}}}, user: {user}}}"
    with override_settings(**DEPLOYED, **mapped_by(mapper)):
        (message,) = run(deploy=True)

    assert f"'microsoft' sets {named} when" in message.msg


def test_mapper_check_skips_invalid_settings():
    broken = mapped_by("{", top={"FLOW_LIFESPAN": 0})

    assert found(deploy=True, **DEPLOYED, **broken) == [ids.E_SETTINGS]


@pytest.mark.parametrize(
    ("url", "reported"),
    [
        pytest.param(make_schema({"a": {"type": 1}}), [ids.E_SCHEMA], id="invalid"),
        pytest.param("file:///none/identity.schema.json", [ids.W_SCHEMA], id="out of reach"),
        pytest.param(make_schema({"a": {"type": "string"}}), [], id="valid"),
    ],
)
def test_identity_schema_is_checked_under_deploy_only(url, reported):
    changes = DEPLOYED | ms(top={"IDENTITY_SCHEMA_URL": url})

    assert found(deploy=True, **changes) == reported
    assert found(**changes) == []


# Only with a database


def credential(source, **changes):
    make_identity(subject=source, **changes)
    Credential.objects.filter(subject=source).update(subject_source=source)


@pytest.mark.django_db
def test_changed_subject_source_is_an_error():
    credential("oid")

    (message,) = run(databases=["default"])

    assert message.id == ids.E_SUBJECT_SOURCE
    assert '"subject_source": "oid"' in message.hint


@pytest.mark.django_db
def test_unchanged_subject_source_is_not_reported():
    credential("userinfo")
    credential("oid", provider="contoso")

    assert run(databases=["default"]) == []


@pytest.mark.django_db
def test_subject_source_check_survives_database_without_tables():
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE ms_identity_credential RENAME TO elsewhere")

    assert run(databases=["default"]) == []

    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE elsewhere RENAME TO ms_identity_credential")


# As the operator meets them


@pytest.mark.django_db
def test_django_check_command_fails_for_errors_only():
    with override_settings(SESSION_COOKIE_SAMESITE="Strict"), pytest.raises(CommandError, match="E005"):
        call_command("check", stderr=StringIO())
    shown = StringIO()
    with override_settings(ALLOWED_HOSTS=["*"]):
        call_command("check", stderr=shown)
    assert ids.W_ANY_HOST in shown.getvalue()


def test_check_ids_are_unique_and_of_one_form():
    named = {name: value for name, value in vars(ids).items() if name[:2] in ("E_", "W_")}

    assert len(set(named.values())) == len(named)
    assert all(value.startswith(f"{TAG}.{name[0]}") for name, value in named.items())


def test_every_check_id_is_reported_by_a_test():
    text = Path(__file__).read_text(encoding="utf-8")

    assert [name for name in vars(ids) if name[:2] in ("E_", "W_") and f"ids.{name}" not in text] == []
