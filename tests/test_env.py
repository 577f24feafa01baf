"""The environment: Kratos' names, the shorthand for one provider, and what is said when it is wrong."""

import json

import pytest
from django.core import checks
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from django_ms_identity import conf, env
from django_ms_identity.exceptions import ConfigurationInvalid

ENABLED = "SELFSERVICE_METHODS_OIDC_ENABLED"
BASE = "SELFSERVICE_METHODS_OIDC_CONFIG_BASE_REDIRECT_URI"
PROVIDERS = "SELFSERVICE_METHODS_OIDC_CONFIG_PROVIDERS"
SECRET = "planted-client-secret"
TENANT = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490"
MICROSOFT = {
    "id": "microsoft",
    "provider": "microsoft",
    "client_id": "11111111-2222-3333-4444-555555555555",
    "client_secret": SECRET,
    "microsoft_tenant": TENANT,
    "subject_source": "userinfo",
    "mapper_url": "file:///etc/config/kratos/oidc.microsoft.jsonnet",
    "scope": ["profile", "email"],
}
# The example of Kratos' documentation for this variable.
GOOGLE = {
    "id": "google",
    "provider": "google",
    "mapper_url": "<file_location>",
    "client_id": "<client_id>",
    "client_secret": "<client_secret>",
    "scope": ["openid", "email", "profile"],
    "auth_url": "https://accounts.google.com/o/oauth2/v2/auth",
    "token_url": "https://www.googleapis.com/oauth2/v4/token",
    "issuer_url": "https://accounts.google.com",
}


@pytest.fixture
def environment(monkeypatch, settings):
    """Set exactly these variables, in a project without MS_IDENTITY."""
    del settings.MS_IDENTITY
    for name in env.VARIABLES:
        monkeypatch.delenv(name, raising=False)

    def set_variables(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_variables


def test_kratos_variables_are_read_as_kratos_writes_them(environment):
    environment(
        **{ENABLED: "true", BASE: "https://www.example.com/", PROVIDERS: json.dumps([MICROSOFT])},
    )

    config = conf.get_config()

    assert config.enabled
    assert config.base_redirect_uri == "https://www.example.com"
    (provider,) = config.providers
    assert provider.client_secret == SECRET
    assert provider.tenant.value == TENANT
    assert provider.mapper_url == MICROSOFT["mapper_url"]


def test_providers_of_others_are_skipped_with_a_warning(environment):
    environment(**{PROVIDERS: json.dumps([GOOGLE, MICROSOFT])})

    parsed = conf.parse()

    assert parsed.faults == ()
    assert [provider.id for provider in parsed.config.providers] == ["microsoft"]
    assert [str(warning) for warning in parsed.warnings] == [
        "environment: provider 'google' is not Microsoft's and is skipped."
    ]


def test_a_provider_without_its_kind_is_microsofts(environment):
    without = {key: value for key, value in MICROSOFT.items() if key != "provider"}
    environment(**{PROVIDERS: json.dumps([without])})

    assert conf.get_config().provider("microsoft")


@pytest.mark.parametrize("written", ["profile,User.Read", "profile User.Read", " profile, User.Read "])
def test_the_shorthand_has_every_key_and_lists_as_people_write_them(environment, written):
    environment(
        MS_IDENTITY_CLIENT_ID="client",
        MS_IDENTITY_CLIENT_SECRET=SECRET,
        MS_IDENTITY_TENANT="common",
        MS_IDENTITY_MAPPER_URL="file:///etc/mapper.jsonnet",
        MS_IDENTITY_SUBJECT_SOURCE="me",
        MS_IDENTITY_SCOPE=written,
        MS_IDENTITY_ALLOWED_TENANTS=f"{TENANT},{TENANT.replace('8', '9')}",
    )

    (provider,) = conf.get_config().providers

    assert provider.mapper_url == "file:///etc/mapper.jsonnet"
    assert provider.subject_source.value == "me"
    assert provider.scope == ("openid", "profile", "User.Read")
    assert provider.allowed_tenants == {TENANT, TENANT.replace("8", "9")}


def test_the_array_and_the_shorthand_together_are_a_fault(environment):
    environment(**{PROVIDERS: json.dumps([MICROSOFT]), "MS_IDENTITY_TENANT": "common"})

    (fault,) = conf.parse().faults

    assert f"{PROVIDERS} and MS_IDENTITY_TENANT are both set" in str(fault)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        pytest.param(f'[{{"client_secret": "{SECRET}",}}]', "line 1, column", id="a comma too many"),
        pytest.param(
            f'[\n{{"id": "microsoft"\n"client_secret": "{SECRET}"}}]', "line 3, column 1", id="missing"
        ),
        pytest.param(SECRET, "line 1, column 1", id="no JSON at all"),
        pytest.param(f"'[{json.dumps(MICROSOFT)}]'", "line 1, column 1", id="quotes of a shell"),
        pytest.param(json.dumps(MICROSOFT), "must be a JSON array", id="an object"),
        pytest.param("[" * 100_000, "too deep", id="too deep"),
        pytest.param(f"[{'9' * 5000}]", "a number is too long", id="too long a number"),
    ],
)
def test_broken_json_says_where_and_quotes_nothing(environment, text, where):
    environment(**{PROVIDERS: text})

    (fault,) = conf.parse().faults

    assert PROVIDERS in str(fault)
    assert where in str(fault)
    assert SECRET not in str(fault)


