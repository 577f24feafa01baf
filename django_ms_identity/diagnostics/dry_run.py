"""Say what a sign-in would do, with claims that no token proves. Reads rows, writes none, sends no signal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import assert_never

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import router
from django.http import HttpRequest

from django_ms_identity.conf import Config
from django_ms_identity.entra.clouds import CONSUMER_TENANT, GUID, TenantKind
from django_ms_identity.entra.code_exchange import VerifiedLogin
from django_ms_identity.entra.id_token import Claims, is_subject
from django_ms_identity.entra.providers import Provider, SubjectSource
from django_ms_identity.exceptions import MSIdentityError
from django_ms_identity.identities.groups import group_changes
from django_ms_identity.identities.linking.matching import users_with_any
from django_ms_identity.identities.registration import new_identity, plan_registration, refuse_unstorable
from django_ms_identity.identities.sign_in_decision import decide
from django_ms_identity.identities.trusted_addresses import trusted_addresses
from django_ms_identity.identities.user_fields import build_user
from django_ms_identity.jsonnet.json_values import JSONObject
from django_ms_identity.models import Credential, Identity
from django_ms_identity.sign_in_context import SignInContext
from django_ms_identity.traits.mapping_result import MappingResult

FILLED = ("tid", "iss", "aud", "iat", "nbf", "exp", "nonce", "ver")
"""Claims of every token that describe no person."""
_WORK_TENANT = "00000000-1111-4222-8333-444444444444"


class ClaimsIncomplete(ValueError):
    """The claims do not identify a person; the message says what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationPreview:
    """The rows of a registration."""

    user: Mapping[str, object] = field(repr=False)
    """Fields of the Django user."""
    groups: tuple[str, ...]
    unknown_groups: tuple[str, ...]
    """Those that do not exist here, so the user does not join them."""
    is_name_taken: bool
    """Whether the user name gets a suffix."""


def sample_context(provider: Provider, config: Config) -> SignInContext:
    """Return the sign-in of an invented person."""
    return unverified_context(provider, config, _sample_claims(provider))


def unverified_context(
    provider: Provider, config: Config, payload: JSONObject, *, subject: str = ""
) -> SignInContext:
    """Return the sign-in of a person with these claims, or raise ``ClaimsIncomplete``.

    ``FILLED`` claims are added where they are missing. ``subject`` is what Graph would answer where the
    subject source is ``me``; the object id if it is empty.
    """
    sample = _sample_claims(provider)
    tid, sub, oid = payload.get("tid", sample["tid"]), payload.get("sub"), payload.get("oid")
    if not isinstance(tid, str) or not GUID.fullmatch(tid):
        raise ClaimsIncomplete("the claim tid is no GUID in lower case, as every tenant id is")
    claims = Claims(
        tid=tid,
        sub=sub if isinstance(sub, str) else "",
        oid=oid if isinstance(oid, str) and GUID.fullmatch(oid) else "",
        payload={name: sample[name] for name in FILLED}
        | {"iss": provider.issuer_template.replace("{tenantid}", tid)}
        | payload,
    )
    login = VerifiedLogin(
        provider=provider, claims=claims, subject=_subject(provider.subject_source, claims, subject)
    )
    return SignInContext(request=HttpRequest(), config=config, login=login)


def blockers(
    context: SignInContext, credential: Credential | None, mapping: MappingResult
) -> tuple[MSIdentityError, ...]:
    """Return what would refuse the person, other than a fault of mapper, schema or user model."""
    owners: tuple[AbstractBaseUser, ...] = ()
    if credential is None:
        owners = users_with_any(trusted_addresses(context, mapping).emails)
    return decide(context, credential=credential, owners=owners).refusals


def registration_preview(context: SignInContext, mapping: MappingResult) -> RegistrationPreview:
    """Return what a registration would write.

    Raises ``EmailUnverified``, ``UserInvalid`` and ``MapperResultInvalid``.
    """
    refuse_unstorable(mapping)
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


def _sample_claims(provider: Provider) -> JSONObject:
    """Return the claims of an ordinary member in Microsoft's v2.0 ID token, with every usual claim."""
    tid = {
        TenantKind.GUID: provider.tenant.value,
        TenantKind.CONSUMERS: CONSUMER_TENANT,
    }.get(provider.tenant.kind, _WORK_TENANT)
    return {
        "aud": provider.client_id,
        "iss": provider.issuer_template.replace("{tenantid}", tid),
        "iat": 1_700_000_000,
        "nbf": 1_700_000_000,
        "exp": 1_700_003_900,
        "name": "Sample Person",
        "given_name": "Sample",
        "family_name": "Person",
        "preferred_username": "sample.person@contoso.example",
        "email": "sample.person@contoso.example",
        "xms_edov": True,
        "acct": 0,
        "nonce": "0" * 64,
        "oid": "00000000-0000-4000-8000-000000000001",
        "sub": "sample-subject",
        "tid": tid,
        "groups": ["00000000-0000-4000-8000-00000000000a"],
        "roles": ["Sample.Role"],
        "ver": "2.0",
    }
