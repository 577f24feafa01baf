"""The identity schema: read with all its faults, and what it says of traits."""

from __future__ import annotations

import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import responses
from hypothesis import given, settings
from hypothesis import strategies as st

from django_ms_identity import conf, runtime
from django_ms_identity.exceptions import SchemaInvalid, SchemaUnavailable, TraitNotAskable
from django_ms_identity.traits.json_schema import compile_document
from django_ms_identity.traits.mapping_result import Address
from django_ms_identity.traits.problems import (
    ITEM,
    MAX_COPIED,
    MAX_ENTRIES,
    ProblemKind,
    TraitProblem,
    excerpt,
    merge,
)
from django_ms_identity.traits.schema import MAX_PROBLEMS, IdentitySchema, load_schema, parse_schema
from django_ms_identity.traits.schema_nodes import MAX_LEVELS, Mark

DRAFT_7 = "http://json-schema.org/draft-07/schema#"
URL = "https://files.contoso.example/identity.schema.json"

# The shape of Kratos' quickstart.
QUICKSTART = {
    "$id": "https://schemas.contoso.example/identity.schema.json",
    "$schema": DRAFT_7,
    "title": "Person",
    "type": "object",
    "properties": {
        "traits": {
            "type": "object",
            "properties": {
                "email": {
                    "type": "string",
                    "format": "email",
                    "title": "E-Mail",
                    "minLength": 3,
                    "ory.sh/kratos": {
                        "credentials": {
                            "password": {"identifier": True},
                            "totp": {"account_name": True},
                            "code": {"identifier": True, "via": "email"},
                        },
                        "verification": {"via": "email"},
                        "recovery": {"via": "email"},
                    },
                },
                "name": {
                    "type": "object",
                    "properties": {
                        "first": {"type": "string", "title": "First name"},
                        "last": {"type": "string", "title": "Last name"},
                    },
                    "required": ["first"],
                },
            },
            "required": ["email"],
            "additionalProperties": False,
        }
    },
}


def schema_of(traits: Any, **root: Any) -> IdentitySchema:
    return parse_schema(json.dumps({"properties": {"traits": traits}, **root}))


def schema_with(trait: Any, **root: Any) -> IdentitySchema:
    """Describe the one trait ``t``."""
    return schema_of({"type": "object", "properties": {"t": trait}}, **root)


def faults_of(root: Any) -> tuple[str, ...]:
    with pytest.raises(SchemaInvalid) as refusal:
        parse_schema(root if isinstance(root, str) else json.dumps(root))
    return refusal.value.faults


def kinds(schema: IdentitySchema, value: Any) -> list[tuple[ProblemKind, object]]:
    return [(problem.kind, problem.limit) for problem in schema.problems({"t": value})]


def inline(text: str) -> str:
    return "base64://" + base64.b64encode(text.encode()).decode()


# Reading


def test_kratos_extension_is_understood() -> None:
    schema = parse_schema(json.dumps(QUICKSTART))

    assert schema.verification == (Mark(path=("email",), via="email"),)


def test_schema_marks_are_found_below_references_objects_and_arrays() -> None:
    schema = schema_of(
        {
            "properties": {
                "contact": {"allOf": [{"properties": {"mobile": {"$ref": "#/definitions/phone"}}}]},
                "emails": {"type": "array", "items": {"ory.sh/kratos": {"verification": {"via": "email"}}}},
            }
        },
        definitions={"phone": {"type": "string", "ory.sh/kratos": {"verification": {"via": "sms"}}}},
    )

    assert set(schema.verification) == {
        Mark(path=("contact", "mobile"), via="sms"),
        Mark(path=("emails", ITEM), via="email"),
    }
    assert set(
        schema.addresses({"contact": {"mobile": "+1"}, "emails": [" A@x.example", "a@x.example", 1, ""]})
    ) == {
        Address(via="sms", value="+1"),
        Address(via="email", value="a@x.example"),
    }
    assert schema.addresses({"contact": "none", "emails": {}}) == ()


