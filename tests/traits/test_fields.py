"""What a form asks for traits, and which it cannot."""

from __future__ import annotations

import json
from typing import Any

import pytest

from django_ms_identity.exceptions import TraitNotAskable
from django_ms_identity.traits.fields import FieldKind, TraitField
from django_ms_identity.traits.problems import merge
from django_ms_identity.traits.schema import IdentitySchema, parse_schema


def schema_of(traits: Any, **root: Any) -> IdentitySchema:
    return parse_schema(json.dumps({"properties": {"traits": traits}, **root}))


def field_for(trait: Any, required: bool = False, /, **root: Any) -> TraitField:
    """Ask for the one trait ``t``."""
    traits = {"type": "object", "properties": {"t": trait}} | ({"required": ["t"]} if required else {})
    schema = schema_of(traits, **root)
    (field,) = schema.fields([("t",)])
    return field


def refusal_of(schema: IdentitySchema, *path: str | int) -> TraitNotAskable:
    with pytest.raises(TraitNotAskable) as refusal:
        schema.fields([path])
    return refusal.value


@pytest.mark.parametrize(
    ("trait", "kind"),
    [
        ({"type": "string"}, FieldKind.TEXT),
        ({"type": "string", "format": "email"}, FieldKind.EMAIL),
        ({"type": "string", "format": "uri"}, FieldKind.URL),
        ({"type": "string", "format": "date"}, FieldKind.DATE),
        ({"type": "string", "format": "hostname"}, FieldKind.TEXT),
        ({"type": "number"}, FieldKind.NUMBER),
        ({"type": "integer"}, FieldKind.INTEGER),
        ({"type": "boolean"}, FieldKind.BOOLEAN),
        ({"type": "boolean", "const": True}, FieldKind.BOOLEAN),
        ({"enum": ["a"]}, FieldKind.CHOICE),
        ({"type": "integer", "enum": [1, 2]}, FieldKind.CHOICE),
        ({"const": "a"}, FieldKind.CHOICE),
        ({"type": ["string", "null"]}, FieldKind.TEXT),
        ({"type": ["integer", "number"]}, FieldKind.NUMBER),
        ({"type": ["integer"]}, FieldKind.INTEGER),
        ({"minLength": 2}, FieldKind.TEXT),
        (True, FieldKind.TEXT),
    ],
)
def test_trait_field_has_the_kind_of_its_schema(trait: Any, kind: FieldKind) -> None:
    assert field_for(trait).kind is kind


def test_trait_field_has_all_that_the_schema_says() -> None:
    assert field_for(
        {
            "type": "string",
            "title": "Number",
            "description": "As on your badge.",
            "maxLength": 5.0,
            "default": "10",
        },
        True,
    ) == TraitField(
        path=("t",),
        kind=FieldKind.TEXT,
        title="Number",
        description="As on your badge.",
        required=True,
        max_length=5,
        default="10",
    )


def test_trait_field_without_title_is_called_by_its_key() -> None:
    assert field_for({"type": "string"}) == TraitField(path=("t",), kind=FieldKind.TEXT, title="t")


@pytest.mark.parametrize(
    ("trait", "bounds"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 9}, (1, 9)),
        ({"type": "number", "minimum": 1.5, "exclusiveMaximum": 9}, (1.5, None)),
        ({"type": "number"}, (None, None)),
    ],
)
def test_trait_field_has_the_bounds_of_its_schema(trait: Any, bounds: tuple[object, object]) -> None:
    field = field_for(trait)

    assert (field.minimum, field.maximum) == bounds


@pytest.mark.parametrize(
    ("trait", "choices"),
    [
        ({"enum": ["a", 1, 1.5, None, [], {}]}, ("a", 1, 1.5)),
        ({"const": "a", "enum": ["a", "b"]}, ("a",)),
        ({"type": "boolean", "enum": [True]}, (True,)),
        ({"type": "boolean", "const": True}, (True,)),
        ({"type": "boolean"}, ()),
    ],
)
def test_trait_field_has_the_choices_of_its_schema(trait: Any, choices: tuple[object, ...]) -> None:
    assert field_for(trait).choices == choices


@pytest.mark.parametrize("default", [[], {}, None])
def test_trait_field_leaves_out_a_default_that_is_no_scalar(default: Any) -> None:
    assert field_for({"default": default}).default is None


# Places


NESTED = {
    "type": "object",
    "properties": {
        "name": {"$ref": "#/definitions/name", "title": "Your name"},
        "home": {
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"$ref": "#/definitions/text"}},
            "required": ["city"],
        },
    },
    "required": ["name"],
}
DEFINITIONS: Any = {
    "text": {"type": "string", "title": "Text", "minLength": 1, "description": "Any text."},
    "name": {
        "type": "object",
        "title": "Name",
        "allOf": [
            {"properties": {"first": {"$ref": "#/definitions/text"}}, "required": ["first"]},
            {
                "properties": {"first": {"maxLength": 9}, "last": {"type": "string"}},
                "required": ["last", "first"],
            },
        ],
        "additionalProperties": True,
    },
}


def test_trait_fields_of_an_object_are_its_required_properties() -> None:
    fields = schema_of(NESTED, definitions=DEFINITIONS).fields([("name",), ("home",)])

    assert fields == (
        TraitField(
            path=("name", "first"),
            kind=FieldKind.TEXT,
            title="Text",
            description="Any text.",
            required=True,
            max_length=9,
        ),
        TraitField(path=("name", "last"), kind=FieldKind.TEXT, title="last", required=True),
        TraitField(
            path=("home", "city"),
            kind=FieldKind.TEXT,
            title="Text",
            description="Any text.",
            required=True,
        ),
    )


