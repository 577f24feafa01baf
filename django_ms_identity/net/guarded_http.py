"""Requests to addresses that somebody configured: looked up once, checked, and then gone to exactly.

A name is resolved a single time and the connection is made to the addresses that were checked, so an
answer that changes meanwhile (DNS rebinding) changes nothing. Proxies of the environment are not used:
they would look the name up again. No redirects, cookies, netrc, compression or retries either.
"""

from __future__ import annotations

import io
import os
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import lru_cache
from http.client import HTTPConnection, HTTPException, IncompleteRead
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from django_ms_identity.exceptions import WebHookFailed, WebHookUnreachable

from .ip_ranges import IPAddress, Resolve, is_public, resolve

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a request may take."""

    connect: float = 3.0
    """Seconds for each address that is tried."""
    total: float = 10.0
    """Seconds for everything: look-up, connections, TLS, request and whole answer."""
    body: int = 1024 * 1024
    """Bytes of the answer."""


LIMITS = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedResponse:
    """An HTTP answer, whole and within the limits."""

    status: int
    body: bytes = field(repr=False)


class _AddressRefused(Exception):
    pass


def send(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes | None,
    allow_private: bool = False,
    limits: Limits = LIMITS,
    resolve: Resolve = resolve,
) -> GuardedResponse:
    """Send one request to a URL with an ASCII host; TLS is verified against that host.

    Every address of the host must be public unless ``allow_private``. Trusts the certificates that
    requests trusts, ``REQUESTS_CA_BUNDLE`` and ``CURL_CA_BUNDLE`` included. Raises ``WebHookUnreachable``
    for network faults and late answers, ``WebHookFailed`` for answers that are too large or not HTTP.
    """
    deadline = time.monotonic() + limits.total
    host = urlsplit(url).hostname or ""
    try:
        with (
            _connect(url, allow_private, limits.connect, deadline, resolve) as plain,
            _secure(plain, url, deadline) as sock,
        ):
            return _exchange(_Stream(sock, deadline), method, url, headers, body, limits.body)
    except (_AddressRefused, OSError, HTTPException, ValueError) as error:
        fault = type(error)
    # Out here it has no context: the exceptions of http.client quote headers, and with them secrets.
    raise _refusal(fault, f"{method} to {host}")


def _refusal(fault: type[Exception], what: str) -> WebHookFailed | WebHookUnreachable:
    if issubclass(fault, _AddressRefused):
        return WebHookUnreachable(
            f"{what} refused: an address of this host is not public",
            hint="Set allow_private for this web hook if it is meant to reach your own network.",
        )
    if issubclass(fault, ssl.SSLError):
        return WebHookUnreachable(
            f"{what} failed: {fault.__name__}",
            hint="Check the certificate of that server; REQUESTS_CA_BUNDLE names an authority of your own.",
        )
    if issubclass(fault, OSError):
        return WebHookUnreachable(
            f"{what} failed: {fault.__name__}",
            hint="Check that this server reaches that host itself: proxies are not used for web hooks.",
        )
    return WebHookFailed(f"{what} failed: {fault.__name__}", hint="Check what answers at that URL.")


def _connect(
    url: str, allow_private: bool, timeout: float, deadline: float, resolve: Resolve
) -> socket.socket:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    addresses = _look_up(host, port, deadline, resolve)
    # One address that is not public spoils all: whoever answers with both is trying something.
    if not allow_private and not all(map(is_public, addresses)):
        raise _AddressRefused
    fault: OSError = ConnectionError("the host has no address")
    for address in addresses:
        try:
            return socket.create_connection((str(address), port), min(timeout, _left(deadline)))
        except OSError as error:
            fault = error
    raise fault


def _look_up(host: str, port: int, deadline: float, resolve: Resolve) -> Sequence[IPAddress]:
    # The system's look-up cannot be given a time limit, so it is left behind when it takes too long.
    found: Future[Sequence[IPAddress]] = Future()

    def settle() -> None:
        try:
            found.set_result(resolve(host, port))
        except Exception as error:  # Raised again where the result is waited for.
            found.set_exception(error)

    threading.Thread(target=settle, name="ms_identity look-up", daemon=True).start()
    try:
        return found.result(_left(deadline))
    except UnicodeError:
        raise socket.gaierror("the host is no name that can be looked up") from None


def _secure(sock: socket.socket, url: str, deadline: float) -> socket.socket:
    if urlsplit(url).scheme != "https":
        return sock
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    sock.settimeout(_left(deadline))
    return _tls(bundle or DEFAULT_CA_BUNDLE_PATH).wrap_socket(sock, server_hostname=urlsplit(url).hostname)


@lru_cache(maxsize=4)
def _tls(bundle: str) -> ssl.SSLContext:
    if os.path.isdir(bundle):
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle)


def _exchange(
    stream: _Stream, method: str, url: str, headers: Mapping[str, str], body: bytes | None, limit: int
) -> GuardedResponse:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port or _PORTS[parts.scheme])
    # It dials only where there is no socket.
    connection.sock = stream
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection.request(method, target, body, {**headers, "Host": parts.netloc, "Connection": "close"})
    answer = connection.getresponse()
    content = answer.read(limit + 1)
    if len(content) > limit:
        raise _TooLarge
    # A body that ends early is not noticed by read(n).
    if answer.length:
        raise IncompleteRead(b"")
    return GuardedResponse(status=answer.status, body=content)


class _TooLarge(HTTPException):
    pass


class _Stream(io.RawIOBase):
    """A socket as http.client uses one, each of whose waits ends by the deadline.

    A timeout of the socket's own starts anew with every byte, so a server that drips outlasts it.
    """

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def sendall(self, content: bytes) -> None:
        rest = memoryview(content)
        while rest:
            self._sock.settimeout(_left(self._deadline))
            rest = rest[self._sock.send(rest) :]

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        self._sock.settimeout(_left(self._deadline))
        return self._sock.recv_into(buffer)

    def close(self) -> None:
        """Leave the socket open: http.client closes it before the answer is read."""


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
