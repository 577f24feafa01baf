from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from django_ms_identity.exceptions import MapperResultInvalid
from django_ms_identity.traits.mapping_result import (
    Address,
    MappedUser,
    MappingResult,
    normalise_email,
    parse_mapping,
)


def parsed(**output: Any) -> MappingResult:
    return parse_mapping(json.dumps(output))


def faults_of(text: str) -> tuple[str, ...]:
    with pytest.raises(MapperResultInvalid) as refusal:
        parse_mapping(text)
    return refusal.value.faults


def test_mapper_output_of_traits_alone_is_enough() -> None:
    assert parsed(identity={"traits": {"email": "a@b.example"}}) == MappingResult(
        traits={"email": "a@b.example"}
    )


def test_absent_metadata_differs_from_empty_metadata() -> None:
    mapped = parsed(identity={"traits": {}, "metadata_public": {}})

    assert mapped.metadata_public == {}
    assert mapped.metadata_admin is None


def test_mapper_output_with_every_key_is_parsed() -> None:
    mapped = parsed(
        identity={
            "traits": {"a": 1},
            "metadata_public": {"b": 2},
            "metadata_admin": {"c": [3]},
            "verified_addresses": [{"via": "email", "value": "A@B.example"}, {"via": "sms", "value": "+1 A"}],
            "schema_id": "ignored",
        },
        user={"is_staff": True, "age": None, "groups": ["x", "y"]},
        ignored=1,
    )

    assert mapped == MappingResult(
        traits={"a": 1},
        metadata_public={"b": 2},
        metadata_admin={"c": [3]},
        verified_addresses=(Address(via="email", value="a@b.example"), Address(via="sms", value="+1 A")),
        user=MappedUser(fields={"is_staff": True, "age": None}, groups=("x", "y")),
    )


def test_empty_groups_differ_from_absent_groups() -> None:
    silent = parsed(identity={"traits": {}}, user={})
    emptied = parsed(identity={"traits": {}}, user={"groups": []})

    assert silent.user == MappedUser()
    assert silent.user.groups is None
    assert emptied.user == MappedUser(groups=())


@pytest.mark.parametrize(
    ("output", "fault"),
    [
        ({}, "identity is missing"),
        ({"identity": None}, "identity is null"),
        ({"identity": []}, "identity is an array"),
        ({"identity": {}}, "identity.traits is missing"),
        ({"identity": {"traits": None}}, "identity.traits is null"),
        ({"identity": {"traits": "x"}}, "identity.traits is a string"),
        ({"identity": {"traits": {}, "metadata_public": None}}, "identity.metadata_public is null"),
        ({"identity": {"traits": {}, "metadata_admin": [1]}}, "identity.metadata_admin is an array"),
        ({"identity": {"traits": {}, "verified_addresses": None}}, "identity.verified_addresses is null"),
        ({"identity": {"traits": {}, "verified_addresses": {}}}, "identity.verified_addresses is an object"),
        (
            {"identity": {"traits": {}, "verified_addresses": ["a"]}},
            "identity.verified_addresses[0] is a string",
        ),
        (
            {"identity": {"traits": {}, "verified_addresses": [None, {"value": 5}]}},
            "identity.verified_addresses[1].value is an integer",
        ),
        (
            {"identity": {"traits": {}, "verified_addresses": [{"via": True}]}},
            "identity.verified_addresses[0].via is a boolean",
        ),
        ({"identity": {"traits": {}}, "user": None}, "user is null"),
        ({"identity": {"traits": {}}, "user": ["a"]}, "user is an array"),
        ({"identity": {"traits": {}}, "user": {"groups": "staff"}}, "user.groups is a string"),
        ({"identity": {"traits": {}}, "user": {"groups": None}}, "user.groups is null"),
        (
            {"identity": {"traits": {}}, "user": {"groups": ["a", 1]}},
            "user.groups is an array with other items",
        ),
        ({"identity": {"traits": {}}, "user": {"first_name": {}}}, "user.first_name is an object"),
        ({"identity": {"traits": {}}, "user": {"planted@x": []}}, "user.… is an array"),
    ],
)
def test_mapper_output_of_a_wrong_shape_is_a_fault(output: object, fault: str) -> None:
    faults = faults_of(json.dumps(output))

    assert len(faults) == 1
    assert faults[0].startswith(fault)


def test_all_faults_of_a_mapper_output_are_named_at_once() -> None:
    faults = faults_of('{"identity": {"metadata_public": 1, "verified_addresses": [1, 2]}, "user": 5}')

    assert [fault.split(" ")[0] for fault in faults] == [
        "identity.traits",
        "identity.metadata_public",
        "identity.verified_addresses[0]",
        "identity.verified_addresses[1]",
        "user",
    ]


