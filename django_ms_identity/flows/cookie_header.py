"""Read the Cookie header by exact bytes: Django's parser makes look-alike names equal."""

from __future__ import annotations

from collections.abc import Iterator

PREFIX = {True: "__Host-", False: ""}
"""How the names of this app's cookies begin, by whether they are for https only.

Only this host, over https, can set a cookie of that prefix (RFC 6265bis section 4.1.3.2).
"""


def pairs(header: str) -> Iterator[tuple[str, str]]:
    """Yield names and values in the order that the browser sent them."""
    # Django's parser strips Unicode space from names, which turns look-alikes into the real name.
    for part in header.split(";"):
        name, equals, value = part.strip(" \t").partition("=")
        if equals:
            yield name, value


def values_of(header: str, name: str) -> list[str]:
    """Return the values of all cookies of this name.

    If there is more than one, a sibling domain may have set one, so callers trust none.
    """
    return [value for key, value in pairs(header) if key == name]
