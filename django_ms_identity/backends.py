"""The authentication backend of sessions that are opened through Microsoft."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import ObjectDoesNotExist, ValidationError

from . import conf
from .models import Identity

if TYPE_CHECKING:
    from django.http import HttpRequest


class IdentityBackend(ModelBackend):
    """Return the user of a session only while their identity is active; permissions as ModelBackend.

    User and identity are read at each request, by one query, so that deactivation works at once on every
    session engine.
    """

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **_: object,
    ) -> None:
        """Return None: people sign in through the callback, and other backends check passwords."""
        return

    async def aauthenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **_: object,
    ) -> None:
        return

    def get_user(self, user_id: Any) -> Any:  # Any: the project's own user model and its key.
        """Return the active user of an active identity, or None."""
        if not conf.is_enabled():
            return None
        users = get_user_model()._default_manager.select_related("ms_identity")
        try:
            user: Any = users.get(pk=user_id)  # Any: some user models are unknown to the type checker.
            identity: Identity = user.ms_identity
        except (ObjectDoesNotExist, ValidationError, ValueError, TypeError):
            return None
        return user if identity.is_active and self.user_can_authenticate(user) else None

    async def aget_user(self, user_id: Any) -> Any:
        # ModelBackend's own method does not look at the identity.
        return await sync_to_async(self.get_user)(user_id)
