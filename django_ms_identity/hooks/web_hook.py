"""Call the web hooks of ``HOOKS``. Never inside a transaction: another server may take its time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone

from django_ms_identity import runtime
from django_ms_identity.conf import Config
from django_ms_identity.conf.web_hook_settings import ResponseUse, WebHook
from django_ms_identity.exceptions import MapperBusy, WebHookFailed
from django_ms_identity.models import Identity
from django_ms_identity.sign_in_context import SignInContext
from django_ms_identity.traits.mapping_result import MappingResult

from .web_hook_payload import payload
from .web_hook_request import make_body, send_web_hook
from .web_hook_response import WebHookChanges


def call(
    web_hook: WebHook, request: HttpRequest, config: Config, *, stage: str, provider: str, identity: Identity
) -> WebHookChanges:
    """Make the request of a web hook and return what its answer changes; ``provider`` is its id.

    Raises ``WebHookFailed``, ``WebHookUnreachable``, ``WebHookRefused`` or ``MapperBusy``, unless the hook
    ignores its answer.
    """
    return send_web_hook(
        web_hook,
        payload(request, stage=stage, provider=provider, identity=identity),
        sources=runtime.sources(config),
        timeout=config.mapper_timeout,
    )


def ask(web_hook: WebHook, context: SignInContext, mapping: MappingResult) -> MappingResult:
    """Call a web hook for a person who is not registered yet; return the mapping as its answer changes it."""
    changes = call(
        web_hook,
        context.request,
        context.config,
        stage="after_registration",
        provider=context.provider.id,
        identity=_newcomer(mapping),
    )
    if changes.traits is not None:
        mapping = mapping.with_traits(changes.traits)
    if changes.metadata_public is not None:
        mapping = replace(mapping, metadata_public=changes.metadata_public)
    if changes.metadata_admin is not None:
        mapping = replace(mapping, metadata_admin=changes.metadata_admin)
    return mapping


def check_bodies(
    context: SignInContext, mapping: MappingResult
) -> Iterator[tuple[str, WebHookFailed | MapperBusy]]:
    """Make the body of every web hook for a sample; return stage and fault of each that fails.

    Sends nothing.
    """
    config = context.config
    for stage, hooks in config.hooks.items():
        for web_hook in filter(None, (hook.web_hook for hook in hooks)):
            identity = _newcomer(mapping)
            if stage != "after_registration" or web_hook.response is not ResponseUse.PARSE:
                identity.created_at = identity.updated_at = identity.state_changed_at = timezone.now()
            try:
                make_body(
                    web_hook,
                    payload(None, stage=stage, provider=context.provider.id, identity=identity),
                    sources=runtime.sources(config),
                    timeout=config.mapper_timeout,
                    explain=True,
                )
            except (WebHookFailed, MapperBusy) as error:
                yield stage, error


def _newcomer(mapping: MappingResult) -> Identity:
    return Identity(
        # As in Kratos: it has no id yet, and another server must not remember a wrong one.
        id=UUID(int=0),
        traits=mapping.traits,
        metadata_public=mapping.metadata_public or {},
        metadata_admin=mapping.metadata_admin or {},
    )
