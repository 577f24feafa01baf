"""Run the stages of HOOKS in order, and return what the hooks decided. Hooks never call back up."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest
from django.utils.module_loading import import_string

from django_ms_identity.conf import Config
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
    _run("after_registration", context.request, context.config, credential, arguments(context, credential))
    return any(hook.name == "session" for hook in context.config.hooks["after_registration"])


def after_login(context: SignInContext, credential: Credential) -> None:
    """Run ``HOOKS["after_login"]``; as in Kratos, not for the session that follows a registration."""
    _run("after_login", context.request, context.config, credential, arguments(context, credential))


def after_settings(request: HttpRequest, config: Config, credential: Credential, *, linked: bool) -> None:
    """Run ``HOOKS["after_settings"]``: an account was connected, or else disconnected."""
    given = {"request": request, "identity": credential.identity, "credential": credential, "linked": linked}
    _run("after_settings", request, config, credential, given)


def _asked_before_registration(config: Config) -> list[WebHook]:
    configured = filter(None, (hook.web_hook for hook in config.hooks["after_registration"]))
    return [each for each in configured if each.response is ResponseUse.PARSE]


def _run(
    stage: str, request: HttpRequest, config: Config, credential: Credential, given: Mapping[str, Any]
) -> None:
    already_asked = _asked_before_registration(config) if stage == "after_registration" else []
    for hook in config.hooks[stage]:
        if hook.web_hook in already_asked or hook.name == "session":
            continue
        if hook.web_hook is not None:
            # It may refuse; what it wants changed counts before a registration alone, as in Kratos.
            provider, identity = credential.provider, credential.identity
            web_hook.call(hook.web_hook, request, config, stage=stage, provider=provider, identity=identity)
        elif hook.name in builtin.HOOKS:
            builtin.HOOKS[hook.name](request, credential.identity)
        else:
            _call(hook.name, given)


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
