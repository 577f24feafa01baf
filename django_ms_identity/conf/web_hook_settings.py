"""The configuration of a web hook in Kratos' shape, parsed into a frozen value; all faults at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

from django_ms_identity.jsonnet.source_urls import url_fault

from .reader import ConfigIssue, DictReader
from .web_hook_headers import Header, headers_of, inner, sends_form
from .web_hook_targets import target_fault

KEYS = (
    "id",
    "url",
    "method",
    "headers",
    "body",
    "response",
    "can_interrupt",
    "auth",
    "emit_analytics_event",
    "allow_private",
)


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
    """Nobody waits for it."""
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
        return sends_form(self.headers)


def parse_web_hook(
    config: object,
    *,
    where: str,
    faults: list[ConfigIssue],
    warnings: list[ConfigIssue],
    allow_http: bool = False,
) -> WebHook | None:
    """Parse the ``config`` of a web hook; what is wrong goes to ``faults``, what is doubtful to ``warnings``.

    ``allow_http`` (DEBUG) permits http to this machine, and templates over http.
    """
    before = len(faults)
    if not isinstance(config, Mapping):
        faults.append(ConfigIssue(where, "must be an object.", '{"url": "https://…", "method": "POST"}'))
        return None
    read = DictReader(config, path=where, faults=faults)
    read.refuse_unknown(KEYS)
    allow_private = read.flag("allow_private", False)
    body = _body(read, allow_http=allow_http)
    hook = WebHook(
        id=_id(read),
        url=_url(read, allow_http=allow_http, allow_private=allow_private),
        method=_method(read),
        headers=headers_of(read, has_body=bool(body)),
        body=body,
        response=_response(read),
        allow_private=allow_private,
    )
    _doubt(read, warnings)
    return hook if len(faults) == before else None


def _id(read: DictReader) -> str:
    hook_id = read.text("id")
    if not hook_id.isprintable():
        read.fault("id", "holds line breaks or other characters that do not belong into a log.")
    return hook_id


def _url(read: DictReader, *, allow_http: bool, allow_private: bool) -> str:
    url = read.required("url", '"url": "https://hooks.example.com/identities"')
    if url and (fault := target_fault(url, allow_http=allow_http, allow_private=allow_private)):
        read.fault("url", *fault)
    return url


def _method(read: DictReader) -> Method:
    if not read.required("method", '"method": "POST"'):
        return Method.POST
    return read.choice("method", Method.POST)


def _body(read: DictReader, *, allow_http: bool) -> str:
    body = read.text("body")
    if problem := url_fault(body, allow_http=allow_http):
        read.fault("body", problem)
    return body


def _response(read: DictReader) -> ResponseUse:
    response = inner(read, "response")
    response.refuse_unknown(("ignore", "parse"))
    ignore = response.flag("ignore", False)
    # Kratos' older name for the same.
    parse = response.flag("parse", False) | read.flag("can_interrupt", False)
    if ignore and parse:
        read.fault("response", "cannot be both ignored and parsed.", "Leave one of them.")
    if ignore:
        return ResponseUse.IGNORE
    return ResponseUse.PARSE if parse else ResponseUse.CHECK


def _doubt(read: DictReader, warnings: list[ConfigIssue]) -> None:
    if read.has("can_interrupt"):
        remedy = 'Use "response": {"parse": true}.'
        warnings.append(ConfigIssue(read.at("can_interrupt"), "is deprecated in Kratos.", remedy))
    if read.has("emit_analytics_event"):
        warnings.append(
            ConfigIssue(read.at("emit_analytics_event"), "means nothing here and is ignored.", "Remove it.")
        )
