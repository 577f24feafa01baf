"""Microsoft Graph, userinfo and logout."""

from __future__ import annotations

import pytest

from django_ms_identity.emulator import TENANT_ID

from .wire import LOGIN, NOW, payload_of

GRAPH = "graph.microsoft.com"
SCOPE = "openid profile email User.Read"


def me(wire, token, host=GRAPH):
    return wire.get(f"/{host}/v1.0/me", Authorization=f"Bearer {token}")


@pytest.mark.parametrize(
    ("tenant", "persona", "graph_id"),
    [
        pytest.param(TENANT_ID, "work", "755ec5f0-55ea-47ca-89c9-7fa0d0b1f962", id="work: oid"),
        pytest.param(TENANT_ID, "guest", "00f9224d-f77b-47ae-86a6-ad303beb4c43", id="guest: oid here"),
        pytest.param("consumers", "personal", "4a3f19c0d27be865", id="personal: sixteen digits"),
    ],
)
def test_graph_me_has_the_id_of_the_account(wire, tenant, persona, graph_id):
    tokens = wire.tokens(tenant, persona=persona, scope=SCOPE)

    person, claims = me(wire, tokens["access_token"]).json(), payload_of(tokens["id_token"])

    assert person["id"] == graph_id
    assert claims["oid"].replace("-", "").endswith(graph_id.replace("-", ""))
    assert person["userPrincipalName"] == claims["preferred_username"]


def test_graph_me_needs_user_read(wire):
    response = me(wire, wire.tokens()["access_token"])

    assert response.status_code == 403
    assert response.json()["error"]["code"] == "Authorization_RequestDenied"


@pytest.mark.parametrize("path", ["v1.0/me", "oidc/userinfo"])
@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer unknown", "Basic {token}"])
def test_graph_needs_an_access_token(wire, path, authorization):
    token = wire.tokens(scope=SCOPE)["access_token"]

    response = wire.get(f"/{GRAPH}/{path}", Authorization=authorization.format(token=token))

    assert response.status_code == 401
    assert response.json()["error"]["code"] == "InvalidAuthenticationToken"


def test_access_token_is_valid_for_an_hour_in_its_own_cloud(wire):
    token = wire.tokens(scope=SCOPE)["access_token"]

    assert me(wire, token).status_code == 200
    assert me(wire, token, "graph.microsoft.us").status_code == 401
    NOW[0] += 3600
    assert me(wire, token).status_code == 401


@pytest.mark.parametrize(
    ("scope", "claims"),
    [
        ("openid", {"sub"}),
        ("openid profile email", {"sub", "name", "given_name", "family_name", "picture", "email"}),
    ],
)
def test_userinfo_has_the_claims_of_the_scope(wire, scope, claims):
    tokens = wire.tokens(scope=scope)
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}

    person = wire.client.post(f"/{GRAPH}/oidc/userinfo", headers=headers).json()

    assert set(person) == claims
    assert person["sub"] == payload_of(tokens["id_token"])["sub"]


@pytest.mark.parametrize("method", ["get", "post"])
def test_logout_redirects_to_the_app(wire, method):
    response = getattr(wire.client, method)(
        f"/{LOGIN}/{TENANT_ID}/oauth2/v2.0/logout", {"post_logout_redirect_uri": "http://localhost:8000/bye/"}
    )

    assert response["Location"] == "http://localhost:8000/bye/"


@pytest.mark.parametrize("query", ["", "?post_logout_redirect_uri=http://evil.example/"])
def test_logout_without_a_valid_redirect_uri_stays_at_microsoft(wire, query):
    response = wire.get(f"/{LOGIN}/common/oauth2/v2.0/logout{query}")

    assert response.status_code == 200
    assert "You signed out" in response.content.decode()
