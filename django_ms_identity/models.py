"""Identities, their credentials and verified addresses, and a row for each session that was opened."""

from __future__ import annotations

import unicodedata
import uuid
from hashlib import sha256

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


def credential_key(provider: str, subject: str) -> str:
    """Return the SHA-256 of a (provider, subject) pair, which every collation compares exactly."""
    # The length keeps ("a", "b:c") and ("a:b", "c") apart.
    return sha256(f"{len(provider)}:{provider}:{subject}".encode()).hexdigest()


def normalised(address: str) -> str:
    """Return the form in which addresses are compared (UTS 39: NFKC and case folding)."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", address).casefold()).strip()


class IdentityQuerySet(models.QuerySet["Identity"]):
    def lock(self) -> int:
        """Lock these rows by writing to them; return their number.

        On SQLite ``select_for_update`` does nothing, and of two transactions that read before they write one
        fails with "database is locked". So the first statement has to be a write.
        """
        return self.update(updated_at=timezone.now())


class Identity(models.Model):
    """A person as this project knows them through Microsoft (Kratos: identity)."""

    class State(models.TextChoices):
        ACTIVE = "active", _("active")
        INACTIVE = "inactive", _("inactive")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="ms_identity", verbose_name=_("user")
    )
    traits = models.JSONField(_("traits"), default=dict, blank=True)
    metadata_public = models.JSONField(_("public metadata"), default=dict, blank=True)
    metadata_admin = models.JSONField(_("admin metadata"), default=dict, blank=True)
    self_asserted = models.JSONField(
        _("self-asserted traits"),
        default=list,
        blank=True,
        help_text=_("Paths of the traits that the visitor typed."),
    )
    granted_groups = models.JSONField(default=list, blank=True, editable=False)
    """Names of the groups that a mapper put the user into; a mapper removes the user from no others."""
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.ACTIVE)
    state_changed_at = models.DateTimeField(_("state changed at"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    objects = IdentityQuerySet.as_manager()

    class Meta:
        verbose_name = _("identity")
        verbose_name_plural = _("identities")
        indexes = [
            models.Index(fields=["-created_at"], name="ms_identity_created"),
            models.Index(fields=["state", "-created_at"], name="ms_identity_state_created"),
        ]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def is_active(self) -> bool:
        return self.state == self.State.ACTIVE


class CredentialQuerySet(models.QuerySet["Credential"]):
    def for_subject(self, provider: str, subject: str) -> CredentialQuerySet:
        """Find by (provider, subject), which identify a Microsoft account."""
        return self.filter(key=credential_key(provider, subject))

    def with_last_use(self) -> CredentialQuerySet:
        """Add ``last_used_at``: when the credential last opened a session, or None if that is not known."""
        return self.annotate(last_used_at=models.Max("sign_ins__created_at"))


class Credential(models.Model):
    """A Microsoft account that signs an identity in (Kratos: an identifier of type oidc)."""

    identity = models.ForeignKey(
        Identity, models.CASCADE, related_name="credentials", verbose_name=_("identity")
    )
    provider = models.CharField(_("provider"), max_length=255)
    subject = models.CharField(_("subject"), max_length=255)
    subject_source = models.CharField(_("subject source"), max_length=16)
    tenant = models.CharField(_("tenant"), max_length=36, blank=True)
    object_id = models.CharField(_("object id"), max_length=36, blank=True)
    account = models.CharField(_("account"), max_length=320, blank=True)
    """The account's name at Microsoft, for display. It may pass to another person: no sign-in looks it up."""
    mfa_trusted = models.BooleanField(_("shows a second factor"), default=True)
    """False for an account that was connected in a session without a second factor: an attacker who has only
    the password could connect an account of their own and pass the second factor with it."""
    key = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    objects = CredentialQuerySet.as_manager()

    class Meta:
        verbose_name = _("credential")
        verbose_name_plural = _("credentials")
        indexes = [
            # Serves (tenant, object_id) as well as the admin's search by object id alone.
            models.Index(fields=["object_id", "tenant"], name="ms_identity_tenant_oid"),
            models.Index(fields=["provider", "subject_source"], name="ms_identity_provider"),
            models.Index(fields=["subject"], name="ms_identity_subject"),
            # Only for the admin's search.
            models.Index(fields=["account"], name="ms_identity_account"),
        ]

    def __str__(self) -> str:
        return f"{self.provider}:{self.subject}"


class AddressQuerySet(models.QuerySet["VerifiableAddress"]):
    def matching(self, via: str, value: str) -> AddressQuerySet:
        """Filter by address, without regard to case and Unicode form."""
        return self.filter(via=via, normalised=normalised(value))


class VerifiableAddress(models.Model):
    """An address that a mapper listed as verified (Kratos: verifiable address)."""

    identity = models.ForeignKey(
        Identity, models.CASCADE, related_name="verifiable_addresses", verbose_name=_("identity")
    )
    via = models.CharField(_("via"), max_length=16)
    value = models.CharField(_("value"), max_length=320)
    normalised = models.CharField(max_length=320, editable=False)
    verified_at = models.DateTimeField(_("verified at"), null=True, blank=True)
    credential = models.ForeignKey(
        Credential,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="verifiable_addresses",
        verbose_name=_("credential"),
    )
    """The account that the address came with; both are deleted together."""

    objects = AddressQuerySet.as_manager()

    class Meta:
        verbose_name = _("verified address")
        verbose_name_plural = _("verified addresses")
        constraints = [
            models.UniqueConstraint(fields=["identity", "via", "normalised"], name="ms_identity_address_once")
        ]
        indexes = [models.Index(fields=["via", "normalised"], name="ms_identity_address")]

    def __str__(self) -> str:
        return self.value


class SignIn(models.Model):
    """One session opened through Microsoft: the audit trail."""

    identity = models.ForeignKey(
        Identity, models.CASCADE, related_name="sign_ins", verbose_name=_("identity")
    )
    credential = models.ForeignKey(
        Credential,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="sign_ins",
        verbose_name=_("credential"),
    )
    provider = models.CharField(_("provider"), max_length=255)
    session = models.TextField(null=True, blank=True, editable=False)  # noqa: DJ001  # null: not known
    """The session key, encrypted with SECRET_KEY; never shown."""
    sid = models.CharField(max_length=64, blank=True, editable=False, db_index=True)
    """Microsoft's session id. Secret: knowing it is enough for front-channel logout."""
    aal = models.CharField(_("assurance level"), max_length=4, default="aal1")
    amr = models.JSONField(_("methods"), default=list, blank=True)
    created_at = models.DateTimeField(_("signed in at"), auto_now_add=True)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    """When the session was ended; None for one that expired."""

    class Meta:
        verbose_name = _("sign-in")
        verbose_name_plural = _("sign-ins")
        indexes = [
            models.Index(fields=["identity", "-created_at"], name="ms_identity_sign_in_latest"),
            models.Index(fields=["created_at"], name="ms_identity_sign_in_created"),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.created_at:%Y-%m-%d %H:%M}" if self.created_at else self.provider
