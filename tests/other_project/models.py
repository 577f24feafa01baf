"""User models without username, permissions or groups: people sign in by their e-mail address."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models


class MemberManager(BaseUserManager["Member"]):
    def create_user(self, email: str, **fields: Any) -> Member:
        member = self.model(email=self.normalize_email(email), **fields)
        member.set_unusable_password()
        member.save(using=self._db)
        return member


class Member(AbstractBaseUser):
    email = models.EmailField(unique=True)
    nickname = models.CharField(max_length=20, blank=True)
    is_active = models.BooleanField(default=True)

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"

    objects = MemberManager()

    class Meta:
        app_label = "other_project"


class Postbox(AbstractBaseUser):
    """Names no EMAIL_FIELD: only the type of the field tells that it holds an address."""

    postbox = models.EmailField(unique=True)

    USERNAME_FIELD = "postbox"

    class Meta:
        app_label = "other_project"


class Handle(AbstractBaseUser):
    """Keeps addresses in a field of plain text: only EMAIL_FIELD tells."""

    handle = models.CharField(max_length=100, unique=True)

    USERNAME_FIELD = "handle"
    EMAIL_FIELD = "handle"

    class Meta:
        app_label = "other_project"


class Visitor(AbstractBaseUser):
    """Has no address at all."""

    badge = models.CharField(max_length=20, unique=True)

    USERNAME_FIELD = "badge"

    class Meta:
        app_label = "other_project"


class ReversedField(models.CharField):
    """Keeps text backwards in the database."""

    def get_prep_value(self, value: Any) -> Any:
        return super().get_prep_value(value)[::-1]

    def from_db_value(self, value: str, *_: object) -> str:
        return value[::-1]


class Party(models.Model):
    """The table that ``Delegate`` inherits from: a UUID key, and values that database and field convert."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    motto = ReversedField(max_length=20)
    details = models.JSONField()
    joined_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        app_label = "other_project"

    def __str__(self) -> str:
        return str(self.pk)


class DelegateManager(BaseUserManager["Delegate"]):
    """Finds no delegate and loads few columns: a look-up by Microsoft account must not depend on it."""

    def get_queryset(self) -> models.QuerySet[Delegate]:
        return super().get_queryset().filter(badge="").only("badge")


class Delegate(AbstractBaseUser, Party):
    badge = ReversedField(max_length=20, unique=True)
    fee = models.DecimalField(max_digits=6, decimal_places=2)
    is_active = models.BooleanField(default=True)

    USERNAME_FIELD = "badge"

    objects = DelegateManager()

    class Meta:
        app_label = "other_project"

    def __str__(self) -> str:
        return self.badge
