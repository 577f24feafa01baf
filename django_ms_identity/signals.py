"""What a project can listen to; DESIGN 2.6 says when each is sent.

The two that may veto (``identity_registering``, ``identity_signing_in``) are sent with ``send``: raise
``RegistrationRefused`` or ``SignInRefused`` from a receiver. The others are sent with ``send_robust`` after
their rows are committed: a receiver that fails is logged and harms nobody.
"""

from __future__ import annotations

from django.dispatch import Signal

identity_registering = Signal()
"""request, provider, claims, mapped. Before anything is written; may veto."""

identity_registered = Signal()
"""request, provider, identity, credential, claims. After the rows are committed."""

identity_signing_in = Signal()
"""request, provider, identity, credential, claims. Before a session is opened; may veto."""

identity_signed_in = Signal()
"""request, provider, identity, credential, claims, registered. After every session opened."""

identity_updated = Signal()
"""request, provider, identity, credential, claims. After a sign-in changed traits or metadata, and before
``identity_signing_in``: the sign-in may still be refused."""

credential_linked = Signal()
"""request, identity, credential. After a Microsoft account was connected to somebody who was here before."""

credential_unlinked = Signal()
"""request, identity, credential. After a Microsoft account was disconnected; the credential is deleted."""

sign_in_refused = Signal()
"""request, provider, error. After any refusal; provider is the id in the URL, perhaps not a known one."""
