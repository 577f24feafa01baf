"""Says what a sign-in with given claims would do, step by step. Reads rows, writes none, sends no signal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import assert_never

from django.contrib.auth import get_user_model
from django.db import router

from django_ms_identity import conf, runtime
from django_ms_identity.entra.clouds import GUID, issuer
from django_ms_identity.entra.id_token import Claims, is_subject
from django_ms_identity.entra.providers import Provider, SubjectSource
from django_ms_identity.exceptions import (
    AccountExists,
    IdentityInactive,
    RegistrationDisabled,
    TenantChanged,
    UserInactive,
)
from django_ms_identity.identities.groups import group_changes
from django_ms_identity.identities.registration import refuse_unstorable, users_with_any
from django_ms_identity.identities.trait_updates import mapper_identity, pending_changes
from django_ms_identity.identities.user_fields import build_user, fields_for_new_user, trusted_emails
from django_ms_identity.jsonnet.json_values import JSON, JSONObject
from django_ms_identity.models import Credential, Identity
from django_ms_identity.traits.mapper import EMPTY_IDENTITY, map_claims
from django_ms_identity.traits.mapper_claims import mapper_claims
from django_ms_identity.traits.mapping_result import MappingResult
from django_ms_identity.traits.merging import overlay

from .sample import sample_claims

FILLED = ("tid", "iss", "aud", "iat", "nbf", "exp", "nonce", "ver")
"""Claims of every token that say nothing of the person."""


class ClaimsIncomplete(ValueError):
    """The claims do not say whose they are; the message says what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInPreview:
    """Somebody who comes with these claims, proved by nothing."""

    provider: Provider
    claims: Claims
    subject: str
    filled: tuple[str, ...]
    """Claims that were not given."""
    credential: Credential | None
    """Of who is known already."""

    @property
    def stored(self) -> Mapping[str, JSON]:
        """What the mapper sees as ``identity``."""
        return EMPTY_IDENTITY if self.credential is None else mapper_identity(self.credential.identity)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationPreview:
    """The rows of a registration."""

    user: Mapping[str, object] = field(repr=False)
    """Fields of the Django user."""
    groups: tuple[str, ...]
    unknown_groups: tuple[str, ...]
    """Those that do not exist here, so nobody joins them."""
    is_name_taken: bool
    """Whether the user name gets a suffix."""


def preview_for(provider: Provider, payload: JSONObject, *, subject: str = "") -> SignInPreview:
    """Complete the claims and look the person up; raise ``ClaimsIncomplete``.

    ``subject`` is what Graph would answer where the subject source is ``me``; the object id if it is empty.
    """
    sample = sample_claims(provider)
    filled = tuple(name for name in FILLED if name not in payload)
    tid = payload.get("tid", sample["tid"])
    if not isinstance(tid, str) or not GUID.fullmatch(tid):
        raise ClaimsIncomplete("the claim tid is no GUID in lower case, as every tenant id is")
    known = {name: sample[name] for name in filled} | {"iss": issuer(provider.cloud, tid)} | payload
    sub, oid = payload.get("sub"), payload.get("oid")
    claims = Claims(
        tid=tid,
        sub=sub if isinstance(sub, str) else "",
        oid=oid if isinstance(oid, str) and GUID.fullmatch(oid) else "",
        payload=known,
    )
    subject = _subject(provider.subject_source, claims, subject)
    found = Credential.objects.using(router.db_for_write(Identity)).for_subject(provider.id, subject)
    return SignInPreview(
        provider=provider,
        claims=claims,
        subject=subject,
        filled=filled,
        credential=next(iter(found.with_user()), None),
    )


def mapper_input(visitor: SignInPreview) -> JSONObject:
    """Return what the mapper sees as ``claims``, or raise ``ClaimsInvalid``."""
    return mapper_claims(visitor.claims.payload, subject=visitor.subject)


