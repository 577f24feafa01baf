"""A verified person arrives: found, registered or refused. Dispatch only; DESIGN section 4."""

from __future__ import annotations

import logging

from django.db import router
from django.dispatch import Signal
from django.http import HttpRequest

from . import conf, registration, sessions, updating, web_hook_calls, wiring
from .entra.providers import Provider, UpdateOnLogin
from .entra.tokens import Claims
from .exceptions import IdentityInactive, TenantChanged, UserInactive
from .mapping.mapper import EMPTY_IDENTITY, map_claims
from .models import Credential, Identity
from .signals import identity_registered, identity_signed_in, identity_signing_in

logger = logging.getLogger(__name__)

after_registration = Signal()
"""As ``identity_registered``, after its receivers; for ``HOOKS`` alone, whose refusals count."""

after_login = Signal()
"""As ``identity_signing_in``, after its receivers; for ``HOOKS`` alone, whose refusals count."""


def sign_in(request: HttpRequest, *, provider: Provider, claims: Claims, subject: str) -> bool:
    """Sign in the person that ``claims`` prove, registering them if they are new.

    Returns whether a session was opened: after a registration without the ``session`` hook it was not.
    Raises a leaf of ``MSIdentityError`` for every refusal.
    """
    credential = _find(provider, subject)
    if credential is None:
        try:
            return _register(request, provider=provider, claims=claims, subject=subject)
        except registration.SubjectTaken:
            credential = _find(provider, subject)
            if credential is None:
                raise IdentityInactive("the identity was deleted while it signed in") from None
    open_session(request, provider=provider, credential=credential, claims=claims, registered=False)
    return True


def open_session(
    request: HttpRequest, *, provider: Provider, credential: Credential, claims: Claims, registered: bool
) -> None:
    """Open the session of a known credential, unless something speaks against it."""
    identity = credential.identity
    if credential.tenant and credential.tenant != claims.tid:
        # The same subject from another tenant is not the same person; DESIGN 5.6.
        raise TenantChanged(
            f"credential {credential.pk} belongs to tenant {credential.tenant}, not {claims.tid}"
        )
    if not identity.is_active:
        raise IdentityInactive(f"identity {identity.pk} is inactive", hint="Activate it in the admin.")
    if not identity.user.is_active:
        raise UserInactive(f"the user of identity {identity.pk} has is_active off")
    if provider.update_identity_on_login is UpdateOnLogin.AUTOMATIC and not registered:
        identity = updating.update(request, provider=provider, credential=credential, claims=claims)
    facts = {
        "request": request,
        "provider": provider,
        "identity": identity,
        "credential": credential,
        "claims": claims,
    }
    identity_signing_in.send(Identity, **facts)
    # Before the session, as in Kratos: a hook that keeps somebody out must find nobody in.
    after_login.send(Identity, **facts, registered=registered)
    sessions.open_session(request, identity=identity, credential=credential, claims=claims)
    logger.info(
        "Signed in identity %s by provider %s (tid %s, oid %s)",
        identity.pk,
        provider.id,
        claims.tid,
        claims.oid,
    )
    # Django logs a receiver that fails.
    identity_signed_in.send_robust(Identity, **facts, registered=registered)


def _register(request: HttpRequest, *, provider: Provider, claims: Claims, subject: str) -> bool:
    config = conf.get_config()
    mapped = map_claims(
        mapper_url=provider.mapper_url,
        payload=claims.payload,
        subject=subject,
        identity=EMPTY_IDENTITY,
        transport=wiring.transport(),
        timeout=config.mapper_timeout,
        allow_http=wiring.allows_http(),
    )
    if config.registration_enabled:
        # Else nobody is registered, and no other server needs to hear of them.
        mapped = web_hook_calls.changed(request, provider=provider, mapped=mapped)
    credential = registration.register(
        request, provider=provider, claims=claims, subject=subject, mapped=mapped
    )
    identity = credential.identity
    logger.info(
        "Registered identity %s by provider %s (tid %s, oid %s)",
        identity.pk,
        provider.id,
        claims.tid,
        claims.oid,
    )
    facts = {
        "request": request,
        "provider": provider,
        "identity": identity,
        "credential": credential,
        "claims": claims,
    }
    identity_registered.send_robust(Identity, **facts)
    after_registration.send(Identity, **facts)
    return sessions.is_of(request, identity)


def _find(provider: Provider, subject: str) -> Credential | None:
    database = router.db_for_write(Identity)
    found = Credential.objects.using(database).for_subject(provider.id, subject).with_user()
    # Not first(), which sorts: the key is unique.
    return next(iter(found), None)
