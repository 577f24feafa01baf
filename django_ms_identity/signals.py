"""Signals for projects. Each is documented by its keyword arguments, then by when it is sent.

``identity_registering`` and ``identity_signing_in`` are sent with ``send``: a receiver refuses by raising
``RegistrationRefused`` or ``SignInRefused``. The others are sent with ``send_robust`` after their rows are
committed: a receiver that fails is logged and changes nothing.
"""

from __future__ import annotations

from django.dispatch import Signal

identity_registering = Signal()
"""request, provider, claims, mapped. Before anything is written; a receiver may refuse."""

identity_registered = Signal()
"""request, provider, identity, credential, claims. After the rows are committed."""

identity_signing_in = Signal()
"""request, provider, identity, credential, claims. Before a session is opened; a receiver may refuse."""

identity_signed_in = Signal()
"""request, provider, identity, credential, claims, registered. After a session is opened."""

identity_updated = Signal()
"""request, provider, identity, credential, claims. After a sign-in changed traits or metadata, and before
``identity_signing_in``: the sign-in may still be refused."""

credential_linked = Signal()
"""request, identity, credential. After a Microsoft account was connected to an existing user."""

credential_unlinked = Signal()
"""request, identity, credential. After a Microsoft account was disconnected; the credential is deleted."""

sign_in_refused = Signal()
"""request, provider, error. After any refusal; provider is the id in the URL, which may be unknown."""
