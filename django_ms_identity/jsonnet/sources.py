"""Read the sources of mappers, identity schemas and web hook bodies: files, inline base64 and https."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from django_ms_identity.exceptions import MapperUnavailable, MicrosoftAnswerInvalid, MicrosoftUnavailable
from django_ms_identity.net.http import HttpClient
from django_ms_identity.net.remote_documents import RemoteDocuments

from .source_urls import MAX_SOURCE, decode_inline, decode_source, display_url, pin_of, url_fault

DEFAULT = Path(__file__).with_name("default.jsonnet")
PAUSE = 10.0
"""Seconds between two requests to a server that fails: it must not hold up every sign-in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Read sources by URL.

    ``documents`` fetches and keeps those by https; ``allow_http`` permits http, for development.
    """

    documents: RemoteDocuments
    allow_http: bool = False

    def read(self, mapper_url: str) -> str:
        """Return the source behind a mapper URL; an empty one means the mapper that ships.

        ``file://`` is read again when it changes; ``https://`` is as fresh as ``RemoteDocuments``, and
        ``#sha256=…`` pins its content. Raises ``MapperUnavailable``.
        """
        if not mapper_url:
            return _read_file(str(DEFAULT), mapper_url)
        if fault := url_fault(mapper_url, allow_http=self.allow_http):
            raise MapperUnavailable(f"mapper_url {fault}", hint="Correct mapper_url in the settings.")
        match mapper_url.partition("://"):
            case ("file", _, path):
                return _read_file(_local_path(path), mapper_url)
            case ("base64", _, _):
                return decode_inline(mapper_url)
        return _read_remote(mapper_url, self.documents)


def fetched_sources(transport: HttpClient, *, now: Callable[[], float] = time.monotonic) -> RemoteDocuments:
    """Return a store for the sources that come by https.

    Nodes do not share it: a program that is executed comes from where the settings say, never from a cache.
    """
    return RemoteDocuments(transport=transport, now=now, max_bytes=MAX_SOURCE, pause_without_copy=PAUSE)


def _read_remote(mapper_url: str, documents: RemoteDocuments) -> str:
    try:
        return documents.read(mapper_url, partial(_checked_source, pin=pin_of(mapper_url)))
    except (MicrosoftUnavailable, MicrosoftAnswerInvalid) as error:
        raise MapperUnavailable(
            f"{display_url(mapper_url)} cannot be used: {error}",
            hint="Check that this server reaches the URL, that it answers 200 with the mapper itself, "
            "and that the pin fits; or ship the mapper as a file.",
        ) from None


def _checked_source(text: str, *, pin: str) -> str:
    content = text.encode()
    if pin and hashlib.sha256(content).hexdigest() != pin:
        raise MicrosoftAnswerInvalid("its content is not the one that #sha256 pins")
    try:
        return decode_source(content)
    except ValueError as error:
        raise MicrosoftAnswerInvalid(str(error)) from None


def _read_file(path: str, mapper_url: str) -> str:
    try:
        return _file_text(path, _version_of(os.stat(path)))
    except OSError as error:
        raise MapperUnavailable(
            f"{display_url(mapper_url)} cannot be read: {error.strerror}",
            hint="Check the path and that the server's user may read it. "
            f"Relative paths start at the working directory, {os.getcwd()}.",
        ) from None
    except ValueError as error:
        raise MapperUnavailable(
            f"{display_url(mapper_url)} is not usable: {error}",
            hint="Save the mapper as UTF-8 text, small enough.",
        ) from None


@lru_cache(maxsize=16)
def _file_text(path: str, version: tuple[int, int, int]) -> str:
    """Read a file; ``version`` makes a changed file another entry."""
    with open(path, "rb") as file:
        return decode_source(file.read(MAX_SOURCE + 1))


def _version_of(status: os.stat_result) -> tuple[int, int, int]:
    if not stat.S_ISREG(status.st_mode):
        # A pipe or a device would block the sign-in or never end.
        raise OSError(0, "it is not a regular file")
    return status.st_mtime_ns, status.st_size, status.st_ino


def _local_path(path: str) -> str:
    # file:///C:/x names C:/x on Windows.
    return re.sub(r"^/(?=[A-Za-z]:)", "", path) if os.name == "nt" else path