def test_verified_addresses_are_parsed_as_leniently_as_in_go() -> None:
    mapped = parsed(
        identity={
            "traits": {},
            "verified_addresses": [
                None,
                {},
                {"via": "email"},
                {"value": "a@b.example"},
                {"via": "email", "value": None},
                {"via": "email", "value": "  "},
                {"via": "email", "value": "A@b.example", "other": 1},
                {"via": "email", "value": " a@B.example\u00a0"},
            ],
        }
    )

    assert mapped.verified_addresses == (Address(via="email", value="a@b.example"),)


@pytest.mark.parametrize(
    ("came", "stored"),
    [
        ("\t Bob@Contoso.COM \n", "bob@contoso.com"),
        ("\u2003\u3000a@b\u0085", "a@b"),
        ("\x1fa@b\x1f", "\x1fa@b\x1f"),
        ("\u0130@b", "i@b"),
        ("A\u03a3@b", "a\u03c3@b"),
        ("ẞ@b", "ß@b"),
        ("straße@b", "straße@b"),
    ],
    ids=["ascii", "unicode space", "not space to Go", "dotted I", "final sigma", "sharp S", "no folding"],
)
def test_email_is_lowered_code_point_by_code_point(came: str, stored: str) -> None:
    assert normalise_email(came) == stored


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("{", id="cut off"),
        pytest.param("[]", id="array"),
        pytest.param("null", id="null"),
        pytest.param('{"identity": {"traits": {"a": NaN}}}', id="NaN"),
        pytest.param('{"identity": {"traits": {"a": -Infinity}}}', id="infinity"),
        pytest.param('{"identity": {"traits": {"a": 1e999}}}', id="overflow"),
        pytest.param('{"identity": {"traits": {"a": 1' + "0" * 400 + "}}}", id="beyond a double"),
        pytest.param('{"identity": {"traits": {"a": ' + "9" * 5000 + "}}}", id="too many digits for Python"),
        pytest.param("[" * 200_000, id="deep and cut off"),
        pytest.param('{"a":' * 20_000 + "1" + "}" * 20_000, id="deep"),
        pytest.param('{"identity": {"traits": {"a": "\\u0000"}}}', id="NUL"),
        pytest.param('{"identity": {"traits": {"\\u0000": 1}}}', id="NUL in a key"),
        pytest.param('{"identity": {"traits": {"a": [["\\u0000"]]}}}', id="NUL in an array"),
    ],
)
def test_mapper_output_that_cannot_be_stored_is_refused(text: str) -> None:
    assert faults_of(text)


def test_escaped_backslash_in_mapper_output_is_no_nul() -> None:
    assert parse_mapping(r'{"identity": {"traits": {"a": "\\u0000"}}}').traits == {"a": r"\u0000"}


def test_lone_surrogates_in_mapper_output_become_the_replacement_character() -> None:
    assert parse_mapping(r'{"identity": {"traits": {"a": "\ud800"}}}').traits == {"a": "\ufffd"}


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
ADDRESSES = st.lists(st.fixed_dictionaries({}, optional={"via": JSONS, "value": JSONS}) | JSONS, max_size=3)
IDENTITIES = st.fixed_dictionaries(
    {"traits": JSONS | st.just({})},
    optional={"metadata_public": JSONS, "metadata_admin": JSONS, "verified_addresses": ADDRESSES | JSONS},
)
USERS = st.fixed_dictionaries({}, optional={"groups": JSONS, "is_staff": JSONS, "username": JSONS})
OUTPUTS = st.fixed_dictionaries({"identity": IDENTITIES | JSONS}, optional={"user": USERS | JSONS})


@settings(deadline=None)
@given(text=st.text() | OUTPUTS.map(json.dumps) | OUTPUTS.map(json.dumps).map(lambda text: text[:-2]))
def test_any_mapper_output_gives_a_result_or_its_faults(text: str) -> None:
    try:
        mapped = parse_mapping(text)
    except MapperResultInvalid:
        return

    json.dumps([mapped.traits, mapped.metadata_public, mapped.metadata_admin], allow_nan=False).encode()
    for address in mapped.verified_addresses:
        assert address.via
        assert address.value


@settings(deadline=None)
@given(value=st.text())
def test_normalised_email_is_normalised_to_itself(value: str) -> None:
    once = normalise_email(value)

    assert normalise_email(once) == once