def test_trait_field_in_an_object_has_its_path() -> None:
    (field,) = schema_of(NESTED, definitions=DEFINITIONS).fields([("home", "street")])

    assert field == TraitField(path=("home", "street"), kind=FieldKind.TEXT, title="street", required=False)


def test_trait_field_of_two_paths_comes_once() -> None:
    schema = schema_of(NESTED, definitions=DEFINITIONS)

    fields = schema.fields([("name", "last"), ("name",), ("name", "last")])

    assert [field.path for field in fields] == [("name", "first"), ("name", "last")]


def test_trait_fields_are_in_the_order_of_the_schema() -> None:
    names = ["b", "a", "d", "c"]
    schema = schema_of({"properties": {name: {"type": "string"} for name in names}, "required": names[:2]})

    fields = schema.fields(problem.path for problem in schema.problems({"c": 1, "d": 1}))
    assert [field.path for field in fields] == [("b",), ("a",), ("d",), ("c",)]


def test_trait_field_has_the_title_beside_a_reference() -> None:
    field = field_for(
        {"$ref": "#/definitions/text", "title": "Mine", "maxLength": 1}, definitions=DEFINITIONS
    )

    # Before 2019 other keywords beside a reference mean nothing.
    assert (field.title, field.description, field.max_length) == ("Mine", "Any text.", None)


def test_trait_field_has_keywords_beside_a_reference_since_2019() -> None:
    field = field_for(
        {"$ref": "#/definitions/text", "maxLength": 1, "allOf": [{"title": "Letter"}]},
        definitions=DEFINITIONS,
        **{"$schema": "https://json-schema.org/draft/2020-12/schema"},
    )

    assert (field.title, field.description, field.max_length) == ("Letter", "Any text.", 1)


def test_trait_fields_that_are_answered_leave_no_problems() -> None:
    schema = schema_of(NESTED, definitions=DEFINITIONS)
    traits: Any = {"home": {"city": 5}}

    fields = schema.fields(problem.path for problem in schema.problems(traits))
    typed = {field.path: "Bern" for field in fields}

    assert set(typed) == {("name", "first"), ("name", "last"), ("home", "city")}
    assert schema.problems(merge(traits, typed)) == ()


# What a form cannot ask


@pytest.mark.parametrize(
    ("trait", "reason"),
    [
        pytest.param({"type": "array"}, "array", id="array"),
        pytest.param({"items": {}}, "array", id="array by its items"),
        pytest.param({"type": "object"}, "object without", id="free object"),
        pytest.param({"properties": {"a": {}}}, "object without", id="object that needs nothing"),
        pytest.param({"oneOf": [{"type": "string"}]}, "oneOf", id="oneOf"),
        pytest.param({"type": "string", "anyOf": [{}]}, "anyOf", id="anyOf"),
        pytest.param({"type": ["string", "integer"]}, "integer or string", id="two types"),
        pytest.param({"type": "null"}, "null", id="null"),
        pytest.param({"enum": [None, {}]}, "none of its values", id="no value that can be shown"),
        pytest.param(
            {"properties": {"a": {}}, "required": ["a"], "minProperties": 2},
            "minProperties",
            id="object with more",
        ),
        pytest.param(False, "nothing is valid", id="false"),
    ],
)
def test_trait_that_no_form_can_ask_is_refused_by_name(trait: Any, reason: str) -> None:
    refusal = refusal_of(schema_of({"properties": {"t": trait}}), "t")

    assert refusal.trait == "t"
    assert "the trait t:" in refusal.detail
    assert reason in refusal.detail
    assert refusal.hint


def test_inner_trait_that_no_form_can_ask_is_named() -> None:
    schema = schema_of(
        {"properties": {"t": {"properties": {"l": {"type": "array"}}, "required": ["l", "u"]}}}
    )
    undescribed = schema_of({"properties": {"t": {"type": "object", "required": ["u"]}}})

    assert refusal_of(schema, "t").trait == "t.l"
    assert refusal_of(schema, "t", "u").trait == refusal_of(undescribed, "t").trait == "t.u"
    assert refusal_of(schema, "t", "l", 0).detail.endswith("the trait t.l.0: it is in an array")


def test_problem_of_all_traits_together_is_not_askable() -> None:
    schema = schema_of({"properties": {"t": {}}, "required": ["t"], "maxProperties": 0})

    assert "all traits" in refusal_of(schema).detail


def test_trait_that_the_schema_does_not_name_is_not_askable() -> None:
    assert "no such property" in refusal_of(schema_of({}), "t").detail


def test_trait_that_requires_itself_is_not_askable() -> None:
    person = {"type": "object", "properties": {"a": {"$ref": "#/definitions/p"}}, "required": ["a"]}
    schema = schema_of({"properties": {"t": {"$ref": "#/definitions/p"}}}, definitions={"p": person})

    assert "levels" in refusal_of(schema, "t").detail


def test_trait_fields_are_limited_in_number() -> None:
    many: Any = {f"p{number}": {} for number in range(101)}
    schema = schema_of({"properties": {"t": {"properties": many, "required": [*many]}}})

    assert "100 fields" in refusal_of(schema, "t").detail