def test_recursive_schema_is_parsed() -> None:
    children = {f"child{number}": {"$ref": "#/definitions/person"} for number in range(10)}
    schema = schema_of(
        {"$ref": "#/definitions/person"},
        definitions={"person": {"properties": {"age": {"type": "integer"}, **children}}},
    )

    (problem,) = schema.problems({"child1": {"child2": {"age": "1"}}})
    assert problem == TraitProblem(path=("child1", "child2", "age"), kind=ProblemKind.WRONG_TYPE)


def test_schema_marks_are_searched_to_a_limited_depth() -> None:
    child = {"$ref": "#/properties/traits", "ory.sh/kratos": {"verification": {"via": "email"}}}
    schema = schema_of({"properties": {"child": child}})

    assert [len(mark.path) for mark in schema.verification] == list(range(1, MAX_LEVELS + 1))


def test_schema_text_is_parsed_once() -> None:
    assert parse_schema(json.dumps(QUICKSTART)) is parse_schema(json.dumps(QUICKSTART))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        pytest.param("", "no JSON", id="empty"),
        pytest.param("{", "no JSON", id="no JSON"),
        pytest.param("[" * 60_000, "levels of nesting", id="too deep to read"),
        pytest.param('{"a":' * 101 + "1" + "}" * 101, "levels of nesting", id="too deep"),
        pytest.param("[]", "an array; expected is an object", id="array"),
        pytest.param('{"maximum": NaN}', "not finite", id="NaN"),
        pytest.param('{"a": "' + "ä" * 32_768 + '"}', "larger than", id="too large"),
        pytest.param("9" * 5000, "no JSON", id="number that Python does not read"),
    ],
)
def test_text_that_is_no_schema_is_refused(text: str, fault: str) -> None:
    assert fault in faults_of(text)[0]


@pytest.mark.parametrize(
    ("root", "fault"),
    [
        pytest.param({}, "#/properties/traits: it is missing", id="empty"),
        pytest.param({"properties": {"trait": {}}}, "#/properties/traits: it is missing", id="no traits"),
        pytest.param({"properties": {"traits": False}}, "#/properties/traits: nothing is valid", id="false"),
        pytest.param(
            {"properties": {"traits": {"type": "string"}}}, "#/properties/traits: its type", id="other type"
        ),
        pytest.param({"$schema": "https://example.com/s"}, "#/$schema: it names no known draft", id="draft"),
        pytest.param({"$schema": 7}, "#/$schema: 7", id="draft of a wrong type"),
        pytest.param({"type": 5}, "#/type: 5", id="not by the draft"),
        pytest.param({"properties": {"traits": {"$ref": "#/y"}}}, "traits/$ref: #/y leads", id="traits"),
        pytest.param({"a": {"$ref": "#/y"}}, "#/y leads nowhere", id="ref"),
        pytest.param({"required": [], "a": {"$ref": "#/required/x"}}, "leads nowhere", id="into an array"),
        pytest.param({"title": "x", "a": {"$ref": "#/title/0/a"}}, "leads nowhere", id="ref into a text"),
        pytest.param({"maximum": 1, "a": {"$ref": "#/maximum/a"}}, "leads nowhere", id="ref into a number"),
        pytest.param({"a": {"$ref": "#anchor"}}, "leads nowhere", id="ref to no anchor"),
        *(
            pytest.param(
                {"definitions": {"a": way({"$ref": "#/definitions/b"}), "b": {"$ref": "#/definitions/a"}}},
                "#/definitions/a leads back to itself",
                id=f"ref in a circle by {name}",
            )
            for name, way in {
                "nothing": lambda schema: schema,
                "not": lambda schema: {"not": schema},
                "if": lambda schema: {"if": schema},
                "anyOf": lambda schema: {"anyOf": [True, schema]},
                "dependencies": lambda schema: {"dependencies": {"x": schema}},
            }.items()
        ),
        pytest.param({"a": {"$schema": DRAFT_7}}, "#/a/$schema: only the whole", id="draft within"),
        pytest.param({"a": {"$id": "https://x.example"}}, "#/a/$id: only the whole", id="identifier within"),
        pytest.param({"a": {"pattern": "("}}, "#/a/pattern: the pattern is no", id="pattern"),
        pytest.param({"patternProperties": {"(": {}}}, "#/patternProperties: the", id="pattern of keys"),
        pytest.param({"a": {"pattern": "(a{1000}){1000}"}}, "#/a/pattern: the", id="large pattern"),
        pytest.param({"a": {"ory.sh/kratos": []}}, "ory.sh/kratos: it is an array", id="extension"),
        pytest.param(
            {"a": {"ory.sh/kratos": {"credentials": {"password": True}}}}, "credentials: expected", id="kind"
        ),
        pytest.param({"a": {"ory.sh/kratos": {"credentials": []}}}, "credentials: expected", id="no object"),
        pytest.param(
            {"a": {"ory.sh/kratos": {"verification": {"via": "fax"}}}}, "verification: expected", id="via"
        ),
        pytest.param({"a": {"ory.sh/kratos": {"recovery": "email"}}}, "recovery: expected", id="recovery"),
    ],
)
def test_schema_fault_names_its_place(root: dict[str, Any], fault: str) -> None:
    if "traits" not in root.get("properties", {}) and "traits: it is missing" not in fault:
        root = root | {"properties": {"traits": {}}}

    assert any(fault in found for found in faults_of(root))


