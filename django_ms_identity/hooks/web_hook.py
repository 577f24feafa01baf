"""Calls the web hooks of ``HOOKS``. Never inside a transaction: another server may take its time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone

from django_ms_identity import conf, runtime
from django_ms_identity.conf.web_hook_settings import ResponseUse, WebHook
from django_ms_identity.entra.providers import Provider
from django_ms_identity.exceptions import MapperBusy, WebHookFailed
from django_ms_identity.models import Identity
from django_ms_identity.traits.mapping_result import MappingResult

from .web_hook_payload import context, sample_context
from .web_hook_request import check_body as rehearse_body
from .web_hook_request import send
from .web_hook_response import Changes


def call(
    web_hook: WebHook, request: HttpRequest, *, stage: str, provider: str, identity: Identity
) -> Changes:
    """Make the request of a web hook and return what its answer changes; ``provider`` is its id.

    Raises ``WebHookFailed``, ``WebHookUnreachable``, ``WebHookRefused`` or ``MapperBusy``, unless the hook
    ignores its answer.
    """
    return send(
        web_hook,
        context(request, stage=stage, provider=provider, identity=identity),
        sources=runtime.sources(),
        timeout=conf.get_config().mapper_timeout,
    )


def asked_before_registration() -> tuple[WebHook, ...]:
    """Return the web hooks that may change or refuse somebody before they are registered."""
    return tuple(
        hook.web_hook
        for hook in conf.get_config().hooks["after_registration"]
        if hook.web_hook is not None and hook.web_hook.response is ResponseUse.PARSE
    )


def changed(request: HttpRequest, *, provider: Provider, mapped: MappingResult) -> MappingResult:
    """Ask the web hooks that may change or refuse somebody before they are registered.

    Each sees what the one before made of the mapper's result. They change traits and metadata alone: the
    verified addresses and the user's fields stay the mapper's. Raises as ``call``.
    """
    for web_hook in asked_before_registration():
        changes = call(
            web_hook, request, stage="after_registration", provider=provider.id, identity=_newcomer(mapped)
        )
        mapped = _with(mapped, changes)
    return mapped


def check_bodies(
    provider: Provider, mapped: MappingResult
) -> Iterator[tuple[str, WebHookFailed | MapperBusy]]:
    """Make all web hooks' bodies of what was mapped for nobody; return stage and fault of each that fails.

    Sends nothing.
    """
    for stage, hooks in conf.get_config().hooks.items():
        for web_hook in filter(None, (hook.web_hook for hook in hooks)):
            identity = _newcomer(mapped)
            if stage != "after_registration" or web_hook.response is not ResponseUse.PARSE:
                identity.created_at = identity.updated_at = identity.state_changed_at = timezone.now()
            try:
                rehearse_body(
                    web_hook,
                    sample_context(stage=stage, provider=provider.id, identity=identity),
                    sources=runtime.sources(),
                    timeout=conf.get_config().mapper_timeout,
                )
            except (WebHookFailed, MapperBusy) as error:
                yield stage, error


def _newcomer(mapped: MappingResult) -> Identity:
    return Identity(
        # As in Kratos: it has no id yet, and another server must not remember a wrong one.
        id=UUID(int=0),
        traits=mapped.traits,
        metadata_public=mapped.metadata_public or {},
        metadata_admin=mapped.metadata_admin or {},
    )


def _with(mapped: MappingResult, changes: Changes) -> MappingResult:
    if changes.traits is not None:
        mapped = replace(mapped, traits=changes.traits, replaced_traits=mapped.mapper_traits)
    if changes.metadata_public is not None:
        mapped = replace(mapped, metadata_public=changes.metadata_public)
    if changes.metadata_admin is not None:
        mapped = replace(mapped, metadata_admin=changes.metadata_admin)
    return mapped
