"""Kratos' AALForClaims, and Microsoft's authentication contexts beside it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_ms_identity.entra.authentication_context import (
    AAL,
    AUTH_TIME_LEEWAY,
    refuse_stale,
    second_factor_claims,
)
from django_ms_identity.entra.code_exchange import VerifiedLogin
from django_ms_identity.exceptions import ReauthenticationFailed
from tests.support.builders import make_claims, make_provider


@pytest.mark.kratos(12)
@pytest.mark.parametrize(
    ("provider", "claims", "level"),
    [
        pytest.param({}, {}, AAL.ONE, id="nothing"),
        pytest.param({}, {"acr": "1", "amr": ["mfa"], "acrs": ["c1"]}, AAL.ONE, id="nothing counts"),
        pytest.param({"aal2_acr_values": ["x"]}, {"acr": "x"}, AAL.TWO, id="acr"),
        pytest.param({"aal2_acr_values": ["x"]}, {"acr": "X"}, AAL.ONE, id="acr in another case"),
        pytest.param({"aal2_acr_values": [""]}, {"acr": ""}, AAL.ONE, id="empty acr that is listed"),
        pytest.param({"aal2_acr_values": [""]}, {}, AAL.ONE, id="no acr where the empty one is listed"),
        pytest.param({"aal2_acr_values": ["x"]}, {"acr": ["x"]}, AAL.ONE, id="acr that is no text"),
        pytest.param({"aal2_amr_values": ["mfa"]}, {"amr": ["pwd", "mfa"]}, AAL.TWO, id="amr"),
        pytest.param({"aal2_amr_values": ["mfa"]}, {"amr": ["pwd"]}, AAL.ONE, id="another amr"),
        pytest.param({"aal2_amr_values": ["mfa"]}, {"amr": []}, AAL.ONE, id="empty amr"),
        pytest.param({"aal2_amr_values": ["mfa"]}, {"amr": [1, None]}, AAL.ONE, id="amr of no texts"),
        pytest.param({"aal2_auth_contexts": ["c1"]}, {"acrs": ["c2", "c1"]}, AAL.TWO, id="acrs"),
        pytest.param({"aal2_auth_contexts": ["c1"]}, {"acrs": "c1"}, AAL.TWO, id="acrs as text"),
        pytest.param({"aal2_auth_contexts": ["c1"]}, {"acrs": ["c11"]}, AAL.ONE, id="another context"),
        pytest.param({"aal2_auth_contexts": ["c1"]}, {"amr": ["c1"]}, AAL.ONE, id="in another claim"),
    ],
)
def test_aal_goes_by_what_the_provider_counts(provider, claims, level):
    login = VerifiedLogin(provider=make_provider(**provider), claims=make_claims(**claims), subject="x")

    assert login.aal is level


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(acr=JSON, amr=JSON, acrs=JSON, auth_time=JSON)
def test_any_claims_have_an_aal(acr, amr, acrs, auth_time):
    provider = make_provider(aal2_acr_values=["x"], aal2_amr_values=["mfa"], aal2_auth_contexts=["c1"])
    claims = make_claims(acr=acr, amr=amr, acrs=acrs, auth_time=auth_time)

    assert VerifiedLogin(provider=provider, claims=claims, subject="x").aal in AAL
    assert all(isinstance(method, str) for method in claims.amr)
    assert claims.auth_time is None or claims.auth_time == auth_time


def test_requested_claims_are_those_that_count_as_second_factor():
    provider = make_provider(
        aal2_acr_values=["a", ""], aal2_amr_values=["mfa", "ngcmfa"], aal2_auth_contexts=["c1"]
    )

    assert second_factor_claims(provider) == {
        "acrs": {"essential": True, "value": "c1"},
        "acr": {"essential": True, "value": "a"},
        "amr": {"essential": True, "values": ["mfa", "ngcmfa"]},
    }
    assert second_factor_claims(make_provider()) == {}


@pytest.mark.parametrize("auth_time", [1000, 1000.5, 1000 - AUTH_TIME_LEEWAY, 5000])
def test_auth_time_after_the_request_counts(auth_time):
    refuse_stale(make_claims(auth_time=auth_time), started_at=1000)


@pytest.mark.parametrize(
    "auth_time",
    [999 - AUTH_TIME_LEEWAY, 0, -1, None, "1000", True, [1000], float("nan"), float("inf"), 10**400],
)
def test_auth_time_before_the_request_is_refused(auth_time):
    with pytest.raises(ReauthenticationFailed):
        refuse_stale(make_claims(auth_time=auth_time), started_at=1000)
