"""Sign a known person in as far as the update of what is stored goes."""

from __future__ import annotations

import json

from django_ms_identity.identities.trait_updates import update_identity
from django_ms_identity.models import Credential, Identity
from tests.support.builders import make_context, make_identity, make_mapper, make_provider


def program(user=None, verified=(), **identity):
    output = {
        "identity": {
            "traits": {},
            "verified_addresses": [{"via": "email", "value": value} for value in verified],
            **identity,
        }
    }
    return json.dumps(output | ({} if user is None else {"user": user}))


def update(credential, mapper, *, claims=None, **provider):
    """Sign the person in as far as the update goes."""
    made = make_provider(mapper_url=make_mapper(mapper), update_identity_on_login="automatic", **provider)
    update_identity(make_context(made, claims), credential)


def updated(identity, mapper, **options):
    """Update an identity and read what is stored then."""
    credential = Credential.objects.for_subject("microsoft", "subject").select_related("identity__user").get()
    update(credential, mapper, **options)
    known = credential.identity
    stored = Identity.objects.select_related("user").get(pk=identity.pk)
    assert (known.traits, known.user.email) == (stored.traits, stored.user.email)
    return stored


def stored_identity(**columns):
    identity = make_identity()
    for name, value in columns.items():
        setattr(identity, name, value)
    identity.save()
    return identity


def addresses(identity):
    return sorted(identity.verifiable_addresses.values_list("value", flat=True))


def groups(identity):
    return sorted(identity.user.groups.values_list("name", flat=True))
