"""Say what a sign-in with given claims would do, step by step. Reads rows, writes none, sends no signal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import assert_never

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import router
from django.http import HttpRequest

from django_ms_identity import runtime
from django_ms_identity.conf import Config
from django_ms_identity.entra.clouds import GUID
from django_ms_identity.entra.code_exchange import VerifiedLogin
from django_ms_identity.entra.id_token import Claims, is_subject
from django_ms_identity.entra.providers import Provider, SubjectSource
from django_ms_identity.exceptions import MSIdentityError
from django_ms_identity.identities.decision import decide
from django_ms_identity.identities.groups import group_changes
from django_ms_identity.identities.linking.matching import credential_of, users_with_any
from django_ms_identity.identities.registration import new_identity, plan_registration, refuse_unstorable
from django_ms_identity.identities.trait_updates import describe_update, mapper_identity
from django_ms_identity.identities.trusted_addresses import trusted_addresses
from django_ms_identity.identities.user_fields import build_user
from django_ms_identity.jsonnet.json_values import JSON, JSONObject
from django_ms_identity.models import Credential, Identity
from django_ms_identity.sign_in_context import SignInContext
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
    """A sign-in with these claims, verified by nothing."""

    context: SignInContext
    filled: tuple[str, ...]
    """Claims that were not given."""
    credential: Credential | None
    """What is known of the subject."""

    @property
    def stored(self) -> Mapping[str, JSON]:
        """What the mapper sees as ``identity``."""
        known = self.credential
        return runtime.EMPTY_IDENTITY if known is None else mapper_identity(known.identity)


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


def preview_for(
    provider: Provider, config: Config, payload: JSONObject, *, subject: str = ""
) -> SignInPreview:
    """Complete the claims and look the person up; raise ``ClaimsIncomplete``.

    ``subject`` is what Graph would answer where the subject source is ``me``; the object id if it is empty.
    """
    sample = sample_claims(provider)
    filled = tuple(name for name in FILLED if name not in payload)
    tid = payload.get("tid", sample["tid"])
    if not isinstance(tid, str) or not GUID.fullmatch(tid):
        raise ClaimsIncomplete("the claim tid is no GUID in lower case, as every tenant id is")
    issuer = provider.issuer_template.replace("{tenantid}", tid)
    known = {name: sample[name] for name in filled} | {"iss": issuer} | payload
    sub, oid = payload.get("sub"), payload.get("oid")
    claims = Claims(
        tid=tid,
        sub=sub if isinstance(sub, str) else "",
        oid=oid if isinstance(oid, str) and GUID.fullmatch(oid) else "",
        payload=known,
    )
    subject = _subject(provider.subject_source, claims, subject)
    login = VerifiedLogin(provider=provider, claims=claims, subject=subject)
    context = SignInContext(request=HttpRequest(), config=config, login=login)
    return SignInPreview(context=context, filled=filled, credential=credential_of(context))


def mapper_input(preview: SignInPreview) -> JSONObject:
    """Return what the mapper sees as ``claims``, or raise ``ClaimsInvalid``."""
    return mapper_claims(preview.context.claims.payload, subject=preview.context.subject)


def mapper_output(preview: SignInPreview) -> MappingResult:
    """Run the mapper with explained errors; raise ``ClaimsInvalid`` or a subclass of ``MapperFailed``."""
    return runtime.map_claims(preview.context, preview.stored, explain=True)


def traits_after(preview: SignInPreview, mapping: MappingResult) -> JSONObject:
    """Return the traits that would be stored: what the mapper leaves out of a known person's stays."""
    if preview.credential is None:
        return mapping.traits
    return overlay(preview.credential.identity.traits, mapping.traits)


def blockers(preview: SignInPreview, mapping: MappingResult) -> tuple[MSIdentityError, ...]:
    """Return what would keep the person out, other than a fault of mapper, schema or user model."""
    owners: tuple[AbstractBaseUser, ...] = ()
    if preview.credential is None:
        owners = users_with_any(trusted_addresses(preview.context, mapping).emails)
    return decide(preview.context, credential=preview.credential, owners=owners).refusals


def registration_preview(preview: SignInPreview, mapping: MappingResult) -> RegistrationPreview:
    """Return what a registration would write.

    Raises ``EmailUnverified``, ``UserInvalid`` and ``MapperResultInvalid``.
    """
    refuse_unstorable(mapping)
    context = preview.context
    wanted = plan_registration(context, mapping, trusted_addresses(context, mapping)).user
    user, database = build_user(wanted), router.db_for_write(Identity)
    granted = group_changes(
        new_identity(user, mapping), wanted.groups, database, create=context.config.create_groups
    ).granted
    same_name = {get_user_model().USERNAME_FIELD: user.get_username()}
    return RegistrationPreview(
        user={name: getattr(user, name) for name in wanted.fields},
        groups=granted,
        unknown_groups=tuple(name for name in wanted.groups or () if name not in granted),
        is_name_taken=get_user_model()._default_manager.using(database).filter(**same_name).exists(),
    )


def update_preview(preview: SignInPreview, credential: Credential, mapping: MappingResult) -> tuple[str, ...]:
    """Say what an update on login would change of a known person, whether or not the provider wants it.

    Raises ``UserInvalid`` and ``MapperResultInvalid``.
    """
    return describe_update(preview.context, credential, mapping)


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
