"""Every check: the broken configuration that it names, with what to type, and silence for a healthy one."""

import base64
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

from django_ms_identity import conf
from django_ms_identity.checks import TAG, ids
from django_ms_identity.checks.content_security_policy import allows
from django_ms_identity.models import Credential, Identity, credential_key

PROVIDER = project.MS_IDENTITY["PROVIDERS"][0]
MULTI_TENANT = {**PROVIDER, "microsoft_tenant": "common"}
LOGIN = "https://login.microsoftonline.com"
HTTPS = {"BASE_REDIRECT_URI": "https://www.example.com"}


class SignedCookies(ModuleType):
    """A session engine of a project, made of Django's signed cookies."""

    from django.contrib.sessions.backends.signed_cookies import SessionStore


@pytest.fixture(autouse=True)
def _engine(monkeypatch):
    monkeypatch.setitem(sys.modules, "project_sessions", SignedCookies("project_sessions"))


def inline(jsonnet):
    return f"base64://{base64.b64encode(jsonnet.encode()).decode()}"


def provider(**changes):
    return {"PROVIDERS": [{**PROVIDER, **changes}]}


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
    pytest.param(ids.E_SETTINGS, {"MS_IDENTITY": {"PROVIDRS": []} | provider()}, id="unknown key"),
    pytest.param(ids.E_SETTINGS, {"MS_IDENTITY": provider(client_id="")}, id="no client id"),
    pytest.param(ids.E_SETTINGS, {"MS_IDENTITY": 5}, id="no dict"),
    pytest.param(
        ids.E_SETTINGS,
        {"MS_IDENTITY": {**provider(), "EMULATOR_URL": "http://localhost/emulator"}},
        id="emulator address outside DEBUG",
    ),
    pytest.param(
        ids.E_SETTINGS,
        {"MS_IDENTITY": provider(mapper_url="/etc/mapper.jsonnet")},
        id="mapper without scheme",
    ),
    pytest.param(
        ids.E_MAPPER, {"MS_IDENTITY": provider(mapper="nowhere.at_all")}, id="Python mapper that is not there"
    ),
    pytest.param(
        ids.E_MAPPER,
        {"MS_IDENTITY": provider(mapper=f"{MAPPERS}.NOT_A_FUNCTION")},
        id="Python mapper that is no function",
    ),
    pytest.param(
        ids.E_MAPPER,
        {"MS_IDENTITY": provider(mapper=f"{MAPPERS}.asynchronous")},
        id="Python mapper that is asynchronous",
    ),
    pytest.param(ids.W_SETTINGS, {"MS_IDENTITY": provider(pkce="never")}, id="PKCE off"),
    pytest.param(ids.W_SETTINGS, {"MS_IDENTITY": provider(auth_url="https://x")}, id="key without meaning"),
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
    pytest.param(
        ids.E_FORM_POST_HTTP, {"MS_IDENTITY": provider(response_mode="form_post")}, id="form_post over http"
    ),
    pytest.param(ids.W_NO_PROVIDER, {"MS_IDENTITY": {}}, id="no provider"),
    pytest.param(ids.W_OPEN_TO_ALL, {"MS_IDENTITY": {"PROVIDERS": [MULTI_TENANT]}}, id="common"),
    pytest.param(
        ids.W_OPEN_TO_ALL, {"MS_IDENTITY": provider(microsoft_tenant="organizations")}, id="organizations"
    ),
    pytest.param(ids.W_OPEN_TO_ALL, {"MS_IDENTITY": provider(microsoft_tenant="consumers")}, id="consumers"),
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
        {"MS_IDENTITY": provider(cloud="china"), "SECURE_CSP": {"form-action": [LOGIN]}},
        id="policy for another cloud",
    ),
    pytest.param(ids.W_ANY_HOST, {"ALLOWED_HOSTS": ["*"]}, id="any host"),
    pytest.param(
        ids.E_HOOK,
        {"MS_IDENTITY": provider() | {"HOOKS": {"after_login": [{"hook": "tests.nowhere.hook"}]}}},
        id="hook that is not there",
    ),
    pytest.param(
        ids.E_HOOK,
        {"MS_IDENTITY": provider() | {"HOOKS": {"after_login": [{"hook": "tests.settings.USE_TZ"}]}}},
        id="hook that cannot be called",
    ),
    pytest.param(
        ids.W_EMULATOR,
        {"INSTALLED_APPS": [*project.INSTALLED_APPS, "django_ms_identity.emulator"]},
        id="emulator outside DEBUG",
    ),
]