def test_schema_of_traits_that_refer_to_themselves_is_refused() -> None:
    traits = {"$ref": "#/properties/traits"}

    assert any("leads back to itself" in fault for fault in faults_of({"properties": {"traits": traits}}))


def test_schema_of_traits_that_lead_to_no_schema_is_refused() -> None:
    # The place is named by jsonschema-rs since 0.57 or later.
    (fault,) = faults_of({"a": {"type": 5}, "properties": {"traits": {"$ref": "#/a"}}})

    assert ": 5 is not of types" in fault


def test_schema_reference_that_leads_nowhere_is_named() -> None:
    faults = faults_of(
        {"properties": {"traits": {"$ref": "#/a"}}, "a": {"$ref": "#/b"}, "b": {"allOf": [{"$ref": "#/c"}]}}
    )

    assert faults == ("#/b/allOf/0/$ref: #/c leads nowhere",)


def test_schema_is_used_by_several_threads() -> None:
    schema = schema_of(
        {"properties": {"t": {"$ref": "#/definitions/a"}}}, definitions={"a": {"format": "email"}}
    )

    with ThreadPoolExecutor(2) as threads:
        found = [threads.submit(schema.problems, {"t": "x"}), threads.submit(schema.fields, [("t",)])]

    assert [len(result.result()) for result in found] == [1, 1]


def test_all_schema_faults_are_named_at_once() -> None:
    faults = faults_of(
        {
            "properties": {
                "traits": {"properties": {"a": {"pattern": "("}, "b": {"$ref": "x.json"}, "c": {"type": 5}}}
            }
        }
    )

    places = [fault.partition(":")[0].removeprefix("#/properties/traits/properties/") for fault in faults]
    assert sorted(places) == ["a/pattern", "b/$ref", "c/type"]


def test_schema_faults_are_limited_in_number() -> None:
    traits = {"properties": {f"p{number}": {"pattern": "("} for number in range(1000)}}

    assert len(faults_of({"properties": {"traits": traits}})) <= 20


@responses.activate
@pytest.mark.parametrize("keyword", ["$ref", "$recursiveRef", "$dynamicRef"])
@pytest.mark.parametrize(
    "reference",
    ["https://x.example/s.json", "http://json-schema.org/draft-07/schema#", "s.json#/a", "//x.example", ""],
)
def test_remote_schema_reference_is_refused_and_never_fetched(keyword: str, reference: str) -> None:
    traits = {"properties": {"t": {keyword: reference}}}

    assert any("never fetched" in fault for fault in faults_of({"properties": {"traits": traits}}))
    assert len(responses.calls) == 0


@pytest.mark.parametrize(
    ("schema", "refusal"),
    [({"$ref": Path(__file__).as_uri()}, "not present in a registry"), ({"pattern": "(?=a)"}, "regex")],
)
def test_schema_library_takes_no_remote_reference_and_no_look_around(schema: Any, refusal: str) -> None:
    with pytest.raises(ValueError, match=refusal):
        compile_document({"$schema": DRAFT_7, **schema}, lambda reference: {})


