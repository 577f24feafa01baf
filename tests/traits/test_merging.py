from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_ms_identity.traits.merging import overlay, same

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
OBJECTS = st.dictionaries(st.text(max_size=2), JSON_VALUES)


@pytest.mark.parametrize(
    ("stored", "mapped", "merged"),
    [
        ({"a": 1}, {}, {"a": 1}),
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": "x"}, {"a": ""}, {"a": ""}),
        ({"a": "x"}, {"a": None}, {"a": None}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": [1]}, {"a": []}, {"a": []}),
        ({"a": {"b": 1, "c": {"d": 2}}}, {"a": {"c": {"e": 3}}}, {"a": {"b": 1, "c": {"d": 2, "e": 3}}}),
        ({"a": {"b": 1}}, {"a": {}}, {"a": {"b": 1}}),
        ({"a": {"b": 1}}, {"a": "x"}, {"a": "x"}),
        ({"a": "x"}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ],
)
def test_overlay_prefers_mapped_values_and_keeps_the_others(stored, mapped, merged):
    before = json.dumps(stored)

    assert overlay(stored, mapped) == merged
    assert json.dumps(stored) == before


@given(OBJECTS, OBJECTS)
def test_overlay_twice_equals_overlay_once(stored, mapped):
    once = overlay(stored, mapped)

    assert same(overlay(once, mapped), once)


@given(JSON_VALUES)
def test_same_ignores_the_order_of_keys(value):
    assert same(json.loads(json.dumps(value, sort_keys=True)), value)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (1, 1.0, True),
        (True, 1, False),
        (0, False, False),
        ([True], [1], False),
        ({"a": 0}, {"a": False}, False),
        ("1", 1, False),
        (None, {}, False),
        ([], {}, False),
        ([1, 2], [2, 1], False),
        ([1], [1, 2], False),
        ({"a": None}, {}, False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
    ],
)
def test_same_compares_as_json_and_not_as_python(one, other, expected):
    assert same(one, other) is expected
    assert same(other, one) is expected
