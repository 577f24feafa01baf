from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from django_ms_identity.mapping.trait_paths import read, shown, written


@given(path=st.lists(st.text(max_size=8), min_size=1, max_size=4).map(tuple))
def test_a_written_path_reads_as_it_was(path):
    assert read(written(path)) == path


def test_keys_have_dots_between_them_and_keep_their_own():
    assert written(("address", "city")) == "address.city"
    assert written(("e.mail",)) == r"e\.mail"
    assert read("address.city") == ("address", "city")


def test_a_key_that_could_forge_a_line_is_not_shown():
    assert shown(("address", "city")) == "address.city"
    assert shown(()) == "(all of them)"
    assert shown(("a\nb",)) == shown(("\x1b[31m",)) == shown(("x" * 201,)) == "…"
