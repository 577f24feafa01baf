"""Send the authorization code to Microsoft's token endpoint. Verifies nothing of what comes back."""

from __future__ import annotations

from dataclasses import dataclass, field

from django_ms_identity.exceptions import MicrosoftAnswerInvalid, MicrosoftUnavailable
from django_ms_identity.net.http import HttpClient

from .clouds import token_url
from .errors import error_for
from .providers import Provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What Microsoft gave for the code; the ID token is not verified yet."""

    id_token: str = field(repr=False)
    access_token: str = field(repr=False)
    """Empty where none came."""


def redeem(provider: Provider, *, code: str, verifier: str, redirect_uri: str, http: HttpClient) -> Tokens:
    """Exchange the code for tokens: one POST, never repeated, because a code works once.

    Raises what ``error_for`` makes of an error answer, ``MicrosoftUnavailable`` or
    ``MicrosoftAnswerInvalid``. RFC 6749 section 4.1.3, with the secret in the body (section 2.3.1).
    """
    response = http.post(
        token_url(provider.cloud, provider.tenant),
        data={
            "grant_type": "authorization_code",
            "client_id": provider.client_id,
            "client_secret": provider.client_secret,
            "code": code,
            "code_verifier": verifier,
            "redirect_uri": redirect_uri,
            "scope": provider.scope_parameter,
        },
        headers={"Accept": "application/json"},
    )
    if response.status == 429 or response.status >= 500:
        raise MicrosoftUnavailable(f"the token endpoint answered {response.status}")
    answer = response.json()
    if not isinstance(answer, dict) or (response.status != 200 and "error" not in answer):
        raise MicrosoftAnswerInvalid(f"the token endpoint answered {response.status} and no OAuth answer")
    if "error" in answer:
        raise error_for(answer["error"], answer.get("error_description"))
    id_token, access_token = answer.get("id_token"), answer.get("access_token", "")
    if not (isinstance(id_token, str) and id_token and isinstance(access_token, str)):
        raise MicrosoftAnswerInvalid("the token endpoint sent no ID token", hint="Is 'openid' consented to?")
    return Tokens(id_token=id_token, access_token=access_token)
