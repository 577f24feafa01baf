"""What the answer of a web hook means: changes, a refusal in words, or a failure."""

from __future__ import annotations

import json
import logging
import unicodedata
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus

from django_ms_identity.conf.web_hook_settings import ResponseUse, WebHook
from django_ms_identity.exceptions import WebHookFailed, WebHookRefused
from django_ms_identity.jsonnet.json_values import JSONObject, NotJSON, clean_object, has_nul, kind_of
from django_ms_identity.jsonnet.worker_process import MAX_OUTPUT

MAX_MESSAGES = 5
MAX_MESSAGE = 200
"""Characters of each message that a visitor sees."""
REPLACED = ("traits", "metadata_public", "metadata_admin")
IGNORED = (
    "external_id",
    "recovery_addresses",
    "schema_id",
    "state",
    "verifiable_addresses",
    "verified_addresses",
)
"""Parts of an identity that Kratos lets a web hook set and we do not: it cannot vouch for an address."""

_JOINERS = "\u200c\u200d"
"""Format characters that words are written with."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebHookChanges:
    """What a web hook wants on the identity; each replaces the whole field, None leaves it as it is."""

    # Personal, all of it: not shown in reports.
    traits: JSONObject | None = field(default=None, repr=False)
    metadata_public: JSONObject | None = field(default=None, repr=False)
    metadata_admin: JSONObject | None = field(default=None, repr=False)


def changes_in(hook: WebHook, status: int, body: bytes) -> WebHookChanges:
    """Read an answer as ``hook.response`` says.

    Raises ``WebHookRefused`` when it is parsed and refuses in words, else ``WebHookFailed`` for a status
    of 300 or more, and for what cannot be read.
    """
    parses = hook.response is ResponseUse.PARSE
    if parses and status >= HTTPStatus.BAD_REQUEST and (messages := _messages(body)):
        raise WebHookRefused(f"{hook.name} refused with status {status}", messages=messages)
    # A redirect is not followed, so it is no answer either: of a proxy that wants a sign-in first, perhaps.
    if status >= HTTPStatus.MULTIPLE_CHOICES:
        raise WebHookFailed(f"{hook.name} answered with status {status}", hint="See that server's log.")
    if parses and status == HTTPStatus.OK:
        return _changes(hook, body)
    return WebHookChanges()


def _changes(hook: WebHook, body: bytes) -> WebHookChanges:
    if len(body) > MAX_OUTPUT:
        raise _unreadable(hook, f"is larger than {MAX_OUTPUT} bytes, as no mapper's output may be")
    answer = _load_body(body)
    if answer is None:
        raise _unreadable(hook, "is not a JSON object")
    identity = answer.get("identity")
    if identity is None:
        return WebHookChanges()
    if not isinstance(identity, dict):
        raise _unreadable(hook, f"has {kind_of(identity)} as identity")
    if ignored := [name for name in IGNORED if name in identity]:
        logger.warning("%s wants to set %s, which is ignored", hook.name, ", ".join(ignored))
    return WebHookChanges(**{name: _part(hook, identity, name) for name in REPLACED})


def _part(hook: WebHook, identity: JSONObject, name: str) -> JSONObject | None:
    value = identity.get(name)
    if not isinstance(value, dict | None):
        raise _unreadable(hook, f"has {kind_of(value)} as identity.{name}")
    if has_nul(value):
        raise _unreadable(hook, f"has a NUL character in identity.{name}, which databases refuse")
    return value


def _unreadable(hook: WebHook, what: str) -> WebHookFailed:
    return WebHookFailed(
        f"the answer of {hook.name} {what}",
        hint='Answer 200 with {"identity": {"traits": {…}}}, or 204 to change nothing.',
    )


def _messages(body: bytes) -> tuple[str, ...]:
    groups = _objects(_load_body(body) or {}, "messages")
    texts = [message.get("text") for group in groups for message in _objects(group, "messages")]
    lines = [plain_text(text) for text in texts if isinstance(text, str)]
    return tuple(line for line in lines if line)[:MAX_MESSAGES]


def _objects(parent: JSONObject, key: str) -> list[JSONObject]:
    items = parent.get(key)
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def plain_text(text: str) -> str:
    """Make one short line of what another server wrote: nothing that moves, hides or turns other text."""
    # The answer may be a megabyte; what is not looked at would not be shown either.
    visible = "".join(map(_visible, text[: 20 * MAX_MESSAGE]))
    line = " ".join(visible.split())
    return line if len(line) <= MAX_MESSAGE else f"{line[: MAX_MESSAGE - 1]}…"


def _visible(letter: str) -> str:
    if letter.isspace():
        return " "
    # Cc, Cf, Cs, Co, Cn: control, format (bidi overrides), surrogates, private, unassigned.
    hidden = unicodedata.category(letter).startswith("C") and letter not in _JOINERS
    return "" if hidden else letter


def _load_body(body: bytes) -> JSONObject | None:
    with suppress(NotJSON, ValueError, RecursionError):
        answer = json.loads(body)
        return clean_object(answer) if isinstance(answer, dict) else None
    return None
