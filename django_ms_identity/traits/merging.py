"""How newly mapped JSON joins stored JSON, and whether two values are the same."""

from __future__ import annotations

from django_ms_identity.jsonnet.json_values import JSON, JSONObject


def overlay(stored: JSONObject, mapped: JSONObject) -> JSONObject:
    """Return what is stored with the mapped values laid over it.

    Objects merge, everything else replaces, also an empty value; what the mapper leaves out stays.
    """
    merged = dict(stored)
    for key, value in mapped.items():
        old = merged.get(key)
        merged[key] = overlay(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def same(one: JSON, other: JSON) -> bool:
    """Say whether two values mean the same, whatever the order of keys and the spelling of numbers."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    # True equals 1 in Python alone.
    return isinstance(one, bool) is isinstance(other, bool) and one == other
