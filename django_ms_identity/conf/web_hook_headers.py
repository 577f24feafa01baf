"""The headers of a web hook, authentication included: what may be configured, and what it becomes."""

from __future__ import annotations

import base64
import re
from typing import TypeAlias

from .reader import DictReader

Header: TypeAlias = tuple[str, str]

JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"
RESERVED = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "ory-webhook-request-id",
        "ory-webhook-trigger-id",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that frame the request or that we set: in a configuration they could only break it."""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token of RFC 9110 5.6.2."""
_VALUE = re.compile(r"[\t -~]*")
_COOKIE_VALUE = re.compile(r"[!#-+\--:<-\[\]-~]*")
"""RFC 6265 4.1.1."""


def headers_of(read: DictReader, *, has_body: bool) -> tuple[Header, ...]:
    """Return what ``headers`` and ``auth`` ask for, and what goes without saying."""
    values = read.inner("headers")
    headers = [*(_header(values, name) for name in values.keys), *_auth(read)]
    names = [name.lower() for name, _ in headers]
    for name in sorted({name for name in names if names.count(name) > 1}):
        read.fault("headers", f"and auth set {name!r} more than once.", "Leave one.")
    if "user-agent" not in names:
        headers.append(("User-Agent", "django-ms-identity"))
    if has_body and "content-type" not in names:
        headers.append(("Content-Type", JSON_TYPE))
    return tuple(headers)


def _header(read: DictReader, name: str) -> Header:
    value = read.text(name)
    if not _NAME.fullmatch(name):
        read.fault(name, "is not a header name.")
    elif name.lower() in RESERVED:
        read.fault(name, "cannot be set: it would break the request.", "Remove it.")
    elif name.lower() == "cookie":
        read.fault(name, "cannot be set here.", 'Use "auth" of type api_key with "in": "cookie".')
    elif not _VALUE.fullmatch(value):
        read.fault(name, "holds line breaks or other characters that a header cannot carry.")
    elif name.lower() == "content-type" and media_type(value) not in (JSON_TYPE, FORM_TYPE):
        read.fault(name, f"must be {JSON_TYPE} or {FORM_TYPE}.")
    return name, value


def _auth(read: DictReader) -> list[Header]:
    if not read.has("auth"):
        return []
    auth = read.inner("auth")
    auth.refuse_unknown(("type", "config"))
    remedy = "Choose one of: basic_auth, api_key."
    match auth.required("type", remedy):
        case "basic_auth":
            return [_basic_auth(auth.inner("config"))]
        case "api_key":
            return [_api_key(auth.inner("config"))]
        case kind if kind:
            auth.fault("type", "is not a kind of authentication that exists.", remedy)
    return []


def _basic_auth(read: DictReader) -> Header:
    read.refuse_unknown(("user", "password"))
    user, password = read.required("user", '"user": "…"'), read.required("password", '"password": "…"')
    if ":" in user:
        read.fault("user", "holds a colon, which ends the name in RFC 7617.")
    if not (user + password).isprintable():
        read.fault("password", "or user holds control characters.")
    pair = f"{user}:{password}".encode("utf-8", "replace")
    return "Authorization", f"Basic {base64.b64encode(pair).decode()}"


def _api_key(read: DictReader) -> Header:
    read.refuse_unknown(("name", "value", "in"))
    name, value = read.required("name", '"name": "X-API-Key"'), read.required("value", '"value": "…"')
    place = read.required("in", '"in": "header"')
    if place not in ("header", "cookie", ""):
        read.fault("in", "is not a place for a key.", "Choose one of: header, cookie.")
    if name and (not _NAME.fullmatch(name) or (place == "header" and name.lower() in {*RESERVED, "cookie"})):
        read.fault("name", f"cannot be the name of a {place or 'header'}.")
    if not (_COOKIE_VALUE if place == "cookie" else _VALUE).fullmatch(value):
        read.fault("value", f"holds characters that a {place or 'header'} cannot carry.")
    return ("Cookie", f"{name}={value}") if place == "cookie" else (name, value)


def media_type(value: str) -> str:
    """Return the media type in a ``Content-Type``, without parameters."""
    return value.partition(";")[0].strip().lower()
