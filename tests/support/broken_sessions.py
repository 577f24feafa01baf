"""A session engine whose store is gone."""

from __future__ import annotations

from django.contrib.sessions.backends.base import SessionBase


class SessionStore(SessionBase):
    def load(self) -> dict[str, object]:
        raise ConnectionError("the store is gone")

    exists = create = save = delete = load
