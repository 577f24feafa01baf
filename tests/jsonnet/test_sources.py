"""Sources of mappers, schemas and bodies: files, inline, fetched (keeping copies: test_remote_documents)."""

from __future__ import annotations

import base64
import hashlib
import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests
import responses

from django_ms_identity.exceptions import MapperUnavailable
from django_ms_identity.jsonnet.source_urls import MAX_SOURCE
from django_ms_identity.jsonnet.sources import PAUSE, Sources, fetched_sources
from django_ms_identity.net.http import HttpClient
from django_ms_identity.net.remote_documents import FRESH, USABLE

from .conftest import Clock

URL = "https://mappers.example/m.jsonnet"


@pytest.fixture
def sources(clock: Clock) -> Sources:
    return Sources(documents=fetched_sources(HttpClient(connect=1, read=1), now=clock))


@pytest.fixture
def wire() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as wire:
        yield wire


def refusal_of(sources: Sources, mapper_url: str) -> MapperUnavailable:
    with pytest.raises(MapperUnavailable) as refusal:
        sources.read(mapper_url)
    assert refusal.value.hint
    assert refusal.value.__cause__ is None
    return refusal.value


# Files


def test_empty_mapper_url_reads_the_shipped_mapper(sources: Sources) -> None:
    assert "std.extVar('claims')" in sources.read("")


def test_mapper_file_is_read_by_absolute_and_relative_path(
    sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ä b.jsonnet").write_text("{ ä: 1 }", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    assert sources.read(f"file://{tmp_path}/ä b.jsonnet") == "{ ä: 1 }"
    assert sources.read("file://./ä b.jsonnet") == "{ ä: 1 }"


def test_mapper_file_is_read_again_after_it_was_replaced(sources: Sources, tmp_path: Path) -> None:
    path = tmp_path / "m.jsonnet"
    path.write_text("{ a: 1 }")
    before = sources.read(f"file://{path}")
    (tmp_path / "new").write_text("{ a: 2 }")
    os.utime(tmp_path / "new", ns=(0, path.stat().st_mtime_ns))
    (tmp_path / "new").replace(path)

    after = sources.read(f"file://{path}")

    assert (before, after) == ("{ a: 1 }", "{ a: 2 }")


def test_mapper_file_is_read_again_when_its_time_changes(sources: Sources, tmp_path: Path) -> None:
    path = tmp_path / "m.jsonnet"
    path.write_text("{ a: 1 }")
    sources.read(f"file://{path}")
    path.write_text("{ a: 2 }")
    os.utime(path, ns=(0, 0))

    assert sources.read(f"file://{path}") == "{ a: 2 }"


def test_unchanged_mapper_file_is_not_opened_again(sources: Sources, tmp_path: Path) -> None:
    path = tmp_path / "m.jsonnet"
    path.write_text("{ a: 1 }")
    os.utime(path, ns=(0, 0))
    sources.read(f"file://{path}")
    with path.open("r+") as file:  # same inode and size
        file.write("{ a: 2 }")
    os.utime(path, ns=(0, 0))

    assert sources.read(f"file://{path}") == "{ a: 1 }"


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"\xef\xbb\xbf{}", "{}"), (b"x" * MAX_SOURCE, "x" * MAX_SOURCE)],
    ids=["BOM", "large"],
)
def test_mapper_file_is_read_whole_and_without_byte_order_mark(
    sources: Sources, tmp_path: Path, content: bytes, text: str
) -> None:
    (tmp_path / "m").write_bytes(content)

    assert sources.read(f"file://{tmp_path}/m") == text


def test_mapper_file_that_was_deleted_is_named_with_its_path(sources: Sources, tmp_path: Path) -> None:
    (tmp_path / "m").write_text("{}")
    sources.read(f"file://{tmp_path}/m")
    (tmp_path / "m").unlink()

    refusal = refusal_of(sources, f"file://{tmp_path}/m")

    assert f"file://{tmp_path}/m cannot be read: No such file" in str(refusal)
    assert os.getcwd() in refusal.hint


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes need POSIX")
def test_mapper_file_that_is_a_pipe_or_folder_is_refused(sources: Sources, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    for path in (tmp_path / "pipe", tmp_path):
        assert "not a regular file" in str(refusal_of(sources, f"file://{path}"))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(b"x" * (MAX_SOURCE + 1), "larger than 65536", id="too large"),
        pytest.param(b"planted \xff", "not UTF-8", id="not UTF-8"),
        pytest.param(b"", "empty", id="empty"),
        pytest.param(b"planted\0", "NUL", id="NUL"),
    ],
)
def test_unusable_mapper_file_is_refused_without_its_content(
    sources: Sources, tmp_path: Path, content: bytes, problem: str
) -> None:
    (tmp_path / "m").write_bytes(content)

    refusal = refusal_of(sources, f"file://{tmp_path}/m")

    assert problem in str(refusal)
    assert "planted" not in str(refusal)


# Inline


def test_inline_mapper_is_decoded(sources: Sources) -> None:
    mapper_url = "base64://" + base64.b64encode("{ ä: '??>' }".encode()).decode()

    assert sources.read(mapper_url) == "{ ä: '??>' }"


def test_broken_inline_mapper_is_refused_and_not_shown(sources: Sources) -> None:
    assert "planted" not in repr(refusal_of(sources, "base64://planted"))


