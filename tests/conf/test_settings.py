"""MS_IDENTITY: every key, its default, and what is said when it is wrong."""

import copy
import dataclasses
from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.test import override_settings
from django.utils import translation
from django.utils.translation import gettext_lazy
from hypothesis import given
from hypothesis import strategies as st

from django_ms_identity import conf
from django_ms_identity.conf import Config, Hook
from django_ms_identity.conf.settings import KEYS, parse_settings
from django_ms_identity.exceptions import ConfigurationInvalid, ProviderUnknown
from django_ms_identity.net.http_url import parse_http_url

SECRET = "planted-client-secret"
PROVIDER = {
    "id": "microsoft",
    "client_id": "11111111-2222-3333-4444-555555555555",
    "client_secret": SECRET,
    "microsoft_tenant": "8eaef023-2b34-4da1-9baa-8bc8c9d6a490",
}

WEB_HOOK = {
    "hook": "web_hook",
    "config": {
        "url": f"https://hook.example.com/{SECRET}",
        "method": "POST",
        "auth": {"type": "basic_auth", "config": {"user": "us", "password": SECRET}},
    },
}


LOCAL = {"url": "http://localhost/", "method": "POST", "allow_private": True}


def faults_of(debug=False, **settings):
    return [str(fault) for fault in parse_settings(settings, debug=debug).faults]


def config_of(debug=False, **settings):
    parsed = parse_settings(settings, debug=debug)
    assert parsed.faults == ()
    return parsed.config


def test_empty_settings_have_every_default():
    config = config_of()

    assert {field.name: getattr(config, field.name) for field in dataclasses.fields(config)} == {
        "enabled": True,
        "providers": (),
        "base_redirect_uri": "",
        "hooks": {"after_registration": (Hook(name="session"),), "after_login": (), "after_settings": ()},
        "create_groups": False,
        "identity_schema_url": "",
        "registration_enabled": True,
        "allowed_return_urls": (),
        "flow_lifespan": 30 * 60,
        "privileged_session_max_age": 60 * 60,
        "mapper_timeout": 2,
        "http_timeout": (3, 10),
        "emulator_url": "",
    }


def test_setting_of_none_means_the_default():
    given = {key: None for key in KEYS if key not in ("CREATE_GROUPS", "ENABLED", "REGISTRATION_ENABLED")}

    assert config_of(**given) == config_of()


