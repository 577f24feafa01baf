"""The shared cache: signed, named, and never a reason to fail."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_ms_identity.cache import Acquisition, SharedCache
from django_ms_identity.crypto import Keyring
from tests.entra.forge import Store


@pytest.fixture
def store():
    return Store()


def shared(store: Store, secret: str = "secret") -> SharedCache:
    return SharedCache(store, Keyring([secret]))


def test_what_was_kept_is_found_by_another_process(store):
    shared(store).set("name", "text", seconds=60)

    assert shared(store).get("name") == "text"
    assert shared(store).get("other") is None


def test_names_become_keys_that_every_backend_takes(store):
    shared(store).set("refetch:microsoft:https://x/ é\n" + "x" * 300, "text", seconds=60)

    (key,) = store.kept
    assert key.isascii()
    assert key.isprintable()
    assert " " not in key
    assert len(key) < 200


def test_a_text_under_another_name_is_not_believed(store):
    shared(store).set("one", "text", seconds=60)
    shared(store).set("two", "other", seconds=60)
    first, second = store.kept
    store.kept[first] = store.kept[second]

    assert shared(store).get("one") is None


def test_a_text_signed_with_another_secret_is_not_believed(store):
    shared(store, "evil").set("name", "text", seconds=60)

    assert shared(store).get("name") is None


@given(kept=st.none() | st.text() | st.binary() | st.integers() | st.lists(st.text()))
def test_whatever_lies_in_the_cache_is_not_believed(kept):
    store = Store()
    shared(store).set("name", "text", seconds=60)
    store.kept = dict.fromkeys(store.kept, kept)

    assert shared(store).get("name") is None


def test_cache_name_is_acquired_once(store):
    assert shared(store).acquire_once("name", seconds=60) is Acquisition.ACQUIRED
    assert shared(store).acquire_once("name", seconds=60) is Acquisition.TAKEN
    assert shared(store).acquire_once("other", seconds=60) is Acquisition.ACQUIRED


def test_a_cache_that_is_down_is_a_miss_and_a_line_in_the_log(store, caplog):
    store.down = True
    caplog.set_level(logging.WARNING)

    shared(store).set("name", "text", seconds=60)

    assert shared(store).get("name") is None
    assert shared(store).acquire_once("name", seconds=60) is Acquisition.UNKNOWN
    assert len(caplog.records) == 3
    assert "planted-cache-password" not in caplog.text


def test_a_backend_that_hides_its_failures_is_not_taken_for_a_replay(store):
    class Silent(Store):
        def add(self, key: str, value: str, timeout: int) -> bool | None:
            return None

    assert shared(Silent()).acquire_once("name", seconds=60) is Acquisition.UNKNOWN
