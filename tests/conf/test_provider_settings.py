"""Provider objects as operators write them, and as nobody should."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy
from hypothesis import given, settings
from hypothesis import strategies as st

from django_ms_identity.conf.provider_settings import IGNORED, KEYS, parse_provider
from django_ms_identity.conf.reader import ConfigIssue
from django_ms_identity.entra.clouds import CONSUMER_TENANT, Cloud, TenantKind
from django_ms_identity.entra.providers import (
    AccountLinkingMode,
    Pkce,
    Provider,
    ResponseMode,
    SubjectSource,
    UpdateOnLogin,
)
from tests.entra import forge
from tests.entra.forge import CLIENT_ID, OTHER_TID, SECRET, TID

MINIMAL = {"id": "microsoft", "client_id": CLIENT_ID, "client_secret": SECRET, "microsoft_tenant": TID}


def parse(raw: object) -> tuple[Provider | None, list[ConfigIssue], list[ConfigIssue]]:
    faults: list[ConfigIssue] = []
    warnings: list[ConfigIssue] = []
    provider = parse_provider(raw, path="PROVIDERS[0]", faults=faults, warnings=warnings)
    assert (provider is None) is bool(faults)
    return provider, faults, warnings


def faults_of(**changes: object) -> list[str]:
    return [str(fault) for fault in parse({**MINIMAL, **changes})[1]]


def warnings_of(**changes: object) -> list[str]:
    provider, faults, warnings = parse({**MINIMAL, **changes})
    assert provider, faults
    return [str(warning) for warning in warnings]


def test_every_key_has_its_default():
    provider, faults, warnings = parse(MINIMAL)

    assert (faults, warnings) == ([], [])
    assert provider
    assert provider.id == "microsoft"
    assert provider.label == "Microsoft"
    assert provider.client_id == CLIENT_ID
    assert provider.client_secret == SECRET
    assert (provider.tenant.value, provider.tenant.kind) == (TID, TenantKind.GUID)
    assert provider.subject_source is SubjectSource.USERINFO
    assert provider.scope == ("openid", "profile", "email")
    assert provider.mapper_url == ""
    assert provider.requested_claims == ""
    assert provider.pkce is Pkce.AUTO
    assert provider.account_linking_mode is AccountLinkingMode.CONFIRM
    assert provider.update_identity_on_login is UpdateOnLogin.NEVER
    assert provider.aal2_acr_values == provider.aal2_amr_values == provider.aal2_auth_contexts == ()
    assert provider.additional_id_token_audiences == ()
    assert provider.allowed_tenants is None
    assert provider.privileged_tenants is None
    assert provider.auto_link_domains == ()
    assert provider.cloud is Cloud.GLOBAL
    assert provider.response_mode is ResponseMode.QUERY
    assert provider.prompt == provider.domain_hint == ""


EVERYTHING = {
    **MINIMAL,
    "provider": "microsoft",
    "label": "Contoso",
    "microsoft_tenant": "organizations",
    "subject_source": "me",
    "scope": ["profile", "email", "GroupMember.Read.All"],
    "mapper_url": "base64://e30=",
    "requested_claims": {"id_token": {"email": {"essential": True}}},
    "pkce": "force",
    "account_linking_mode": "automatic",
    "update_identity_on_login": "automatic",
    "aal2_acr_values": ["phr"],
    "aal2_amr_values": ["mfa"],
    "additional_id_token_audiences": ["other"],
    "allowed_tenants": [TID, OTHER_TID.upper()],
    "privileged_tenants": [TID],
    "auto_link_domains": ["Contoso.Example"],
    "aal2_auth_contexts": ["c1"],
    "cloud": "usgov",
    "response_mode": "form_post",
    "prompt": "select_account",
    "domain_hint": "contoso.example",
}


def test_every_key_is_read():
    provider, faults, _ = parse(EVERYTHING)

    assert faults == []
    assert provider
    assert provider.label == "Contoso"
    assert provider.tenant.kind is TenantKind.ORGANIZATIONS
    assert provider.subject_source is SubjectSource.ME
    assert provider.scope == ("openid", "profile", "email", "GroupMember.Read.All", "User.Read")
    assert provider.mapper_url == "base64://e30="
    assert json.loads(provider.requested_claims) == EVERYTHING["requested_claims"]
    assert provider.pkce is Pkce.FORCE
    assert provider.account_linking_mode is AccountLinkingMode.AUTOMATIC
    assert provider.update_identity_on_login is UpdateOnLogin.AUTOMATIC
    assert provider.aal2_acr_values == ("phr",)
    assert provider.aal2_amr_values == ("mfa",)
    assert provider.additional_id_token_audiences == ("other",)
    assert provider.allowed_tenants == {TID, OTHER_TID}
    assert provider.privileged_tenants == {TID}
    assert provider.auto_link_domains == ("contoso.example",)
    assert provider.aal2_auth_contexts == ("c1",)
    assert provider.cloud is Cloud.USGOV
    assert provider.response_mode is ResponseMode.FORM_POST
    assert (provider.prompt, provider.domain_hint) == ("select_account", "contoso.example")


def test_these_tests_know_every_key():
    assert set(EVERYTHING) | set(IGNORED) == set(KEYS)


def test_a_provider_object_of_kratos_works_as_it_is():
    provider, faults, warnings = parse(
        {
            "id": "microsoft",
            "provider": "microsoft",
            "client_id": CLIENT_ID,
            "client_secret": SECRET,
            "microsoft_tenant": "common",
            "mapper_url": "file:///etc/config/kratos/oidc.microsoft.jsonnet",
            "scope": ["profile", "email"],
            "issuer_url": "https://example.com",
            "auth_url": "",
        }
    )

    assert provider, faults
    assert [warning.path for warning in warnings] == ["PROVIDERS[0].issuer_url", "PROVIDERS[0].auth_url"]


def test_the_secret_is_not_shown():
    provider, _, _ = parse({**MINIMAL, "mapper_url": "https://u:planted@example.com/m.jsonnet"})

    assert SECRET not in repr(provider)
    assert "planted" not in repr(provider)


def test_a_lazy_label_stays_lazy():
    provider, _, _ = parse({**MINIMAL, "label": gettext_lazy("Contoso")})

    assert provider
    assert isinstance(provider.label, Promise)
    assert str(provider.label) == "Contoso"


def test_providers_are_values():
    first, second = forge.provider(), forge.provider()

    assert first == second
    assert hash(first) == hash(second)
    with pytest.raises(AttributeError):
        first.client_id = "other"


@pytest.mark.parametrize("key", ["id", "client_id", "client_secret", "microsoft_tenant"])
@pytest.mark.parametrize("value", [forge.LEFT_OUT, None, "", "  "])
def test_a_required_key_that_is_missing_is_named_with_what_to_type(key, value):
    raw = {name: text for name, text in (MINIMAL | {key: value}).items() if text is not forge.LEFT_OUT}

    _, faults, _ = parse(raw)

    assert [fault.path for fault in faults] == [f"PROVIDERS[0].{key}"]
    assert faults[0].message == "is missing."
    assert faults[0].hint


def test_all_faults_come_at_once():
    _, faults, _ = parse({"client_secert": "x", "cloud": "mars", "scope": "email", "pkce": 1})

    assert [fault.path.removeprefix("PROVIDERS[0].") for fault in faults] == [
        "client_secert",
        "id",
        "microsoft_tenant",
        "scope",
        "client_id",
        "client_secret",
        "cloud",
        "pkce",
    ]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("client_secert", "client_secret"),
        ("CLIENT_ID", "client_id"),
        ("microsoft_tennant", "microsoft_tenant"),
        ("scopes", "scope"),
        ("allowed_tenant", "allowed_tenants"),
        ("mapper", "mapper_url"),
    ],
)
def test_a_misspelt_key_is_named_with_the_nearest(typed, meant):
    _, faults, _ = parse({**MINIMAL, typed: "x"})

    assert str(faults[0]) == f"PROVIDERS[0].{typed} is not a key that exists."
    assert repr(meant) in faults[0].hint


def test_a_key_like_none_that_exists_comes_with_the_list():
    _, faults, _ = parse({**MINIMAL, "zzz": 1})

    assert faults[0].hint.startswith("Known keys: aal2_acr_values,")


@pytest.mark.kratos(14)
@pytest.mark.parametrize("key", IGNORED)
def test_a_key_that_means_nothing_for_microsoft_earns_a_warning(key):
    (warning,) = warnings_of(**{key: "x"})

    assert warning.startswith(f"PROVIDERS[0].{key} means nothing")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"pkce": "never"}, "always used"),
        ({"aal2_acr_values": ["x"]}, "rarely match"),
        ({"aal2_amr_values": ["x"]}, "rarely match"),
    ],
)
def test_what_has_no_effect_earns_a_warning(changes, word):
    (warning,) = warnings_of(**changes)

    assert word in warning


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        pytest.param({"provider": "google"}, "provider must be 'microsoft'", id="another provider"),
        pytest.param({"provider": 7}, "provider must be text", id="provider a number"),
        pytest.param({"id": "a/b"}, "id may only hold", id="id with a slash"),
        pytest.param({"id": "é"}, "id may only hold", id="id not ASCII"),
        pytest.param({"id": "a b"}, "id may only hold", id="id with a space"),
        pytest.param({"id": "."}, "id may only hold", id="id a dot"),
        pytest.param({"id": ".."}, "id may only hold", id="id two dots"),
        pytest.param({"id": 7}, "id must be text", id="id a number"),
        pytest.param({"client_id": ["x"]}, "client_id must be text", id="client_id a list"),
        pytest.param({"client_secret": b"x"}, "client_secret must be text", id="client_secret bytes"),
        pytest.param(
            {"microsoft_tenant": "tenant"}, "microsoft_tenant cannot be 'tenant'", id="tenant a word"
        ),
        pytest.param({"microsoft_tenant": "../common"}, "microsoft_tenant cannot be", id="tenant a path"),
        pytest.param(
            {"microsoft_tenant": "a.b/c"}, "microsoft_tenant cannot be", id="tenant a domain and a path"
        ),
        pytest.param(
            {"microsoft_tenant": "https://contoso.example"}, "microsoft_tenant cannot be", id="tenant a URL"
        ),
        pytest.param(
            {"microsoft_tenant": "contoso.example?x"}, "microsoft_tenant cannot be", id="tenant a query"
        ),
        pytest.param(
            {"microsoft_tenant": TID[:-1]}, "microsoft_tenant cannot be", id="tenant a GUID cut short"
        ),
        pytest.param({"microsoft_tenant": "127.0.0.1"}, "microsoft_tenant cannot be", id="tenant an address"),
        pytest.param(
            {"microsoft_tenant": "a" * 260 + ".example"}, "microsoft_tenant cannot be", id="tenant too long"
        ),
        pytest.param({"label": 7}, "label must be text", id="label a number"),
        pytest.param({"scope": "email profile"}, "scope must be a list of texts", id="scope a text"),
        pytest.param({"scope": [1]}, "scope must be a list of texts", id="scope numbers"),
        pytest.param({"requested_claims": "{}"}, "requested_claims must be an object", id="claims a text"),
        pytest.param(
            {"requested_claims": {"email": None}}, "requested_claims must be", id="claims of no target"
        ),
        pytest.param(
            {"requested_claims": {"id_token": {1j}}},
            "requested_claims cannot be written",
            id="claims no JSON",
        ),
        pytest.param(
            {"requested_claims": {"id_token": float("nan")}},
            "requested_claims cannot be written",
            id="claims NaN",
        ),
        *(
            pytest.param({key: "x"}, f"{key} cannot be 'x'", id=f"{key} no choice")
            for key in (
                "subject_source",
                "pkce",
                "account_linking_mode",
                "update_identity_on_login",
                "cloud",
                "response_mode",
            )
        ),
        pytest.param({"allowed_tenants": []}, "allowed_tenants is empty", id="allowed_tenants empty"),
        pytest.param({"allowed_tenants": TID}, "allowed_tenants must be a list", id="allowed_tenants a text"),
        pytest.param(
            {"allowed_tenants": ["contoso.example"]}, "which is not a tenant's GUID", id="allowed domain"
        ),
        pytest.param({"privileged_tenants": ["x"]}, "which is not a tenant's GUID", id="privileged no GUID"),
    ],
)
def test_wrong_provider_value_is_a_fault(changes, problem):
    found = faults_of(**changes)

    assert problem in found[0]
    assert SECRET not in "".join(found)


@pytest.mark.parametrize(
    ("tenant", "allowed", "never"),
    [
        (TID, [TID], []),
        (TID, [TID, OTHER_TID], [OTHER_TID]),
        ("consumers", [CONSUMER_TENANT], []),
        (CONSUMER_TENANT, [CONSUMER_TENANT, TID], [TID]),
        ("consumers", [TID, OTHER_TID], sorted([TID, OTHER_TID])),
        ("organizations", [TID, CONSUMER_TENANT], [CONSUMER_TENANT]),
        ("contoso.example", [CONSUMER_TENANT], [CONSUMER_TENANT]),
        ("contoso.example", [TID], []),
        ("common", [TID, CONSUMER_TENANT], []),
    ],
)
def test_an_allowed_tenant_that_can_never_match_is_a_fault(tenant, allowed, never):
    found = faults_of(microsoft_tenant=tenant, allowed_tenants=allowed)

    assert [fault.split()[2].rstrip(",") for fault in found] == never


@pytest.mark.parametrize(
    ("tenant", "privileged", "tid", "guest", "expected"),
    [
        (TID, None, TID, False, True),
        (TID, None, TID, True, False),
        ("contoso.example", None, TID, False, True),
        ("contoso.example", None, TID, True, False),
        ("common", None, TID, False, False),
        ("organizations", None, TID, False, False),
        ("consumers", None, CONSUMER_TENANT, False, False),
        ("common", [TID], TID, False, True),
        ("common", [TID], TID, True, True),
        ("common", [TID], OTHER_TID, False, False),
        (TID, [], TID, False, False),
    ],
)
def test_only_privileged_tenants_may_give_privileges(tenant, privileged, tid, guest, expected):
    provider = forge.provider(microsoft_tenant=tenant, privileged_tenants=privileged)

    assert provider.is_privileged(tid, guest=guest) is expected


def test_everybodys_tenant_may_not_give_privileges():
    assert faults_of(microsoft_tenant="common", privileged_tenants=[CONSUMER_TENANT])


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        pytest.param({"auto_link_domains": []}, "auto_link_domains", id="no domain"),
        pytest.param(
            {"microsoft_tenant": "common", "auto_link_domains": ["contoso.example"]},
            "account_linking_mode",
            id="more than one tenant",
        ),
    ],
)
def test_automatic_linking_that_can_never_happen_is_a_doubt(changes, key):
    (doubt,) = warnings_of(account_linking_mode="automatic", **changes)

    assert doubt.startswith(f"PROVIDERS[0].{key}")
    assert "visitors confirm" in doubt


def test_automatic_linking_that_can_happen_is_none():
    assert warnings_of(account_linking_mode="automatic", auto_link_domains=["contoso.example"]) == []


@pytest.mark.kratos(22)
@pytest.mark.parametrize(
    ("scope", "source", "expected"),
    [
        (["email"], "userinfo", ("openid", "email")),
        (["openid", "openid", "email"], "userinfo", ("openid", "email")),
        (["User.Read"], "me", ("openid", "User.Read")),
        (
            ["https://graph.microsoft.com/User.Read"],
            "me",
            ("openid", "https://graph.microsoft.com/User.Read"),
        ),
        (["User.Read.All"], "me", ("openid", "User.Read.All", "User.Read")),
        ([], "oid", ("openid",)),
    ],
)
def test_openid_is_always_asked_and_user_read_when_graph_is(scope, source, expected):
    assert forge.provider(scope=scope, subject_source=source).scope == expected


@pytest.mark.parametrize("raw", [None, 7, "x", [], [("id", "x")], {1}])
def test_provider_that_is_no_object_is_one_fault(raw):
    _, faults, _ = parse(raw)

    assert [fault.path for fault in faults] == ["PROVIDERS[0]"]


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.sampled_from([TID, "common", "consumers", "contoso.example", "me", "form_post", object()]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300)
@given(
    changes=st.dictionaries(
        st.sampled_from(KEYS) | st.text() | st.integers() | st.tuples(), values, max_size=6
    )
)
def test_any_object_is_a_provider_or_faults(changes):
    provider, faults, _ = parse({**MINIMAL, **changes})

    assert provider or all(fault.path and fault.message for fault in faults)
    if provider:
        assert hash(provider) == hash(provider)


@given(raw=values)
def test_anything_is_a_provider_or_faults(raw):
    assert parse(raw)[0] is None or isinstance(raw, Mapping)
