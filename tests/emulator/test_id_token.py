"""ID tokens: signed by the listed keys, with the claims of the v2.0 endpoint."""

from __future__ import annotations

import json
from dataclasses import replace

import jwt
import pytest

from django_ms_identity.emulator import CLIENT_ID, TENANT_ID
from django_ms_identity.emulator.microsoft import ENVIRON_KEY
from django_ms_identity.emulator.tenants import CONSUMERS, FABRIKAM

from .wire import LOGIN, NOW, QUERY, payload_of, query_of


def key_for(wire, tenant, token):
    kid = jwt.get_unverified_header(token)["kid"]
    listed = wire.get(f"/{LOGIN}/{tenant}/discovery/v2.0/keys").json()["keys"]
    return next(key for key in listed if key["kid"] == kid)


@pytest.mark.parametrize(
    ("tenant", "persona", "tid"),
    [
        pytest.param(TENANT_ID, "work", TENANT_ID, id="single tenant"),
        pytest.param("common", "work", TENANT_ID, id="work at common"),
        pytest.param("organizations", "guest", FABRIKAM.id, id="guest at home"),
        pytest.param("common", "personal", CONSUMERS.id, id="personal at common"),
        pytest.param("consumers", "personal", CONSUMERS.id, id="personal at consumers"),
    ],
)
def test_id_token_is_verified_by_pyjwt(wire, tenant, persona, tid):
    token = wire.tokens(tenant, persona=persona)["id_token"]

    key = key_for(wire, tenant, token)
    claims = jwt.decode(
        token,
        jwt.PyJWK({**key, "alg": "RS256"}),
        algorithms=["RS256"],
        audience=CLIENT_ID,
        issuer=key["issuer"].replace("{tenantid}", tid),
        options={"verify_exp": False, "verify_nbf": False, "verify_iat": False, "strict_aud": True},
    )
    assert claims["tid"] == tid
    assert claims["nonce"] == QUERY["nonce"]


def test_claims_of_a_work_account(wire):
    claims = wire.claims()

    assert set(claims) == {
        *("aud", "iss", "iat", "nbf", "exp", "nonce", "sub", "tid", "uti", "ver", "rh", "acct", "oid"),
        *("auth_time", "sid", "login_hint"),
        *("name", "given_name", "family_name", "preferred_username", "email", "xms_edov", "groups"),
    }
    assert claims["iat"] == claims["nbf"] == NOW[0] - 300
    assert claims["exp"] == claims["iat"] + 65 * 60
    assert (claims["ver"], claims["acct"], claims["xms_edov"]) == ("2.0", 0, True)


def test_claims_of_a_personal_account(wire):
    claims = wire.claims("consumers", persona="personal")

    assert claims["exp"] == claims["iat"] + 24 * 3600 + 300
    assert claims["oid"].startswith("00000000-0000-0000-")
    assert claims["sub"].startswith("AAAAAAAAAAAAAAAAAAAAA")
    assert not {"acct", "rh", "idp", "xms_edov"} & set(claims)


@pytest.mark.parametrize(
    ("tenant", "persona", "username"),
    [("consumers", "personal-without-email", "+44"), (TENANT_ID, "no-email", "tomasz.adeyemi@")],
)
def test_account_without_email_has_a_username_only(wire, tenant, persona, username):
    claims = wire.claims(tenant, persona=persona)

    assert not {"email", "xms_edov"} & set(claims)
    assert claims["preferred_username"].startswith(username)


def test_guest_has_another_oid_and_subject_than_at_home(wire):
    abroad, home = wire.claims(persona="guest"), wire.claims("organizations", persona="guest")

    assert (abroad["tid"], abroad["acct"]) == (TENANT_ID, 1)
    assert abroad["idp"] == f"https://sts.windows.net/{FABRIKAM.id}/"
    assert (home["tid"], home["acct"]) == (FABRIKAM.id, 0)
    assert "idp" not in home
    assert abroad["oid"] != home["oid"]
    assert abroad["sub"] != home["sub"]


