"""Keep what is stored of a credential in step with its sign-ins."""

from __future__ import annotations

from django.db import router
from django.db.models import QuerySet
from django.utils import timezone

from django_ms_identity.entra.id_token import Claims
from django_ms_identity.exceptions import IdentityInactive
from django_ms_identity.models import Credential


def settle_tenant(credential: Credential, claims: Claims) -> None:
    """Store the tenant of a credential that has none (an imported one), unless another request was faster.

    The credential has the tenant that is stored afterwards. Raises ``IdentityInactive`` if it was deleted
    meanwhile.
    """
    tenant, object_id = claims.tid, claims.oid or credential.object_id
    settled = (
        _row_of(credential)
        .filter(tenant="")
        .update(tenant=tenant, object_id=object_id, account=claims.account_name, updated_at=timezone.now())
    )
    if not settled:
        stored = _row_of(credential).values_list("tenant", "object_id").first()
        if stored is None:
            raise IdentityInactive("the credential was deleted while it signed in")
        tenant, object_id = stored
    else:
        credential.account = claims.account_name
    credential.tenant, credential.object_id = tenant, object_id


def store_account_name(credential: Credential, name: str) -> None:
    """Store what Microsoft calls the account now."""
    credential.account = name
    # Not save(), which raises where another request deleted the row.
    _row_of(credential).update(account=name, updated_at=timezone.now())


def exists(credential: Credential) -> bool:
    """Say whether the credential, its identity and its user are still there."""
    return _row_of(credential).filter(identity__user=credential.identity.user.pk).exists()


def _row_of(credential: Credential) -> QuerySet[Credential]:
    database = router.db_for_write(Credential, instance=credential)
    return Credential.objects.using(database).filter(pk=credential.pk)
