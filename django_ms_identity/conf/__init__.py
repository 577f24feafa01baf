"""All parsing of settings: ``get_config()`` returns them as one frozen value."""

from __future__ import annotations

from .hook_settings import Hook
from .settings import Config, Parsed, get_config, is_enabled, parse

__all__ = ["Config", "Hook", "Parsed", "get_config", "is_enabled", "parse"]