# Fetched


def test_fetched_mapper_is_fetched_once_an_hour(
    sources: Sources, clock: Clock, wire: responses.RequestsMock
) -> None:
    wire.get(URL, body="{ a: 1 }")
    wire.get(URL, body="{ a: 2 }")
    first = sources.read(URL)
    clock.now += FRESH - 1
    second = sources.read(URL)
    clock.now += 1
    third = sources.read(URL)

    assert (first, second, third) == ("{ a: 1 }", "{ a: 1 }", "{ a: 2 }")
    assert len(wire.calls) == 2


@pytest.mark.parametrize(
    ("failure", "problem"),
    [
        pytest.param({"status": 500}, "answered 500", id="500"),
        pytest.param(
            {"status": 302, "body": "{}", "headers": {"Location": "https://evil.example/"}},
            "answered 302",
            id="redirect",
        ),
        pytest.param({"status": 203, "body": "{}"}, "answered 203", id="203"),
        pytest.param({"body": requests.ConnectionError("planted")}, "ConnectionError", id="no connection"),
        pytest.param({"body": requests.ReadTimeout("planted")}, "ReadTimeout", id="time-out"),
        pytest.param({"body": "x" * (MAX_SOURCE + 1)}, f"larger than {MAX_SOURCE} bytes", id="too large"),
        pytest.param({"body": b"planted \xff"}, "UTF-8", id="not UTF-8"),
        pytest.param({"body": ""}, "empty", id="empty"),
        pytest.param({"body": "planted\0"}, "NUL", id="NUL"),
    ],
)
def test_failed_fetch_of_a_mapper_is_refused_without_secrets(
    sources: Sources,
    wire: responses.RequestsMock,
    caplog: pytest.LogCaptureFixture,
    failure: dict[str, object],
    problem: str,
) -> None:
    wire.get(URL, **failure)
    caplog.set_level(logging.DEBUG, logger="django_ms_identity")

    refusal = refusal_of(sources, f"{URL}?sig=planted")

    assert "https://mappers.example/m.jsonnet?[redacted]" in str(refusal)
    assert problem in str(refusal)
    assert "planted" not in repr(refusal) + refusal.hint + caplog.text


def test_fetched_mapper_is_served_stale_for_a_day_and_logged_without_secrets(
    sources: Sources, clock: Clock, wire: responses.RequestsMock, caplog: pytest.LogCaptureFixture
) -> None:
    wire.get(URL, body="{ a: 1 }")
    wire.get(URL, status=503)
    signed = f"{URL}?sig=planted"
    sources.read(signed)
    clock.now += USABLE - 1
    stale = sources.read(signed)
    clock.now += 1

    assert stale == "{ a: 1 }"
    assert "https://mappers.example/m.jsonnet?[redacted] answered 503" in caplog.text
    assert "planted" not in caplog.text
    assert "answered 503" in str(refusal_of(sources, signed))


def test_failing_mapper_server_is_not_asked_at_every_sign_in(
    sources: Sources, clock: Clock, wire: responses.RequestsMock
) -> None:
    failed = wire.get(URL, status=404)
    first = refusal_of(sources, URL)
    clock.now += PAUSE - 1
    second = refusal_of(sources, URL)
    asked = failed.call_count
    clock.now += 1
    wire.replace(responses.GET, URL, body="{ a: 1 }")

    assert asked == 1
    assert str(first) == str(second)
    assert sources.read(URL) == "{ a: 1 }"


@pytest.mark.parametrize("body", [b"{ a: 1 }", b"\xef\xbb\xbf{ a: 1 }"], ids=["plain", "BOM"])
def test_mapper_pin_is_compared_with_what_is_served_and_not_sent(
    sources: Sources, wire: responses.RequestsMock, body: bytes
) -> None:
    wire.get(URL, body=body)
    digest = hashlib.sha256(body).hexdigest()

    assert sources.read(f"{URL}#sha256={digest.upper()}") == "{ a: 1 }"
    assert wire.calls[0].request.url == URL


def test_mapper_that_does_not_fit_its_pin_is_never_served(
    sources: Sources, clock: Clock, wire: responses.RequestsMock
) -> None:
    wire.get(URL, body="{ a: 'planted' }")
    pinned = f"{URL}#sha256={'0' * 64}"

    first = refusal_of(sources, pinned)
    clock.now += PAUSE
    second = refusal_of(sources, pinned)

    assert "pins" in str(first)
    assert "planted" not in str(first) + str(second)


def test_changed_mapper_does_not_replace_the_pinned_one(
    sources: Sources, clock: Clock, wire: responses.RequestsMock
) -> None:
    wire.get(URL, body="{ a: 1 }")
    wire.get(URL, body="{ a: 2 }")
    pinned = f"{URL}#sha256={hashlib.sha256(b'{ a: 1 }').hexdigest()}"
    sources.read(pinned)
    clock.now += FRESH

    assert sources.read(pinned) == "{ a: 1 }"
    assert len(wire.calls) == 2


def test_mapper_by_http_needs_permission(sources: Sources, wire: responses.RequestsMock) -> None:
    wire.get("http://mappers.example/m", body="{}")

    refusal_of(sources, "http://mappers.example/m")
    assert not wire.calls
    assert replace(sources, allow_http=True).read("http://mappers.example/m") == "{}"
