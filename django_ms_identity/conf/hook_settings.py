"""Parse ``HOOKS``: entries in Kratos' shape, and which of them belongs to which stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType

from .reader import DictReader
from .web_hook_settings import WebHook, parse_web_hook

STAGES = ("after_registration", "after_login", "after_settings")
BUILT_IN = {
    "session": ("after_registration",),
    "revoke_active_sessions": ("after_login", "after_settings"),
    "require_verified_address": ("after_login",),
    "web_hook": STAGES,
}
"""The names that need no path, and the stages each belongs to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """One entry of ``HOOKS``: a built-in name or a dotted path."""

    name: str
    web_hook: WebHook | None = None
    """What a ``web_hook`` sends and where; the others have none."""


def parse_hooks(read: DictReader, *, debug: bool) -> Mapping[str, tuple[Hook, ...]]:
    """Parse the key ``HOOKS``; a stage that is given replaces only its own default."""
    stages: dict[str, tuple[Hook, ...]] = dict.fromkeys(STAGES, ())
    stages["after_registration"] = (Hook(name="session"),)
    inner = read.inner("HOOKS", '"HOOKS": {"after_registration": [{"hook": "session"}]}')
    inner.refuse_unknown(STAGES)
    for stage in STAGES:
        if inner.has(stage):
            entries = inner.entries(stage, f'"{stage}": [{{"hook": "session"}}]')
            hooks = filter(None, [_hook(entry, stage, debug=debug) for entry in entries])
            # As in Kratos, the session comes last: a hook that fails must fail before it.
            stages[stage] = tuple(sorted(hooks, key=lambda hook: hook.name == "session"))
    return MappingProxyType(stages)


def _hook(read: DictReader, stage: str, *, debug: bool) -> Hook | None:
    name = read.raw("hook")
    if not isinstance(name, str) or (name not in BUILT_IN and "." not in name):
        read.fault("hook", "is not the name of a hook.", _remedy(name))
    elif stage not in BUILT_IN.get(name, STAGES):
        read.fault("hook", f"{name!r} belongs to {' and '.join(BUILT_IN[name])} only.", "Remove it.")
    elif name != "web_hook":
        read.refuse_unknown(("hook",))
        return Hook(name=name)
    else:
        read.refuse_unknown(("hook", "config"))
        web_hook = parse_web_hook(read.inner("config"), allow_http=debug)
        return Hook(name=name, web_hook=web_hook) if web_hook else None
    return None


def _remedy(name: object) -> str:
    if isinstance(name, str) and (near := get_close_matches(name.lower(), BUILT_IN, n=1)):
        return f"Did you mean {near[0]!r}?"
    return f'Use {{"hook": "dotted.path.to.a.function"}}, or one of: {", ".join(BUILT_IN)}.'
