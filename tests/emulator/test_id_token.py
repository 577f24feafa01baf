"""ID tokens: signed by the listed keys, with the claims of v2.0."""

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
def test_an_independent_library_verifies_it(wire, tenant, persona, tid):
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


def test_a_work_token_has_the_claims_of_one(wire):
    claims = wire.claims()

    assert set(claims) == {
        *("aud", "iss", "iat", "nbf", "exp", "nonce", "sub", "tid", "uti", "ver", "rh", "acct", "oid"),
        *("auth_time", "sid", "login_hint"),
        *("name", "given_name", "family_name", "preferred_username", "email", "xms_edov", "groups"),
    }
    assert claims["iat"] == claims["nbf"] == NOW[0] - 300
    assert claims["exp"] == claims["iat"] + 65 * 60
    assert (claims["ver"], claims["acct"], claims["xms_edov"]) == ("2.0", 0, True)


def test_a_personal_token_has_the_claims_of_one(wire):
    claims = wire.claims("consumers", persona="personal")

    assert claims["exp"] == claims["iat"] + 24 * 3600 + 300
    assert claims["oid"].startswith("00000000-0000-0000-")
    assert claims["sub"].startswith("AAAAAAAAAAAAAAAAAAAAA")
    assert not {"acct", "rh", "idp", "xms_edov"} & set(claims)


def test_a_personal_account_without_email_has_a_number_for_a_name(wire):
    claims = wire.claims("consumers", persona="personal-without-email")

    assert "email" not in claims
    assert claims["preferred_username"].startswith("+44")


def test_a_work_account_may_have_no_email_either(wire):
    claims = wire.claims(persona="no-email")

    assert not {"email", "xms_edov"} & set(claims)
    assert claims["preferred_username"].endswith("@contoso.example")


def test_a_guest_is_somebody_else_than_at_home(wire):
    abroad, home = wire.claims(persona="guest"), wire.claims("organizations", persona="guest")

    assert (abroad["tid"], abroad["acct"]) == (TENANT_ID, 1)
    assert abroad["idp"] == f"https://sts.windows.net/{FABRIKAM.id}/"
    assert (home["tid"], home["acct"]) == (FABRIKAM.id, 0)
    assert "idp" not in home
    assert abroad["oid"] != home["oid"]
    assert abroad["sub"] != home["sub"]


def test_a_guests_email_comes_without_its_scope(wire):
    assert "email" in wire.claims(persona="guest", scope="openid profile")
    assert "email" not in wire.claims(persona="work", scope="openid profile")


def test_without_profile_there_is_no_name_and_no_oid(wire):
    claims = wire.claims(scope="openid")

    assert not {"name", "given_name", "family_name", "preferred_username", "oid"} & set(claims)
    assert claims["tid"] == TENANT_ID


def test_roles_and_few_groups_are_named(wire):
    assert wire.claims(persona="admin")["roles"] == ["Admin"]
    assert len(wire.claims(persona="work")["groups"]) == 1


def test_too_many_groups_are_only_pointed_at(wire):
    claims = wire.claims(persona="many-groups")

    assert "groups" not in claims
    assert claims["_claim_names"] == {"groups": "src1"}
    assert claims["_claim_sources"]["src1"]["endpoint"].endswith(f"/users/{claims['oid']}/getMemberObjects")


def test_the_subject_stays_and_is_another_one_for_each_app(wire):
    other = wire.redeem(
        wire.code(client_id="other-client"), client_id="other-client", client_secret="other-secret"
    ).json()

    assert wire.claims()["sub"] == wire.claims()["sub"]
    assert payload_of(other["id_token"])["sub"] != wire.claims()["sub"]
    assert len(wire.claims()["sub"]) == 43


@pytest.mark.parametrize(
    "asked",
    [
        {"max_age": "60"},
        {"max_age": "0", "prompt": "login"},
        {"claims": '{"id_token": {"auth_time": {"essential": true}}}'},
        {"claims": '{"id_token": {"auth_time": null}}'},
    ],
)
def test_the_time_of_authentication_is_told_when_asked(wire, asked):
    assert wire.claims(**asked)["auth_time"] == NOW[0]


