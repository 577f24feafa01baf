"""Discovery and keys say what Microsoft says."""

from __future__ import annotations

import pytest

from django_ms_identity.emulator import TENANT_ID

CONSUMERS = "9188040d-6c67-4c5b-b112-36a304b66dad"
REAL = "https://login.microsoftonline.com"


def metadata(wire, tenant, host="login.microsoftonline.com"):
    return wire.get(f"/{host}/{tenant}/v2.0/.well-known/openid-configuration")


def keys(wire, tenant, host="login.microsoftonline.com"):
    return wire.get(f"/{host}/{tenant}/discovery/v2.0/keys").json()["keys"]


@pytest.mark.parametrize(
    ("tenant", "issuer", "segment"),
    [
        pytest.param("common", "{tenantid}", "common", id="common"),
        pytest.param("organizations", "{tenantid}", "organizations", id="organizations"),
        pytest.param("consumers", CONSUMERS, "consumers", id="consumers"),
        pytest.param(CONSUMERS, CONSUMERS, CONSUMERS, id="consumers by GUID"),
        pytest.param(TENANT_ID, TENANT_ID, TENANT_ID, id="GUID"),
        pytest.param(TENANT_ID.upper(), TENANT_ID, TENANT_ID, id="GUID in capitals"),
        pytest.param("contoso.example", TENANT_ID, TENANT_ID, id="domain"),
        pytest.param("Contoso.OnMicrosoft.com", TENANT_ID, TENANT_ID, id="initial domain"),
    ],
)
def test_metadata_names_the_real_addresses(wire, tenant, issuer, segment):
    document = metadata(wire, tenant).json()

    assert document["issuer"] == f"{REAL}/{issuer}/v2.0"
    assert document["authorization_endpoint"] == f"{REAL}/{segment}/oauth2/v2.0/authorize"
    assert document["token_endpoint"] == f"{REAL}/{segment}/oauth2/v2.0/token"
    assert document["jwks_uri"] == f"{REAL}/{segment}/discovery/v2.0/keys"
    assert document["end_session_endpoint"] == f"{REAL}/{segment}/oauth2/v2.0/logout"
    assert document["userinfo_endpoint"] == "https://graph.microsoft.com/oidc/userinfo"
    assert "code_challenge_methods_supported" not in document


def test_another_cloud_has_its_own_hosts(wire):
    document = metadata(wire, TENANT_ID, "login.microsoftonline.us").json()

    assert document["issuer"] == f"https://login.microsoftonline.us/{TENANT_ID}/v2.0"
    assert document["userinfo_endpoint"] == "https://graph.microsoft.us/oidc/userinfo"


@pytest.mark.parametrize("tenant", ["nobody.example", "11111111-1111-1111-1111-111111111111", "{tenantid}"])
@pytest.mark.parametrize("path", ["v2.0/.well-known/openid-configuration", "discovery/v2.0/keys"])
def test_an_unknown_tenant_is_refused_as_microsoft_does(wire, tenant, path):
    response = wire.get(f"/login.microsoftonline.com/{tenant}/{path}")

    assert response.status_code == 400
    assert response.json()["error"] == "invalid_tenant"
    assert response.json()["error_codes"] == [90002]


def test_personal_accounts_exist_in_the_global_cloud_only(wire):
    response = metadata(wire, "consumers", "login.partner.microsoftonline.cn")

    assert response.json()["error_codes"] == [90002]


def test_an_unknown_host_does_not_exist(wire):
    assert metadata(wire, "common", "login.example").status_code == 404


def test_keys_have_the_members_of_microsofts(wire):
    for key in keys(wire, "common"):
        assert set(key) == {"kty", "use", "kid", "x5t", "n", "e", "x5c", "issuer"}
        assert (key["kty"], key["use"], key["e"]) == ("RSA", "sig", "AQAB")


@pytest.mark.parametrize(
    ("tenant", "issuers"),
    [
        pytest.param("common", ["{tenantid}", "{tenantid}", CONSUMERS], id="common"),
        pytest.param("organizations", ["{tenantid}", "{tenantid}"], id="organizations"),
        pytest.param("consumers", [CONSUMERS], id="consumers"),
        pytest.param(TENANT_ID, [TENANT_ID, TENANT_ID], id="tenant"),
    ],
)
def test_each_key_names_whom_it_may_sign_for(wire, tenant, issuers):
    assert [key["issuer"] for key in keys(wire, tenant)] == [f"{REAL}/{issuer}/v2.0" for issuer in issuers]


def test_the_process_keeps_its_keys(wire):
    assert keys(wire, "common") == keys(wire, "common")


def test_common_has_no_personal_key_in_another_cloud(wire):
    assert len(keys(wire, "common", "login.microsoftonline.us")) == 2