def mapper_output(visitor: SignInPreview) -> MappingResult:
    """Run the mapper, whose errors are explained; raise ``ClaimsInvalid`` or a leaf of ``MapperFailed``."""
    return map_claims(
        mapper_url=visitor.provider.mapper_url,
        payload=visitor.claims.payload,
        subject=visitor.subject,
        identity=visitor.stored,
        sources=runtime.sources(),
        timeout=conf.get_config().mapper_timeout,
        explain=True,
    )


def traits_after(visitor: SignInPreview, mapped: MappingResult) -> JSONObject:
    """Return the traits that would be stored: what the mapper leaves out of a known person's stays."""
    if visitor.credential is None:
        return mapped.traits
    return overlay(visitor.credential.identity.traits, mapped.traits)


def blockers(visitor: SignInPreview, mapped: MappingResult) -> tuple[str, ...]:
    """Say what would keep the person out, other than a fault of mapper, schema or user model."""
    if visitor.credential is None:
        return tuple(_against_newcomer(visitor, mapped))
    return tuple(_against_known(visitor.credential, visitor.claims))


def registration_preview(visitor: SignInPreview, mapped: MappingResult) -> RegistrationPreview:
    """Return what a registration would write.

    Raises ``EmailUnverified``, ``UserInvalid`` and ``MapperResultInvalid``.
    """
    refuse_unstorable(mapped)
    account = fields_for_new_user(visitor.provider, visitor.claims, mapped, subject=visitor.subject)
    user = build_user(account)
    database = router.db_for_write(Identity)
    unsaved = Identity(user=user)  # type: ignore[misc]  # AUTH_USER_MODEL, whatever it is
    granted = group_changes(unsaved, account.groups, database).granted
    same_name = {get_user_model().USERNAME_FIELD: user.get_username()}
    return RegistrationPreview(
        user={name: getattr(user, name) for name in account.fields},
        groups=granted,
        unknown_groups=tuple(name for name in account.groups or () if name not in granted),
        is_name_taken=get_user_model()._default_manager.using(database).filter(**same_name).exists(),
    )


def update(visitor: SignInPreview, credential: Credential, mapped: MappingResult) -> tuple[str, ...]:
    """Say what an update on login would change of a known person, whether or not the provider wants it.

    Raises ``UserInvalid`` and ``MapperResultInvalid``.
    """
    return pending_changes(
        provider=visitor.provider, credential=credential, claims=visitor.claims, mapped=mapped
    )


def _subject(source: SubjectSource, claims: Claims, given: str) -> str:
    if given and source is not SubjectSource.ME:
        raise ClaimsIncomplete(f"--subject is for subject_source me, and here it is {source}")
    match source:
        case SubjectSource.USERINFO:
            subject, name = claims.sub, "sub"
        case SubjectSource.OID:
            subject, name = claims.oid, "oid"
        case SubjectSource.ME:
            subject, name = given or claims.oid, "oid, and --subject was not given"
        case _:
            assert_never(source)
    if not subject:
        raise ClaimsIncomplete(f"subject_source is {source}, and the claims have no {name}")
    if not is_subject(subject):
        raise ClaimsIncomplete("the subject is not printable ASCII text of at most 255 characters")
    return subject


def _against_newcomer(visitor: SignInPreview, mapped: MappingResult) -> Iterator[str]:
    for user in users_with_any(trusted_emails(visitor.provider, visitor.claims, mapped)):
        yield f"{AccountExists.code}: a trusted address belongs to the existing user {user.pk}"
    if not conf.get_config().registration_enabled:
        yield f"{RegistrationDisabled.code}: REGISTRATION_ENABLED is off"


def _against_known(credential: Credential, claims: Claims) -> Iterator[str]:
    if credential.tenant and credential.tenant != claims.tid:
        yield f"{TenantChanged.code}: the credential belongs to tenant {credential.tenant}"
    if not credential.identity.is_active:
        yield f"{IdentityInactive.code}: the identity is inactive"
    if not credential.identity.user.is_active:
        yield f"{UserInactive.code}: the user has is_active off"
