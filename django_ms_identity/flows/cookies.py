"""Read the Cookie header by exact bytes: Django's parser makes look-alike names equal."""

from __future__ import annotations

from collections.abc import Iterator

HOST = "__Host-"
"""Only this host, over https, can set a cookie of this prefix (RFC 6265bis section 4.1.3.2)."""


def pairs(header: str) -> Iterator[tuple[str, str]]:
    """Yield names and values in the order that the browser sent them."""
    # Django's parser strips Unicode space from names, which turns look-alikes into the real name.
    for part in header.split(";"):
        name, equals, value = part.strip(" \t").partition("=")
        if equals:
            yield name, value


def values_of(header: str, name: str) -> list[str]:
    """Return every value of a name; of two, a sibling domain tossed one, so neither is to be believed."""
    return [value for key, value in pairs(header) if key == name]


def prefix(*, secure: bool) -> str:
    """Return how the names of our cookies begin."""
    return HOST if secure else ""
