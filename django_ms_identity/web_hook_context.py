"""What the template of a web hook's body sees as ``ctx``; Kratos' shape, without anything secret."""

from __future__ import annotations

from datetime import UTC, datetime

from django.http import HttpRequest

from .mapping.json_text import JSON, JSONObject, clean_object
from .models import Identity, SignIn

HEADERS = (
    "Accept",
    "Accept-Language",
    "Origin",
    "Sec-Ch-Ua",
    "Sec-Ch-Ua-Mobile",
    "Sec-Ch-Ua-Platform",
    "Sec-Fetch-Dest",
    "Sec-Fetch-Mode",
    "Sec-Fetch-Site",
    "Sec-Fetch-User",
    "User-Agent",
)
"""Never Cookie, Authorization or Referer, which may hold a code; nor an address that anybody can claim."""


def context(
    request: HttpRequest, *, stage: str, provider: str, identity: Identity, session: SignIn | None = None
) -> JSONObject:
    """Return ``ctx`` for a web hook of a stage of ``HOOKS``.

    ``provider`` is its id; ``identity`` may be unsaved, as before a registration; ``session`` is the row of
    the session that was opened. Times are RFC 3339 in UTC.
    """
    # The whole query is left out: on a callback it holds the code and the state.
    url = request.build_absolute_uri(request.path)
    ctx: dict[str, object] = {
        "flow": {
            "type": "browser",
            "active": "oidc",
            "stage": stage,
            "provider": provider,
            "request_url": url,
        },
        # As Go's http.Header: each name has a list of values.
        "request_headers": {name: [request.headers[name]] for name in HEADERS if name in request.headers},
        "request_method": request.method,
        "request_url": url,
        "request_cookies": {},
        "identity": _identity(identity),
    }
    if session is not None:
        ctx["session"] = _session(session)
    return clean_object(ctx)


def _identity(identity: Identity) -> dict[str, object]:
    times = {
        name: _time(moment)
        for name in ("state_changed_at", "created_at", "updated_at")
        if (moment := getattr(identity, name)) is not None
    }
    return {
        "id": str(identity.pk),
        "schema_id": "default",
        "state": str(identity.state),
        "traits": identity.traits,
        "metadata_public": identity.metadata_public,
        "metadata_admin": identity.metadata_admin,
        **times,
    }


def _session(session: SignIn) -> dict[str, object]:
    opened = _time(session.created_at)
    return {
        # The row's number: neither the session key nor Microsoft's sid, with which one could act.
        "id": str(session.pk),
        "active": session.ended_at is None,
        "authenticated_at": opened,
        "authenticator_assurance_level": session.aal,
        "authentication_methods": [
            {
                "method": "oidc",
                "provider": session.provider,
                "aal": session.aal,
                "completed_at": opened,
                "upstream_amr": session.amr,
            }
        ],
    }


def _time(moment: datetime) -> JSON:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
