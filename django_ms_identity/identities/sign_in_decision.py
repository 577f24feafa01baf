"""Decide what becomes of a verified login: pure, and shared with the dry run, which prints the refusals."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from django.contrib.auth.models import AbstractBaseUser

from django_ms_identity.exceptions import (
    IdentityInactive,
    MSIdentityError,
    RegistrationDisabled,
    TenantChanged,
    UserInactive,
)
from django_ms_identity.models import Credential
from django_ms_identity.sign_in_context import SignInContext
from django_ms_identity.traits.problems import TraitProblem

from .registration import account_exists_error


class Action(StrEnum):
    """What is done with a verified login."""

    SIGN_IN = "sign_in"
    REGISTER = "register"
    COMPLETE = "complete"
    """Ask the visitor for traits first."""
    CONFIRM_LINK = "confirm_link"
    """Ask the visitor whether the account belongs to an existing user."""
    LINK = "link"
    """Connect it to an existing user at once."""
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of a verified login, and why."""

    action: Action
    refusals: tuple[MSIdentityError, ...] = ()
    """Everything that speaks against it; the visitor is told the first."""
    owners: tuple[AbstractBaseUser, ...] = field(default=(), repr=False)
    """Existing users who have a trusted address of the person."""


def decide(
    context: SignInContext,
    *,
    credential: Credential | None,
    owners: tuple[AbstractBaseUser, ...] = (),
    linked_at_once: AbstractBaseUser | None = None,
    problems: tuple[TraitProblem, ...] = (),
) -> Decision:
    """Decide what becomes of a verified login.

    ``credential`` is what is known of the subject. For an unknown one, ``owners`` are the users who have a
    trusted address, ``linked_at_once`` the one whom automatic linking allows, and ``problems`` what the
    identity schema has against the traits.
    """
    if credential is not None:
        refusals = refusals_of(context, credential)
        return Decision(action=Action.REFUSE if refusals else Action.SIGN_IN, refusals=refusals)
    if linked_at_once is not None:
        return Decision(action=Action.LINK, owners=owners)
    disabled = (
        ()
        if context.config.registration_enabled
        else (RegistrationDisabled("REGISTRATION_ENABLED is off and this subject is unknown here"),)
    )
    if owners:
        # Also with registration off: the account is not a new one.
        return Decision(
            action=Action.CONFIRM_LINK, refusals=(account_exists_error(owners), *disabled), owners=owners
        )
    if disabled:
        return Decision(action=Action.REFUSE, refusals=disabled)
    return Decision(action=Action.COMPLETE if problems else Action.REGISTER)


def refusals_of(context: SignInContext, credential: Credential) -> tuple[MSIdentityError, ...]:
    """Return what speaks against a sign-in by a known credential."""
    refusals: list[MSIdentityError] = []
    if credential.tenant and credential.tenant != context.claims.tid:
        # The same subject from another tenant is not the same person.
        refusals.append(
            TenantChanged(
                f"credential {credential.pk} belongs to tenant {credential.tenant}, not {context.claims.tid}"
            )
        )
    if not credential.identity.is_active:
        refusals.append(
            IdentityInactive(
                f"identity {credential.identity.pk} is inactive", hint="Activate it in the admin."
            )
        )
    if not credential.identity.user.is_active:
        refusals.append(UserInactive(f"the user of identity {credential.identity.pk} has is_active off"))
    return tuple(refusals)
