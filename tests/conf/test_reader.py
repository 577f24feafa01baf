"""The reader of configurations: every fault, with its path and a remedy."""

from __future__ import annotations

from enum import StrEnum

import pytest

from django_ms_identity.conf.reader import ConfigIssue, DictReader


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


def reader(source: dict[str, object], path: str = "BOX") -> DictReader:
    return DictReader(source, path=path, faults=[])


def problems(read: DictReader) -> list[str]:
    return [str(fault) for fault in read.faults]


def test_a_fault_reads_as_a_sentence():
    assert str(ConfigIssue("PROVIDERS[0].id", "is missing.")) == "PROVIDERS[0].id is missing."


@pytest.mark.parametrize(("path", "expected"), [("BOX", "BOX.key"), ("", "key")])
def test_path_of_a_configuration_key_begins_with_that_of_its_mapping(path, expected):
    assert reader({}, path).at("key") == expected


def test_values_of_the_right_type_are_read():
    read = reader({"text": " x ", "flag": False, "texts": [" a ", "b"], "tuple": ("c",), "colour": "blue"})

    assert read.text("text") == "x"
    assert read.required("text", "") == "x"
    assert read.flag("flag", True) is False
    assert read.texts("texts") == ("a", "b")
    assert read.texts("tuple") == ("c",)
    assert read.choice("colour", Colour.RED) is Colour.BLUE
    assert read.raw("flag") is False
    assert read.has("flag")
    assert read.faults == []


def test_what_is_absent_has_its_default():
    read = reader({"none": None, "empty": ""})

    assert read.text("absent", "default") == read.text("none", "default") == "default"
    assert read.flag("absent", True) is True
    assert read.texts("absent", ("x",)) == read.texts("none", ("x",)) == ("x",)
    assert read.choice("empty", Colour.RED) is Colour.RED
    assert not read.has("none")
    assert read.faults == []


@pytest.mark.parametrize(
    ("ask", "problem"),
    [
        (lambda read: read.text("key"), "BOX.key must be text, not int."),
        (lambda read: read.flag("key", True), "BOX.key must be True or False, not int."),
        (lambda read: read.texts("key"), "BOX.key must be a list of texts."),
        (lambda read: read.choice("key", Colour.RED), "BOX.key must be text, not int."),
        (lambda read: read.required("key", ""), "BOX.key must be text, not int."),
    ],
)
def test_a_wrong_type_is_one_fault_and_reads_as_the_default(ask, problem):
    read = reader({"key": 1})

    ask(read)

    assert problems(read) == [problem]


def test_a_required_text_that_is_missing_comes_with_its_remedy():
    read = reader({"blank": " "})

    assert read.required("absent", "type this") == read.required("blank", "type that") == ""
    assert problems(read) == ["BOX.absent is missing.", "BOX.blank is missing."]
    assert [fault.hint for fault in read.faults] == ["type this", "type that"]


def test_a_choice_that_does_not_exist_names_those_that_do():
    read = reader({"colour": "green"})

    assert read.choice("colour", Colour.RED) is Colour.RED
    assert problems(read) == ["BOX.colour cannot be 'green'."]
    assert read.faults[0].hint == "Choose one of: red, blue."


def test_a_list_with_one_wrong_item_is_refused_whole():
    read = reader({"texts": ["a", 1]})

    assert read.texts("texts") == ()
    assert problems(read) == ["BOX.texts must be a list of texts."]


@pytest.mark.parametrize(
    ("key", "remedy"),
    [
        ("colr", "Did you mean 'colour'?"),
        ("COLOUR", "Did you mean 'colour'?"),
        ("size", "Did you mean 'SIZE'?"),
        ("zzz", "Known keys: SIZE, colour."),
        (7, "Known keys: SIZE, colour."),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest(key, remedy):
    read = reader({key: 1, "colour": "red"})

    read.refuse_unknown(["SIZE", "colour"])

    assert problems(read) == [f"BOX.{key} is not a key that exists."]
    assert read.faults[0].hint == remedy


def test_inner_mapping_is_read_with_its_path_and_the_same_issues():
    read = reader({"inner": {"key": 1}, "list": [{"key": 2}, "x"], "text": "x", "number": {1: 2}})

    read.inner("inner").text("key")
    (entry,) = read.entries("list", "[{…}]")
    entry.warn("key", "is doubtful.")

    assert [read.inner(key).keys for key in ("absent", "text", "number")] == [{}, {}, {}]
    assert [read.entries(key, "[{…}]") for key in ("absent", "text")] == [[], []]
    assert problems(read) == [
        "BOX.inner.key must be text, not int.",
        "BOX.list[1] must be a dict with texts as keys.",
        "BOX.text must be a dict with texts as keys.",
        "BOX.number must be a dict with texts as keys.",
        "BOX.text must be a list.",
    ]
    assert [str(warning) for warning in read.warnings] == ["BOX.list[0].key is doubtful."]
