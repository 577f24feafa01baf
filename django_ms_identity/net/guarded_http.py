"""HTTP to public addresses only, for URLs that an operator configured.

A host is looked up once and the connection is made to the addresses that were checked, so an answer that
changes meanwhile (DNS rebinding) changes nothing. Hence sockets and http.client instead of ``net.http``:
every wait, the look-up included, ends at one deadline, and proxies, which would look the host up again,
redirects, cookies, netrc, compression and retries do not exist here rather than being switched off.
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
from dataclasses import dataclass
from functools import lru_cache
from http.client import HTTPConnection, HTTPException, IncompleteRead, InvalidURL
from typing import TYPE_CHECKING

from requests.structures import CaseInsensitiveDict
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from django_ms_identity.exceptions import WebHookFailed, WebHookUnreachable

from .http import MAX_BODY, Response, ca_bundle
from .http_url import HttpUrl, parse_http_url
from .ip_ranges import IPAddress, Resolve, is_public, resolve

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a request may take."""

    connect: float = 3.0
    """Seconds for each address that is tried."""
    total: float = 10.0
    """Seconds for everything: look-up, connections, TLS, request and whole answer."""
    body: int = MAX_BODY
    """Bytes of the answer."""


LIMITS = Limits()


class _AddressNotPublic(Exception):
    pass


class _TooLarge(HTTPException):
    pass


def send_guarded(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes | None,
    allow_private: bool = False,
    limits: Limits = LIMITS,
    resolve: Resolve = resolve,
) -> Response:
    """Send one request to a URL with an ASCII host; TLS is verified against that host.

    Every address of the host must be public unless ``allow_private``. Trusts the certificates that
    requests trusts, ``REQUESTS_CA_BUNDLE`` and ``CURL_CA_BUNDLE`` included. Raises ``WebHookUnreachable``
    for network faults and late answers, ``WebHookFailed`` for answers that are too large or not HTTP.
    """
    deadline = time.monotonic() + limits.total
    target = parse_http_url(url)
    fault: type[Exception] = InvalidURL
    if target:
        try:
            addresses = _addresses_of(target, deadline, resolve)
            # One address that is not public refuses all: a server that names both is an attack.
            if not allow_private and not all(map(is_public, addresses)):
                raise _AddressNotPublic
            with (
                _open_socket(addresses, target.port, limits.connect, deadline) as plain,
                _secure(plain, target, deadline) as sock,
            ):
                return _exchange(_Stream(sock, deadline), method, target, headers, body, limits.body)
        except (_AddressNotPublic, OSError, HTTPException, ValueError) as error:
            fault = type(error)
    # Outside the except block, so that __context__ carries no secrets: http.client's errors quote headers.
    raise _error_for(fault, f"{method} to {target.host if target else '[redacted]'}")


def _error_for(fault: type[Exception], request: str) -> WebHookFailed | WebHookUnreachable:
    if issubclass(fault, _AddressNotPublic):
        return WebHookUnreachable(
            f"{request} refused: an address of this host is not public",
            hint="Set allow_private for this web hook if it is meant to reach your own network.",
        )
    problem = f"{request} failed: {fault.__name__}"
    if not issubclass(fault, OSError):
        return WebHookFailed(problem, hint="Check what answers at that URL.")
    hint = "Check that this server reaches that host itself: proxies are not used for web hooks."
    if issubclass(fault, ssl.SSLError):
        hint = "Check the certificate of that server; REQUESTS_CA_BUNDLE names an authority of your own."
    return WebHookUnreachable(problem, hint=hint)


def _addresses_of(url: HttpUrl, deadline: float, resolve: Resolve) -> Sequence[IPAddress]:
    # The system's look-up takes no time limit, so it runs in a thread that is left behind if it is late.
    found: Future[Sequence[IPAddress]] = Future()

    def settle() -> None:
        try:
            found.set_result(resolve(url.host, url.port))
        except Exception as error:  # Raised again where the result is waited for.
            found.set_exception(error)

    threading.Thread(target=settle, name="ms_identity look-up", daemon=True).start()
    try:
        return found.result(_left(deadline))
    except UnicodeError:
        raise socket.gaierror("the host is no name that can be looked up") from None


def _open_socket(addresses: Sequence[IPAddress], port: int, timeout: float, deadline: float) -> socket.socket:
    fault: OSError = ConnectionError("the host has no address")
    for address in addresses:
        try:
            return socket.create_connection((str(address), port), min(timeout, _left(deadline)))
        except OSError as error:
            fault = error
    raise fault


def _secure(sock: socket.socket, url: HttpUrl, deadline: float) -> socket.socket:
    if url.scheme != "https":
        return sock
    sock.settimeout(_left(deadline))
    return _tls(ca_bundle() or DEFAULT_CA_BUNDLE_PATH).wrap_socket(sock, server_hostname=url.host)


@lru_cache(maxsize=4)
def _tls(bundle: str) -> ssl.SSLContext:
    if os.path.isdir(bundle):
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle)


def _exchange(
    stream: _Stream, method: str, url: HttpUrl, headers: Mapping[str, str], body: bytes | None, limit: int
) -> Response:
    connection = HTTPConnection(url.host, url.port)
    # http.client connects only where there is no socket.
    connection.sock = stream
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    connection.request(method, target, body, {**headers, "Host": url.authority, "Connection": "close"})
    answer = connection.getresponse()
    content = answer.read(limit + 1)
    if len(content) > limit:
        raise _TooLarge
    # read(n) does not notice a body that ends early.
    if answer.length:
        raise IncompleteRead(b"")
    return Response(status=answer.status, headers=CaseInsensitiveDict(answer.getheaders()), body=content)


class _Stream(io.RawIOBase):
    """A socket for http.client, each of whose waits ends at the deadline.

    The timeout of a socket begins again with every byte, so a server that drips would outlast it.
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
        """Keep the socket open: http.client closes it before the answer is read."""


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
