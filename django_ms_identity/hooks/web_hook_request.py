"""Make the request of a web hook: its body by the template, changes from its answer."""

from __future__ import annotations

import json
import logging
import os
import threading
import uuid
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django_ms_identity.conf.web_hook_settings import ResponseUse, WebHook
from django_ms_identity.exceptions import (
    ClaimsInvalid,
    MapperBusy,
    MapperFailed,
    MapperUnavailable,
    MSIdentityError,
    WebHookFailed,
)
from django_ms_identity.jsonnet import worker_pool
from django_ms_identity.jsonnet.json_values import JSON
from django_ms_identity.net import guarded_http
from django_ms_identity.net.guarded_http import LIMITS, Limits
from django_ms_identity.net.ip_ranges import Resolve, resolve

from .web_hook_response import WebHookChanges, changes_in

if TYPE_CHECKING:
    from django_ms_identity.jsonnet.sources import Sources

BACKGROUND = 8
"""Requests that may be under way in this process while no sign-in waits for them; more are dropped."""

_CANCEL = "RUNTIME ERROR: cancel"
"""What both engines say first when a template says ``error "cancel"``."""

logger = logging.getLogger(__name__)


def send_web_hook(
    hook: WebHook,
    ctx: Mapping[str, JSON],
    *,
    sources: Sources,
    timeout: float,
    limits: Limits = LIMITS,
    resolve: Resolve = resolve,
) -> WebHookChanges:
    """Make a web hook's request once and return what its answer changes.

    ``ctx`` is what the template of the body sees; without a template none of it is sent. ``sources``
    reads templates, ``timeout`` is the template's in seconds. A hook that ignores its answer
    returns at once: a daemon thread sends, its failures are only logged, and an ending process may cut it
    off. Otherwise raises ``WebHookFailed``, ``WebHookUnreachable``, ``WebHookRefused`` or ``MapperBusy``.
    """

    def call() -> WebHookChanges:
        body = make_body(hook, ctx, sources=sources, timeout=timeout)
        if body is None:
            return WebHookChanges()
        ids = {f"Ory-Webhook-{name}-ID": str(uuid.uuid4()) for name in ("Request", "Trigger")}
        answer = guarded_http.send_guarded(
            hook.method,
            hook.url,
            headers={**dict(hook.headers), **ids},
            body=body or None,
            allow_private=hook.allow_private,
            limits=limits,
            resolve=resolve,
        )
        return changes_in(hook, answer.status, answer.body)

    if hook.response is not ResponseUse.IGNORE:
        return call()
    _in_background(hook.name, call)
    return WebHookChanges()


def make_body(
    hook: WebHook, ctx: Mapping[str, JSON], *, sources: Sources, timeout: float, explain: bool = False
) -> bytes | None:
    """Return what the template makes of ``ctx``, or ``None`` if it cancels the request.

    It is empty without a template. Raises ``WebHookFailed``, or ``MapperBusy``. ``explain`` puts the
    engine's own words into the hint; they may quote ``ctx``.
    """
    if not hook.body:
        return b""
    hint, name = "Correct the template: a Jsonnet function(ctx).", f"the body of {hook.name}"
    try:
        source = sources.read(hook.body)
        # The sandbox passes external variables. A template is an expression, whatever it defines before its
        # function, so it can be put in parentheses and applied; the line break ends a comment.
        program = f"({source}\n)(std.extVar('claims'))"
        text = worker_pool.evaluate(
            program, name=name, claims=ctx, identity={}, timeout=timeout, explain=True
        )
        return _form(hook, text) if hook.sends_form else text.encode()
    except MapperBusy:
        raise
    except MapperUnavailable as error:
        problem, hint = f"{name}: {error}", error.hint
    except ClaimsInvalid:
        problem = f"the ctx for {name} is too large, or no JSON"
    except MapperFailed as error:
        # The hint holds the engine's words, and with them what the template had before it.
        if error.hint.partition("\n")[0] == _CANCEL:
            logger.debug("The body of %s cancelled the request", hook.name)
            return None
        problem = str(error)
        if explain:
            hint = error.hint
    # Outside the except block, so that ``__context__`` carries no words of the engine.
    raise WebHookFailed(problem, hint=hint)


def _form(hook: WebHook, text: str) -> bytes:
    fields = json.loads(text)
    if not isinstance(fields, dict) or not all(isinstance(value, str) for value in fields.values()):
        raise WebHookFailed(
            f"the body of {hook.name} is no form",
            hint="For a form the template returns an object whose values are texts.",
        )
    return urlencode(fields).encode()


@cache
def _slots() -> threading.BoundedSemaphore:
    # Made late: gevent may patch threading after this module was imported.
    return threading.BoundedSemaphore(BACKGROUND)


if hasattr(os, "register_at_fork"):
    # The threads that would give their slots back do not live in the child.
    os.register_at_fork(after_in_child=_slots.cache_clear)


def _in_background(name: str, call: Callable[[], WebHookChanges]) -> None:
    slots = _slots()
    if not slots.acquire(blocking=False):
        logger.error("Dropped %s: %d others are still under way", name, BACKGROUND)
        return

    def run() -> None:
        try:
            call()
        except MSIdentityError as error:
            logger.error("%s failed: %s", name, error)
        except Exception as error:  # No caller is left that could be told.
            logger.error("%s failed: %s", name, type(error).__name__)
        finally:
            slots.release()

    try:
        threading.Thread(target=run, name=f"ms_identity {name}", daemon=True).start()
    except RuntimeError:
        slots.release()
        logger.error("Dropped %s: no thread can be started", name)
