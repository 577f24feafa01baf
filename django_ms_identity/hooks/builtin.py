"""The hooks that need no path: Kratos' ``revoke_active_sessions`` and ``require_verified_address``."""

from __future__ import annotations

from django.db import router
from django.http import HttpRequest

from django_ms_identity import sessions
from django_ms_identity.exceptions import AddressUnverified
from django_ms_identity.models import Identity, VerifiableAddress


def revoke_active_sessions(request: HttpRequest, identity: Identity) -> None:
    """End every session of the identity that is known, except this browser's."""
    sessions.end_other_sessions(request, identity)


def require_verified_address(request: HttpRequest, identity: Identity) -> None:
    """Raise ``AddressUnverified`` for an identity without a verified address."""
    rows = VerifiableAddress.objects.using(router.db_for_write(Identity)).filter(identity=identity)
    if not rows.filter(verified_at__isnull=False).exists():
        raise AddressUnverified(
            f"identity {identity.pk} has no verified address",
            hint="Let the mapper list one in verified_addresses: a registration and an update record them.",
        )


HOOKS = {
    "revoke_active_sessions": revoke_active_sessions,
    "require_verified_address": require_verified_address,
}