@pytest.mark.parametrize(
    ("settings", "field", "value"),
    [
        pytest.param({"ENABLED": False}, "enabled", False, id="off"),
        pytest.param({"CREATE_GROUPS": True}, "create_groups", True, id="groups"),
        pytest.param({"REGISTRATION_ENABLED": False}, "registration_enabled", False, id="closed"),
        pytest.param(
            {"BASE_REDIRECT_URI": "https://WWW.example.com/"},
            "base_redirect_uri",
            "https://www.example.com",
            id="host in the form of the Host header",
        ),
        pytest.param(
            {"BASE_REDIRECT_URI": "http://localhost:8000"},
            "base_redirect_uri",
            "http://localhost:8000",
            id="http for localhost",
        ),
        pytest.param(
            {"ALLOWED_RETURN_URLS": ("https://*.example.com/a",)},
            "allowed_return_urls",
            (parse_http_url("https://*.example.com/a"),),
            id="return URLs",
        ),
        pytest.param({"FLOW_LIFESPAN": timedelta(minutes=5)}, "flow_lifespan", 300, id="timedelta"),
        pytest.param({"PRIVILEGED_SESSION_MAX_AGE": 60}, "privileged_session_max_age", 60, id="seconds"),
        pytest.param({"MAPPER_TIMEOUT": 0.5}, "mapper_timeout", 0.5, id="fraction"),
        pytest.param({"HTTP_TIMEOUT": 4}, "http_timeout", (4, 4), id="one time-out for both"),
        pytest.param({"HTTP_TIMEOUT": [1, timedelta(seconds=2)]}, "http_timeout", (1, 2), id="a pair"),
    ],
)
def test_good_setting_is_accepted(settings, field, value):
    assert getattr(config_of(**settings), field) == value


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        pytest.param({"ENABLED": "yes"}, "ENABLED must be True or False, not str.", id="flag"),
        pytest.param({"REGISTRATION_ENABLED": 1}, "REGISTRATION_ENABLED must be True or False", id="1"),
        pytest.param({"PROVIDERS": PROVIDER}, "PROVIDERS must be a list", id="one provider, no list"),
        *(
            pytest.param({"PROVIDERS": [raw]}, "PROVIDERS[0] must be a dict", id=f"{raw} as provider")
            for raw in (None, 7, "microsoft", [], [("id", "x")], {1}, {1: "x"})
        ),
        pytest.param(
            {"PROVIDERS": [PROVIDER, PROVIDER]}, "PROVIDERS[1].id 'microsoft' is used twice.", id="twice"
        ),
        pytest.param(
            {"PROVIDERS": [{**PROVIDER, "mapper_url": "http://example.com/m"}]},
            "PROVIDERS[0].mapper_url uses http://",
            id="mapper over http",
        ),
        pytest.param(
            {"BASE_REDIRECT_URI": "https://example.com/ms"}, "BASE_REDIRECT_URI must be a scheme", id="path"
        ),
        pytest.param({"BASE_REDIRECT_URI": "https://a?b"}, "BASE_REDIRECT_URI must be", id="query"),
        pytest.param({"BASE_REDIRECT_URI": "https://a#b"}, "BASE_REDIRECT_URI must be", id="fragment"),
        pytest.param({"BASE_REDIRECT_URI": "https://u:p@a"}, "BASE_REDIRECT_URI must be", id="password"),
        pytest.param({"BASE_REDIRECT_URI": "https://"}, "BASE_REDIRECT_URI must be", id="no host"),
        pytest.param({"BASE_REDIRECT_URI": "https://a:b"}, "BASE_REDIRECT_URI must be", id="no port"),
        pytest.param({"BASE_REDIRECT_URI": "example.com"}, "BASE_REDIRECT_URI must be", id="no scheme"),
        pytest.param({"BASE_REDIRECT_URI": "ftp://a"}, "BASE_REDIRECT_URI must be", id="ftp"),
        pytest.param({"BASE_REDIRECT_URI": "http://a"}, "BASE_REDIRECT_URI must be https", id="http"),
        pytest.param({"BASE_REDIRECT_URI": 1}, "BASE_REDIRECT_URI must be text, not int.", id="number"),
        pytest.param({"HOOKS": []}, "HOOKS must be a dict", id="hooks as a list"),
        pytest.param({"HOOKS": {"after_logn": []}}, "HOOKS.after_logn is not a key", id="unknown stage"),
        pytest.param({"HOOKS": {"after_login": "a.b"}}, "HOOKS.after_login must be a list", id="stage"),
        pytest.param({"ALLOWED_RETURN_URLS": "https://a/"}, "ALLOWED_RETURN_URLS must be a list", id="str"),
        pytest.param({"ALLOWED_RETURN_URLS": ["/home/"]}, "ALLOWED_RETURN_URLS[0] is not", id="relative"),
        pytest.param({"ALLOWED_RETURN_URLS": ["https://"]}, "ALLOWED_RETURN_URLS[0] is not", id="nowhere"),
        pytest.param({"ALLOWED_RETURN_URLS": ["javascript:1"]}, "ALLOWED_RETURN_URLS[0]", id="script"),
        pytest.param({"IDENTITY_SCHEMA_URL": "a.json"}, "IDENTITY_SCHEMA_URL has no scheme", id="path"),
        pytest.param({"IDENTITY_SCHEMA_URL": "http://a/s"}, "IDENTITY_SCHEMA_URL uses http", id="schema"),
        pytest.param({"FLOW_LIFESPAN": 0}, "FLOW_LIFESPAN must be a positive number", id="zero"),
        pytest.param({"FLOW_LIFESPAN": True}, "FLOW_LIFESPAN must be a positive number", id="flag as time"),
        pytest.param({"FLOW_LIFESPAN": float("nan")}, "FLOW_LIFESPAN must be a positive number", id="nan"),
        pytest.param({"FLOW_LIFESPAN": float("inf")}, "FLOW_LIFESPAN must be a positive number", id="inf"),
        pytest.param({"PRIVILEGED_SESSION_MAX_AGE": "1h"}, "PRIVILEGED_SESSION_MAX_AGE must", id="1h"),
        pytest.param({"MAPPER_TIMEOUT": -1}, "MAPPER_TIMEOUT must be a positive number", id="negative"),
        pytest.param({"HTTP_TIMEOUT": (1, 2, 3)}, "HTTP_TIMEOUT must be (connect, read)", id="three times"),
        pytest.param({"HTTP_TIMEOUT": (1, "2")}, "HTTP_TIMEOUT.read must be a positive number", id="text"),
        pytest.param({"EMULATOR_URL": "http://localhost/e"}, "EMULATOR_URL is set while DEBUG is", id="live"),
        pytest.param({"PROVIDER": []}, "PROVIDER is not a key that exists.", id="unknown key"),
    ],
)
def test_bad_setting_is_a_fault_that_names_it(settings, fault):
    found = faults_of(**settings)

    assert len(found) == 1
    assert found[0].startswith(fault)


