from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from django_ms_identity.traits.paths import display_path, format_path, parse_path


@given(path=st.lists(st.text(max_size=8), min_size=1, max_size=4).map(tuple))
def test_formatted_trait_path_is_parsed_to_itself(path):
    assert parse_path(format_path(path)) == path


def test_trait_path_escapes_dots_of_its_keys():
    assert format_path(("address", "city")) == "address.city"
    assert format_path(("e.mail",)) == r"e\.mail"
    assert parse_path("address.city") == ("address", "city")


def test_trait_path_that_could_forge_a_log_line_is_not_displayed():
    assert display_path(("address", "city")) == "address.city"
    assert display_path(()) == "(all of them)"
    assert display_path(("a\nb",)) == display_path(("\x1b[31m",)) == display_path(("x" * 201,)) == "…"
