"""What of an identity of Ory Kratos is taken over, and what an import reports. Decides; writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from django_ms_identity.entra.clouds import GUID, TenantKind
from django_ms_identity.entra.id_token import is_subject
from django_ms_identity.entra.providers import PROVIDER_ID, Provider, SubjectSource
from django_ms_identity.jsonnet.json_values import JSONObject
from django_ms_identity.models import credential_key, normalised
from django_ms_identity.traits.mapping_result import MappedUser, MappingResult, Scalar

from .kratos import ExportedCredential, ExportedIdentity

if TYPE_CHECKING:
    from django_ms_identity.traits.schema import IdentitySchema


class Outcome(StrEnum):
    """What became of one entry of the export."""

    IMPORTED = "imported"
    ALREADY_HERE = "already here"
    SKIPPED = "skipped"
    FAILED = "failed"


class Skip(StrEnum):
    """Why an identity stays out, though nothing is wrong with it."""

    NO_CREDENTIAL = "no credential is left to sign in with"
    ACCOUNT_EXISTS = "a verified address belongs to an existing user"
    CREDENTIAL_TAKEN = "a credential belongs to another identity here"
    EMAIL_UNVERIFIED = "the user model needs a verified e-mail address and there is none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one entry; nothing in it is personal."""

    name: str
    """The identity's id, or its place in the export."""
    outcome: Outcome
    reason: str = ""
    left_out: tuple[str, ...] = ()
    """Why credentials were not taken over."""
    has_invalid_traits: bool = False
    has_foreign_subject: bool = False
    """Whether a subject looks like an object id although the provider's subjects are another thing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How an export becomes rows."""

    providers: Mapping[str, Provider]
    """Kratos' ids of providers to ours."""
    tenant: str
    """Whose people they all are; empty where the first sign-in is to settle it."""
    schema: IdentitySchema | None
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCredential:
    """A credential to be written."""

    provider: Provider
    subject: str
    key: str


def credentials_for(
    exported: ExportedIdentity, plan: Plan
) -> tuple[tuple[PlannedCredential, ...], tuple[str, ...]]:
    """Return the credentials that can be taken over, and why the others cannot."""
    planned: dict[str, PlannedCredential] = {}
    left_out = []
    for credential in exported.credentials:
        provider = plan.providers.get(credential.provider)
        if reason := _why_not(credential, provider, plan.tenant):
            left_out.append(reason)
        elif provider is not None:
            key = credential_key(provider.id, credential.subject)
            planned[key] = PlannedCredential(provider=provider, subject=credential.subject, key=key)
    return tuple(planned.values()), tuple(dict.fromkeys(left_out))


def _why_not(credential: ExportedCredential, provider: Provider | None, tenant: str) -> str:
    """Say why a credential cannot be taken over, or nothing."""
    if provider is None:
        shown = credential.provider if PROVIDER_ID.fullmatch(credential.provider) else "…"
        return f"provider {shown!r} is not configured here"
    if credential.auto_link:
        return f"an entry of provider {provider.id!r} has use_auto_link, so nobody proved it yet"
    if tenant and provider.tenant.kind is TenantKind.GUID and provider.tenant.value != tenant:
        return f"provider {provider.id!r} is for another tenant, so nobody of {tenant} could sign in"
    if not is_subject(credential.subject):
        return f"a subject of provider {provider.id!r} is none that Microsoft gives"
    if provider.subject_source is SubjectSource.OID and not GUID.fullmatch(credential.subject):
        return f"a subject of provider {provider.id!r} is no object id, and its subject_source is oid"
    return ""


def is_foreign(credential: PlannedCredential) -> bool:
    """Say whether a subject looks like an object id although the provider's subjects are another thing."""
    source = credential.provider.subject_source
    return source is SubjectSource.USERINFO and bool(GUID.fullmatch(credential.subject))


def mapped_for(exported: ExportedIdentity) -> MappingResult:
    """Return the identity as if a mapper had made it; its user is what traits of the usual names say."""
    traits = exported.traits
    email = normalised(str(traits.get("email") or ""))
    # The address that the person goes by comes first: the user gets one.
    addresses = sorted(
        (it.address for it in exported.verified_addresses), key=lambda it: normalised(it.value) != email
    )
    wanted: dict[str, Scalar] = {
        "username": _username(traits, {normalised(it.value) for it in addresses if it.via == "email"}),
        "first_name": _name(traits, "first"),
        "last_name": _name(traits, "last"),
    }
    return MappingResult(
        traits=traits,
        verified_addresses=tuple(addresses),
        user=MappedUser(fields={name: value for name, value in wanted.items() if value}),
    )


def _username(traits: JSONObject, verified: set[str]) -> str:
    for name in ("username", "preferred_username", "email"):
        value = traits.get(name)
        if isinstance(value, str) and (
            normalised(value) in verified or (name == "username" and "@" not in value)
        ):
            return value
    return ""


def _name(traits: JSONObject, part: str) -> str:
    names = traits.get("name")
    nested = names.get(part) if isinstance(names, dict) else None
    value = traits.get(f"{part}_name", nested)
    return value if isinstance(value, str) else ""
