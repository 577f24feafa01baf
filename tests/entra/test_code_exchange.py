"""From the code to a verified login: every answer ends in one, or in one of our exceptions."""

from __future__ import annotations

import pytest
import responses
from hypothesis import given, settings
from hypothesis import strategies as st

from django_ms_identity.entra.code_exchange import VerifiedLogin, exchange
from django_ms_identity.exceptions import MSIdentityError, SubjectMissing, TokenRejected
from django_ms_identity.net.http import HttpClient

from . import forge
from .forge import KEYS_URL, LEFT_OUT, NONCE, OID
from .test_token_endpoint import CODE, REDIRECT_URI, TOKEN_URL, VERIFIER, answer


def login(wire: responses.RequestsMock, tokens: dict[str, object], **changes: object) -> VerifiedLogin:
    wire.get(KEYS_URL, body=forge.key_set(forge.jwk()))
    wire.post(TOKEN_URL, json=tokens)
    return exchange(
        forge.provider(**changes),
        code=CODE,
        nonce=NONCE,
        verifier=VERIFIER,
        redirect_uri=REDIRECT_URI,
        http=HttpClient(connect=1, read=1),
        documents=forge.documents(),
    )


@pytest.mark.parametrize(("source", "subject"), [("userinfo", "pairwise-subject"), ("oid", OID), ("me", OID)])
def test_subject_of_a_verified_login_is_that_of_its_source(wire, source, subject):
    wire.get("https://graph.microsoft.com/v1.0/me", json={"id": OID})

    verified = login(wire, answer(), subject_source=source)

    assert verified.subject == subject
    assert verified.claims.oid == OID
    assert verified.provider == forge.provider(subject_source=source)
    assert subject not in repr(verified).replace(f"oid='{OID}'", "").replace("sub='pairwise-subject'", "")


@pytest.mark.parametrize("oid", [LEFT_OUT, 7, "not-a-guid"])
def test_subject_is_missing_where_the_source_oid_is_no_guid(wire, oid):
    tokens = answer(id_token=forge.token(forge.payload(oid=oid)))

    assert login(wire, tokens, subject_source="userinfo").subject == "pairwise-subject"
    with pytest.raises(SubjectMissing, match="the ID token has no oid"):
        login(wire, tokens, subject_source="oid")


@pytest.mark.parametrize(
    "id_token",
    [
        pytest.param("planted", id="no JWT"),
        pytest.param("planted.planted.planted", id="no JSON"),
        pytest.param("\ud800.planted.planted", id="half a surrogate pair"),
        pytest.param(forge.token().rpartition(".")[0] + ".\ud800", id="half a surrogate pair as signature"),
        pytest.param(forge.token(["planted"]), id="a list"),
        pytest.param(forge.token(forge.payload(nonce="planted")), id="nonce of another sign-in"),
        pytest.param(forge.token(forge.payload(nonce=LEFT_OUT)), id="no nonce"),
        pytest.param(forge.token(sign=forge.rs256("planted")), id="signed with another key"),
    ],
)
def test_unverifiable_id_token_is_rejected_without_secrets(wire, caplog, id_token):
    with caplog.at_level("DEBUG"), pytest.raises(MSIdentityError) as caught:
        login(wire, answer(id_token=id_token))

    assert type(caught.value) is TokenRejected
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert "planted" not in forge.chain_text(caught.value) + caplog.text
    assert NONCE not in forge.chain_text(caught.value) + caplog.text


@settings(max_examples=60, deadline=None)
@given(
    changes=st.dictionaries(
        st.sampled_from([*answer(), "error", "error_description", "refresh_token", "id_token_claims"]),
        st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text(max_size=3), max_size=2),
        max_size=3,
    ),
)
def test_any_token_answer_is_a_verified_login_or_our_exception(changes):
    with responses.RequestsMock(assert_all_requests_are_fired=False) as wire:
        try:
            verified = login(wire, answer(**changes))
        except MSIdentityError:
            return
    assert verified.claims.oid == OID