@pytest.mark.parametrize("mapper", ["project.mappers.claims", None])
def test_python_mapper_in_the_array_is_a_fault(environment, mapper):
    environment(**{PROVIDERS: json.dumps([{**MICROSOFT, "mapper": mapper}])})

    (fault,) = conf.parse().faults

    assert f"{PROVIDERS} has the key mapper, which is for the settings only" in str(fault)


def test_a_fault_of_a_provider_names_its_place(environment):
    environment(**{PROVIDERS: json.dumps([GOOGLE, {**MICROSOFT, "microsoft_tenant": ""}])})

    assert [str(fault) for fault in conf.parse().faults] == ["PROVIDERS[0].microsoft_tenant is missing."]


def test_every_variable_that_cannot_be_read_is_named(environment):
    environment(**{ENABLED: "perhaps", PROVIDERS: "{"})

    with pytest.raises(ConfigurationInvalid) as caught:
        conf.get_config()

    assert [name for name in (ENABLED, PROVIDERS) if name in str(caught.value)] == [ENABLED, PROVIDERS]


def test_a_fault_of_the_environment_is_a_check_error(environment):
    environment(**{PROVIDERS: "{"})

    found = checks.run_checks(tags=["ms_identity"], databases=[])

    assert [message.id for message in found] == ["ms_identity.E001"]
    assert PROVIDERS in found[0].msg


@pytest.mark.parametrize("text", ["", "  "])
def test_empty_environment_variable_counts_as_absent(environment, text):
    environment(**dict.fromkeys(env.VARIABLES, text))

    assert env.settings_from_env() == {}


@pytest.mark.parametrize(
    ("text", "enabled"),
    [
        ("true", True),
        ("True", True),
        ("1", True),
        ("on", True),
        ("false", False),
        ("0", False),
        ("OFF", False),
    ],
)
def test_enabled_variable_switches_sign_in_off(environment, text, enabled):
    environment(**{ENABLED: text})

    assert conf.is_enabled() is enabled


def test_settings_dict_replaces_the_environment(environment):
    environment(**{ENABLED: "false", BASE: "https://www.example.com", PROVIDERS: "{"})

    with override_settings(MS_IDENTITY={}):
        config = conf.get_config()

    assert (config.enabled, config.base_redirect_uri, config.providers) == (True, "", ())


def test_none_in_the_settings_means_the_environment(environment):
    environment(**{BASE: "https://www.example.com"})

    with override_settings(MS_IDENTITY=None):
        assert conf.get_config().base_redirect_uri == "https://www.example.com"


def test_a_project_can_extend_what_the_environment_says(environment):
    environment(MS_IDENTITY_CLIENT_ID="client", MS_IDENTITY_CLIENT_SECRET=SECRET, MS_IDENTITY_TENANT="common")

    with override_settings(MS_IDENTITY=env.settings_from_env() | {"REGISTRATION_ENABLED": False}):
        config = conf.get_config()

    assert config.provider("microsoft").client_secret == SECRET
    assert not config.registration_enabled


def test_a_changed_variable_is_seen_at_once(environment):
    environment(**{BASE: "https://old.example.com"})
    assert conf.get_config().base_redirect_uri == "https://old.example.com"

    environment(**{BASE: "https://new.example.com"})

    assert conf.get_config().base_redirect_uri == "https://new.example.com"


def test_a_value_may_name_another_variable(environment, monkeypatch):
    monkeypatch.setenv("VAULT_ENTRY", SECRET)
    environment(
        MS_IDENTITY_CLIENT_ID="c", MS_IDENTITY_CLIENT_SECRET="$VAULT_ENTRY", MS_IDENTITY_TENANT="common"
    )

    assert conf.get_config().provider("microsoft").client_secret == SECRET


def test_a_variable_that_names_itself_is_a_fault(environment):
    environment(MS_IDENTITY_CLIENT_SECRET="$MS_IDENTITY_CLIENT_SECRET")

    assert [str(fault) for fault in conf.parse().faults] == [
        "environment: MS_IDENTITY_CLIENT_SECRET refers to itself."
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["id", "provider", "client_id"]) | st.text(), inner)
    ),
    max_leaves=10,
)


@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc"])) | json_values.map(json.dumps))
def test_whatever_the_array_holds_is_a_value_or_a_list_of_faults(text):
    with pytest.MonkeyPatch.context() as monkeypatch, override_settings(MS_IDENTITY=None):
        for name in env.VARIABLES:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(PROVIDERS, text)

        parsed = conf.parse()

    assert all(fault.message for fault in parsed.faults)
