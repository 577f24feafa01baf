"""Kratos' ``web_hook``: its configuration, the request it makes, and what its answer means."""

from __future__ import annotations

from .config import ResponseUse, WebHook, parse_web_hook
from .reply import Changes
from .sending import rehearse, send

__all__ = ["Changes", "ResponseUse", "WebHook", "parse_web_hook", "rehearse", "send"]
