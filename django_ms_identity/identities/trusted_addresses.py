"""Decide which addresses count as a person's own. Nothing else in the app does.

Trusted are the entries of ``verified_addresses`` and, for members of the single tenant that the provider is
for, the trait ``email``; and only where the mapper makes the same of the claims alone, or the identity has
the address verified already. What a visitor typed, an import or a web hook wrote can therefore become
trusted neither by a mapper that hands it back, nor by a spelling that folds into another address.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from django_ms_identity.sign_in_context import SignInContext
from django_ms_identity.traits.mapping_result import Address, MappingResult


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedAddresses:
    """The addresses that count as a person's own, as they are stored."""

    emails: tuple[str, ...] = field(default=(), repr=False)
    """What may reach the user's e-mail field, find colliding users, and be linked by."""
    verified: tuple[Address, ...] = field(default=(), repr=False)
    """What is recorded as verified."""

    def __contains__(self, email: object) -> bool:
        return isinstance(email, str) and exact(email) in map(exact, self.emails)


def trusted_addresses(
    context: SignInContext, mapping: MappingResult, *, known: Collection[str] = ()
) -> TrustedAddresses:
    """Return what of a mapping's addresses is trusted.

    ``known`` are e-mail addresses that this identity has verified already.
    """
    mapped, confirmed = mapping.as_mapped, mapping.confirmed
    already = {exact(email) for email in known}
    said = {(address.via, exact(address.value)) for address in confirmed.verified_addresses}
    verified = tuple(
        address
        for address in mapped.verified_addresses
        if (address.via, exact(address.value)) in said
        or (address.via == "email" and exact(address.value) in already)
    )
    emails = [address.value for address in verified if address.via == "email"]
    trait, said_trait = email_trait(mapped), email_trait(confirmed)
    is_confirmed = exact(trait) == exact(said_trait) or exact(trait) in already
    if trait and is_confirmed and context.is_member and "email" not in mapping.typed:
        emails.append(trait)
    return TrustedAddresses(emails=tuple(dict.fromkeys(emails)), verified=verified)


def vouched_addresses(mapping: MappingResult) -> TrustedAddresses:
    """Return the trusted addresses of imported people (no token): ``verified_addresses`` alone."""
    emails = [address.value for address in mapping.verified_addresses if address.via == "email"]
    return TrustedAddresses(emails=tuple(dict.fromkeys(emails)), verified=mapping.verified_addresses)


def email_trait(mapping: MappingResult) -> str:
    """Return the trait ``email`` without outer space; empty if there is none."""
    trait = mapping.traits.get("email")
    return trait.strip() if isinstance(trait, str) else ""


def exact(email: str) -> str:
    """Return the form in which trust is granted: trimmed, ASCII letters in lower case, all else as it is.

    Folding more would grant one mailbox's address to another: a K may be a Kelvin sign, ß is not ss.
    """
    return "".join(letter.lower() if letter.isascii() else letter for letter in email.strip())
