"""The first sign-in of a process; ``python -m benchmarks.fresh PROVIDER PERSONA`` prints its times as JSON.

In milliseconds. The emulator's own page, where a person would choose, is left out; its answers are in.
"""

from time import perf_counter

_BEGAN = perf_counter()

# The imports are part of what is measured.
import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from http.client import HTTPConnection  # noqa: E402
from urllib.parse import urlsplit  # noqa: E402

import django  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")
    django.setup()
    from .browser import HOST, Browser

    provider, persona = sys.argv[1:]
    browser = Browser(site=WSGIHandler())
    ready = perf_counter()
    location = browser.redirected(f"http://{HOST}/ms/start/{provider}/?next=/home/")
    started = perf_counter()
    callback = _picked(location, persona)
    back = perf_counter()
    browser.redirected(callback)
    done = perf_counter()
    sign_in = (started - ready) + (done - back)
    print(json.dumps({"set_up": (ready - _BEGAN) * 1000, "sign_in": sign_in * 1000}))


def _picked(location: str, persona: str) -> str:
    parts = urlsplit(location)
    connection = HTTPConnection(parts.netloc)
    connection.request("GET", f"{parts.path}?{parts.query}&persona={persona}&return=1")
    return connection.getresponse().headers["Location"]


if __name__ == "__main__":
    main()
