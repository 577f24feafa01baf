from __future__ import annotations

import base64
import hashlib
import logging
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
import responses

from django_ms_identity.exceptions import MapperUnavailable
from django_ms_identity.jsonnet.source_urls import MAX_SOURCE
from django_ms_identity.jsonnet.sources import FRESH, PAUSE, STALE, Sources
from django_ms_identity.net.http import HttpClient

from .conftest import Clock

URL = "https://mappers.example/m.jsonnet"


@pytest.fixture
def sources(clock: Clock) -> Sources:
    return Sources(clock=clock)


@pytest.fixture
def transport() -> HttpClient:
    return HttpClient(connect=1, read=1)


@pytest.fixture
def wire() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as wire:
        yield wire


def refusal_of(
    sources: Sources, mapper_url: str, transport: HttpClient, **options: bool
) -> MapperUnavailable:
    with pytest.raises(MapperUnavailable) as refusal:
        sources.read(mapper_url, transport=transport, **options)
    assert refusal.value.hint
    assert refusal.value.__cause__ is None
    return refusal.value


# Files


def test_no_mapper_url_means_the_mapper_that_ships(sources: Sources, transport: HttpClient) -> None:
    assert "std.extVar('claims')" in sources.read("", transport=transport)


def test_a_file_is_read_by_absolute_and_by_relative_path(
    sources: Sources, transport: HttpClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ä b.jsonnet").write_text("{ ä: 1 }", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    assert sources.read(f"file://{tmp_path}/ä b.jsonnet", transport=transport) == "{ ä: 1 }"
    assert sources.read("file://./ä b.jsonnet", transport=transport) == "{ ä: 1 }"


def test_a_file_is_read_again_when_it_was_replaced(
    sources: Sources, transport: HttpClient, tmp_path: Path
) -> None:
    path = tmp_path / "m.jsonnet"
    path.write_text("{ a: 1 }")
    before = sources.read(f"file://{path}", transport=transport)
    (tmp_path / "new").write_text("{ a: 2 }")
    os.utime(tmp_path / "new", ns=(0, path.stat().st_mtime_ns))
    (tmp_path / "new").replace(path)

    after = sources.read(f"file://{path}", transport=transport)

    assert (before, after) == ("{ a: 1 }", "{ a: 2 }")


def test_a_file_is_read_again_when_its_time_changes(
    sources: Sources, transport: HttpClient, tmp_path: Path
) -> None:
    path = tmp_path / "m.jsonnet"
    path.write_text("{ a: 1 }")
    sources.read(f"file://{path}", transport=transport)
    path.write_text("{ a: 2 }")
    os.utime(path, ns=(0, 0))

    assert sources.read(f"file://{path}", transport=transport) == "{ a: 2 }"


def test_a_file_that_did_not_change_is_not_opened_again(
    sources: Sources, transport: HttpClient, tmp_path: Path
) -> None:
    path = tmp_path / "m.jsonnet"
    path.write_text("{ a: 1 }")
    os.utime(path, ns=(0, 0))
    sources.read(f"file://{path}", transport=transport)
    with path.open("r+") as file:  # same inode and size
        file.write("{ a: 2 }")
    os.utime(path, ns=(0, 0))

    assert sources.read(f"file://{path}", transport=transport) == "{ a: 1 }"


def test_a_byte_order_mark_is_no_part_of_the_mapper(
    sources: Sources, transport: HttpClient, tmp_path: Path
) -> None:
    (tmp_path / "m").write_bytes(b"\xef\xbb\xbf{}")

    assert sources.read(f"file://{tmp_path}/m", transport=transport) == "{}"


def test_a_missing_file_is_named_with_its_path(
    sources: Sources, transport: HttpClient, tmp_path: Path
) -> None:
    refusal = refusal_of(sources, f"file://{tmp_path}/absent", transport)

    assert f"file://{tmp_path}/absent cannot be read: No such file" in str(refusal)
    assert os.getcwd() in refusal.hint


def test_a_file_that_disappeared_is_not_served_from_memory(
    sources: Sources, transport: HttpClient, tmp_path: Path
) -> None:
    (tmp_path / "m").write_text("{}")
    sources.read(f"file://{tmp_path}/m", transport=transport)
    (tmp_path / "m").unlink()

    refusal_of(sources, f"file://{tmp_path}/m", transport)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes need POSIX")
def test_a_pipe_is_refused_and_does_not_block(
    sources: Sources, transport: HttpClient, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")

    assert "not a regular file" in str(refusal_of(sources, f"file://{tmp_path}/pipe", transport))


def test_a_folder_is_refused(sources: Sources, transport: HttpClient, tmp_path: Path) -> None:
    assert "not a regular file" in str(refusal_of(sources, f"file://{tmp_path}", transport))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(b"x" * (MAX_SOURCE + 1), "larger than 65536", id="too large"),
        pytest.param(b"planted \xff", "not UTF-8", id="not UTF-8"),
        pytest.param(b"", "empty", id="empty"),
        pytest.param(b"planted\0", "NUL", id="NUL"),
    ],
)
def test_a_file_that_is_no_mapper_is_refused_without_its_content(
    sources: Sources, transport: HttpClient, tmp_path: Path, content: bytes, problem: str
) -> None:
    (tmp_path / "m").write_bytes(content)

    refusal = refusal_of(sources, f"file://{tmp_path}/m", transport)

    assert problem in str(refusal)
    assert "planted" not in str(refusal)