@pytest.mark.parametrize(
    ("stage", "hook", "fault"),
    [
        ("after_login", "a.b", " must be a dict with texts as keys."),
        ("after_login", {"hook": "web_hok"}, ".hook is not the name of a hook."),
        ("after_login", {"hook": "session"}, ".hook 'session' belongs to after_registration only."),
        ("after_settings", {"hook": "session"}, ".hook 'session' belongs to after_registration only."),
        (
            "after_registration",
            {"hook": "revoke_active_sessions"},
            ".hook 'revoke_active_sessions' belongs to after_login and after_settings only.",
        ),
        (
            "after_registration",
            {"hook": "require_verified_address"},
            ".hook 'require_verified_address' belongs to after_login only.",
        ),
        (
            "after_login",
            {"hook": "revoke_active_sessions", "config": {}},
            ".config is not a key that exists.",
        ),
        ("after_login", {**WEB_HOOK, "confg": {}}, ".confg is not a key that exists."),
        ("after_login", {"hook": "web_hook", "config": {"method": "POST"}}, ".config.url is missing."),
        ("after_login", {"hook": "web_hook", "config": LOCAL}, ".config.url must be https."),
    ],
)
def test_wrong_hook_is_a_fault_that_names_it(stage, hook, fault):
    assert faults_of(HOOKS={stage: [hook]}) == [f"HOOKS.{stage}[0]{fault}"]


@pytest.mark.parametrize(
    "url", ["http://example.com/emulator", "ftp://localhost/", "//localhost/", "http://localhost:x/", "/emu"]
)
def test_emulator_url_off_this_machine_is_a_fault_in_debug(url):
    assert faults_of(debug=True, EMULATOR_URL=url) == ["EMULATOR_URL must be on this machine."]


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1", "[::1]:8000"])
def test_emulator_url_on_this_machine_is_accepted_in_debug(host):
    assert config_of(debug=True, EMULATOR_URL=f"http://{host}/emulator/").emulator_url.endswith("/emulator")


def test_mapper_url_may_be_http_in_debug():
    assert config_of(debug=True, PROVIDERS=[{**PROVIDER, "mapper_url": "http://localhost/m"}]).providers


def test_identity_schema_url_may_be_http_in_debug():
    assert config_of(debug=True, IDENTITY_SCHEMA_URL="http://localhost/s").identity_schema_url


def test_settings_faults_say_what_to_type():
    wrong = {key: object() for key in ("PROVIDERS", "HOOKS", "FLOW_LIFESPAN", "HTTP_TIMEOUT", "PROVIDRS")}

    parsed = parse_settings(wrong, debug=False)

    # HTTP_TIMEOUT is two times.
    assert len(parsed.faults) == 6
    assert all(fault.hint for fault in parsed.faults)
    assert [fault.hint for fault in parsed.faults if fault.path == "PROVIDRS"] == [
        "Did you mean 'PROVIDERS'?"
    ]


