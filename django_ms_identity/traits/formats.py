"""The formats of JSON Schema that are checked: e-mail, URI and date. Any other format is only a remark.

Each takes any value, and is true of what is no string, as JSON Schema wants it.
"""

from __future__ import annotations

import datetime
import re
from urllib.parse import urlsplit

MAX_EMAIL = 254
"""Characters; RFC 5321, section 4.5.3.1."""

_LOCAL = re.compile(r"[^\s@\x00-\x1f\x7f\"(),:;<>\[\\\]]{1,64}")
_LABEL = re.compile(r"[^\W_](?:[\w-]{0,61}[^\W_])?")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s\x00-\x20\x7f<>\"{}|\\^`]+")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def is_email(value: object) -> bool:
    """Take one address as RFC 5321 writes it, also internationalised; no quotes, comments or IP literals."""
    if not isinstance(value, str):
        return True
    local, _, domain = value.rpartition("@")
    return (
        len(value) <= MAX_EMAIL
        and _LOCAL.fullmatch(local) is not None
        and ".." not in f".{local}."
        and all(_LABEL.fullmatch(label) for label in domain.split("."))
    )


def is_uri(value: object) -> bool:
    """Take an absolute URI of any scheme, also with letters beyond ASCII."""
    if not isinstance(value, str):
        return True
    if not _URI.fullmatch(value):
        return False
    try:
        parts = urlsplit(value)
        return parts.port is None or bool(parts.hostname)
    except ValueError:
        return False


def is_date(value: object) -> bool:
    """Take a day of the calendar as RFC 3339 writes it: 2024-02-29."""
    if not isinstance(value, str):
        return True
    if not _DATE.fullmatch(value):
        return False
    try:
        datetime.date.fromisoformat(value)
    except ValueError:
        return False
    return True