def test_a_file_of_the_greatest_size_is_read(sources: Sources, transport: HttpClient, tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"x" * MAX_SOURCE)

    assert len(sources.read(f"file://{tmp_path}/m", transport=transport)) == MAX_SOURCE


# Inline


def test_an_inline_mapper_is_decoded(sources: Sources, transport: HttpClient) -> None:
    mapper_url = "base64://" + base64.b64encode("{ ä: '??>' }".encode()).decode()

    assert sources.read(mapper_url, transport=transport) == "{ ä: '??>' }"


def test_a_broken_inline_mapper_is_refused_and_not_shown(sources: Sources, transport: HttpClient) -> None:
    assert "planted" not in repr(refusal_of(sources, "base64://planted", transport))


# Fetched


def test_a_mapper_is_fetched_once_an_hour(
    sources: Sources, transport: HttpClient, clock: Clock, wire: responses.RequestsMock
) -> None:
    wire.get(URL, body="{ a: 1 }")
    wire.get(URL, body="{ a: 2 }")
    first = sources.read(URL, transport=transport)
    clock.now += FRESH - 1
    second = sources.read(URL, transport=transport)
    clock.now += 1
    third = sources.read(URL, transport=transport)

    assert (first, second, third) == ("{ a: 1 }", "{ a: 1 }", "{ a: 2 }")
    assert len(wire.calls) == 2


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param({"status": 500}, id="500"),
        pytest.param(
            {"status": 302, "body": "{}", "headers": {"Location": "https://evil.example/"}}, id="redirect"
        ),
        pytest.param({"status": 203, "body": "{}"}, id="203"),
        pytest.param({"body": requests.ConnectionError("planted")}, id="no connection"),
        pytest.param({"body": requests.ReadTimeout("planted")}, id="time-out"),
        pytest.param({"body": "x" * (MAX_SOURCE + 1)}, id="too large"),
        pytest.param({"body": b"\xff"}, id="not UTF-8"),
        pytest.param({"body": ""}, id="empty"),
    ],
)
def test_a_failed_fetch_is_refused_and_secrets_are_not_shown(
    sources: Sources,
    transport: HttpClient,
    wire: responses.RequestsMock,
    caplog: pytest.LogCaptureFixture,
    failure: dict[str, object],
) -> None:
    wire.get(URL, **failure)
    caplog.set_level(logging.DEBUG, logger="django_ms_identity")

    refusal = refusal_of(sources, f"{URL}?sig=planted", transport)

    assert "https://mappers.example/m.jsonnet?[redacted]" in str(refusal)
    assert "planted" not in repr(refusal) + refusal.hint + caplog.text
    assert "did not answer" in caplog.text or "answered" in caplog.text or "usable" in caplog.text


def test_a_mapper_is_served_stale_for_a_day_when_it_cannot_be_fetched(
    sources: Sources, transport: HttpClient, clock: Clock, wire: responses.RequestsMock
) -> None:
    wire.get(URL, body="{ a: 1 }")
    wire.get(URL, status=503)
    sources.read(URL, transport=transport)
    clock.now += STALE
    stale = sources.read(URL, transport=transport)
    clock.now += PAUSE

    assert stale == "{ a: 1 }"
    refusal_of(sources, URL, transport)


