"""A machine between the app and Microsoft that breaks what passes through it, byte by byte."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from contextlib import contextmanager

import requests
from django.http import HttpResponse

from django_ms_identity.testing.emulator import Endpoint, endpoint_of
from tests.loopback import Answer, Handler, serve

from .scene import Scene

MEGABYTE = 1024 * 1024
PATIENCE = (1.0, 0.4)
"""Seconds, as HTTP_TIMEOUT: so that what is slow is slow at once."""


def silent(handler: Handler) -> None:
    time.sleep(2 * PATIENCE[1])
    handler.hang_up()


def dripping(handler: Handler) -> None:
    """Send a byte now and then, always within the time-out for reading."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    for _ in range(20):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(PATIENCE[1] / 2)


def huge(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(64 * MEGABYTE))
    handler.end_headers()
    for _ in range(64):
        handler.wfile.write(b" " * MEGABYTE)


def bomb(handler: Handler) -> None:
    handler.reply(BOMB, Content_Encoding="gzip")


def closed(handler: Handler) -> None:
    handler.hang_up()


def truncated(handler: Handler) -> None:
    handler.reply(b'{"id_token": "', Content_Length="1000")
    handler.hang_up()


def not_http(handler: Handler) -> None:
    handler.wfile.write(b"220 mail.example ESMTP\r\n\r\n")
    handler.wfile.flush()
    handler.hang_up()


BOMB = gzip.compress(b" " * 64 * MEGABYTE)


@contextmanager
def in_the_middle(scene: Scene, endpoint: Endpoint, misbehave: Answer) -> Iterator[list[bool]]:
    """Put a machine in the middle; it behaves once the list that it is given is empty."""
    misbehaves = [True]

    def relay(handler: Handler) -> None:
        url = f"https://{handler.path.removeprefix('/')}"
        if misbehaves and endpoint_of(url) is endpoint:
            misbehave(handler)
            return
        server = handler.server.owner  # type: ignore[attr-defined]
        received = server.received[-1]
        headers = {
            name: received.headers[name]
            for name in ("Accept", "Authorization", "Content-Type")
            if name in received.headers
        }
        answer = requests.request(
            received.method, url, data=received.body, headers=headers, timeout=5, allow_redirects=False
        )
        handler.reply(answer.content, status=answer.status_code)

    with serve(relay) as server:
        scene.microsoft.wire.add_passthru(server.url)
        scene.settings.DEBUG = True
        before = scene.settings.MS_IDENTITY
        scene.settings.MS_IDENTITY = {**before, "EMULATOR_URL": server.url, "HTTP_TIMEOUT": PATIENCE}
        scene.front = server.url
        yield misbehaves
        scene.front = ""
        scene.settings.MS_IDENTITY = before
        scene.settings.DEBUG = False


def through(endpoint: Endpoint, misbehave: Answer):
    """Make the act of a case: a sign-in through a machine that misbehaves, and then one that does not."""

    def act(scene: Scene) -> HttpResponse:
        with in_the_middle(scene, endpoint, misbehave) as misbehaves:
            response = scene.sign_in()
            scene.assert_untouched()
            misbehaves.clear()
            following = scene.sign_in(scene.open_browser(), "admin")
            assert following.headers.get("Location") == "/home/", following.content.decode()
            scene.watch()
        return response

    return act
