"""Decide which parts of an exported identity are imported, and name the outcomes. Writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from django_ms_identity.entra.clouds import GUID, TenantKind
from django_ms_identity.entra.id_token import is_subject
from django_ms_identity.entra.providers import PROVIDER_ID, Provider, SubjectSource
from django_ms_identity.jsonnet.json_values import JSONObject
from django_ms_identity.models import credential_key, normalised
from django_ms_identity.traits.mapping_result import MappedUser, MappingResult

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
    """Why a valid identity is not imported."""

    NO_CREDENTIAL = "no credential is left to sign in with"
    ACCOUNT_EXISTS = "a verified address belongs to an existing user"
    CREDENTIAL_TAKEN = "a credential belongs to another identity here"
    EMAIL_UNVERIFIED = "the user model needs a verified e-mail address and there is none"


class ImportWarning(StrEnum):
    """What an operator should know of imported identities; continues their number to a sentence."""

    INVALID_TRAITS = "have traits that the identity schema refuses."
    FOREIGN_SUBJECT = (
        "have an object id as their subject, but subject_source is userinfo here: they will not be "
        "recognised. Set subject_source as it was in Kratos."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportResult:
    """What became of one entry; nothing in it is personal."""

    name: str
    """The identity's id, or its place in the export."""
    outcome: Outcome
    reason: str = ""
    left_out: tuple[str, ...] = ()
    """Why credentials are not imported."""
    warnings: tuple[ImportWarning, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """How an export becomes rows."""

    providers: Mapping[str, Provider]
    """By the ids that Kratos uses."""
    tenant: str
    """The tenant of all identities; empty where the first sign-in settles it."""
    schema: IdentitySchema | None
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCredential:
    """A credential to be written."""

    provider: Provider
    subject: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedIdentity:
    """An exported identity with the credentials that can be imported."""

    exported: ExportedIdentity
    credentials: tuple[PlannedCredential, ...]
    left_out: tuple[str, ...]
    """Why the other credentials cannot."""


def plan_identity(exported: ExportedIdentity, options: ImportOptions) -> PlannedIdentity:
    """Decide which credentials of an identity can be imported."""
    planned: dict[str, PlannedCredential] = {}
    left_out: list[str] = []
    for credential in exported.credentials:
        provider = options.providers.get(credential.provider)
        if provider is None:
            name = credential.provider if PROVIDER_ID.fullmatch(credential.provider) else "…"
            left_out.append(f"provider {name!r} is not configured here")
        elif reason := _why_not(credential, provider, options.tenant):
            left_out.append(reason)
        else:
            key = credential_key(provider.id, credential.subject)
            planned[key] = PlannedCredential(provider=provider, subject=credential.subject, key=key)
    return PlannedIdentity(
        exported=exported, credentials=tuple(planned.values()), left_out=tuple(dict.fromkeys(left_out))
    )


def warnings_for(planned: PlannedIdentity, schema: IdentitySchema | None) -> Iterator[ImportWarning]:
    """Find what an operator should know of an identity if it is imported."""
    if schema is not None and schema.problems(planned.exported.traits):
        yield ImportWarning.INVALID_TRAITS
    userinfo = [it for it in planned.credentials if it.provider.subject_source is SubjectSource.USERINFO]
    if any(GUID.fullmatch(it.subject) for it in userinfo):
        yield ImportWarning.FOREIGN_SUBJECT


def mapping_for(exported: ExportedIdentity) -> MappingResult:
    """Return the identity as if a mapper had made it, with a user from traits of the usual names."""
    traits = exported.traits
    email = normalised(str(traits.get("email") or ""))
    wanted = {
        "username": _username(traits, set(map(normalised, exported.verified_emails))),
        "first_name": _name(traits, "first"),
        "last_name": _name(traits, "last"),
    }
    return MappingResult(
        traits=traits,
        metadata_public=exported.metadata_public,
        metadata_admin=exported.metadata_admin,
        # The address in the traits comes first: the user gets one.
        verified_addresses=tuple(
            sorted(exported.verified_addresses, key=lambda it: normalised(it.value) != email)
        ),
        user=MappedUser(fields={name: value for name, value in wanted.items() if value}),
    )


def _why_not(credential: ExportedCredential, provider: Provider, tenant: str) -> str:
    if credential.auto_link:
        return f"an entry of provider {provider.id!r} has use_auto_link, so it is not confirmed yet"
    if tenant and provider.tenant.kind is TenantKind.GUID and provider.tenant.value != tenant:
        return f"provider {provider.id!r} is for another tenant than {tenant}"
    if not is_subject(credential.subject):
        return f"a subject of provider {provider.id!r} is none that Microsoft gives"
    if provider.subject_source is SubjectSource.OID and not GUID.fullmatch(credential.subject):
        return f"a subject of provider {provider.id!r} is no object id, and its subject_source is oid"
    return ""


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
