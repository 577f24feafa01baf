"""The URL that a visitor is sent to Microsoft with."""

from __future__ import annotations

import base64
import hashlib
import json
from urllib.parse import parse_qsl, urlsplit

import msal
import pytest

from django_ms_identity.entra.authorization_url import Authorization, authorize
from django_ms_identity.entra.clouds import Cloud

from . import forge
from .forge import CLIENT_ID, LOGIN, TID

REDIRECT_URI = "https://www.example.com/ms/callback/microsoft/"


def begin(*, asked: str = "", emulator_url: str = "", **changes: object) -> Authorization:
    return authorize(
        forge.provider(**changes), redirect_uri=REDIRECT_URI, prompt=asked, emulator_url=emulator_url
    )


def query_of(url: str) -> dict[str, str]:
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def test_authorization_url_carries_what_openid_connect_needs_and_nothing_else(wire):
    begun = begin()

    query = query_of(begun.url)
    challenge = hashlib.sha256(begun.verifier.encode()).digest()
    assert begun.url.partition("?")[0] == f"{LOGIN}/{TID}/oauth2/v2.0/authorize"
    assert set(query.pop("scope").split()) == {"openid", "profile", "email"}
    assert query == {
        "client_id": CLIENT_ID,
        "response_type": "code",
        "response_mode": "query",
        "redirect_uri": REDIRECT_URI,
        "state": begun.state,
        "nonce": begun.nonce,
        "code_challenge": base64.urlsafe_b64encode(challenge).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    assert len(wire.calls) == 0


def test_state_nonce_and_verifier_are_new_for_each_sign_in(wire):
    first, second = begin(), begin()

    for name in ("state", "nonce", "verifier"):
        assert getattr(first, name) != getattr(second, name)
        assert len(getattr(first, name)) >= (43 if name == "verifier" else 22)
        assert getattr(first, name) not in repr(first).replace(first.url, "")


@pytest.mark.kratos(13)
@pytest.mark.parametrize("pkce", ["auto", "force", "never"])
def test_pkce_is_always_used(wire, pkce):
    assert query_of(begin(pkce=pkce).url)["code_challenge_method"] == "S256"


@pytest.mark.kratos(11)
@pytest.mark.parametrize(
    ("changes", "parameters"),
    [
        pytest.param({"response_mode": "form_post"}, {"response_mode": "form_post"}, id="form_post"),
        pytest.param(
            {"domain_hint": "contoso.example"}, {"domain_hint": "contoso.example"}, id="domain_hint"
        ),
        pytest.param(
            {"domain_hint": "x&response_mode=form_post"},
            {"domain_hint": "x&response_mode=form_post", "response_mode": "query"},
            id="domain_hint that looks like a parameter",
        ),
        pytest.param(
            {"requested_claims": {"id_token": {"acrs": {"essential": True, "value": "c1"}}}},
            {"claims": '{"id_token":{"acrs":{"essential":true,"value":"c1"}}}'},
            id="claims",
        ),
        pytest.param({"prompt": "login"}, {"prompt": "login"}, id="prompt of the provider"),
        pytest.param({"asked": "select_account"}, {"prompt": "select_account"}, id="prompt of the link"),
        pytest.param(
            {"prompt": "login", "asked": "consent"}, {"prompt": "login"}, id="the provider's prompt wins"
        ),
    ],
)
def test_provider_options_become_authorize_parameters(wire, changes, parameters):
    query = query_of(begin(**changes).url)

    assert {name: query[name] for name in parameters} == parameters


@pytest.mark.parametrize("name", ["prompt", "domain_hint", "claims", "login_hint"])
def test_an_option_that_is_not_set_is_no_authorize_parameter(wire, name):
    assert name not in query_of(begin().url)


@pytest.mark.kratos(22)
@pytest.mark.parametrize(
    ("changes", "scopes"),
    [
        pytest.param({"scope": []}, {"openid", "profile"}, id="none"),
        pytest.param(
            {"scope": ["openid", "profile", "email"]}, {"openid", "profile", "email"}, id="reserved"
        ),
        pytest.param({"scope": ["offline_access"]}, {"openid", "profile"}, id="no refresh token"),
        pytest.param({"subject_source": "me"}, {"openid", "profile", "email", "User.Read"}, id="me"),
        pytest.param(
            {"subject_source": "me", "scope": ["https://graph.microsoft.com/user.read"]},
            {"openid", "profile", "https://graph.microsoft.com/user.read"},
            id="me, named by the operator",
        ),
        pytest.param(
            {"scope": ["GroupMember.Read.All"]}, {"openid", "profile", "GroupMember.Read.All"}, id="more"
        ),
    ],
)
def test_requested_scopes_are_those_of_the_provider(wire, changes, scopes):
    assert set(query_of(begin(**changes).url)["scope"].split()) == scopes


@pytest.mark.kratos(14)
@pytest.mark.parametrize(
    ("tenant", "segment"),
    [("common", "common"), ("Organizations", "organizations"), ("consumers", "consumers"),
     ("contoso.example", "contoso.example"), (TID.upper(), TID)],
)  # fmt: skip
@pytest.mark.parametrize("cloud", Cloud)
def test_authorize_endpoint_is_that_of_cloud_and_tenant(wire, cloud, tenant, segment):
    begun = begin(cloud=cloud.value, microsoft_tenant=tenant)

    assert begun.url.startswith(f"{cloud.login}/{segment}/oauth2/v2.0/authorize?")


def test_authorize_endpoint_of_the_emulator_replaces_microsofts(wire):
    begun = begin(emulator_url="http://localhost:8000/emulator")

    assert begun.url.startswith(
        f"http://localhost:8000/emulator/login.microsoftonline.com/{TID}/oauth2/v2.0/authorize?"
    )


@pytest.mark.filterwarnings("ignore:response_mode")
@pytest.mark.parametrize("max_age", [None, 0, 300])
@pytest.mark.parametrize("prompt", ["", "login"])
@pytest.mark.parametrize("claims", [{}, {"acrs": {"essential": True, "value": "c1"}}])
def test_authorization_url_has_the_parameters_that_msal_sends(wire, max_age, prompt, claims):
    """Except those that only MSAL uses: ``client_info``, and the nonce hashed."""
    provider = forge.provider(domain_hint="contoso.example")
    wire.get(
        f"{LOGIN}/{TID}/v2.0/.well-known/openid-configuration",
        json={
            "issuer": forge.issuer(),
            "authorization_endpoint": f"{LOGIN}/{TID}/oauth2/v2.0/authorize",
            "token_endpoint": f"{LOGIN}/{TID}/oauth2/v2.0/token",
        },
    )
    microsofts = msal.ConfidentialClientApplication(
        CLIENT_ID,
        client_credential="x",
        authority=f"{LOGIN}/{TID}",
        instance_discovery=False,
        exclude_scopes=["offline_access"],
    ).initiate_auth_code_flow(
        ["email"],
        redirect_uri=REDIRECT_URI,
        prompt=prompt or None,
        domain_hint="contoso.example",
        max_age=max_age,
        claims_challenge=json.dumps({"id_token": claims}, separators=(",", ":")) if claims else None,
        response_mode="query",
    )

    begun = authorize(
        provider,
        redirect_uri=REDIRECT_URI,
        prompt=prompt,
        emulator_url="",
        max_age=max_age,
        id_token_claims=claims,
    )

    expected, query = query_of(microsofts["auth_uri"]), query_of(begun.url)
    for parameters in (expected, query):
        parameters["scope"] = " ".join(sorted(parameters["scope"].split()))
        for new in ("state", "nonce", "code_challenge"):
            assert parameters.pop(new)
    assert expected.pop("client_info") == "1"
    assert query == expected
    assert begun.url.partition("?")[0] == microsofts["auth_uri"].partition("?")[0]


@pytest.mark.parametrize("configured", [None, {"email": None}])
def test_claims_of_a_step_up_are_requested_beside_the_providers_own(wire, configured):
    changes = {"requested_claims": {"id_token": configured, "userinfo": {"name": None}}}

    begun = authorize(
        forge.provider(**changes),
        redirect_uri=REDIRECT_URI,
        prompt="",
        emulator_url="",
        id_token_claims={"acrs": {"value": "c1"}},
    )

    assert json.loads(query_of(begun.url)["claims"]) == {
        "id_token": {**(configured or {}), "acrs": {"value": "c1"}},
        "userinfo": {"name": None},
    }
