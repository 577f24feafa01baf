"""The one format that differs from the library's: an e-mail address that may reach a mail server."""

from __future__ import annotations

import re

MAX_EMAIL = 254
"""Characters; RFC 5321, section 4.5.3.1."""

_LOCAL = re.compile(r"[^\s@\x00-\x1f\x7f\"(),:;<>\[\\\]]{1,64}")
_LABEL = re.compile(r"[^\W_](?:[\w-]{0,61}[^\W_])?")


def is_email(value: str) -> bool:
    """Take one address as RFC 5321 writes it, also internationalised; no quotes, comments or IP literals."""
    local, _, domain = value.rpartition("@")
    return (
        len(value) <= MAX_EMAIL
        and _LOCAL.fullmatch(local) is not None
        and ".." not in f".{local}."
        and all(_LABEL.fullmatch(label) for label in domain.split("."))
    )
