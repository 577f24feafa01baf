"""Makes what tests begin with: settings, values and rows. Nothing here asserts."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth import get_user_model
from django.test import RequestFactory
from django.utils import timezone

from django_ms_identity import conf
from django_ms_identity.conf.provider_settings import parse_provider
from django_ms_identity.conf.reader import DictReader
from django_ms_identity.entra.code_exchange import VerifiedLogin
from django_ms_identity.entra.id_token import Claims
from django_ms_identity.entra.providers import Provider
from django_ms_identity.models import Credential, Identity, VerifiableAddress, credential_key, normalised
from django_ms_identity.sign_in_context import SignInContext
from django_ms_identity.traits.mapping_result import Address, MappedUser, MappingResult

TENANT = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490"
CLIENT_SECRET = "planted-client-secret"
MICROSOFT = {
    "id": "microsoft",
    "client_id": "11111111-2222-3333-4444-555555555555",
    "client_secret": CLIENT_SECRET,
    "microsoft_tenant": TENANT,
}


def make_settings(*providers: Mapping[str, object], **changes: object) -> dict[str, object]:
    """Make ``MS_IDENTITY`` with the usual provider, or with one for each mapping of changes to it."""
    return {"PROVIDERS": [MICROSOFT | dict(changed) for changed in providers or ({},)], **changes}


def make_mapper(program: str) -> str:
    """Make a ``mapper_url`` that carries the program itself."""
    return f"base64://{base64.b64encode(program.encode()).decode()}"


def make_schema(traits: Mapping[str, object], *, required: Sequence[str] = (), **keywords: object) -> str:
    """Make an IDENTITY_SCHEMA_URL that carries the schema itself."""
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
            "traits": {"type": "object", "properties": traits, "required": list(required), **keywords}
        },
    }
    return f"base64://{base64.b64encode(json.dumps(schema).encode()).decode()}"


def make_provider(**changes: object) -> Provider:
    read = DictReader(MICROSOFT | changes)
    provider = parse_provider(read)
    assert provider is not None, read.faults
    return provider


def make_claims(**payload: object) -> Claims:
    everything = {"tid": TENANT, "sub": "subject", "oid": "", **payload}
    return Claims(
        tid=str(everything["tid"]),
        sub=str(everything["sub"]),
        oid=str(everything["oid"]),
        payload=everything,
    )


def make_context(
    provider: Provider | None = None, claims: Claims | None = None, *, subject: str = "subject", **fields: Any
) -> SignInContext:
    """Make a verified login on its way through the app, with the configuration as it is now."""
    login = VerifiedLogin(
        provider=provider or make_provider(), claims=claims or make_claims(), subject=subject
    )
    rest = {"request": RequestFactory().get("/"), "config": conf.get_config(), **fields}
    return SignInContext(login=login, **rest)


def make_mapped(
    *,
    verified: tuple[str, ...] = (),
    user: Mapping[str, Any] | None = None,
    groups: tuple[str, ...] | None = None,
    **traits: Any,
) -> MappingResult:
    wanted = MappedUser(fields=user or {}, groups=groups) if user is not None or groups is not None else None
    addresses = tuple(Address(via="email", value=value) for value in verified)
    return MappingResult(traits=traits, verified_addresses=addresses, user=wanted)


def make_identity(
    *,
    subject: str = "subject",
    provider: str = "microsoft",
    tenant: str = TENANT,
    verified: tuple[str, ...] = (),
    **user: object,
) -> Identity:
    """Make a registered person; ``user`` are fields of the Django user."""
    username = user.pop("username", f"user of {subject}")
    identity = Identity.objects.create(user=get_user_model().objects.create_user(username, **user))
    Credential.objects.create(
        identity=identity,
        provider=provider,
        subject=subject,
        subject_source="userinfo",
        tenant=tenant,
        key=credential_key(provider, subject),
    )
    for address in verified:
        VerifiableAddress.objects.create(
            identity=identity,
            via="email",
            value=address,
            normalised=normalised(address),
            verified_at=timezone.now(),
        )
    return identity
