"""Reads ``HOOKS``: entries in Kratos' shape, and which of them belongs to which stage."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType

from .config import Hook
from .reader import ConfigIssue, DictReader
from .web_hook_settings import parse_web_hook

STAGES = ("after_registration", "after_login", "after_settings")
BUILT_IN = {
    "session": ("after_registration",),
    "revoke_active_sessions": ("after_login", "after_settings"),
    "require_verified_address": ("after_login",),
    "web_hook": STAGES,
}
"""The names that need no path, and the stages each belongs to."""


def parse_hooks(
    read: DictReader, warnings: list[ConfigIssue], *, debug: bool
) -> Mapping[str, tuple[Hook, ...]]:
    """Parse the key ``HOOKS``; a stage that is given replaces only its own default."""
    stages: dict[str, tuple[Hook, ...]] = dict.fromkeys(STAGES, ())
    stages["after_registration"] = (Hook(name="session"),)
    raw = read.raw("HOOKS")
    if raw is None:
        return MappingProxyType(stages)
    if not isinstance(raw, Mapping):
        read.fault(
            "HOOKS", "must be a dict of stages.", '"HOOKS": {"after_registration": [{"hook": "session"}]}'
        )
        return MappingProxyType(stages)
    inner = DictReader(raw, path="HOOKS", faults=read.faults)
    inner.refuse_unknown(STAGES)
    for stage in STAGES:
        if inner.has(stage):
            stages[stage] = _stage(inner, stage, warnings, debug=debug)
    return MappingProxyType(stages)


def _stage(read: DictReader, stage: str, warnings: list[ConfigIssue], *, debug: bool) -> tuple[Hook, ...]:
    entries = read.raw(stage)
    if not isinstance(entries, list | tuple):
        read.fault(stage, "must be a list of hooks.", f'"{stage}": [{{"hook": "session"}}]')
        return ()
    hooks = []
    for index, entry in enumerate(entries):
        where = read.at(f"{stage}[{index}]")
        name = entry.get("hook") if isinstance(entry, Mapping) else None
        if not isinstance(entry, Mapping) or not isinstance(name, str) or not _is_known(name):
            read.faults.append(ConfigIssue(where, "is not a hook.", _remedy(name)))
        elif stage not in BUILT_IN.get(name, STAGES):
            wanted = " and ".join(BUILT_IN[name])
            read.faults.append(ConfigIssue(where, f"{name!r} belongs to {wanted} only.", "Remove it."))
        elif hook := _hook(entry, name, where, read.faults, warnings, debug=debug):
            hooks.append(hook)
    # As in Kratos, the session comes last: a hook that fails must fail before it.
    return tuple(sorted(hooks, key=lambda hook: hook.name == "session"))


def _hook(
    entry: Mapping[str, object],
    name: str,
    where: str,
    faults: list[ConfigIssue],
    warnings: list[ConfigIssue],
    *,
    debug: bool,
) -> Hook | None:
    calls_web = name == "web_hook"
    DictReader(entry, path=where, faults=faults).refuse_unknown(
        ("hook", "config") if calls_web else ("hook",)
    )
    if not calls_web:
        return Hook(name=name)
    web_hook = parse_web_hook(
        entry.get("config"), where=f"{where}.config", faults=faults, warnings=warnings, allow_http=debug
    )
    return Hook(name=name, web_hook=web_hook) if web_hook else None


def _is_known(name: str) -> bool:
    return name in BUILT_IN or "." in name


def _remedy(name: object) -> str:
    if isinstance(name, str) and (near := get_close_matches(name.lower(), BUILT_IN, n=1)):
        return f"Did you mean {near[0]!r}?"
    return f'Use {{"hook": "dotted.path.to.a.function"}}, or one of: {", ".join(BUILT_IN)}.'
