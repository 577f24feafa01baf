"""Discovery documents and key sets, as Microsoft's are."""

from __future__ import annotations

import pytest

from django_ms_identity.emulator import TENANT_ID

from .wire import LOGIN

CONSUMERS = "9188040d-6c67-4c5b-b112-36a304b66dad"
REAL = f"https://{LOGIN}"


def metadata(wire, tenant, host=LOGIN):
    return wire.get(f"/{host}/{tenant}/v2.0/.well-known/openid-configuration")


def keys(wire, tenant, host=LOGIN):
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
def test_metadata_has_microsofts_addresses(wire, tenant, issuer, segment):
    document = metadata(wire, tenant).json()

    assert document["issuer"] == f"{REAL}/{issuer}/v2.0"
    assert document["authorization_endpoint"] == f"{REAL}/{segment}/oauth2/v2.0/authorize"
    assert document["token_endpoint"] == f"{REAL}/{segment}/oauth2/v2.0/token"
    assert document["jwks_uri"] == f"{REAL}/{segment}/discovery/v2.0/keys"
    assert document["end_session_endpoint"] == f"{REAL}/{segment}/oauth2/v2.0/logout"
    assert document["userinfo_endpoint"] == "https://graph.microsoft.com/oidc/userinfo"
    assert "code_challenge_methods_supported" not in document


@pytest.mark.parametrize(
    ("host", "tenant"),
    [
        (LOGIN, "nobody.example"),
        (LOGIN, "11111111-1111-1111-1111-111111111111"),
        (LOGIN, "{tenantid}"),
        ("login.partner.microsoftonline.cn", "consumers"),
        ("login.partner.microsoftonline.cn", CONSUMERS),
    ],
)
@pytest.mark.parametrize("path", ["v2.0/.well-known/openid-configuration", "discovery/v2.0/keys"])
def test_unknown_tenant_is_refused(wire, host, tenant, path):
    response = wire.get(f"/{host}/{tenant}/{path}")

    assert response.status_code == 400
    assert response.json()["error"] == "invalid_tenant"
    assert response.json()["error_codes"] == [90002]


def test_unknown_host_is_404(wire):
    assert metadata(wire, "common", "login.example").status_code == 404


def test_metadata_of_another_cloud_has_its_hosts(wire):
    document = metadata(wire, TENANT_ID, "login.microsoftonline.us").json()

    assert document["issuer"] == f"https://login.microsoftonline.us/{TENANT_ID}/v2.0"
    assert document["userinfo_endpoint"] == "https://graph.microsoft.us/oidc/userinfo"


def test_signing_keys_have_the_members_of_microsofts(wire):
    served = keys(wire, "common")

    assert served
    for key in served:
        assert set(key) == {"kty", "use", "kid", "x5t", "n", "e", "x5c", "issuer"}
        assert (key["kty"], key["use"], key["e"]) == ("RSA", "sig", "AQAB")


@pytest.mark.parametrize(
    ("host", "tenant", "issuers"),
    [
        pytest.param(LOGIN, "common", ["{tenantid}", "{tenantid}", CONSUMERS], id="common"),
        pytest.param(LOGIN, "organizations", ["{tenantid}", "{tenantid}"], id="organizations"),
        pytest.param(LOGIN, "consumers", [CONSUMERS], id="consumers"),
        pytest.param(LOGIN, TENANT_ID, [TENANT_ID, TENANT_ID], id="tenant"),
        pytest.param("login.microsoftonline.us", "common", ["{tenantid}", "{tenantid}"], id="another cloud"),
    ],
)
def test_signing_key_names_its_issuer(wire, host, tenant, issuers):
    found = [key["issuer"] for key in keys(wire, tenant, host)]

    assert found == [f"https://{host}/{issuer}/v2.0" for issuer in issuers]