def test_email_claim_of_a_guest_needs_no_scope(wire):
    assert "email" in wire.claims(persona="guest", scope="openid profile")
    assert "email" not in wire.claims(persona="work", scope="openid profile")


def test_name_and_oid_claims_need_the_profile_scope(wire):
    claims = wire.claims(scope="openid")

    assert not {"name", "given_name", "family_name", "preferred_username", "oid"} & set(claims)
    assert claims["tid"] == TENANT_ID


def test_roles_and_groups_claims(wire):
    assert wire.claims(persona="admin")["roles"] == ["Admin"]
    assert len(wire.claims(persona="work")["groups"]) == 1


def test_groups_overage_has_a_link_instead_of_the_groups(wire):
    claims = wire.claims(persona="many-groups")

    assert "groups" not in claims
    assert claims["_claim_names"] == {"groups": "src1"}
    assert claims["_claim_sources"]["src1"]["endpoint"].endswith(f"/users/{claims['oid']}/getMemberObjects")


def test_subject_is_stable_and_differs_between_apps(wire):
    other = wire.redeem(
        wire.code(client_id="other-client"), client_id="other-client", client_secret="other-secret"
    ).json()

    assert wire.claims()["sub"] == wire.claims()["sub"]
    assert payload_of(other["id_token"])["sub"] != wire.claims()["sub"]
    assert len(wire.claims()["sub"]) == 43


def test_auth_time_is_the_time_of_the_sign_in(wire):
    began = NOW[0]
    code = wire.code(max_age="0")
    NOW[0] += 60

    token = wire.redeem(code).json()["id_token"]

    assert payload_of(token)["auth_time"] == began


def test_sid_claim_is_the_session_state_of_the_sign_in(wire):
    answer = query_of(wire.authorize(persona="work"))

    claims = payload_of(wire.redeem(answer["code"]).json()["id_token"])

    assert claims["sid"] == answer["session_state"]
    assert claims["sid"] != wire.claims()["sid"]


def test_login_hint_claim_is_opaque_and_stable(wire):
    abroad, home = wire.claims(persona="guest"), wire.claims("organizations", persona="guest")

    assert abroad["login_hint"] == home["login_hint"] != wire.claims()["login_hint"]
    assert "tuva" not in abroad["login_hint"].lower()


@pytest.mark.parametrize(
    ("persona", "acrs", "granted"),
    [
        ("mfa", {"essential": True, "value": "c1"}, ["c1"]),
        ("mfa", {"essential": True, "values": ["c1", "c2"]}, ["c1", "c2"]),
        ("mfa", {"values": "c1"}, None),
        ("mfa", {"value": 1}, None),
        ("mfa", None, None),
        ("work", {"essential": True, "value": "c1"}, None),
    ],
)
def test_authentication_context_needs_a_second_factor(wire, persona, acrs, granted):
    requested = {"acrs": acrs, "auth_time": None, "amr": {"essential": True, "value": "mfa"}, "acr": None}

    claims = wire.claims(persona=persona, claims=json.dumps({"id_token": requested}))

    assert claims.get("acrs") == granted
    assert not {"amr", "acr"} & set(claims)


def test_persona_claims_replace_those_of_the_token(wire, microsoft):
    changes = {"amr": ["mfa"], "oid": None, "tid": "forged", "auth_time": 1_700_000_000}
    work = replace(microsoft.personas[0], claims=changes)
    wire.client.defaults[ENVIRON_KEY] = replace(microsoft, personas=(work,))

    claims = wire.claims()

    assert {name: claims.get(name) for name in changes} == changes


def test_client_info_has_the_home_account(wire):
    info = wire.tokens(persona="guest")["client_info"]

    assert payload_of(f".{info}") == {"uid": "124c522b-3226-412a-ae50-d39f2268ba38", "utid": FABRIKAM.id}


def test_offline_access_scope_is_not_granted(wire):
    assert wire.tokens(scope="openid offline_access")["scope"] == "openid"
