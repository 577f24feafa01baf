"""Parse http and https URLs, strictly and once. Resolve and request nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
# urlsplit drops some control characters, and parsers disagree about the backslash.
_AMBIGUOUS = re.compile(r"[\x00-\x1f\x7f\\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpUrl:
    """An absolute http or https URL without user information, made by ``parse_http_url``."""

    scheme: str
    host: str
    """In lower case, without the brackets of an IPv6 address."""
    port: int
    """The one that is written, else the scheme's."""
    authority: str
    """Host and port as they are written."""
    path: str
    query: str = field(repr=False)
    fragment: str = field(repr=False)

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.authority}"

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine in one of the three usual spellings."""
        return self.host in ("localhost", "127.0.0.1", "::1")


def parse_http_url(text: str) -> HttpUrl | None:
    """Return the parts of an absolute http or https URL, or nothing.

    Refuses user information, port 0, white space around the URL or in its authority, control characters
    and backslashes: where parsers disagree, a check of one host must not end at another.
    """
    if _AMBIGUOUS.search(text) or text != text.strip():
        return None
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not host or port == 0 or re.search(r"[@\s]", parts.netloc):
        return None
    return HttpUrl(
        scheme=parts.scheme,
        host=host,
        port=_DEFAULT_PORTS[parts.scheme] if port is None else port,
        authority=parts.netloc,
        path=parts.path,
        query=parts.query,
        fragment=parts.fragment,
    )


def redact_url(text: str) -> str:
    """Return an http or https URL for messages: without query, fragment, user and password."""
    url = parse_http_url(text)
    if url is None:
        return "[redacted]"
    return f"{url.origin}{url.path}" + ("?[redacted]" if url.query else "")
