"""One server of several: takes orders as lines of JSON, and answers each with one. Started by nodes.py."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

import django

from tests.support.web import Browser


def obey(order: dict[str, Any]) -> dict[str, Any]:
    """Open an address as a browser with these cookies; say what came back."""
    # Only now: these import models.
    from django_ms_identity import signals
    from django_ms_identity.testing.browser import navigate

    from .crowd import code_of, who

    if order["dies_at"]:
        getattr(signals, order["dies_at"]).connect(die)
    browser = Browser()
    browser.cookies.load(order["cookies"])
    response = navigate(browser, order["url"])
    answer = {
        "status": response.status_code,
        "location": response.headers.get("Location", ""),
        "code": code_of(response),
        "who": who(browser),
    }
    return answer | {"cookies": {name: cookie.value for name, cookie in browser.cookies.items()}}


def die(**_: object) -> None:
    """End as a process does that the system kills: no ``finally`` runs, no connection says goodbye."""
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    django.setup()
    for line in sys.stdin:
        try:
            answer = obey(json.loads(line))
        except Exception as error:
            answer = {"exception": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)  # noqa: T201  # read by the process that started this one


if __name__ == "__main__":
    main()
