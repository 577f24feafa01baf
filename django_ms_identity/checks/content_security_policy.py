"""Read ``form-action`` out of a project's Content-Security-Policy (CSP Level 3)."""

from __future__ import annotations

from collections.abc import Mapping

from django.conf import settings


def form_action_sources() -> tuple[str, ...] | None:
    """Return the sources of Django's own policy (6.0) or django-csp's; None if neither has any."""
    third_party = getattr(settings, "CONTENT_SECURITY_POLICY", None)
    policies = (
        getattr(settings, "SECURE_CSP", None),
        third_party.get("DIRECTIVES") if isinstance(third_party, Mapping) else None,
        # django-csp before 4.0.
        {"form-action": getattr(settings, "CSP_FORM_ACTION", None)},
    )
    for policy in policies:
        sources = policy.get("form-action") if isinstance(policy, Mapping) else None
        if isinstance(sources, str):
            return tuple(sources.split())
        if isinstance(sources, list | tuple | set | frozenset) and sources:
            return tuple(map(str, sources))
    return None


def allows(source: str, origin: str) -> bool:
    """Say whether a source expression lets a redirect to ``origin`` through; its path does not count."""
    scheme, host = origin.split("://")
    if source in ("*", f"{scheme}:"):
        return True
    given, _, rest = source.lower().rpartition("://")
    named, _, port = rest.partition("/")[0].partition(":")
    if given not in ("", scheme) or port not in ("", "443", "*"):
        return False
    return named == host or (named.startswith("*.") and host.endswith(named[1:]))
