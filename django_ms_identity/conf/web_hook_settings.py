"""The configuration of a web hook in Kratos' shape, parsed into a frozen value; all faults at once."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import urlsplit

from django_ms_identity.jsonnet.source_urls import url_fault
from django_ms_identity.net.http_url import parse_http_url
from django_ms_identity.net.ip_ranges import IPAddress, is_public

from .reader import DictReader
from .web_hook_headers import FORM_TYPE, Header, headers_of, media_type

_REQUESTABLE = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=%]+")
"""RFC 3986 without the fragment, which is never sent."""
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


class Method(StrEnum):
    GET = "GET"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"


class ResponseUse(StrEnum):
    """What is done with the answer (Kratos ``response``)."""

    CHECK = "check"
    """Its status decides whether the hook failed."""
    IGNORE = "ignore"
    """A sign-in does not wait for it."""
    PARSE = "parse"
    """It may change or refuse the identity before it is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebHook:
    """A request that is made when something happened to an identity."""

    id: str
    url: str = field(repr=False)
    """https, or http to this machine. Not shown: its path or query may hold a secret."""
    method: Method
    headers: tuple[Header, ...] = field(repr=False)
    """Everything configured, authentication included."""
    body: str = field(repr=False)
    """The URL of a Jsonnet ``function(ctx)``, or empty: then the request has no body."""
    response: ResponseUse
    allow_private: bool

    @property
    def name(self) -> str:
        """Name the hook in messages."""
        return f"web hook {self.id or urlsplit(self.url).hostname}"

    @property
    def sends_form(self) -> bool:
        return any(
            name.lower() == "content-type" and media_type(value) == FORM_TYPE for name, value in self.headers
        )


KEYS = (*WebHook.__dataclass_fields__, "auth", "can_interrupt", "emit_analytics_event")


def parse_web_hook(read: DictReader, *, allow_http: bool = False) -> WebHook | None:
    """Parse the ``config`` of a web hook; ``None`` with what is wrong in the reader's faults.

    ``allow_http`` (DEBUG) permits http to this machine, and templates over http.
    """
    before = len(read.faults)
    read.refuse_unknown(KEYS)
    allow_private = read.flag("allow_private", False)
    body = read.text("body")
    if problem := url_fault(body, allow_http=allow_http):
        read.fault("body", problem)
    hook = WebHook(
        id=read.text("id"),
        url=_url(read, allow_http=allow_http, allow_private=allow_private),
        method=_method(read),
        headers=headers_of(read, has_body=bool(body)),
        body=body,
        response=_response(read),
        allow_private=allow_private,
    )
    if not hook.id.isprintable():
        read.fault("id", "holds line breaks or other characters that do not belong into a log.")
    if read.has("can_interrupt"):
        read.warn("can_interrupt", "is deprecated in Kratos.", 'Use "response": {"parse": true}.')
    if read.has("emit_analytics_event"):
        read.warn("emit_analytics_event", "means nothing here and is ignored.", "Remove it.")
    return hook if len(read.faults) == before else None


def _url(read: DictReader, *, allow_http: bool, allow_private: bool) -> str:
    """Check the URL as it is written, and repeat no part of it in a fault.

    Resolves nothing: ``net.guarded_http`` checks addresses.
    """
    text = read.required("url", '"url": "https://hooks.example.com/identities"')
    url = parse_http_url(text)
    if not text:
        return ""
    if url is None or not _REQUESTABLE.fullmatch(text):
        read.fault(
            "url",
            "is not an absolute URL that can be requested.",
            "Write https://host/path: percent-encode other characters, give other alphabets as xn--…, "
            'and put a name and password into "auth" of type basic_auth.',
        )
    elif not _is_plain(url.host):
        # 2130706433 and 0177.0.0.1 are 127.0.0.1 to the system, and other things to other parsers.
        read.fault(
            "url", "has a host that is no name and no address in the usual spelling.", "Write it plainly."
        )
    elif url.scheme == "http" and not (allow_http and url.is_loopback):
        read.fault("url", "must be https.", "Use https://…; http:// is for this machine with DEBUG.")
    elif not allow_private and (url.host == "localhost" or _is_private(url.host)):
        read.fault("url", "has an address that is not public.", 'Add "allow_private": true if that is meant.')
    return text


def _address(host: str) -> IPAddress | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _is_plain(host: str) -> bool:
    if _address(host):
        return "%" not in host
    return bool(_HOST.fullmatch(host)) and not _NUMBER.fullmatch(host.rpartition(".")[2])


def _is_private(host: str) -> bool:
    address = _address(host)
    return address is not None and not is_public(address)


def _method(read: DictReader) -> Method:
    return read.choice("method", Method.POST) if read.required("method", '"method": "POST"') else Method.POST


def _response(read: DictReader) -> ResponseUse:
    response = read.inner("response")
    response.refuse_unknown(("ignore", "parse"))
    ignore = response.flag("ignore", False)
    # Kratos' older name for the same.
    parse = response.flag("parse", False) | read.flag("can_interrupt", False)
    if ignore and parse:
        read.fault("response", "cannot be both ignored and parsed.", "Leave one of them.")
    if ignore:
        return ResponseUse.IGNORE
    return ResponseUse.PARSE if parse else ResponseUse.CHECK
