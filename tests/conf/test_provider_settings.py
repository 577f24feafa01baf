"""Provider objects as operators write them, right and wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from django_ms_identity.conf.provider_settings import IGNORED, KEYS, parse_provider
from django_ms_identity.conf.reader import ConfigIssue, DictReader
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


def parse(raw: Mapping[str, object]) -> tuple[Provider | None, list[ConfigIssue], list[ConfigIssue]]:
    read = DictReader(raw, path="PROVIDERS[0]")
    provider = parse_provider(read)
    assert (provider is None) is bool(read.faults)
    return provider, read.faults, read.warnings


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
    assert provider.mapper_url == provider.mapper == ""
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
    assert {*EVERYTHING, "mapper", *IGNORED} == set(KEYS)


def test_python_mapper_takes_the_place_of_mapper_url():
    provider, faults, _ = parse({**MINIMAL, "mapper": "project.mappers.claims", "mapper_url": ""})

    assert provider, faults
    assert provider.mapper == "project.mappers.claims"


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


def test_providers_are_values():
    first, second = forge.provider(), forge.provider()

    assert first == second
    assert hash(first) == hash(second)
    with pytest.raises(AttributeError):
        first.client_id = "other"


def test_all_faults_come_at_once():
    _, faults, _ = parse({"client_secert": "x", "cloud": "mars", "scope": "email", "pkce": 1})

    assert [fault.path.removeprefix("PROVIDERS[0].") for fault in faults] == [
        "client_secert",
        "id",
        "microsoft_tenant",
        "client_id",
        "client_secret",
        "cloud",
        "scope",
        "pkce",
    ]


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
        *(
            pytest.param({"id": text}, "id may only hold", id=f"id {text}")
            for text in ("a/b", "é", "a b", ".", "..")
        ),
        pytest.param({"id": 7}, "id must be text", id="id a number"),
        pytest.param({"client_id": ["x"]}, "client_id must be text", id="client_id a list"),
        pytest.param({"client_secret": b"x"}, "client_secret must be text", id="client_secret bytes"),
        *(
            pytest.param({"microsoft_tenant": text}, "microsoft_tenant cannot be", id=f"tenant {text[:20]}")
            for text in (
                "tenant",
                "../common",
                "a.b/c",
                "https://contoso.example",
                "contoso.example?x",
                TID[:-1],
                "127.0.0.1",
                "a" * 260 + ".example",
            )
        ),
        pytest.param({"label": 7}, "label must be text", id="label a number"),
        pytest.param({"mapper": len}, "mapper must be text", id="mapper a function"),
        pytest.param({"mapper": "claims"}, "mapper is not the dotted path", id="mapper without a module"),
        pytest.param(
            {"mapper": "project.claims", "mapper_url": "base64://e30="},
            "mapper and mapper_url are both set",
            id="two mappers",
        ),
        pytest.param({"scope": "email profile"}, "scope must be a list of texts", id="scope a text"),
        pytest.param({"scope": [1]}, "scope must be a list of texts", id="scope numbers"),
        pytest.param({"requested_claims": "{}"}, "requested_claims must be a dict", id="claims a text"),
        pytest.param(
            {"requested_claims": {"email": None}}, "requested_claims.email is not", id="claims of no target"
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


def test_consumer_tenant_may_not_be_privileged():
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
