"""Send HTTP requests over pooled connections, within limits of time and size. Knows no Django."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import TypeAlias
from urllib.parse import urlsplit

import requests
from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from requests.utils import default_headers, get_environ_proxies
from urllib3.exceptions import HTTPError
from urllib3.util.retry import Retry

from django_ms_identity.exceptions import MicrosoftAnswerInvalid, MicrosoftUnavailable

MAX_BODY = 1024 * 1024
"""Bytes of an answer that are read; Microsoft's largest (keys) is about 20 KiB."""

EMULATED = frozenset(
    {
        "login.microsoftonline.com",
        "login.microsoftonline.us",
        "login.partner.microsoftonline.cn",
        "graph.microsoft.com",
        "graph.microsoft.us",
        "dod-graph.microsoft.us",
        "microsoftgraph.chinacloudapi.cn",
    }
)
"""Hosts that the emulator replaces."""

_RETRY = Retry(
    total=1,
    redirect=0,
    # TLS faults count here whatever the method, even when the request was sent already.
    other=0,
    # A POST is sent again only when its connection was never made: a code is redeemed once.
    allowed_methods={"GET"},
    status_forcelist={500, 502, 503, 504},
    raise_on_status=False,
    respect_retry_after_header=False,
)
_Route: TypeAlias = tuple[dict[str, str], bool | str]
"""Proxies to reach an origin, and a CA bundle or ``True`` for the one that requests brings."""
_DEFAULT_HEADERS = dict(default_headers())
_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An HTTP answer, whole and within the limits."""

    status: int
    headers: Mapping[str, str]
    """Names match in any case."""
    body: bytes = field(repr=False)


def parse_json(text: str | bytes) -> object:
    """Parse JSON that came from outside, or raise ``MicrosoftAnswerInvalid``."""
    with suppress(ValueError, RecursionError):
        parsed: object = json.loads(text)
        return parsed
    # Outside the except block, so that ``__context__`` does not carry what was parsed.
    raise MicrosoftAnswerInvalid("the answer is not JSON")


def parse_object(text: str | bytes) -> dict[str, object]:
    """Parse a JSON object that came from outside, or raise ``MicrosoftAnswerInvalid``."""
    parsed = parse_json(text)
    if not isinstance(parsed, dict):
        raise MicrosoftAnswerInvalid("the answer is not a JSON object")
    return parsed


def rewrite(url: str, emulator_url: str) -> str:
    """Point an https URL of Microsoft at the emulator: its host becomes the first path segment."""
    if not emulator_url or urlsplit(url).netloc not in EMULATED:
        return url
    return f"{emulator_url.rstrip('/')}/{url.removeprefix('https://')}"


class HttpClient:
    """Send requests within limits; a class because it owns a pool of connections.

    ``connect`` and ``read`` are seconds; a body that is not complete after their sum is given up. The limit
    on the head is per packet, so a server that drips its headers can hold a thread for longer.
    Proxies and CA bundles come from the environment, as it is when a host is first asked.
    Uses requests' adapter without a session, which would follow redirects, keep cookies and read netrc.
    """

    def __init__(self, *, connect: float, read: float, emulator_url: str = "") -> None:
        self._timeout = (connect, read)
        self._emulator_url = emulator_url
        # The emulator is on the loopback interface, which no proxy serves.
        self._route = lru_cache(maxsize=64)(_direct_route if emulator_url else _environment_route)
        self._lock = threading.Lock()
        self._owner = 0
        self._adapter: HTTPAdapter

    def get(self, url: str, *, headers: Mapping[str, str] = _NONE, limit: int = MAX_BODY) -> Response:
        """GET ``url``; at most ``limit`` bytes. One retry.

        Raises ``MicrosoftUnavailable`` for network faults, ``MicrosoftAnswerInvalid`` beyond the limit.
        """
        return self._send("GET", url, headers, None, limit)

    def post(self, url: str, *, data: Mapping[str, str], headers: Mapping[str, str] = _NONE) -> Response:
        """POST a form once. Raises as ``get`` does."""
        return self._send("POST", url, headers, data, MAX_BODY)

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], data: Mapping[str, str] | None, limit: int
    ) -> Response:
        parts = urlsplit(url)
        deadline = time.monotonic() + sum(self._timeout)
        try:
            request = PreparedRequest()
            request.prepare(
                method,
                rewrite(url, self._emulator_url),
                headers=_DEFAULT_HEADERS | dict(headers),
                data=data,
                # Else a password in the URL would be sent.
                auth=lambda request: request,
            )
            proxies, verify = self._route(f"{parts.scheme}://{parts.netloc}")
            with self._pool().send(
                request, stream=True, timeout=self._timeout, verify=verify, proxies=proxies
            ) as answer:
                body = _read_body(answer, limit=limit, deadline=deadline)
            return Response(status=answer.status_code, headers=MappingProxyType(answer.headers), body=body)
        except (HTTPError, OSError, ValueError) as error:  # requests raises OSErrors.
            fault = type(error).__name__
        # Outside the except block, so that ``__context__`` does not carry the request with code and secret.
        raise MicrosoftUnavailable(
            f"{method} to {parts.hostname} failed: {fault}",
            hint="Check that this server reaches Microsoft: DNS, firewall, HTTPS_PROXY, REQUESTS_CA_BUNDLE.",
        )

    def _pool(self) -> HTTPAdapter:
        # Sockets must not be shared with a forked child.
        if self._owner != os.getpid():
            with self._lock:
                if self._owner != os.getpid():
                    self._adapter = HTTPAdapter(pool_maxsize=32, max_retries=_RETRY)
                    self._owner = os.getpid()
        return self._adapter


def ca_bundle() -> str:
    """Return the CA bundle that the environment names for requests, or an empty text."""
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or ""


def _environment_route(origin: str) -> _Route:
    return get_environ_proxies(origin), ca_bundle() or True


def _direct_route(origin: str) -> _Route:
    return {}, True


def _read_body(answer: requests.Response, *, limit: int, deadline: float) -> bytes:
    # read1 returns what has arrived, so an answer that drips cannot outlast the deadline.
    read = getattr(answer.raw, "read1", answer.raw.read)
    body = bytearray()
    while chunk := read(65536, decode_content=True):
        body += chunk
        if len(body) > limit:
            raise MicrosoftAnswerInvalid(f"the answer is larger than {limit} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError
    return bytes(body)