@pytest.mark.parametrize("identifier", ["https://x.example/schemas/", "person.json", "urn:x:y"])
def test_schema_identifier_changes_no_reference(identifier: str) -> None:
    schema = schema_with(
        {"$ref": "#/definitions/a"}, definitions={"a": {"title": "A"}}, **{"$id": identifier}
    )

    assert schema.fields([("t",)])[0].title == "A"


@pytest.mark.parametrize("draft", [DRAFT_7, "https://json-schema.org/draft/2020-12/schema"])
def test_format_is_checked_in_every_draft(draft: str) -> None:
    assert kinds(schema_with({"format": "date"}, **{"$schema": draft}), "today") == [
        (ProblemKind.FORMAT, None)
    ]


def test_local_schema_reference_is_not_resolved_by_the_identifier() -> None:
    schema = schema_with(
        {"$ref": "#/definitions/a"}, definitions={"a": {"type": "string"}}, **{"$id": "https://x.example/"}
    )

    assert kinds(schema, 1) == [(ProblemKind.WRONG_TYPE, None)]


# What is wrong with traits


def test_valid_traits_have_no_problems() -> None:
    schema = parse_schema(json.dumps(QUICKSTART))

    assert schema.problems({"email": "bob@contoso.example", "name": {"first": "Bob"}}) == ()


def test_trait_problems_name_the_trait_and_never_its_value() -> None:
    schema = parse_schema(json.dumps(QUICKSTART))

    problems = schema.problems({"name": {"last": 5}, "shoe": "secret"})

    assert set(problems) == {
        TraitProblem(path=("email",), kind=ProblemKind.MISSING),
        TraitProblem(path=("name", "first"), kind=ProblemKind.MISSING),
        TraitProblem(path=("name", "last"), kind=ProblemKind.WRONG_TYPE),
        TraitProblem(path=("shoe",), kind=ProblemKind.OTHER),
    }
    assert "secret" not in repr(problems)


@pytest.mark.parametrize(
    ("trait", "value", "expected"),
    [
        ({"type": "string"}, 1, (ProblemKind.WRONG_TYPE, None)),
        ({"type": "integer"}, True, (ProblemKind.WRONG_TYPE, None)),
        ({"minLength": 2}, "ä", (ProblemKind.TOO_SHORT, 2)),
        ({"maxLength": 2}, "äöü", (ProblemKind.TOO_LONG, 2)),
        ({"minimum": 2}, 1, (ProblemKind.TOO_SMALL, 2)),
        ({"exclusiveMinimum": 2.5}, 2.5, (ProblemKind.TOO_SMALL, 2.5)),
        ({"maximum": 2}, 3, (ProblemKind.TOO_LARGE, 2)),
        ({"exclusiveMaximum": 2}, 2, (ProblemKind.TOO_LARGE, 2)),
        ({"pattern": "^[a-z]+$"}, "ABC", (ProblemKind.PATTERN, None)),
        ({"pattern": "^(abc)+$"}, "abd", (ProblemKind.PATTERN, None)),
        ({"format": "email"}, "bob", (ProblemKind.FORMAT, None)),
        ({"format": "uri"}, "bob", (ProblemKind.FORMAT, None)),
        ({"format": "date"}, "2023-02-29", (ProblemKind.FORMAT, None)),
        ({"format": "date-time"}, "today", (ProblemKind.FORMAT, None)),
        ({"enum": ["a", "b"]}, "c", (ProblemKind.ENUM, None)),
        ({"const": 5}, 6, (ProblemKind.CONST, None)),
        ({"not": {}}, 6, (ProblemKind.OTHER, None)),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, 6, (ProblemKind.OTHER, None)),
        ({"multipleOf": 0.1}, 0.35, (ProblemKind.OTHER, 0.1)),
        ({"maxItems": 1}, [1, 2], (ProblemKind.OTHER, 1)),
        ({"uniqueItems": True}, [1, "a", None, 1.0], (ProblemKind.OTHER, None)),
        ({"uniqueItems": True}, [{"a": [1], "b": 2}, {"b": 2, "a": [1.0]}], (ProblemKind.OTHER, None)),
        ({"patternProperties": {"^a": {"type": "string"}}}, {"abc": 1}, (ProblemKind.WRONG_TYPE, None)),
        ({"propertyNames": {"pattern": "^[a-z]+$"}}, {"A": 1}, (ProblemKind.PATTERN, None)),
    ],
)
def test_trait_problem_has_kind_and_limit(
    trait: Any, value: Any, expected: tuple[ProblemKind, object]
) -> None:
    assert kinds(schema_with(trait), value) == [expected]


