"""Checks the URL of a web hook as it is written. Resolves nothing: ``net.guarded_http`` checks addresses."""

from __future__ import annotations

import re
from ipaddress import ip_address

from django_ms_identity.net.ip_ranges import IPAddress, is_public
from django_ms_identity.net.urls import parse_http_url

_REQUESTABLE = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=%]+")
"""RFC 3986 without the fragment, which is never sent."""
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def target_fault(text: str, *, allow_http: bool, allow_private: bool) -> tuple[str, str] | None:
    """Return what is wrong with a URL and the remedy, without repeating the URL."""
    url = parse_http_url(text)
    if url is None or not _REQUESTABLE.fullmatch(text):
        return (
            "is not an absolute URL that can be requested.",
            "Write https://host/path: percent-encode other characters, give other alphabets as xn--…, "
            'and put a name and password into "auth" of type basic_auth.',
        )
    address = _address(url.host)
    if not _is_plain(url.host, address):
        # 2130706433 and 0177.0.0.1 are 127.0.0.1 to the system, and other things to other parsers.
        return "has a host that is no name and no address in the usual spelling.", "Write it plainly."
    if url.scheme == "http" and not (allow_http and url.is_loopback):
        return "must be https.", "Use https://…; http:// is for this machine with DEBUG."
    if not allow_private and (url.host == "localhost" or (address and not is_public(address))):
        return "has an address that is not public.", 'Add "allow_private": true if that is meant.'
    return None


def _address(host: str) -> IPAddress | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _is_plain(host: str, address: IPAddress | None) -> bool:
    if address:
        return "%" not in host
    return bool(_HOST.fullmatch(host)) and not _NUMBER.fullmatch(host.rpartition(".")[2])
