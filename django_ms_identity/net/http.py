"""The only sockets: pooled HTTP with our limits. Knows nothing of protocols or Django."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from types import MappingProxyType
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
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
"""Hosts that the emulator stands in for."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An HTTP answer, whole and within the limits."""

    status: int
    headers: Mapping[str, str]
    """Names match in any case."""
    body: bytes = field(repr=False)

    def json(self) -> object:
        """Parse the body, or raise ``MicrosoftAnswerInvalid``."""
        return parse_json(self.body)


def parse_json(text: str | bytes) -> object:
    """Parse JSON that came from outside, or raise ``MicrosoftAnswerInvalid``."""
    with suppress(ValueError, RecursionError):
        parsed: object = json.loads(text)
        return parsed
    # Out here it has no context: the parser's exception holds everything that it read.
    raise MicrosoftAnswerInvalid("the answer is not JSON")


def rewrite(url: str, emulator_url: str) -> str:
    """Point an https URL of Microsoft's at the emulator: its host becomes the first path segment."""
    if not emulator_url or urlsplit(url).netloc not in EMULATED:
        return url
    return f"{emulator_url.rstrip('/')}/{url.removeprefix('https://')}"


class HttpClient:
    """Send requests within our limits; a class because it owns a pool of connections.

    ``connect`` and ``read`` are seconds; a body that is not complete after their sum is given up. The limit
    on the head is per packet, so a server that drips its headers can hold a thread for longer.
    Proxies and CA bundles come from the environment; redirects, cookies and netrc are never used.
    """

    def __init__(self, *, connect: float, read: float, emulator_url: str = "") -> None:
        self._timeout = (connect, read)
        self._emulator_url = emulator_url
        self._lock = threading.Lock()
        self._owner = 0
        self._session: requests.Session

    def get(self, url: str, *, headers: Mapping[str, str] | None = None, limit: int = MAX_BODY) -> Response:
        """GET ``url``; at most ``limit`` bytes. One retry.

        Raises ``MicrosoftUnavailable`` for network faults, ``MicrosoftAnswerInvalid`` beyond the limit.
        """
        return self._send("GET", url, headers=headers, data=None, limit=limit)

    def post(
        self, url: str, *, data: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> Response:
        """POST a form once. Raises as ``get`` does."""
        return self._send("POST", url, headers=headers, data=data, limit=MAX_BODY)

    def _send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None,
        data: Mapping[str, str] | None,
        limit: int,
    ) -> Response:
        host = urlsplit(url).hostname
        deadline = time.monotonic() + sum(self._timeout)
        try:
            with self._pool().request(
                method,
                rewrite(url, self._emulator_url),
                headers=dict(headers or {}),
                data=data,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            ) as answer:
                body = _read(answer, limit=limit, deadline=deadline)
            return Response(status=answer.status_code, headers=MappingProxyType(answer.headers), body=body)
        except (HTTPError, OSError, ValueError) as error:  # requests raises OSErrors.
            fault = type(error).__name__
        # Out here it has no context: the library's exceptions hold the request, with code and secret.
        raise MicrosoftUnavailable(
            f"{method} to {host} failed: {fault}",
            hint="Check that this server reaches Microsoft: DNS, firewall, HTTPS_PROXY, REQUESTS_CA_BUNDLE.",
        )

    def _pool(self) -> requests.Session:
        # Sockets must not be shared with a forked child.
        if self._owner != os.getpid():
            with self._lock:
                if self._owner != os.getpid():
                    self._session = _new_session(trust_env=not self._emulator_url)
                    self._owner = os.getpid()
        return self._session


def _new_session(*, trust_env: bool) -> requests.Session:
    session = requests.Session()
    # The emulator is on the loopback interface, where a proxy has no business.
    session.trust_env = trust_env
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    # Any callable keeps requests from looking into ~/.netrc.
    session.auth = _no_auth
    adapter = HTTPAdapter(pool_maxsize=32, max_retries=_RETRY)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _read(answer: requests.Response, *, limit: int, deadline: float) -> bytes:
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
