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


def test_cached_text_is_found_by_another_process(store):
    shared(store).set("name", "text", seconds=60)

    assert shared(store).get("name") == "text"
    assert shared(store).get("other") is None


def test_cache_key_suits_every_backend(store):
    shared(store).set("refetch:microsoft:https://x/ é\n" + "x" * 300, "text", seconds=60)

    (key,) = store.kept
    assert key.isascii()
    assert key.isprintable()
    assert " " not in key
    assert len(key) < 200


def test_cached_text_with_a_foreign_signature_is_a_miss(store):
    shared(store).set("one", "text", seconds=60)
    shared(store).set("two", "other", seconds=60)
    shared(store, "evil").set("three", "text", seconds=60)
    first, second, _ = store.kept
    store.kept[first] = store.kept[second]

    assert shared(store).get("one") is None
    assert shared(store).get("three") is None


@given(kept=st.none() | st.text() | st.binary() | st.integers() | st.lists(st.text()))
def test_any_unsigned_cache_value_is_a_miss(kept):
    store = Store()
    shared(store).set("name", "text", seconds=60)
    store.kept = dict.fromkeys(store.kept, kept)

    assert shared(store).get("name") is None


def test_cache_name_is_acquired_once(store):
    assert shared(store).acquire_once("name", seconds=60) is Acquisition.ACQUIRED
    assert shared(store).acquire_once("name", seconds=60) is Acquisition.TAKEN
    assert shared(store).acquire_once("other", seconds=60) is Acquisition.ACQUIRED


def test_cache_that_is_down_is_a_miss_and_logged(store, caplog):
    store.down = True
    caplog.set_level(logging.WARNING)

    shared(store).set("name", "text", seconds=60)

    assert shared(store).get("name") is None
    assert shared(store).acquire_once("name", seconds=60) is Acquisition.UNKNOWN
    assert len(caplog.records) == 3
    assert "planted-cache-password" not in caplog.text


def test_cache_backend_that_hides_failures_is_no_replay(store):
    class Silent(Store):
        def add(self, key: str, value: str, timeout: int) -> bool | None:
            return None

    assert shared(Silent()).acquire_once("name", seconds=60) is Acquisition.UNKNOWN