def test_a_failing_host_is_not_asked_at_every_sign_in(
    sources: Sources, transport: HttpClient, clock: Clock, wire: responses.RequestsMock
) -> None:
    failed = wire.get(URL, status=404)
    refusal_of(sources, URL, transport)
    refusal_of(sources, URL, transport)
    asked = failed.call_count
    clock.now += PAUSE
    wire.replace(responses.GET, URL, body="{ a: 1 }")

    assert asked == 1
    assert sources.read(URL, transport=transport) == "{ a: 1 }"


def test_the_pin_is_compared_and_not_sent(
    sources: Sources, transport: HttpClient, wire: responses.RequestsMock
) -> None:
    wire.get(URL, body="{ a: 1 }")
    digest = hashlib.sha256(b"{ a: 1 }").hexdigest()

    assert sources.read(f"{URL}#sha256={digest.upper()}", transport=transport) == "{ a: 1 }"
    assert wire.calls[0].request.url == URL


def test_another_content_than_the_pinned_is_never_served(
    sources: Sources, transport: HttpClient, clock: Clock, wire: responses.RequestsMock
) -> None:
    wire.get(URL, body="{ a: 'planted' }")
    pinned = f"{URL}#sha256={'0' * 64}"

    first = refusal_of(sources, pinned, transport)
    clock.now += PAUSE
    second = refusal_of(sources, pinned, transport)

    assert "pins" in str(first)
    assert "planted" not in str(first) + str(second)


def test_a_changed_content_does_not_replace_the_pinned_one(
    sources: Sources, transport: HttpClient, clock: Clock, wire: responses.RequestsMock
) -> None:
    wire.get(URL, body="{ a: 1 }")
    wire.get(URL, body="{ a: 2 }")
    pinned = f"{URL}#sha256={hashlib.sha256(b'{ a: 1 }').hexdigest()}"
    sources.read(pinned, transport=transport)
    clock.now += FRESH

    assert sources.read(pinned, transport=transport) == "{ a: 1 }"
    assert len(wire.calls) == 2


def test_http_needs_permission(sources: Sources, transport: HttpClient, wire: responses.RequestsMock) -> None:
    wire.get("http://mappers.example/m", body="{}")

    refusal_of(sources, "http://mappers.example/m", transport)
    assert not wire.calls
    assert sources.read("http://mappers.example/m", transport=transport, allow_http=True) == "{}"


class HeldTransport(HttpClient):
    """A wire on which answers wait until they are released."""

    def __init__(self) -> None:
        super().__init__(connect=1, read=1)
        self.asked = threading.Semaphore(0)
        self.released = threading.Event()

    def get(self, url: str, **options: object):
        self.asked.release()
        assert self.released.wait(20)
        return super().get(url, **options)


def test_many_threads_fetch_once(sources: Sources, wire: responses.RequestsMock) -> None:
    wire.get(URL, body="{ a: 1 }")
    held = HeldTransport()
    with ThreadPoolExecutor(8) as pool:
        reads = [pool.submit(sources.read, URL, transport=held) for _ in range(8)]
        assert held.asked.acquire(timeout=20)
        held.released.set()
        read = {future.result(20) for future in reads}

    assert read == {"{ a: 1 }"}
    assert len(wire.calls) == 1


def test_nobody_waits_for_a_refresh_while_there_is_something_to_serve(
    sources: Sources, transport: HttpClient, clock: Clock, wire: responses.RequestsMock
) -> None:
    wire.get(URL, body="{ a: 1 }")
    wire.get(URL, body="{ a: 2 }")
    sources.read(URL, transport=transport)
    clock.now += FRESH
    held = HeldTransport()
    with ThreadPoolExecutor(1) as pool:
        refreshing = pool.submit(sources.read, URL, transport=held)
        assert held.asked.acquire(timeout=20)
        meanwhile = sources.read(URL, transport=transport)
        held.released.set()
        refreshed = refreshing.result(20)

    assert (meanwhile, refreshed) == ("{ a: 1 }", "{ a: 2 }")


def test_forgetting_drops_what_was_read(
    sources: Sources, transport: HttpClient, wire: responses.RequestsMock
) -> None:
    wire.get(URL, body="{ a: 1 }")
    sources.read(URL, transport=transport)
    sources.forget()
    sources.read(URL, transport=transport)

    assert len(wire.calls) == 2