@pytest.mark.parametrize(
    ("trait", "value"),
    [
        ({"multipleOf": 0.1}, 0.3),
        ({"multipleOf": 2}, True),
        ({"uniqueItems": True}, [1, True, "1", None, [1], {"a": 1}, 0, False]),
        ({"uniqueItems": False}, [1, 1]),
        ({"pattern": "^a"}, 5),
        ({"additionalProperties": {"type": "integer"}, "patternProperties": {"^x": {}}}, {"a": 1, "xa": "b"}),
        ({"additionalProperties": False, "patternProperties": {"(x)": {}}}, {"axa": "b"}),
        ({"format": "unheard-of"}, "anything"),
        ({"pattern": "^a"}, "a\ud800"),
        ({"$ref": "#/definitions/any", "type": "string"}, 5),
    ],
)
def test_valid_trait_is_no_problem(trait: Any, value: Any) -> None:
    assert kinds(schema_with(trait, definitions={"any": {}}), value) == []


@pytest.mark.parametrize(
    ("trait", "value", "path"),
    [
        (
            {"properties": {"a": {}}, "additionalProperties": {"type": "integer"}},
            {"a": "x", "b": "x"},
            ("t", "b"),
        ),
        ({"items": {"type": "string"}}, ["a", 1], ("t", 1)),
    ],
)
def test_trait_problem_has_the_path_of_its_value(trait: Any, value: Any, path: Any) -> None:
    (problem,) = schema_with(trait).problems({"t": value})
    assert problem == TraitProblem(path=path, kind=ProblemKind.WRONG_TYPE)


def test_problem_of_all_traits_together_has_no_path() -> None:
    (problem,) = schema_of({}, required=["other"]).problems({})

    assert problem == TraitProblem(path=(), kind=ProblemKind.OTHER)


@pytest.mark.parametrize(
    ("draft", "refused"),
    [
        pytest.param(None, False, id="none named"),
        pytest.param(DRAFT_7, False, id="draft 7"),
        pytest.param("https://json-schema.org/draft-07/schema", False, id="draft 7, written otherwise"),
        pytest.param("http://json-schema.org/draft-06/schema#", False, id="draft 6"),
        pytest.param("http://json-schema.org/draft-04/schema#", False, id="draft 4"),
        pytest.param("https://json-schema.org/draft/2019-09/schema", True, id="2019-09"),
        pytest.param("https://json-schema.org/draft/2020-12/schema", True, id="2020-12"),
    ],
)
def test_schema_draft_decides_about_keywords_beside_a_reference(draft: str | None, refused: bool) -> None:
    named = {"$schema": draft} if draft else {}
    schema = schema_with({"$ref": "#/definitions/any", "type": "string"}, definitions={"any": {}}, **named)

    assert bool(kinds(schema, 5)) is refused


def test_schema_of_draft_4_has_boolean_exclusive_bounds() -> None:
    schema = schema_with(
        {"minimum": 1, "exclusiveMinimum": True}, **{"$schema": "http://json-schema.org/draft-04/schema#"}
    )

    assert kinds(schema, 1) == [(ProblemKind.TOO_SMALL, 1)]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, b"x"])
def test_trait_that_json_cannot_hold_is_of_a_wrong_type(value: Any) -> None:
    schema = schema_with({"multipleOf": 0.1})

    (problem,) = schema.problems({"t": [value]})
    assert problem == TraitProblem(path=("t", 0), kind=ProblemKind.WRONG_TYPE)


# It never hangs and never crashes