def test_the_time_of_authentication_is_not_that_of_the_token(wire):
    began = NOW[0]
    code = wire.code(max_age="0")
    NOW[0] += 60

    token = wire.redeem(code).json()["id_token"]

    assert payload_of(token)["auth_time"] == began


def test_a_persona_may_have_signed_in_at_another_time(wire, microsoft):
    work = replace(microsoft.personas[0], claims={"auth_time": 1_700_000_000})
    wire.client.defaults[ENVIRON_KEY] = replace(microsoft, personas=(work,))

    assert wire.claims(max_age="0")["auth_time"] == 1_700_000_000


def test_each_sign_in_is_a_session_of_its_own(wire):
    answer = query_of(wire.authorize(persona="work"))

    claims = payload_of(wire.redeem(answer["code"]).json()["id_token"])

    assert claims["sid"] == answer["session_state"]
    assert claims["sid"] != wire.claims()["sid"]


def test_the_login_hint_is_the_accounts_and_says_nothing_about_it(wire):
    abroad, home = wire.claims(persona="guest"), wire.claims("organizations", persona="guest")

    assert abroad["login_hint"] == home["login_hint"] != wire.claims()["login_hint"]
    assert "tuva" not in abroad["login_hint"].lower()


@pytest.mark.parametrize(
    ("wish", "granted"),
    [
        ({"essential": True, "value": "c1"}, ["c1"]),
        ({"essential": True, "values": ["c1", "c2"]}, ["c1", "c2"]),
        ({"values": "c1"}, None),
        ({"value": 1}, None),
        (None, None),
    ],
)
def test_who_has_a_second_factor_meets_the_authentication_contexts(wire, wish, granted):
    claims = wire.claims(persona="mfa", claims=json.dumps({"id_token": {"acrs": wish}}))

    assert claims.get("acrs") == granted


def test_who_has_no_second_factor_comes_back_without_the_context(wire):
    wish = {"acrs": {"essential": True, "value": "c1"}, "auth_time": {"essential": True}}

    claims = wire.claims(persona="work", claims=json.dumps({"id_token": wish}))

    assert "acrs" not in claims
    assert claims["auth_time"] == NOW[0]


def test_a_context_and_the_time_of_authentication_may_be_asked_together(wire):
    wish = {"acrs": {"essential": True, "value": "c1"}, "auth_time": {"essential": True}}

    claims = wire.claims(persona="mfa", claims=json.dumps({"id_token": wish}))

    assert (claims["acrs"], claims["auth_time"]) == (["c1"], NOW[0])


@pytest.mark.parametrize("persona", ["mfa", "work"])
def test_methods_that_are_asked_for_are_not_told(wire, persona):
    wish = {"amr": {"essential": True, "value": "mfa"}, "acr": None}

    claims = wire.claims(persona=persona, claims=json.dumps({"id_token": wish}))

    assert not {"amr", "acr"} & set(claims)


def test_a_personas_own_claims_have_the_last_word(wire, microsoft):
    work = replace(microsoft.personas[0], claims={"amr": ["mfa"], "oid": None, "tid": "forged"})
    wire.client.defaults[ENVIRON_KEY] = replace(microsoft, personas=(work,))

    claims = wire.claims()

    assert claims["amr"] == ["mfa"]
    assert claims["tid"] == "forged"
    assert "oid" not in claims


def test_client_info_names_the_account_at_home(wire):
    info = wire.tokens(persona="guest")["client_info"]

    assert payload_of(f".{info}") == {"uid": "124c522b-3226-412a-ae50-d39f2268ba38", "utid": FABRIKAM.id}


def test_offline_access_is_not_granted(wire):
    assert wire.tokens(scope="openid offline_access")["scope"] == "openid"
