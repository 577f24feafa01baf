from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from django_ms_identity.traits.paths import display_path, format_path, parse_path


@given(path=st.lists(st.text(max_size=8), min_size=1, max_size=4).map(tuple))
def test_a_written_path_reads_as_it_was(path):
    assert parse_path(format_path(path)) == path


def test_keys_have_dots_between_them_and_keep_their_own():
    assert format_path(("address", "city")) == "address.city"
    assert format_path(("e.mail",)) == r"e\.mail"
    assert parse_path("address.city") == ("address", "city")


def test_a_key_that_could_forge_a_line_is_not_shown():
    assert display_path(("address", "city")) == "address.city"
    assert display_path(()) == "(all of them)"
    assert display_path(("a\nb",)) == display_path(("\x1b[31m",)) == display_path(("x" * 201,)) == "…"