@pytest.mark.parametrize(("check_id", "changes"), BROKEN)
def test_a_broken_project_is_told_what_to_type(check_id, changes):
    with override_settings(**changes):
        (message,) = run()

    assert message.id == check_id
    assert message.hint
    assert message.level == (checks.ERROR if check_id.rpartition(".")[2][0] == "E" else checks.WARNING)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="as the tests have it"),
        pytest.param({"MS_IDENTITY": provider(microsoft_tenant="contoso.example")}, id="a domain"),
        pytest.param(
            {"MS_IDENTITY": {"PROVIDERS": [MULTI_TENANT], "REGISTRATION_ENABLED": False}},
            id="closed to strangers",
        ),
        pytest.param(
            {
                "MS_IDENTITY": {
                    "PROVIDERS": [{**MULTI_TENANT, "allowed_tenants": [PROVIDER["microsoft_tenant"]]}]
                }
            },
            id="tenants are named",
        ),
        pytest.param({"SESSION_COOKIE_SAMESITE": "Lax"}, id="SameSite=Lax"),
        pytest.param({"SESSION_COOKIE_SAMESITE": False}, id="no SameSite"),
        pytest.param(
            {"SESSION_ENGINE": "django.contrib.sessions.backends.cached_db"}, id="sessions at the server"
        ),
        pytest.param(
            {"MS_IDENTITY": provider(response_mode="form_post") | HTTPS}, id="form_post to an https base"
        ),
        pytest.param(
            {"MS_IDENTITY": provider(response_mode="form_post"), "SESSION_COOKIE_SECURE": True},
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
        pytest.param({"ALLOWED_HOSTS": ["*"], "MS_IDENTITY": provider() | HTTPS}, id="any host, but a base"),
        pytest.param({"ALLOWED_HOSTS": [".example.com"]}, id="subdomains"),
        pytest.param(
            {"MS_IDENTITY": provider() | {"HOOKS": {"after_login": [{"hook": "builtins.print"}]}}}, id="hook"
        ),
        pytest.param(
            {"MS_IDENTITY": provider() | {"HOOKS": {"after_login": [{"hook": "revoke_active_sessions"}]}}},
            id="built-in hook",
        ),
        pytest.param(
            {
                "INSTALLED_APPS": [*project.INSTALLED_APPS, "django_ms_identity.emulator"],
                "DEBUG": True,
                "MS_IDENTITY": provider() | {"EMULATOR_URL": "http://localhost/emulator"},
            },
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
def test_a_healthy_project_hears_nothing(changes):
    assert found(**changes) == []


def test_a_middleware_that_extends_djangos_counts(monkeypatch):
    from django.contrib.auth.middleware import AuthenticationMiddleware

    module = ModuleType("project_middleware")
    module.Ours = type("Ours", (AuthenticationMiddleware,), {})
    monkeypatch.setitem(sys.modules, "project_middleware", module)
    replaced = [*without(project.MIDDLEWARE, "AuthenticationMiddleware"), "project_middleware.Ours"]

    assert found(MIDDLEWARE=replaced) == []


@pytest.mark.parametrize("setting", ["MIDDLEWARE", "hook"])
def test_a_module_of_the_project_that_does_not_even_import_is_survived(setting, tmp_path, monkeypatch):
    (tmp_path / "broken_module.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(str(tmp_path))
    changes = {
        "MIDDLEWARE": {"MIDDLEWARE": [*project.MIDDLEWARE, "broken_module.Middleware"]},
        "hook": {"MS_IDENTITY": provider() | {"HOOKS": {"after_login": [{"hook": "broken_module.hook"}]}}},
    }[setting]

    assert found(**changes) == ([ids.E_HOOK] if setting == "hook" else [])


def test_a_project_without_urls_is_told_so(settings):
    del settings.ROOT_URLCONF

    assert [message.id for message in run()] == [ids.E_URLS]


def test_several_faults_are_told_at_once():
    broken = {
        "SESSION_COOKIE_SAMESITE": "Strict",
        "ALLOWED_HOSTS": ["*"],
        "MS_IDENTITY": {"HOKS": {}, "X": 1},
    }

    assert found(**broken) == [ids.E_SETTINGS, ids.E_SETTINGS, ids.E_SAMESITE_STRICT, ids.W_ANY_HOST]


@pytest.mark.parametrize("deploy", [False, True])
def test_who_is_switched_off_is_left_alone(deploy):
    broken = {
        "MS_IDENTITY": {"ENABLED": False, "PROVIDERS": [{**MULTI_TENANT, "mapper_url": inline("{")}]},
        "AUTHENTICATION_BACKENDS": [],
        "SESSION_COOKIE_SAMESITE": "Strict",
    }

    assert found(deploy=deploy, **broken) == []


def test_the_open_door_can_be_silenced_by_the_id_that_the_hint_names():
    with override_settings(MS_IDENTITY={"PROVIDERS": [MULTI_TENANT]}):
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
def test_a_source_of_form_action_is_read_as_browsers_do(source, allowed):
    assert allows(source, LOGIN) is allowed


@given(st.text())
def test_whatever_stands_in_form_action_is_survived(source):
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
            {
                "SECURE_PROXY_SSL_HEADER": None,
                "MS_IDENTITY": provider() | {"BASE_REDIRECT_URI": "http://localhost"},
            },
            id="base over http",
        ),
        pytest.param(
            ids.E_MAPPER, {"MS_IDENTITY": provider(mapper_url=inline("{"))}, id="mapper that is no Jsonnet"
        ),
        pytest.param(
            ids.E_MAPPER, {"MS_IDENTITY": provider(mapper_url=inline("{}"))}, id="mapper without identity"
        ),
        pytest.param(
            ids.W_MAPPER,
            {"MS_IDENTITY": provider(mapper_url=inline("error 'not you'"))},
            id="mapper that refuses the sample",
        ),
        pytest.param(
            ids.W_MAPPER,
            {"MS_IDENTITY": provider(mapper_url="file:///nowhere/mapper.jsonnet")},
            id="mapper out of reach",
        ),
        *(
            pytest.param(ids.W_MAPPER, {"MS_IDENTITY": provider(mapper=f"{MAPPERS}.{name}")}, id=name)
            for name in ("quote", "refuse_registration", "refuse_sign_in")
        ),
        pytest.param(
            ids.W_PRIVILEGES_STAY,
            {"MS_IDENTITY": provider(mapper_url=inline(PRIVILEGES))},
            id="privileges that stay",
        ),
    ],
)
def test_a_fault_of_the_deployment_is_told_under_deploy_only(check_id, changes):
    with override_settings(**DEPLOYED | changes):
        assert run() == []
        (message,) = run(deploy=True)

    assert message.id == check_id
    assert message.hint


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="behind a proxy"),
        pytest.param(
            {"SECURE_PROXY_SSL_HEADER": None, "MS_IDENTITY": provider() | HTTPS}, id="with a base address"
        ),
        pytest.param({"CSRF_COOKIE_SECURE": False, "CSRF_USE_SESSIONS": True}, id="CSRF in the session"),
        pytest.param(
            {
                "MS_IDENTITY": provider(mapper_url=inline(PRIVILEGES), update_identity_on_login="automatic"),
            },
            id="privileges that follow",
        ),
        pytest.param(
            {"MS_IDENTITY": provider(mapper_url=inline("{identity: {traits: {}}, user: {username: 'a'}}"))},
            id="a user without privileges",
        ),
    ],
)
def test_a_healthy_deployment_hears_nothing(changes):
    assert found(deploy=True, **DEPLOYED | changes) == []


