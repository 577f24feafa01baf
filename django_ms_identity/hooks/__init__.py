"""Run the hooks of the setting HOOKS: what happens around a registration, a sign-in and a link."""

from __future__ import annotations

from .registry import (
    after_login,
    after_registration,
    after_settings,
    arguments,
    asks_before_registration,
    before_registration,
)

__all__ = [
    "after_login",
    "after_registration",
    "after_settings",
    "arguments",
    "asks_before_registration",
    "before_registration",
]
