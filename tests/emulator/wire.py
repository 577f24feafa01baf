"""Requests as an app sends them; a test may change or omit each parameter."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

from django.http import HttpResponse
from django.test import Client

from django_ms_identity.emulator import CLIENT_ID, CLIENT_SECRET, TENANT_ID

NOW = [0.0]
"""The time of the clock of the fixture ``microsoft``, in seconds since the epoch."""
LOGIN = "login.microsoftonline.com"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
REDIRECT_URI = "http://localhost:8000/ms/callback/microsoft/"
QUERY = {
    "client_id": CLIENT_ID,
    "response_type": "code",
    "redirect_uri": REDIRECT_URI,
    "scope": "openid profile email",
    "state": "st&te",
    "nonce": "n" * 64,
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
    "client_info": "1",
}
BODY = {
    "client_id": CLIENT_ID,
    "client_secret": CLIENT_SECRET,
    "grant_type": "authorization_code",
    "redirect_uri": REDIRECT_URI,
    "code_verifier": VERIFIER,
    "client_info": "1",
}


def without_empty(parameters: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in parameters.items() if value is not None}


def query_of(response: HttpResponse) -> dict[str, str]:
    """Return the parameters of a redirect to the app."""
    assert response.status_code == 302, response.content.decode()
    return dict(parse_qsl(urlsplit(response["Location"]).query))


def payload_of(token: str) -> dict[str, object]:
    segment = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))


@dataclass(frozen=True, slots=True)
class Wire:
    client: Client

    def get(self, path: str, **headers: str) -> HttpResponse:
        return self.client.get(path, headers=headers)

    def authorize(self, tenant: str = TENANT_ID, *, host: str = LOGIN, **changes: str | None) -> HttpResponse:
        query = urlencode(without_empty({**QUERY, **changes}))
        return self.client.get(f"/{host}/{tenant}/oauth2/v2.0/authorize?{query}")

    def code(self, tenant: str = TENANT_ID, *, persona: str = "work", **changes: str | None) -> str:
        return query_of(self.authorize(tenant, persona=persona, **changes))["code"]

    def redeem(
        self, code: str | None, tenant: str = TENANT_ID, *, host: str = LOGIN, **changes: str | None
    ) -> HttpResponse:
        body = without_empty({**BODY, "code": code, **changes})
        return self.client.post(f"/{host}/{tenant}/oauth2/v2.0/token", body)

    def tokens(
        self, tenant: str = TENANT_ID, *, persona: str = "work", **changes: str | None
    ) -> dict[str, str]:
        response = self.redeem(self.code(tenant, persona=persona, **changes), tenant)
        assert response.status_code == 200, response.content
        return response.json()

    def claims(
        self, tenant: str = TENANT_ID, *, persona: str = "work", **changes: str | None
    ) -> dict[str, object]:
        return payload_of(self.tokens(tenant, persona=persona, **changes)["id_token"])