def test_python_mapper_that_is_not_there_is_told_once_under_deploy():
    assert found(deploy=True, **DEPLOYED, MS_IDENTITY=provider(mapper="nowhere.at_all")) == [ids.E_MAPPER]


def test_a_mapper_that_stumbles_says_where():
    stumbling = provider(mapper_url=inline("{ identity: { traits: { a: std.extVar('claims').nickname } } }"))
    with override_settings(**DEPLOYED, MS_IDENTITY=stumbling):
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
def test_privileges_that_stay_are_named(user, named):
    mapper = inline(f"{{identity: {{traits: {{}}}}, user: {user}}}")
    with override_settings(**DEPLOYED, MS_IDENTITY=provider(mapper_url=mapper)):
        (message,) = run(deploy=True)

    assert f"'microsoft' sets {named} when" in message.msg


def test_no_mapper_runs_while_the_settings_are_broken():
    broken = {**provider(mapper_url=inline("{")), "FLOW_LIFESPAN": 0}

    assert found(deploy=True, **DEPLOYED, MS_IDENTITY=broken) == [ids.E_SETTINGS]


def with_schema(text):
    return {"MS_IDENTITY": {**provider(), **HTTPS, "IDENTITY_SCHEMA_URL": inline(text)}}


def test_a_broken_identity_schema_is_an_error_for_each_fault():
    broken = '{"properties": {"traits": {"type": "object", "properties": {"a": {"type": 1}}}}}'

    with override_settings(**with_schema(broken)):
        assert ids.E_SCHEMA in {message.id for message in run(deploy=True)}
        assert ids.E_SCHEMA not in {message.id for message in run()}


