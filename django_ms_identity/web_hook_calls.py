"""Calls the web hooks of ``HOOKS``. Never inside a transaction: another server may take its time."""

from __future__ import annotations

from django.http import HttpRequest

from . import conf, wiring
from .entra.providers import Provider
from .models import Identity
from .web_hook import Changes, WebHook, send
from .web_hook_context import context


def call(
    web_hook: WebHook, request: HttpRequest, *, stage: str, provider: Provider, identity: Identity
) -> Changes:
    """Make the request of a web hook and return what its answer changes.

    Raises ``WebHookFailed``, ``WebHookUnreachable``, ``WebHookRefused`` or ``MapperBusy``, unless the hook
    ignores its answer.
    """
    return send(
        web_hook,
        context(request, stage=stage, provider=provider.id, identity=identity),
        transport=wiring.transport(),
        timeout=conf.get_config().mapper_timeout,
        allow_http=wiring.allows_http(),
    )