def test_all_settings_faults_are_listed_at_once():
    wrong = {
        "PROVIDRS": [],
        "PROVIDERS": [{**PROVIDER, "client_id": "", "pkce": "sometimes"}],
        "FLOW_LIFESPAN": "soon",
        "HOOKS": {"after_login": [{}]},
    }

    with override_settings(MS_IDENTITY=wrong), pytest.raises(ConfigurationInvalid) as caught:
        conf.get_config()

    assert caught.value.faults == (
        "PROVIDRS is not a key that exists.",
        "PROVIDERS[0].client_id is missing.",
        "PROVIDERS[0].pkce cannot be 'sometimes'.",
        "HOOKS.after_login[0].hook is not the name of a hook.",
        "FLOW_LIFESPAN must be a positive number of seconds or a timedelta.",
    )
    for fault in caught.value.faults:
        assert fault in str(caught.value)
    assert "manage.py check" in caught.value.hint


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"PROVIDERS": [{**PROVIDER, "client_secret": [SECRET]}]}, id="a list around it"),
        pytest.param({"PROVIDERS": [{**PROVIDER, "id": ""}]}, id="another key is wrong"),
        pytest.param({"PROVIDERS": {**PROVIDER}}, id="no list"),
        pytest.param({"PROVIDERS": [SECRET]}, id="instead of the provider"),
        pytest.param(SECRET, id="instead of the dict"),
        pytest.param({"ALLOWED_RETURN_URLS": [f"https://user:{SECRET}@a/"]}, id="password of a return URL"),
        pytest.param({"BASE_REDIRECT_URI": f"https://user:{SECRET}@a"}, id="password of the base"),
        pytest.param({"PROVIDERS": [{**PROVIDER, "mapper_url": f"base64://{SECRET}!"}]}, id="the mapper"),
        pytest.param({"HOOKS": {"after_login": [{**WEB_HOOK, "hook": "web_hok"}]}}, id="a misspelt hook"),
        pytest.param({"HOOKS": {"after_signing_in": [WEB_HOOK]}}, id="a stage that there is not"),
        pytest.param(
            {"HOOKS": {"after_login": [{"hook": "web_hook", "config": SECRET}]}}, id="instead of a web hook"
        ),
        pytest.param(
            {"HOOKS": {"after_login": [{**WEB_HOOK, "config": {**WEB_HOOK["config"], "method": ""}}]}},
            id="another key of a web hook is wrong",
        ),
    ],
)
def test_settings_fault_quotes_no_secret(wrong):
    with override_settings(MS_IDENTITY=wrong):
        parsed = conf.parse()

    assert parsed.faults
    assert SECRET not in repr(parsed)


def test_config_repr_shows_no_secret():
    assert SECRET not in repr(config_of(PROVIDERS=[PROVIDER], HOOKS={"after_login": [WEB_HOOK]}))


def test_settings_that_are_no_dict_are_a_fault():
    with override_settings(MS_IDENTITY=["PROVIDERS"]):
        assert [str(fault) for fault in conf.parse().faults] == ["MS_IDENTITY must be a dict."]


def test_settings_warnings_do_not_stop_sign_in():
    with override_settings(MS_IDENTITY={"PROVIDERS": [{**PROVIDER, "issuer_url": "https://example.com"}]}):
        assert conf.get_config().provider("microsoft")
        assert [doubt.path for doubt in conf.parse().warnings] == ["PROVIDERS[0].issuer_url"]


def test_unknown_provider_id_is_refused():
    with pytest.raises(ProviderUnknown):
        config_of(PROVIDERS=[PROVIDER]).provider("contoso")


def test_hooks_keep_their_order_with_the_session_last():
    stage = [{"hook": "session"}, {"hook": "project.second"}, {"hook": "project.first"}]

    hooks = config_of(HOOKS={"after_registration": stage}).hooks["after_registration"]

    assert [hook.name for hook in hooks] == ["project.second", "project.first", "session"]


def test_the_built_in_hooks_are_read_as_kratos_writes_them():
    stage = [{"hook": "require_verified_address"}, {"hook": "revoke_active_sessions"}, WEB_HOOK]

    hooks = config_of(HOOKS={"after_login": stage, "after_registration": [WEB_HOOK]}).hooks

    assert hooks["after_login"][:2] == (
        Hook(name="require_verified_address"),
        Hook(name="revoke_active_sessions"),
    )
    (web_hook,) = hooks["after_registration"]
    assert web_hook == hooks["after_login"][2]
    assert web_hook.name == "web_hook"
    assert web_hook.web_hook.url == WEB_HOOK["config"]["url"]


