"""User models without username, permissions or groups: people sign in by their e-mail address."""

from __future__ import annotations

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
