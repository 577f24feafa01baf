"""Ask Microsoft Graph whose access token this is, for ``subject_source: me``."""

from __future__ import annotations

from django_ms_identity.exceptions import (
    ClientMisconfigured,
    MicrosoftAnswerInvalid,
    MicrosoftUnavailable,
    SubjectMismatch,
    SubjectMissing,
)
from django_ms_identity.net.http import HttpClient, parse_json

from .clouds import CONSUMER_TENANT, Cloud
from .id_token import Claims


def me(access_token: str, *, claims: Claims, cloud: Cloud, http: HttpClient) -> str:
    """Return the ``id`` of Graph's ``/v1.0/me`` after comparing it with the verified ``oid``.

    Raises ``SubjectMismatch`` if Graph names another person, ``SubjectMissing``, ``ClientMisconfigured``,
    ``MicrosoftUnavailable``, ``MicrosoftAnswerInvalid``.
    """
    if not access_token:
        raise MicrosoftAnswerInvalid("no access token came with the ID token")
    response = http.get(
        f"{cloud.graph}/v1.0/me",
        headers={"Authorization": f"Bearer {access_token}", "Accept": "application/json"},
    )
    if response.status in (401, 403):
        raise ClientMisconfigured(
            f"Graph /me answered {response.status}",
            hint="Grant the app the delegated permission User.Read, and ask no scope of another API.",
        )
    if response.status == 429 or response.status >= 500:
        raise MicrosoftUnavailable(f"Graph /me answered {response.status}")
    if response.status != 200:
        raise MicrosoftAnswerInvalid(f"Graph /me answered {response.status}")
    answer = parse_json(response.body)
    subject = answer.get("id") if isinstance(answer, dict) else None
    if not isinstance(subject, str) or not subject:
        raise SubjectMissing("Graph /me has no id")
    if claims.oid != _object_id(subject, claims.tid):
        raise SubjectMismatch("Graph /me named another person than the ID token")
    return subject


def _object_id(graph_id: str, tid: str) -> str:
    if tid != CONSUMER_TENANT:
        return graph_id
    # Of a personal account, Graph's id is the last 16 digits of the oid.
    return f"00000000-0000-0000-{graph_id[:4]}-{graph_id[4:]}"
