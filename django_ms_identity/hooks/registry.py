"""What happens after a registration, a sign-in or a link: a receiver per signal walks ``HOOKS`` in order."""

from __future__ import annotations

import logging

from django.db import router
from django.http import HttpRequest
from django.utils.module_loading import import_string

from django_ms_identity import conf, sessions
from django_ms_identity.conf.web_hook_settings import ResponseUse
from django_ms_identity.entra.id_token import Claims
from django_ms_identity.entra.providers import Provider
from django_ms_identity.exceptions import AddressUnverified, HookFailed, MSIdentityError
from django_ms_identity.identities import sign_in
from django_ms_identity.identities.linking import confirmation
from django_ms_identity.models import Credential, Identity, VerifiableAddress

from . import web_hook as web_hook_calls

logger = logging.getLogger(__name__)


def after_registration(
    sender: type[Identity],
    *,
    request: HttpRequest,
    provider: Provider,
    identity: Identity,
    credential: Credential,
    claims: Claims,
    **_: object,
) -> None:
    """Walk ``HOOKS["after_registration"]``; ``session`` comes last."""
    for hook in conf.get_config().hooks["after_registration"]:
        if hook.name == "session":
            sign_in.open_session(
                request, provider=provider, credential=credential, claims=claims, registered=True
            )
        elif hook.web_hook is None:
            _call(
                hook.name,
                request=request,
                provider=provider,
                identity=identity,
                credential=credential,
                claims=claims,
            )
        elif hook.web_hook.response is not ResponseUse.PARSE:
            # The others were asked before the identity was written.
            web_hook_calls.call(
                hook.web_hook, request, stage="after_registration", provider=provider.id, identity=identity
            )


def after_login(
    sender: type[Identity],
    *,
    request: HttpRequest,
    provider: Provider,
    identity: Identity,
    credential: Credential,
    claims: Claims,
    registered: bool,
    **_: object,
) -> None:
    """Walk ``HOOKS["after_login"]``; as in Kratos, not for the session that follows a registration."""
    if registered:
        return
    for hook in conf.get_config().hooks["after_login"]:
        if hook.name == "revoke_active_sessions":
            sessions.end_other_sessions(request, identity)
        elif hook.name == "require_verified_address":
            _require_verified_address(identity)
        elif hook.web_hook is None:
            _call(
                hook.name,
                request=request,
                provider=provider,
                identity=identity,
                credential=credential,
                claims=claims,
            )
        else:
            # It may refuse; what it wants changed counts at a registration alone, as in Kratos.
            web_hook_calls.call(
                hook.web_hook, request, stage="after_login", provider=provider.id, identity=identity
            )


def after_settings(
    sender: type[Identity],
    *,
    request: HttpRequest,
    identity: Identity,
    credential: Credential,
    linked: bool,
    **_: object,
) -> None:
    """Walk ``HOOKS["after_settings"]``: an account was connected, or else disconnected."""
    for hook in conf.get_config().hooks["after_settings"]:
        if hook.name == "revoke_active_sessions":
            sessions.end_other_sessions(request, identity)
        elif hook.web_hook is None:
            _call(hook.name, request=request, identity=identity, credential=credential, linked=linked)
        else:
            web_hook_calls.call(
                hook.web_hook,
                request,
                stage="after_settings",
                provider=credential.provider,
                identity=identity,
            )


def connect() -> None:
    """Connect the receivers; called once by the app registry."""
    sign_in.after_registration.connect(after_registration, sender=Identity, dispatch_uid="ms_identity_hooks")
    sign_in.after_login.connect(after_login, sender=Identity, dispatch_uid="ms_identity_hooks")
    confirmation.after_settings.connect(after_settings, sender=Identity, dispatch_uid="ms_identity_hooks")


def _require_verified_address(identity: Identity) -> None:
    rows = VerifiableAddress.objects.using(router.db_for_write(Identity)).filter(identity=identity)
    if not rows.filter(verified_at__isnull=False).exists():
        raise AddressUnverified(
            f"identity {identity.pk} has no verified address",
            hint="Let the mapper list it in verified_addresses; addresses are recorded at registration.",
        )


def _call(name: str, *, request: HttpRequest, identity: Identity, **facts: object) -> None:
    try:
        import_string(name)(request=request, identity=identity, **facts)
    except MSIdentityError:
        raise
    except Exception as error:  # A project's own function: anything can come out of it.
        # With the request a report by e-mail is as silent as those of our views.
        logger.exception("Hook %s failed for identity %s", name, identity.pk, extra={"request": request})
        raise HookFailed(f"hook {name} failed: {type(error).__name__}") from None
