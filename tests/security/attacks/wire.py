"""A machine between the app and Microsoft that breaks what passes through it, byte by byte."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

import requests
from django.http import HttpResponse

from django_ms_identity.testing.emulator import Endpoint, endpoint_of
from tests.security.malicious_provider import respond_with
from tests.support.loopback import Handler, serve

from .harness import INVALID, UNAVAILABLE, Case, Group, Harness

MEGABYTE = 1024 * 1024
SPACE = gzip.compress(b" " * 64 * MEGABYTE, compresslevel=1)
HURRY, PATIENCE = (1.0, 0.4), (10.0, 10.0)
"""Seconds, as HTTP_TIMEOUT: so that what is slow is slow at once, and nothing else is on a busy machine."""


Misbehave = Callable[[Handler, bytes], None]
"""Answer badly, given the true answer."""


def silent(handler: Handler, truth: bytes) -> None:
    time.sleep(2 * HURRY[1])
    handler.reply(truth)


def dripping(handler: Handler, truth: bytes) -> None:
    """Send the truth and then a space now and then, always within the time-out for reading."""
    drips = 12
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(truth) + drips))
    handler.end_headers()
    handler.wfile.write(truth)
    for _ in range(drips):
        handler.wfile.flush()
        time.sleep(HURRY[1] / 2)
        handler.wfile.write(b" ")
    handler.wfile.flush()


def huge(handler: Handler, truth: bytes) -> None:
    """Send the truth, and 64 MiB of space behind it."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(truth) + 64 * MEGABYTE))
    handler.end_headers()
    handler.wfile.write(truth)
    for _ in range(64):
        handler.wfile.write(b" " * MEGABYTE)
    handler.wfile.flush()


def bomb(handler: Handler, truth: bytes) -> None:
    """Send the same, compressed to a thousandth (RFC 1952 section 2.2: members follow each other)."""
    handler.reply(gzip.compress(truth) + SPACE, Content_Encoding="gzip")


def closed(handler: Handler, truth: bytes) -> None:
    handler.hang_up()


def truncated(handler: Handler, truth: bytes) -> None:
    """Send the truth, and hang up where more was announced."""
    handler.reply(truth, Content_Length=str(len(truth) + 1))
    handler.hang_up()


def not_http(handler: Handler, truth: bytes) -> None:
    handler.wfile.write(b"220 mail.example ESMTP\r\n\r\n")
    handler.wfile.flush()
    handler.hang_up()


@contextmanager
def in_the_middle(harness: Harness, endpoint: Endpoint, misbehave: Misbehave) -> Iterator[Callable[[], None]]:
    """Put a machine in the middle, which misbehaves until the function that this gives is called."""
    misbehaves = True

    def relay(handler: Handler) -> None:
        url = f"https://{handler.path.removeprefix('/')}"
        server = handler.server.owner
        received = server.received[-1]
        headers = {
            name: received.headers[name]
            for name in ("Accept", "Authorization", "Content-Type")
            if name in received.headers
        }
        answer = requests.request(
            received.method, url, data=received.body, headers=headers, timeout=5, allow_redirects=False
        )
        if misbehaves and endpoint_of(url) is endpoint:
            misbehave(handler, answer.content)
        else:
            handler.reply(answer.content, status=answer.status_code)

    def configure(timeout: tuple[float, float]) -> None:
        harness.settings.MS_IDENTITY = {**before, "EMULATOR_URL": server.url, "HTTP_TIMEOUT": timeout}

    def behave() -> None:
        nonlocal misbehaves
        misbehaves = False
        configure(PATIENCE)

    with serve(relay) as server:
        harness.microsoft.wire.add_passthru(server.url)
        harness.settings.DEBUG = True
        before = harness.settings.MS_IDENTITY
        configure(HURRY if misbehave in (silent, dripping) else PATIENCE)
        harness.front = server.url
        yield behave
        harness.front = ""
        harness.settings.MS_IDENTITY = before
        harness.settings.DEBUG = False


MISBEHAVIOURS = (
    ("slow", "does not answer in time", silent, UNAVAILABLE),
    ("dripping", "answers a byte now and then", dripping, UNAVAILABLE),
    ("64-mib", "sends 64 MiB", huge, INVALID),
    ("bomb", "sends 64 MiB, compressed to 64 KiB", bomb, INVALID),
    ("closed", "hangs up", closed, UNAVAILABLE),
    ("truncated", "stops in the middle", truncated, UNAVAILABLE),
    ("not-http", "is no web server", not_http, UNAVAILABLE),
)
ENDPOINTS = {
    Endpoint.KEYS: ("keys", Group.KEYS, "The key endpoint"),
    Endpoint.TOKEN: ("token", Group.TOKEN, "The token endpoint"),
    Endpoint.METADATA: ("metadata", Group.METADATA, "The metadata endpoint"),
    Endpoint.ME: ("graph", Group.GRAPH, "Graph"),
}


def broken_at(
    endpoint: Endpoint, url: str, provider: Mapping[str, object] = MappingProxyType({})
) -> list[Case]:
    """Make the cases of an endpoint that is broken in every way; ``url`` is what is asked there."""
    prefix, group, name = ENDPOINTS[endpoint]
    to_itself = Case(
        id=f"{prefix}-redirect-to-itself",
        group=group,
        sentence=f"{name} redirects to itself.",
        act=asking_once(url),
        tampering=respond_with(endpoint, status=307, headers={"Location": url}),
        code=INVALID,
        provider=provider,
    )
    return [
        to_itself,
        *(
            Case(
                id=f"{prefix}-{id}",
                group=group,
                sentence=f"{name} {what}.",
                act=through(endpoint, misbehave),
                code=code,
                provider=provider,
            )
            for id, what, misbehave, code in MISBEHAVIOURS
        ),
    ]


def asking_once(url: str) -> Callable[[Harness], HttpResponse]:
    """Make the act of a sign-in that asks this address, and only once."""

    def act(harness: Harness) -> HttpResponse:
        response = harness.sign_in()
        assert [asked for _method, asked in harness.microsoft.requests].count(url) == 1
        return response

    return act


def through(endpoint: Endpoint, misbehave: Misbehave) -> Callable[[Harness], HttpResponse]:
    """Make the act of a case: a sign-in through a machine that misbehaves, and then one that does not."""

    def act(harness: Harness) -> HttpResponse:
        with in_the_middle(harness, endpoint, misbehave) as behave:
            response = harness.sign_in()
            harness.assert_untouched()
            behave()
            following = harness.sign_in(harness.open_browser(), "admin")
            assert following.headers.get("Location") == "/home/", following.content.decode()
            harness.watch()
        return response

    return act
