"""Decide what of a mapping may reach the Django user, whatever the mapper emits."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import models

from django_ms_identity.entra.id_token import display_text
from django_ms_identity.entra.providers import Provider
from django_ms_identity.exceptions import EmailUnverified, UserInvalid
from django_ms_identity.models import credential_key
from django_ms_identity.sign_in_context import SignInContext
from django_ms_identity.traits.mapping_result import MappingResult

from .trusted_addresses import TrustedAddresses

logger = logging.getLogger(__name__)

FORBIDDEN = frozenset({"password", "is_active", "last_login", "date_joined"})
PRIVILEGES = frozenset({"is_staff", "is_superuser"})
FROM_TRAITS = ("username", "first_name", "last_name")


@dataclass(frozen=True, slots=True, kw_only=True)
class UserFields:
    """What a mapping says of the Django user, as far as it may."""

    fields: dict[str, object] = field(repr=False)
    groups: tuple[str, ...] | None
    """Names; None when memberships are to stay as they are."""


def fields_for_new_user(
    context: SignInContext, mapping: MappingResult, trusted: TrustedAddresses
) -> UserFields:
    """Return the fields and groups of a new Django user, or raise ``EmailUnverified``.

    Reads from the mapper's ``user`` object, and without one from traits of the same name.
    """
    fields = dict(_allowed(_wanted(mapping), privileged=context.is_privileged, trusted=trusted))
    _set_email(fields, trusted)
    # A web hook is not the tenant: the name that it chose may be another person's address.
    named, name = mapping.as_mapped.traits.get("username"), mapping.traits.get("username")
    renamed = name != named and "username" not in mapping.typed
    _set_username(
        fields, context.provider, context.subject, trusted, any_name=context.is_member and not renamed
    )
    return UserFields(fields=fields, groups=_groups(mapping, privileged=context.is_privileged) or ())


def fields_for_imported_user(
    provider: Provider, subject: str, mapping: MappingResult, trusted: TrustedAddresses
) -> UserFields:
    """Like ``fields_for_new_user``, for imported people (no token)."""
    fields = dict(_allowed(_wanted(mapping), privileged=False, trusted=trusted))
    _set_email(fields, trusted)
    _set_username(fields, provider, subject, trusted, any_name=False)
    return UserFields(fields=fields, groups=())


def fields_for_existing_user(
    context: SignInContext, mapping: MappingResult, trusted: TrustedAddresses, *, user: AbstractBaseUser
) -> UserFields:
    """Return what a sign-in says of a known user; like ``fields_for_new_user``, but it keeps the user name.

    An address that is still trusted stays, even if it is not the first one.
    """
    fields = dict(_allowed(_wanted(mapping), privileged=context.is_privileged, trusted=trusted))
    for name in PRIVILEGES & fields.keys():
        confirmed = mapping.confirmed.user
        if fields[name] is getattr(user, name, False):
            # Not written: it may be revoked before the row is locked.
            del fields[name]
        elif fields[name] and not (confirmed and confirmed.fields.get(name)):
            # A mapper that hands on what a visitor typed grants nothing.
            _dropped(name, "the claims alone do not grant it")
            del fields[name]
    if str(getattr(user, email_field(), "") or "") not in trusted:
        _set_email(fields, trusted)
    # The old name may be in URLs, logs and permissions, where it would now name another person.
    fields.pop(get_user_model().USERNAME_FIELD, None)
    return UserFields(fields=fields, groups=_groups(mapping, privileged=context.is_privileged))


def apply(user: AbstractBaseUser, fields: Mapping[str, object]) -> list[str]:
    """Set fields of a user; return the names of those that changed, or raise ``UserInvalid``."""
    before = {name: getattr(user, name) for name in fields}
    for name, value in fields.items():
        setattr(user, name, value)
    _clean_fields(user, exclude={field.name for field in user._meta.fields} - fields.keys())
    return [name for name in fields if getattr(user, name) != before[name]]


def build_user(wanted: UserFields) -> AbstractBaseUser:
    """Return an unsaved user with an unusable password, or raise ``UserInvalid`` with every fault."""
    user = get_user_model()(**wanted.fields)
    user.set_unusable_password()
    _clean_fields(user, exclude={"password"})
    return user


def with_suffix(wanted: UserFields) -> UserFields:
    """Return the fields with a random suffix to the user name, which cannot have been taken beforehand."""
    name = get_user_model().USERNAME_FIELD
    limit = _limit(name) or 150
    suffix = f"-{secrets.token_hex(4)}"
    return UserFields(
        fields=wanted.fields | {name: f"{str(wanted.fields[name])[: limit - len(suffix)]}{suffix}"},
        groups=wanted.groups,
    )


def username_is_email() -> bool:
    """Say whether people sign in by their e-mail address in this project."""
    user_model = get_user_model()
    field = user_model._meta.get_field(user_model.USERNAME_FIELD)
    return isinstance(field, models.EmailField) or field.name == email_field()


def _clean_fields(user: AbstractBaseUser, *, exclude: set[str]) -> None:
    try:
        user.clean_fields(exclude=exclude)
    except (TypeError, ValueError):
        raise UserInvalid(
            "a field refuses the type of its value", hint="Dates and times must be text in ISO format."
        ) from None
    except ValidationError as error:
        raise UserInvalid(
            ", ".join(_without_values(error)),
            hint="The user model needs fields that the mapper's `user` object does not fill, or not well.",
        ) from None


def _wanted(mapped: MappingResult) -> dict[str, object]:
    if mapped.user is not None:
        return dict(mapped.user.fields)
    # What the visitor typed never reaches the user.
    traits = {name: mapped.traits.get(name) for name in FROM_TRAITS if name not in mapped.typed}
    return {name: value for name, value in traits.items() if isinstance(value, str)}


def _groups(mapped: MappingResult, *, privileged: bool) -> tuple[str, ...] | None:
    groups = mapped.user.groups if mapped.user else None
    if groups and not privileged:
        _dropped("groups", "the tenant is not in privileged_tenants")
    return groups if privileged else None


def _allowed(
    wanted: dict[str, object], *, privileged: bool, trusted: TrustedAddresses
) -> Iterable[tuple[str, object]]:
    for name, value in wanted.items():
        field = _model_field(name)
        if field is None or name in FORBIDDEN or field.primary_key or field.is_relation:
            if name not in FROM_TRAITS:
                _dropped(name, "a mapper may never set it, or the user model has no such field")
        elif name in PRIVILEGES and not privileged:
            _dropped(name, "the tenant is not in privileged_tenants")
        elif name in PRIVILEGES and not isinstance(value, bool):
            _dropped(name, "only true and false are privileges")
        elif _holds_email(field) and value not in trusted:
            _dropped(name, "the address is not trusted")
        elif _holds_email(field) and not _accepts(field, value):
            _dropped(name, "the user model refuses the address")
        elif isinstance(value, str):
            # A name may be longer than the column; an address must not become another one.
            yield name, value.strip() if _holds_email(field) else display_text(value)[: field.max_length]
        elif value is not None:
            yield name, value


def _set_email(fields: dict[str, object], trusted: TrustedAddresses) -> None:
    name = email_field()
    field = _model_field(name) if name else None
    if field is None or field.name in fields:
        return
    # Django's validator knows ASCII names alone; such a person can still come in, without an address.
    accepted = next((email for email in trusted.emails if _accepts(field, email)), None)
    if accepted:
        fields[field.name] = accepted


def _set_username(
    fields: dict[str, object],
    provider: Provider,
    subject: str,
    trusted: TrustedAddresses,
    *,
    any_name: bool,
) -> None:
    user_model = get_user_model()
    name = user_model.USERNAME_FIELD
    if username_is_email():
        if not fields.get(name):
            raise EmailUnverified(
                "the user model signs people in by e-mail and Microsoft vouches for no address",
                hint="List the address in verified_addresses (claim xms_edov), or use the tenant's own ID.",
            )
        return
    field = _model_field(name)
    value = user_model.normalize_username(str(fields.get(name) or ""))
    # Any tenant can name its people after an address that is not theirs; such a user name would be believed.
    # Decided on what is stored: normalising can make an address of what was none.
    borrowed = "@" in value and not any_name and value not in trusted
    if field is None or borrowed or not _accepts(field, value):
        value = f"{provider.id}-{credential_key(provider.id, subject)[:12]}"
    fields[name] = value


def email_field() -> str:
    """Return the name of the user model's e-mail field; empty if it names none."""
    return str(getattr(get_user_model(), "EMAIL_FIELD", "") or "")


def _holds_email(field: models.Field[object, object]) -> bool:
    return isinstance(field, models.EmailField) or field.name == email_field()


def _model_field(name: str) -> models.Field[object, object] | None:
    try:
        field = get_user_model()._meta.get_field(name)
    except FieldDoesNotExist:
        return None
    return field if isinstance(field, models.Field) else None


def _accepts(field: models.Field[object, object], value: object) -> bool:
    try:
        field.clean(value, None)
    except (ValidationError, TypeError, ValueError):  # Dates and times raise TypeError for a number.
        return False
    return True


def _limit(name: str) -> int | None:
    field = _model_field(name)
    return field.max_length if field else None


def _without_values(error: ValidationError) -> list[str]:
    # Validators' messages may quote the value, which is personal.
    return [
        f"{name}: {'; '.join(sorted({problem.code or 'invalid' for problem in problems}))}"
        for name, problems in error.error_dict.items()
    ]


def _dropped(name: str, reason: str) -> None:
    # A computed name may come from the claims.
    shown = name if name.isidentifier() else "…"
    logger.warning("The mapper's user.%s was dropped: %s", shown, reason)
