"""Run the stages of HOOKS in order, and return what the hooks decided. Hooks never call back up."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest
from django.utils.module_loading import import_string

from django_ms_identity.conf import Config, Hook
from django_ms_identity.conf.web_hook_settings import ResponseUse, WebHook
from django_ms_identity.exceptions import HookFailed, MSIdentityError
from django_ms_identity.models import Credential
from django_ms_identity.sign_in_context import SignInContext
from django_ms_identity.traits.mapping_result import MappingResult

from . import builtin, web_hook

logger = logging.getLogger(__name__)


def arguments(context: SignInContext, credential: Credential) -> dict[str, Any]:
    """Return the keyword arguments of public signals and of dotted-path hooks: a contract."""
    return {
        "request": context.request,
        "provider": context.provider,
        "identity": credential.identity,
        "credential": credential,
        "claims": context.claims,
    }


def asks_before_registration(config: Config) -> bool:
    """Say whether a web hook may change or refuse a person before they are registered."""
    return bool(_asked_before_registration(config))


def before_registration(context: SignInContext, mapping: MappingResult) -> MappingResult:
    """Ask the web hooks that may change or refuse a person before they are registered.

    Each sees what the one before made of the mapper's result. They change traits and metadata alone: the
    verified addresses and the user's fields stay the mapper's. Raises as ``web_hook.call``.
    """
    for hook in _asked_before_registration(context.config):
        mapping = web_hook.ask(hook, context, mapping)
    return mapping


def after_registration(context: SignInContext, credential: Credential) -> bool:
    """Run ``HOOKS["after_registration"]``; return whether a session follows (the hook ``session``)."""
    opens_session = False
    for hook in context.config.hooks["after_registration"]:
        if hook.name == "session":
            opens_session = True
        elif hook.web_hook is None:
            _call(hook.name, arguments(context, credential))
        elif hook.web_hook.response is not ResponseUse.PARSE:
            # The others were asked before the identity was written.
            _web_hook(hook, context.request, context.config, "after_registration", credential)
    return opens_session


def after_login(context: SignInContext, credential: Credential) -> None:
    """Run ``HOOKS["after_login"]``; as in Kratos, not for the session that follows a registration."""
    for hook in context.config.hooks["after_login"]:
        if hook.name == "revoke_active_sessions":
            builtin.revoke_active_sessions(context.request, credential.identity)
        elif hook.name == "require_verified_address":
            builtin.require_verified_address(credential.identity)
        elif hook.web_hook is None:
            _call(hook.name, arguments(context, credential))
        else:
            # It may refuse; what it wants changed counts at a registration alone, as in Kratos.
            _web_hook(hook, context.request, context.config, "after_login", credential)


def after_settings(request: HttpRequest, config: Config, credential: Credential, *, linked: bool) -> None:
    """Run ``HOOKS["after_settings"]``: an account was connected, or else disconnected."""
    for hook in config.hooks["after_settings"]:
        if hook.name == "revoke_active_sessions":
            builtin.revoke_active_sessions(request, credential.identity)
        elif hook.web_hook is None:
            identity = credential.identity
            given = {"request": request, "identity": identity, "credential": credential, "linked": linked}
            _call(hook.name, given)
        else:
            _web_hook(hook, request, config, "after_settings", credential)


def _asked_before_registration(config: Config) -> tuple[WebHook, ...]:
    return tuple(
        hook.web_hook
        for hook in config.hooks["after_registration"]
        if hook.web_hook is not None and hook.web_hook.response is ResponseUse.PARSE
    )


def _web_hook(hook: Hook, request: HttpRequest, config: Config, stage: str, credential: Credential) -> None:
    assert hook.web_hook is not None  # noqa: S101  # for the types: the caller has looked
    web_hook.call(
        hook.web_hook,
        request,
        config,
        stage=stage,
        provider=credential.provider,
        identity=credential.identity,
    )


def _call(name: str, given: Mapping[str, Any]) -> None:
    try:
        import_string(name)(**given)
    except MSIdentityError:
        raise
    except Exception as error:  # A project's own function: anything can come out of it.
        # With the request, a report by e-mail hides what those of the sign-in's own views hide.
        logger.exception(
            "Hook %s failed for identity %s",
            name,
            given["identity"].pk,
            extra={"request": given["request"]},
        )
        raise HookFailed(f"hook {name} failed: {type(error).__name__}") from None