def test_a_web_hook_may_go_to_this_machine_in_debug():
    hooks = config_of(debug=True, HOOKS={"after_login": [{"hook": "web_hook", "config": LOCAL}]}).hooks

    assert hooks["after_login"][0].web_hook.url == LOCAL["url"]


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("web_hok", "Did you mean 'web_hook'?"),
        ("Revoke_Active_Session", "Did you mean 'revoke_active_sessions'?"),
        ("verifiedaddress", "Did you mean 'require_verified_address'?"),
        ("show_me", "dotted.path.to.a.function"),
        (1, "dotted.path.to.a.function"),
    ],
)
def test_an_unknown_hook_is_answered_with_the_nearest(name, remedy):
    (fault,) = parse_settings({"HOOKS": {"after_login": [{"hook": name}]}}, debug=False).faults

    assert remedy in fault.hint


def test_a_stage_replaces_only_its_own_default():
    hooks = config_of(HOOKS={"after_login": [{"hook": "project.greet"}]}).hooks

    assert hooks["after_registration"] == (Hook(name="session"),)
    assert hooks["after_login"] == (Hook(name="project.greet"),)


def test_a_stage_can_be_emptied():
    assert config_of(HOOKS={"after_registration": []}).hooks["after_registration"] == ()


def test_override_settings_is_seen_at_once():
    with override_settings(MS_IDENTITY={"FLOW_LIFESPAN": 60}):
        assert conf.get_config().flow_lifespan == 60
    assert conf.get_config().flow_lifespan == 1800


def test_a_dict_that_is_changed_in_place_is_seen_at_once():
    settings = copy.deepcopy(django_settings.MS_IDENTITY)
    with override_settings(MS_IDENTITY=settings):
        before = conf.get_config()

        settings["PROVIDERS"][0]["client_secret"] = "another"

        assert conf.get_config().provider("microsoft").client_secret == "another"
    assert before.provider("microsoft").client_secret == SECRET


def test_debug_is_part_of_the_question():
    with override_settings(MS_IDENTITY={"EMULATOR_URL": "http://localhost/emulator"}):
        with override_settings(DEBUG=True):
            assert conf.get_config().emulator_url
        with override_settings(DEBUG=False), pytest.raises(ConfigurationInvalid):
            conf.get_config()


def test_the_same_settings_are_parsed_once():
    assert conf.get_config() is conf.get_config()


@pytest.mark.parametrize("settings", [{}, {"HOOKS": {}}, {"HOOKS": []}], ids=str)
def test_a_parsed_configuration_cannot_be_changed(settings):
    config = parse_settings(settings, debug=False).config

    with pytest.raises(TypeError):
        config.hooks["after_login"] = ()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.enabled = False


def test_a_lazy_label_stays_lazy():
    label = gettext_lazy("January")
    with override_settings(MS_IDENTITY={"PROVIDERS": [{**PROVIDER, "label": label}]}):
        with translation.override("en"):
            provider = conf.get_config().provider("microsoft")
        with translation.override("de"):
            assert str(provider.label) == "Januar"


def test_a_broken_configuration_counts_as_switched_on():
    with override_settings(MS_IDENTITY={"ENABLED": "false"}):
        assert conf.is_enabled()
    with override_settings(MS_IDENTITY={"ENABLED": False, "PROVIDERS": 1}):
        assert not conf.is_enabled()


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.timedeltas(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.sampled_from(["hook", "id", "after_login", "client_id"]) | st.text(), inner)
    ),
    max_leaves=12,
)


@given(settings=st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), anything), debug=st.booleans())
def test_any_settings_are_a_config_or_faults(settings, debug):
    parsed = parse_settings(settings, debug=debug)

    assert isinstance(parsed.config, Config)
    assert all(fault.message for fault in parsed.faults)
    hash(parsed.config)


@given(url=st.text() | st.from_regex(r"(https?:)?/{0,3}[\w.:@\[\]*]*(:\d*)?(/.*)?"), debug=st.booleans())
def test_any_url_in_settings_is_accepted_or_a_fault(url, debug):
    urls = {"BASE_REDIRECT_URI": url, "EMULATOR_URL": url, "ALLOWED_RETURN_URLS": [url]}
    parsed = parse_settings(urls, debug=debug)

    assert isinstance(parsed.config, Config)
    assert all(fault.message for fault in parsed.faults)
