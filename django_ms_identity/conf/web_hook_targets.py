"""Where a web hook may be sent to, as far as the URL itself says. Resolves nothing."""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from django_ms_identity.net.ip_ranges import IPAddress, is_public

LOOPBACK = ("localhost", "127.0.0.1", "::1")

_URL = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=%]+")
"""RFC 3986 without the fragment, which is never sent. No backslash: parsers disagree about it."""
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def target_fault(url: str, *, allow_http: bool, allow_private: bool) -> tuple[str, str] | None:
    """Return what is wrong with a URL and the remedy, without repeating the URL."""
    parts = _split(url)
    if parts is None or parts.scheme not in ("https", "http") or not parts.hostname:
        return (
            "is not an absolute URL that can be requested.",
            "Write https://host/path: percent-encode other characters, and give other alphabets as xn--….",
        )
    if "@" in parts.netloc:
        return "holds a name or password.", 'Use "auth" of type basic_auth.'
    if not _plain_host(parts.hostname):
        # 2130706433 and 0177.0.0.1 are 127.0.0.1 to the system, and other things to other readers.
        return "has a host that is no name and no address in the usual spelling.", "Write it plainly."
    if parts.scheme == "http" and not (allow_http and parts.hostname in LOOPBACK):
        return "must be https.", "Use https://…; http:// is for this machine with DEBUG."
    if not allow_private and _is_private(parts.hostname):
        return "has an address that is not public.", 'Add "allow_private": true if that is meant.'
    return None


def _split(url: str) -> SplitResult | None:
    with suppress(ValueError):
        parts = urlsplit(url)
        if _URL.fullmatch(url) and parts.port != 0:
            return parts
    return None


def _plain_host(host: str) -> bool:
    if _address(host):
        return "%" not in host
    last = host.rpartition(".")[2]
    return bool(_HOST.fullmatch(host)) and not _NUMBER.fullmatch(last)


def _is_private(host: str) -> bool:
    address = _address(host)
    return host == "localhost" or (address is not None and not is_public(address))


def _address(host: str) -> IPAddress | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
