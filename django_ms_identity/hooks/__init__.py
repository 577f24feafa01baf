"""Run the hooks of the setting HOOKS: what happens around a registration, a sign-in and a link."""

from __future__ import annotations

from .registry import after_login as after_login
from .registry import after_registration as after_registration
from .registry import after_settings as after_settings
from .registry import arguments as arguments
from .registry import asks_before_registration as asks_before_registration
from .registry import before_registration as before_registration
