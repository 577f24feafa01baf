"""A mapper in Python: which function is taken, what it gets, and what becomes of its result or exception."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_ms_identity.exceptions import (
    MapperFailed,
    MapperOutputTooLarge,
    MapperResultInvalid,
    MapperUnavailable,
    PythonMapperFailed,
    RegistrationRefused,
    SignInRefused,
)
from django_ms_identity.jsonnet.json_values import MAX_DEPTH
from django_ms_identity.jsonnet.worker_process import MAX_OUTPUT
from django_ms_identity.runtime import EMPTY_IDENTITY, map_claims
from django_ms_identity.traits import python_mapper
from django_ms_identity.traits.mapping_result import MappingResult, parse_mapping
from tests.entra.forge import chain_text
from tests.support import mapper_functions
from tests.support.builders import make_claims, make_context, make_provider

FUNCTIONS = "tests.support.mapper_functions"
EMAIL = "planted@contoso.example"


def mapped(function: str, **options: Any) -> MappingResult:
    claims = make_claims(email=EMAIL, groups=["a"])
    return map_claims(make_context(make_provider(mapper=f"{FUNCTIONS}.{function}"), claims), **options)


def mapped_value(value: object) -> MappingResult:
    mapper_functions.constant.value = value
    return mapped("constant")


# Which function


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        (f"{FUNCTIONS}.absent", "cannot be imported: AttributeError"),
        ("nowhere.at.all", "cannot be imported: ModuleNotFoundError"),
        ("no path.at-all", "cannot be imported: ValueError"),
        (f"{FUNCTIONS}.NOT_A_FUNCTION", "cannot be called"),
        (f"{FUNCTIONS}.asynchronous", "is asynchronous"),
        (f"{FUNCTIONS}.asynchronous_object", "is asynchronous"),
    ],
)
def test_python_mapper_that_cannot_be_used_is_unavailable_with_a_remedy(path, problem):
    with pytest.raises(MapperUnavailable, match=problem) as failure:
        map_claims(make_context(make_provider(mapper=path)))

    assert path in failure.value.detail
    assert "dotted path" in failure.value.hint
    assert "planted" not in chain_text(failure.value)


# What it gets


def test_python_mapper_gets_claims_and_identity_and_its_result_is_read():
    stored = {**EMPTY_IDENTITY, "traits": {"name": "Ines"}}
    mapper_functions.seen.clear()

    result = mapped("email", identity=stored)

    assert result.traits == {"email": EMAIL, "name": ""}
    assert [address.value for address in result.verified_addresses] == [EMAIL]
    assert result.user
    assert result.user.fields == {"username": EMAIL}
    assert mapper_functions.seen == [stored]


def test_python_mapper_that_changes_its_arguments_changes_nothing_else():
    claims = make_claims(email=EMAIL, groups=["a"])
    context = make_context(make_provider(mapper=f"{FUNCTIONS}.mutate"), claims)
    stored = {"traits": {}, "metadata_admin": {"list": ["a"]}}

    map_claims(context, stored)
    map_claims(context)

    assert stored == {"traits": {}, "metadata_admin": {"list": ["a"]}}
    assert claims.payload["groups"] == ["a"]
    assert claims.payload["tid"] == claims.tid
    assert context.subject == "subject"
    assert EMPTY_IDENTITY == {"traits": {}, "metadata_public": {}, "metadata_admin": {}, "self_asserted": []}


def test_python_mapper_shares_nothing_with_its_result():
    traits = {"list": ["a"]}

    result = mapped_value({"identity": {"traits": traits}})
    traits["list"].append("planted")

    assert result.traits == {"list": ["a"]}


# What its result must be


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


LOOP: list[object] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        pytest.param(None, "the output is null", id="nothing returned"),
        pytest.param([], "the output is an array", id="list"),
        pytest.param({}, "identity is missing", id="no identity"),
        pytest.param({"identity": {"traits": 7}}, "identity.traits is an integer", id="traits"),
        pytest.param(float("nan"), "a number that is not finite", id="NaN"),
        pytest.param(10**400, "a number that is not finite", id="integer beyond a double"),
        pytest.param(("planted",), "a Python tuple", id="tuple"),
        pytest.param({"planted"}, "a Python set", id="set"),
        pytest.param(b"planted", "a Python bytes", id="bytes"),
        pytest.param(Decimal(1), "a Python Decimal", id="decimal"),
        pytest.param(date(2026, 1, 1), "a Python date", id="date"),
        pytest.param({1: "planted"}, "an object key that is an integer", id="key"),
        pytest.param(nested(MAX_DEPTH), "levels of nesting", id="too deep"),
        pytest.param(LOOP, "levels of nesting", id="endless"),
        pytest.param("planted\0", "NUL", id="NUL"),
    ],
)
def test_python_mapper_result_passes_the_checks_of_a_jsonnet_result(value, fault):
    if fault[:3] not in ("the", "ide"):
        value = {"identity": {"traits": {"a": value}}}

    with pytest.raises(MapperResultInvalid, match=fault) as failure:
        mapped_value(value)

    assert "planted" not in chain_text(failure.value)
    assert failure.value.__context__ is None


def test_python_mapper_result_may_be_as_large_as_a_jsonnet_result():
    frame = len('{"identity":{"traits":{"a":""}}}')

    assert mapped_value({"identity": {"traits": {"a": "x" * (MAX_OUTPUT - frame)}}}).traits
    with pytest.raises(MapperOutputTooLarge, match="bytes"):
        mapped_value({"identity": {"traits": {"a": "x" * (MAX_OUTPUT - frame + 1)}}})


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="ascii")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(["identity", "user"]),
        PLAIN | st.fixed_dictionaries({"traits": PLAIN}, optional={"verified_addresses": PLAIN}),
    )
)
def test_python_mapper_result_gets_the_verdict_of_the_same_json(value):
    def verdict(run: Any) -> object:
        try:
            return run()
        except MapperResultInvalid as error:
            return error.faults

    assert verdict(lambda: mapped_value(value)) == verdict(lambda: parse_mapping(json.dumps(value)))


# What its exceptions become


@pytest.mark.parametrize(
    ("function", "refusal"),
    [("refuse_registration", RegistrationRefused), ("refuse_sign_in", SignInRefused)],
)
def test_python_mapper_may_refuse(function, refusal):
    with pytest.raises(refusal, match="not "):
        mapped(function)


def test_python_mapper_exception_becomes_mapper_failed_without_claims(settings):
    settings.DEBUG = False
    with pytest.raises(PythonMapperFailed) as failure:
        mapped("quote")

    error = failure.value
    assert error.code == MapperFailed.code == "mapper_failed"
    assert f"{FUNCTIONS}.quote raised KeyError at {mapper_functions.__file__}, line " in error.detail
    assert EMAIL not in chain_text(error) + error.hint
    assert (error.__context__, error.__cause__) == (None, None)


def test_python_mapper_failure_names_the_mappers_own_line():
    with pytest.raises(PythonMapperFailed) as failure:
        mapped("parse_email")

    assert f"raised JSONDecodeError at {mapper_functions.__file__}, line " in failure.value.detail


def test_python_mapper_of_other_arguments_fails_without_a_place():
    with pytest.raises(PythonMapperFailed, match=r"builtins\.len raised TypeError$"):
        map_claims(make_context(make_provider(mapper="builtins.len")))


@pytest.mark.parametrize("debug", [True, False])
def test_python_mapper_exception_is_explained_on_demand_and_in_debug(settings, debug):
    settings.DEBUG = debug

    with pytest.raises(PythonMapperFailed) as failure:
        mapped("quote", explain=not debug)

    assert f"no use for {EMAIL}" in failure.value.hint
    assert "Traceback" in failure.value.hint


def test_python_mapper_is_not_bound_by_mapper_timeout(settings):
    settings.MS_IDENTITY = {**settings.MS_IDENTITY, "MAPPER_TIMEOUT": 1e-9}

    assert mapped("email").traits


def test_load_takes_a_callable_object():
    assert python_mapper.import_mapper(f"{FUNCTIONS}.constant") is mapper_functions.constant