def chain_of(references: int, nested: int = 0, keyword: str = "allOf") -> dict[str, Any]:
    """Describe lists in lists, where each is reached through so many references, nested so deep."""
    definitions: dict[str, Any] = {"a0": {"items": {"$ref": f"#/definitions/a{references}"}}}
    for number in range(references):
        definitions[f"a{number + 1}"] = {"$ref": f"#/definitions/a{number}"}
        for _ in range(nested):
            inner = definitions[f"a{number + 1}"]
            definitions[f"a{number + 1}"] = {keyword: [inner] if keyword == "allOf" else inner}
    return definitions


def test_schema_chain_of_references_is_followed_as_deep_as_traits_may_be() -> None:
    schema = schema_with({"$ref": "#/definitions/a30"}, definitions=chain_of(30))

    assert schema.problems({"t": deep(90)}) == ()


@pytest.mark.parametrize(
    "shape", [(40, 0, "allOf"), (3, 20, "allOf"), (3, 20, "not"), (3, 20, "if"), (1000, 0, "allOf")]
)
def test_schema_chain_that_would_overflow_the_stack_is_refused(shape: tuple[int, int, str]) -> None:
    with pytest.raises(SchemaInvalid, match="too far"):
        schema_with({"$ref": f"#/definitions/a{shape[0]}"}, definitions=chain_of(*shape))


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_traits_that_are_too_deep_are_of_a_wrong_type() -> None:
    (problem,) = schema_with({}).problems({"t": deep(100_000)})

    assert problem.kind is ProblemKind.WRONG_TYPE


@pytest.mark.parametrize(
    "trait",
    [
        {"type": "string", "pattern": "^(x)+$"},
        {"uniqueItems": True},
        {"items": {"enum": [f"country {number}" for number in range(1000)]}},
        {"propertyNames": {"maxLength": 1}},
        {"additionalProperties": {"type": "string", "maxLength": 1}},
        {"anyOf": [{"type": "string"}, {"items": {"anyOf": [{"type": "string"}, {"type": "array"}]}}]},
    ],
)
@pytest.mark.parametrize(
    "value",
    [
        pytest.param("x" * 256 * 1024, id="text"),
        pytest.param([*range(30_000), *(f"{number}" for number in range(10_000)), None, [1]], id="array"),
        pytest.param({f"key{number}": number for number in range(16_000)}, id="object"),
    ],
)
def test_large_traits_are_told_about_in_time(trait: Any, value: Any) -> None:
    begin = time.monotonic()

    assert len(schema_with(trait).problems({"t": value})) <= MAX_PROBLEMS
    assert time.monotonic() - begin < 20


def test_missing_trait_beside_a_large_list_is_the_only_problem() -> None:
    schema = schema_of({"properties": {"t": {"items": {"type": "integer"}}}, "required": ["email"]})

    (problem,) = schema.problems({"t": [*range(40_000)]})
    assert problem == TraitProblem(path=("email",), kind=ProblemKind.MISSING)


def test_problem_far_into_a_large_list_is_not_overlooked() -> None:
    (problem,) = schema_with({"items": {"type": "integer"}}).problems({"t": [*range(40_000), "a"]})

    assert problem == TraitProblem(path=(), kind=ProblemKind.OTHER)


def test_problem_is_found_behind_large_lists() -> None:
    lists = {f"list{number}": [*range(1000)] for number in range(10)}
    schema = schema_of({"properties": {"name": {"properties": {"first": {"type": "string"}}}}})

    (problem,) = schema.problems({**lists, "name": {"first": 5}})
    assert problem.path == ("name", "first")


def test_problems_of_large_traits_are_cut() -> None:
    schema = schema_of({"additionalProperties": {"items": {"type": "string"}}})

    assert len(schema.problems({"a": [1] * 100, "b": [1] * 100})) == MAX_PROBLEMS


def test_excerpt_of_traits_is_bounded_in_all() -> None:
    cube: Any = {str(number): [[0] * 200] * 200 for number in range(200)}

    assert json.dumps(excerpt(cube)).count("[") <= MAX_COPIED
    assert len(excerpt(cube)) == MAX_ENTRIES


# By URL


