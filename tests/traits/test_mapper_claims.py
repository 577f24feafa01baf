from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from django_ms_identity.exceptions import ClaimsInvalid
from django_ms_identity.jsonnet.json_values import MAX_DEPTH
from django_ms_identity.traits.mapper_claims import mapper_claims

STRINGS = [
    "iss", "oid", "name", "given_name", "family_name", "last_name", "middle_name", "nickname",
    "preferred_username", "profile", "picture", "website", "email", "gender", "birthdate", "zoneinfo",
    "phone_number", "hd", "team", "nonce", "acr",
]  # fmt: skip
OTHERS = ["sub", "email_verified", "locale", "phone_number_verified", "updated_at", "nonce_supported", "amr"]
KNOWN = [*STRINGS, *OTHERS]


def claims_of(**payload: Any) -> dict[str, Any]:
    return mapper_claims(payload, subject="the subject")


@pytest.mark.parametrize("name", STRINGS)
def test_text_claim_is_at_the_top_and_in_raw_claims(name: str) -> None:
    claims = claims_of(**{name: "value"})

    assert claims == {"sub": "the subject", name: "value", "raw_claims": {name: "value"}}


@pytest.mark.kratos(2)
def test_subject_replaces_sub_and_raw_claims_keep_the_original() -> None:
    claims = claims_of(sub="pairwise")

    assert claims == {"sub": "the subject", "raw_claims": {"sub": "pairwise"}}


def test_claims_unknown_to_kratos_are_in_raw_claims_only() -> None:
    claims = claims_of(tid="t", groups=["a"], ver="2.0", xms_edov=True, iat=1.5)

    assert set(claims) == {"sub", "raw_claims"}
    assert claims["raw_claims"] == {"tid": "t", "groups": ["a"], "ver": "2.0", "xms_edov": True, "iat": 1.5}


@pytest.mark.parametrize(
    ("name", "empty"),
    [
        ("name", ""),
        ("email_verified", False),
        ("email_verified", "false"),
        ("phone_number_verified", False),
        ("nonce_supported", False),
        ("updated_at", 0),
        ("amr", []),
        ("locale", ""),
        ("locale", {}),
        ("locale", {"language": None, "country": ""}),
    ],
)
def test_empty_claim_is_absent_at_the_top_and_kept_in_raw_claims(name: str, empty: object) -> None:
    claims = claims_of(**{name: empty})

    assert name not in claims
    assert claims["raw_claims"] == {name: empty}


@pytest.mark.parametrize("name", sorted(set(KNOWN) - {"email_verified", "sub"}))
def test_claim_null_is_absent(name: str) -> None:
    assert name not in claims_of(**{name: None})


def test_claim_email_verified_null_is_refused() -> None:
    with pytest.raises(ClaimsInvalid, match="'email_verified' is null"):
        claims_of(email_verified=None)


def test_empty_payload_has_no_raw_claims() -> None:
    assert claims_of() == {"sub": "the subject"}


@pytest.mark.parametrize(("came", "read"), [(True, True), ("true", True), (False, None), ("false", None)])
def test_claim_email_verified_may_be_text(came: object, read: object) -> None:
    assert claims_of(email_verified=came).get("email_verified") is read


@pytest.mark.kratos(7)
@pytest.mark.parametrize(
    ("came", "read"),
    [
        ("de", "de"),
        ({"language": "de", "country": "AT"}, "de-AT"),
        ({"language": "de"}, "de"),
        ({"country": "AT"}, "AT"),
        ({"language": "", "country": "AT", "other": 5}, "AT"),
    ],
)
def test_claim_locale_may_be_an_object(came: object, read: str) -> None:
    assert claims_of(locale=came)["locale"] == read


def test_claim_updated_at_has_64_bits() -> None:
    assert claims_of(updated_at=2**63 - 1)["updated_at"] == 2**63 - 1
    assert claims_of(updated_at=-(2**63))["updated_at"] == -(2**63)


def test_null_in_claim_amr_is_an_empty_text() -> None:
    assert claims_of(amr=["mfa", None])["amr"] == ["mfa", ""]


