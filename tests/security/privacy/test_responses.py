"""Every answer below our URLs: never cached, never framed, no address leaks, nothing of a third party."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
from django.urls import reverse

from django_ms_identity import urls

from .conftest import STATES

pytestmark = pytest.mark.django_db

ARGUMENTS = {"start": ["microsoft"], "callback": ["microsoft"], "link": ["microsoft"], "unlink": [1]}
NAMES = [pattern.name for pattern in urls.urlpatterns]
LOADS = {"action", "background", "data", "formaction", "href", "poster", "src", "srcset"}


class Elements(HTMLParser):
    """What a page is made of."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))


def assert_guarded(response):
    directives = set(response.headers["Cache-Control"].split(", "))
    assert {"no-store", "no-cache", "private", "max-age=0"} <= directives
    assert response.headers["Referrer-Policy"] == "same-origin"
    assert response.headers["X-Frame-Options"] == "DENY"


def assert_works_under_a_strict_policy(html):
    for tag, attributes in Elements(html).elements:
        assert tag not in ("script", "style", "iframe", "object", "embed", "base", "img"), tag
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        for name in LOADS & set(attributes):
            parts = urlsplit(attributes[name] or "")
            assert (parts.scheme, parts.netloc) == ("", ""), attributes[name]
    assert not re.search(r"https?://", html.replace("http://www.w3.org/2000/svg", ""))


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT"])
@pytest.mark.parametrize("state", STATES)
def test_every_answer_is_guarded(world, state, method):
    STATES[state](world)
    # Those that end a session or a step come last.
    for name in sorted(NAMES, key=lambda name: (name == "sign_out", name)):
        response = world.browser.generic(method, reverse(f"ms_identity:{name}", args=ARGUMENTS.get(name, [])))
        assert_guarded(response)
        if "html" in response.headers.get("Content-Type", "") and not response.headers.get("Location"):
            assert_works_under_a_strict_policy(response.content.decode())