def test_an_identity_schema_out_of_reach_is_a_warning():
    missing = {**provider(), "IDENTITY_SCHEMA_URL": "file:///none/identity.schema.json"}

    assert ids.W_SCHEMA in found(deploy=True, MS_IDENTITY=missing)


def test_a_sound_identity_schema_is_passed_over():
    sound = '{"properties": {"traits": {"type": "object", "properties": {"a": {"type": "string"}}}}}'

    assert not {ids.E_SCHEMA, ids.W_SCHEMA} & set(found(deploy=True, **with_schema(sound)))


# Only with a database


def credential(django_user_model, *, source, provider_id="microsoft"):
    user = django_user_model.objects.create(username=f"{provider_id}-{source}")
    return Credential.objects.create(
        identity=Identity.objects.create(user=user),
        provider=provider_id,
        subject=source,
        subject_source=source,
        key=credential_key(provider_id, source),
    )


@pytest.mark.django_db
def test_a_changed_subject_source_is_an_error(django_user_model):
    credential(django_user_model, source="oid")

    (message,) = run(databases=["default"])

    assert message.id == ids.E_SUBJECT_SOURCE
    assert '"subject_source": "oid"' in message.hint


@pytest.mark.django_db
def test_an_unchanged_subject_source_is_none(django_user_model):
    credential(django_user_model, source="userinfo")
    credential(django_user_model, source="oid", provider_id="contoso")

    assert run(databases=["default"]) == []


@pytest.mark.django_db
def test_a_database_without_our_tables_is_survived_inside_a_transaction():
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE ms_identity_credential RENAME TO elsewhere")

    assert run(databases=["default"]) == []

    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE elsewhere RENAME TO ms_identity_credential")


def test_no_database_is_asked_unless_it_is_named():
    assert run() == []


# As the operator meets them


@pytest.mark.django_db
def test_check_fails_for_an_error_and_passes_with_warnings():
    with override_settings(SESSION_COOKIE_SAMESITE="Strict"), pytest.raises(CommandError, match="E005"):
        call_command("check", stderr=StringIO())
    shown = StringIO()
    with override_settings(ALLOWED_HOSTS=["*"]):
        call_command("check", stderr=shown)
    assert ids.W_ANY_HOST in shown.getvalue()


@pytest.mark.django_db
def test_check_names_all_faults_of_the_settings():
    broken = {"MS_IDENTITY": {"PROVIDERS": [{"id": "microsoft", "cleint_id": "x"}]}}

    with override_settings(**broken), pytest.raises(CommandError) as caught:
        call_command("check", stderr=StringIO())

    for text in ("cleint_id", "Did you mean 'client_id'?", "client_secret is missing", "microsoft_tenant"):
        assert text in str(caught.value)


def test_check_knows_the_tag_and_starts_no_sandbox(capsys):
    broken_mapper = provider(mapper_url=inline("{"))

    with override_settings(MS_IDENTITY=broken_mapper):
        call_command("check", tags=[TAG], databases=[])

    assert "no issues" in capsys.readouterr().out


def test_ids_are_unique_and_of_one_form():
    named = {name: value for name, value in vars(ids).items() if name[:2] in ("E_", "W_")}

    assert len(set(named.values())) == len(named)
    assert all(value.startswith(f"{TAG}.{name[0]}") for name, value in named.items())


def test_every_id_is_reported_by_some_test():
    text = Path(__file__).read_text(encoding="utf-8")

    assert [name for name in vars(ids) if name[:2] in ("E_", "W_") and f"ids.{name}" not in text] == []


def test_a_broken_configuration_leaves_other_checks_running():
    with override_settings(MS_IDENTITY={"PROVIDERS": 5}, SESSION_COOKIE_SAMESITE="Strict"):
        assert conf.parse().faults
        assert {message.id for message in run()} == {ids.E_SETTINGS, ids.E_SAMESITE_STRICT}