@pytest.mark.kratos(7)
@pytest.mark.parametrize(
    ("name", "value", "came"),
    [
        *[pytest.param(name, 7351, "an integer", id=f"{name} as number") for name in [*STRINGS, "sub"]],
        ("name", ["planted"], "an array"),
        ("name", {"planted": 1}, "an object"),
        ("name", True, "a boolean"),
        ("name", 7.351, "a number with"),
        ("email_verified", 1, "an integer"),
        ("email_verified", "True", "a string"),
        ("email_verified", "planted", "a string"),
        ("email_verified", [], "an array"),
        ("phone_number_verified", "true", "a string"),
        ("phone_number_verified", 1, "an integer"),
        ("nonce_supported", "true", "a string"),
        ("updated_at", "7351", "a string"),
        ("updated_at", 7351.0, "a number with"),
        ("updated_at", True, "a boolean"),
        ("updated_at", 2**63, "an integer"),
        ("updated_at", -(2**63) - 1, "an integer"),
        ("amr", "planted", "a string"),
        ("amr", ["planted", 7351], "an array"),
        ("amr", {"planted": 1}, "an object"),
        ("locale", 7351, "an integer"),
        ("locale", ["planted"], "an array"),
        ("locale", {"language": 7351}, "an object"),
        ("locale", {"language": "planted", "country": ["planted"]}, "an object"),
    ],
)
def test_claim_of_a_wrong_type_is_refused_by_name(name: str, value: object, came: str) -> None:
    with pytest.raises(ClaimsInvalid) as refusal:
        claims_of(**{name: value})

    message = str(refusal.value)
    assert f"claim '{name}' is {came}" in message
    assert "expected is" in message
    assert "planted" not in message
    assert "7351" not in message
    assert "9223372036854775808" not in message


def test_all_wrong_claims_are_named_at_once() -> None:
    with pytest.raises(ClaimsInvalid, match=r"'name'.*'amr'"):
        claims_of(name=1, amr=2)


def test_lone_surrogates_in_claims_become_the_replacement_character() -> None:
    claims = claims_of(name="a\ud800b", **{"k\udfff": ["\udc00"]})

    assert claims["name"] == "a\ufffdb"
    assert claims["raw_claims"] == {"name": "a\ufffdb", "k\ufffd": ["\ufffd"]}


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(math.nan, id="NaN"),
        pytest.param(math.inf, id="infinity"),
        pytest.param([-math.inf], id="nested infinity"),
        pytest.param(10**400, id="beyond a double"),
        pytest.param(b"bytes", id="bytes"),
        pytest.param({"a": {1, 2}}, id="set"),
        pytest.param((1, 2), id="tuple"),
        pytest.param({1: "a"}, id="key that is no text"),
        pytest.param(object(), id="object"),
    ],
)
def test_claims_that_json_cannot_hold_are_refused(value: object) -> None:
    with pytest.raises(ClaimsInvalid, match="the claims hold"):
        claims_of(other=value)


def test_claim_name_that_is_no_text_is_refused() -> None:
    with pytest.raises(ClaimsInvalid):
        mapper_claims({1: "a"}, subject="s")


def nested(depth: int) -> object:
    value: object = "x"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("depth", [MAX_DEPTH, 5_000, 100_000])
def test_deeply_nested_claims_are_refused(depth: int) -> None:
    with pytest.raises(ClaimsInvalid, match="nesting"):
        claims_of(other=nested(depth))


def test_nested_claims_within_the_limit_are_accepted() -> None:
    assert claims_of(other=nested(MAX_DEPTH - 1))


TEXT = st.text(alphabet=st.characters(exclude_categories=()), max_size=12)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**300, max_value=10**320)
    | st.floats()
    | TEXT
    | st.sampled_from(["true", "false", b"", (), 1j, {1: 2}])
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=8
)


@settings(deadline=None)
# A subject is ASCII wherever it comes from.
@given(
    payload=st.dictionaries(st.sampled_from(KNOWN) | TEXT, VALUES, max_size=8),
    subject=st.text(st.characters(codec="ascii")),
)
def test_any_payload_gives_mapper_claims_or_claims_invalid(payload: dict[str, object], subject: str) -> None:
    try:
        claims = mapper_claims(payload, subject=subject)
    except ClaimsInvalid:
        return

    json.dumps(claims, allow_nan=False, ensure_ascii=False).encode()
    assert all(claims.values())
    assert set(claims) <= {*KNOWN, "raw_claims"}
