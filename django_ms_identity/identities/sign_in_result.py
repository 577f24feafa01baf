"""How a verified login ended, for the view that answers it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from django_ms_identity.flows.pending_step import StoredStep


class ResultKind(StrEnum):
    SIGNED_IN = "signed_in"
    REGISTERED = "registered"
    """Without a session: HOOKS has no ``session`` after registration."""
    LINKED = "linked"
    """Connected to the user who is signed in."""
    PENDING = "pending"
    """The visitor has to fill in or confirm something first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInResult:
    kind: ResultKind
    pending: StoredStep | None = None
    """The step that comes next, where the kind is PENDING."""
