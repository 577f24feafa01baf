"""Many at once: threads that set off together, and browsers that are one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

from django.db import connections

from django_ms_identity.testing.emulator import Emulator
from tests.support import builders
from tests.support.web import Browser

TIMEOUT = 60
"""Seconds after which a test gives up."""

_Result = TypeVar("_Result")


def make_settings(*providers: Mapping[str, object], **changes: object) -> dict[str, object]:
    """As the builder of that name, with patience: sixteen threads wait for two sandboxes."""
    return builders.make_settings(*providers, MAPPER_TIMEOUT=30, **changes)


def together(*calls: Callable[[], _Result]) -> list[_Result]:
    """Make each call in a thread of its own, all at the same moment; return what they return, in order."""
    barrier = Barrier(len(calls), timeout=TIMEOUT)

    def run(call: Callable[[], _Result]) -> _Result:
        try:
            # A connection takes its time, and would spread them.
            for connection in connections.all():
                connection.ensure_connection()
            barrier.wait()
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as threads:
        return [each.result(TIMEOUT) for each in [threads.submit(run, call) for call in calls]]


def copy_of(browser: Browser) -> Browser:
    """Return the same browser once more: another tab."""
    other = Browser()
    other.cookies.load({name: cookie.value for name, cookie in browser.cookies.items()})
    return other


def signed_in_here(name: str) -> Browser:
    """Return a browser in which somebody has just signed in with their password."""
    browser = Browser()
    assert browser.login(username=name, password="pw")
    return browser


def chosen(browser: Browser, emulator: Emulator, persona: object = "work", provider: str = "microsoft"):
    """Ask to connect an account and choose it at Microsoft; the way back is not taken yet."""
    asked = browser.post(f"/ms/connections/{provider}/link/")
    return emulator.callback(asked.headers["Location"], persona)


def who(browser: Browser) -> str:
    return browser.get("/home/").content.decode()


def code_of(response) -> str:
    """Return the error code on our error page. Not from the context: in threads it may be another's."""
    code = re.search(rb'translate="no">([a-z_]+)</code>', response.content)
    return code[1].decode() if code and response.status_code >= 400 else ""


def statuses(responses) -> list[int]:
    return sorted(response.status_code for response in responses)