def test_schema_is_loaded_from_a_file_or_inline(tmp_path: Path) -> None:
    file, text = tmp_path / "identity.schema.json", json.dumps(QUICKSTART)
    file.write_text(text)

    for url in (f"file://{file}", inline(text)):
        assert load_schema(url, sources=runtime.sources(conf.get_config())).verification


@responses.activate
def test_schema_is_fetched_once_by_https() -> None:
    responses.get(URL, json=QUICKSTART)

    first = load_schema(URL, sources=runtime.sources(conf.get_config()))

    assert load_schema(URL, sources=runtime.sources(conf.get_config())) is first
    assert len(responses.calls) == 1


@pytest.mark.parametrize(
    ("url", "said"),
    [
        pytest.param("", "IDENTITY_SCHEMA_URL is empty", id="empty"),
        pytest.param("identity.schema.json", "IDENTITY_SCHEMA_URL has no scheme", id="no scheme"),
        pytest.param("http://x.example/s.json", "IDENTITY_SCHEMA_URL uses http://", id="http"),
        pytest.param("ftp://x.example/s.json", "IDENTITY_SCHEMA_URL has an unknown scheme", id="scheme"),
        pytest.param("base64://!", "IDENTITY_SCHEMA_URL is not usable", id="no base64"),
        pytest.param("file:///none/mapper.json", "file:///none/mapper.json cannot", id="no file"),
    ],
)
def test_schema_that_cannot_be_read_is_unavailable(url: str, said: str) -> None:
    with pytest.raises(SchemaUnavailable) as refusal:
        load_schema(url, sources=runtime.sources(conf.get_config()))

    assert said in refusal.value.detail
    assert "mapper.jsonnet" not in refusal.value.detail
    assert refusal.value.hint


@responses.activate
def test_schema_that_its_server_does_not_have_is_unavailable() -> None:
    responses.get(URL, status=404)

    with pytest.raises(SchemaUnavailable, match="404"):
        load_schema(URL, sources=runtime.sources(conf.get_config()))


def test_loaded_schema_with_faults_is_invalid() -> None:
    with pytest.raises(SchemaInvalid):
        load_schema(inline("{}"), sources=runtime.sources(conf.get_config()))


# Merging


@pytest.mark.parametrize(
    ("typed", "merged"),
    [
        pytest.param({}, {"a": 1, "b": {"c": 2}}, id="nothing"),
        pytest.param(
            {("b", "d"): 3, ("a",): "x"}, {"a": "x", "b": {"c": 2, "d": 3}}, id="joined and replaced"
        ),
        pytest.param({("e", "f"): "y"}, {"a": 1, "b": {"c": 2}, "e": {"f": "y"}}, id="new object"),
        pytest.param({("a",): None, ("b", "d"): None, ("e", "f"): None}, {"b": {"c": 2}}, id="left blank"),
        pytest.param({("a", "f"): "y"}, {"a": {"f": "y"}, "b": {"c": 2}}, id="object for a scalar"),
        pytest.param({("a", "f"): None}, {"a": 1, "b": {"c": 2}}, id="blank in a scalar"),
    ],
)
def test_merge_puts_typed_traits_among_mapped_ones(typed: Any, merged: Any) -> None:
    traits: Any = {"a": 1, "b": {"c": 2}}

    result: Any = merge(traits, typed)
    assert result == merged
    result.get("b")["c"] = "changed"
    assert traits == {"a": 1, "b": {"c": 2}}


# A value or our exception


SCALARS: Any = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
KEYWORDS = st.sampled_from(
    [
        "$ref",
        "$id",
        "$schema",
        "$defs",
        "$anchor",
        "definitions",
        "properties",
        "traits",
        "type",
        "required",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "if",
        "then",
        "items",
        "contains",
        "dependencies",
        "enum",
        "const",
        "pattern",
        "patternProperties",
        "additionalProperties",
        "format",
        "minLength",
        "maximum",
        "id",
        "a",
        "multipleOf",
        "uniqueItems",
        "ory.sh/kratos",
        "verification",
        "credentials",
        "via",
    ]
)
WORDS = st.sampled_from(
    ["string", "object", "array", "#", "#/properties/traits", "#/definitions/a", "#a", DRAFT_7, "email"]
)
VALUES: Any = st.recursive(
    SCALARS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYWORDS, inner, max_size=4),
    max_leaves=12,
)


