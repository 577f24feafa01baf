"""What the template of a web hook's body sees as ``ctx``; Kratos' shape, without anything secret."""

from __future__ import annotations

from datetime import UTC, datetime

from django.http import HttpRequest

from django_ms_identity.jsonnet.json_values import JSONObject, clean_object
from django_ms_identity.models import Identity

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
"""Never Cookie, Authorization or Referer, which may hold a code; nor an address that any client can claim."""


def payload(request: HttpRequest | None, *, stage: str, provider: str, identity: Identity) -> JSONObject:
    """Return ``ctx`` for a web hook of a stage of ``HOOKS``.

    Without a ``request`` it is that of an invented visit, to try a template on. ``provider`` is its id;
    ``identity`` may be unsaved, as before a registration. Times are RFC 3339 in UTC.
    """
    method, url, headers = "GET", "https://www.example.com/", {"User-Agent": "Mozilla/5.0"}
    if request is not None:
        method = str(request.method)
        # The whole query is left out: on a callback it holds the code and the state.
        url = request.build_absolute_uri(request.path)
        headers = {name: request.headers[name] for name in HEADERS if name in request.headers}
    return clean_object(
        {
            "flow": {
                "type": "browser",
                "active": "oidc",
                "stage": stage,
                "provider": provider,
                "request_url": url,
            },
            # As Go's http.Header: each name has a list of values.
            "request_headers": {name: [value] for name, value in headers.items()},
            "request_method": method,
            "request_url": url,
            "request_cookies": {},
            "identity": _identity_object(identity),
        }
    )


def _identity_object(identity: Identity) -> dict[str, object]:
    times = {name: getattr(identity, name) for name in ("state_changed_at", "created_at", "updated_at")}
    return {
        "id": str(identity.pk),
        "schema_id": "default",
        "state": str(identity.state),
        "traits": identity.traits,
        "metadata_public": identity.metadata_public,
        "metadata_admin": identity.metadata_admin,
        **{name: _rfc3339(moment) for name, moment in times.items() if moment is not None},
    }


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
