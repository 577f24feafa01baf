"""Check the form of a ``mapper_url``, decode inline sources, redact URLs for messages. Read no file."""

from __future__ import annotations

import base64
import binascii
import re

from django_ms_identity.net.http_url import parse_http_url, redact_url

from .json_values import well_formed

MAX_SOURCE = 64 * 1024
"""Bytes of a mapper. Also blunts sources that are deep enough to crash an engine's parser."""

_PIN = re.compile(r"sha256=[0-9a-fA-F]{64}")


def url_fault(mapper_url: str, *, allow_http: bool = False) -> str:
    """Return what is wrong with the form of a mapper URL, a sentence that continues its name; or nothing."""
    scheme, separator, rest = mapper_url.partition("://")
    if not mapper_url:
        return ""
    if not separator:
        return "has no scheme: write file:///path/to/mapper.jsonnet, base64://… or https://…."
    match scheme:
        case "file":
            is_named = rest and "\0" not in rest and well_formed(rest) == rest
            return "" if is_named else "names no file: write file:///path/to/mapper.jsonnet."
        case "base64":
            try:
                decode_inline(mapper_url)
            except ValueError as error:
                return f"is not usable: {error}."
            return ""
        case "http" if not allow_http:
            return "uses http://, which anyone on the way can change: use https:// (http:// needs DEBUG)."
        case "http" | "https":
            return _http_fault(mapper_url)
    return "has an unknown scheme: use file://, base64:// or https://."


def schema_url_fault(url: str, *, allow_http: bool = False) -> str:
    """Return what is wrong with the form of an identity schema's URL, as ``url_fault`` does."""
    fault = url_fault(url, allow_http=allow_http) if url else "is empty."
    return fault.replace("mapper.jsonnet", "identity.schema.json").replace("the mapper", "the schema")


def _http_fault(mapper_url: str) -> str:
    url = parse_http_url(mapper_url)
    if url is None or re.search(r"\s", mapper_url):
        return (
            "is not a URL that can be requested: check its host and port, encode spaces as %20, "
            "and leave out user and password."
        )
    if url.fragment and not _PIN.fullmatch(url.fragment):
        return "has a fragment that is no pin: write #sha256= and the 64 hexadecimal digits of the file."
    return ""


def decode_inline(mapper_url: str) -> str:
    """Return the source that a ``base64://`` URL carries, or raise ``ValueError`` without any of it."""
    try:
        content = base64.b64decode(mapper_url.removeprefix("base64://"), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("base64:// takes the standard alphabet with padding, on one line") from None
    return decode_source(content)


def decode_source(content: bytes) -> str:
    """Return a mapper's text, or raise ``ValueError`` without any of it."""
    if len(content) > MAX_SOURCE:
        raise ValueError(f"the mapper is larger than {MAX_SOURCE} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("the mapper is not UTF-8 text") from None
    if not text.strip() or "\0" in text:
        raise ValueError("the mapper holds a NUL character" if "\0" in text else "the mapper is empty")
    return text


def display_url(mapper_url: str) -> str:
    """Return a mapper URL for messages: no inline source, query, user or password."""
    scheme, separator, _ = mapper_url.partition("://")
    if not mapper_url:
        return "the mapper that ships with django_ms_identity"
    if scheme == "file":
        return mapper_url
    if parse_http_url(mapper_url):
        return redact_url(mapper_url)
    return f"{scheme}://[redacted]" if separator else "[redacted]"


def pin_of(mapper_url: str) -> str:
    """Return the SHA-256 that a URL pins, in lower-case hexadecimal, or an empty string."""
    url = parse_http_url(mapper_url)
    return url.fragment.lower().removeprefix("sha256=") if url else ""