NAMES = st.sampled_from(["a", "b", "c"])
REFERENCES = st.sampled_from(
    ["#", "#/definitions/a", "#/definitions/b", "#/properties/traits", "#/definitions"]
)
NUMBERS = st.integers(-3, 9) | st.floats(allow_nan=False, allow_infinity=False)
TYPES = st.sampled_from(["string", "object", "integer", "number", "boolean", "array", "null"])


def schemas_of(inner: Any) -> Any:
    several = st.lists(inner, min_size=1, max_size=2)
    keywords = {
        "type": TYPES | st.lists(TYPES, min_size=1, unique=True),
        "properties": st.dictionaries(NAMES, inner),
        "required": st.lists(NAMES, min_size=1, unique=True),
        "additionalProperties": inner,
        "patternProperties": st.dictionaries(st.sampled_from(["^a", "(b)"]), inner),
        "items": inner,
        "allOf": several,
        "oneOf": several,
        "not": inner,
        "if": inner,
        "then": inner,
        "$ref": REFERENCES,
        "pattern": st.sampled_from(["^a$", "(b)+"]),
        "format": st.sampled_from(["email", "uri", "date", "other"]),
        "enum": st.lists(SCALARS.filter(lambda value: value == value), min_size=1, unique_by=repr),
        "minLength": st.integers(0, 5),
        "minimum": NUMBERS,
        "exclusiveMaximum": NUMBERS,
        "multipleOf": st.floats(0, exclude_min=True, allow_infinity=False),
        "uniqueItems": st.booleans(),
        "default": SCALARS,
    }
    # Few keywords at a time: Hypothesis makes large schemas slowly, and faults hide in pairs of keywords.
    chosen = st.lists(st.sampled_from(sorted(keywords)), max_size=5, unique=True)
    return chosen.flatmap(lambda names: st.fixed_dictionaries({name: keywords[name] for name in names}))


SCHEMAS: Any = st.recursive(st.booleans() | schemas_of(st.booleans()), schemas_of, max_leaves=6)


def answered(schema: IdentitySchema, traits: Any) -> None:
    problems = schema.problems(traits)
    assert all(isinstance(problem, TraitProblem) for problem in problems)
    for problem in problems:
        with suppress(TraitNotAskable):
            fields = schema.fields([problem.path])
            schema.problems(merge(traits, {field.path: "a" for field in fields}))


@settings(deadline=None)
@given(
    root=st.fixed_dictionaries(
        {
            "properties": st.fixed_dictionaries({"traits": schemas_of(SCHEMAS)}),
            "definitions": st.fixed_dictionaries({"a": SCHEMAS, "b": SCHEMAS}),
        }
    ),
    traits=st.dictionaries(NAMES, SCALARS | st.lists(SCALARS) | st.dictionaries(NAMES, SCALARS)),
)
def test_any_schema_and_traits_give_problems_or_our_exception(root: Any, traits: Any) -> None:
    with suppress(SchemaInvalid):
        answered(parse_schema.__wrapped__(json.dumps(root)), traits)


@settings(deadline=None)
@given(
    root=st.dictionaries(KEYWORDS, VALUES, max_size=3),
    traits=st.dictionaries(KEYWORDS, VALUES, max_size=4),
    instance=st.dictionaries(KEYWORDS, VALUES, max_size=3),
)
def test_any_json_as_schema_is_parsed_or_refused(root: Any, traits: Any, instance: Any) -> None:
    with suppress(SchemaInvalid):
        answered(parse_schema.__wrapped__(json.dumps(root | {"properties": {"traits": traits}})), instance)


@given(text=st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_a_schema_or_refused(text: str) -> None:
    with pytest.raises(SchemaInvalid):
        parse_schema.__wrapped__(text)


@given(instance=st.dictionaries(st.sampled_from(["email", "name", "first", "x"]), VALUES, max_size=4))
def test_any_traits_give_problems(instance: Any) -> None:
    schema = parse_schema(json.dumps(QUICKSTART))

    assert isinstance(schema.problems(instance), tuple)
