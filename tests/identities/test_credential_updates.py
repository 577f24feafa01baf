from __future__ import annotations

import pytest

from django_ms_identity.exceptions import IdentityInactive
from django_ms_identity.identities.credential_updates import settle_tenant
from django_ms_identity.models import Credential
from tests.support.builders import make_claims, make_identity

pytestmark = pytest.mark.django_db


def test_settling_the_tenant_of_a_deleted_credential_is_refused():
    identity = make_identity(subject="subject")
    credential = identity.credentials.get()
    Credential.objects.all().delete()

    with pytest.raises(IdentityInactive, match="deleted while it signed in"):
        settle_tenant(credential, make_claims(sub="subject"))
