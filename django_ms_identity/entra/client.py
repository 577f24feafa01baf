"""The door of MSAL: it makes state, nonce and PKCE, and redeems the code. Verification is ours.

A fresh client per request, with nothing that outlives it: see DESIGN 5.2 for what a shared one does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import msal

from django_ms_identity.exceptions import MicrosoftAnswerInvalid, MicrosoftUnavailable, MSIdentityError
from django_ms_identity.net.http import HttpClient, Response, parse_json, rewrite

from .clouds import authority, authorize_url, issuer, token_url
from .errors import error_for
from .providers import RESERVED_SCOPES, Provider, ResponseMode

PROMPTS = frozenset({"login", "select_account", "consent", "create"})
"""Values of ``prompt`` that a visitor's link may ask for; ``none`` would show no page at all."""

# MSAL warns of any other, and to silence a warning is not safe under threads.
_MSALS_MODE = ResponseMode.FORM_POST.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """A sign-in about to start at Microsoft."""

    url: str
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What Microsoft gave for the code; the ID token is not verified yet."""

    id_token: str = field(repr=False)
    access_token: str = field(repr=False)


def begin(
    provider: Provider,
    *,
    redirect_uri: str,
    prompt: str,
    emulator_url: str,
    max_age: int | None = None,
    id_token_claims: Mapping[str, object] = MappingProxyType({}),
) -> Authorization:
    """Prepare the redirect to Microsoft's authorize endpoint; no request is made.

    ``max_age`` is in seconds; ``id_token_claims`` are asked for beside the provider's own.
    """
    client = _client(provider, MSALHttpClient(provider, transport=None))
    flow = client.initiate_auth_code_flow(
        _scopes(provider),
        redirect_uri=redirect_uri,
        prompt=provider.prompt or prompt or None,
        domain_hint=provider.domain_hint or None,
        claims_challenge=_requested_claims(provider, id_token_claims) or None,
        max_age=max_age,
        response_mode=_MSALS_MODE,
    )
    url = flow["auth_uri"].replace(
        f"response_mode={_MSALS_MODE}", f"response_mode={provider.response_mode.value}"
    )
    return Authorization(
        url=rewrite(url, emulator_url),
        state=flow["state"],
        nonce=flow["nonce"],
        verifier=flow["code_verifier"],
    )


def redeem(
    provider: Provider,
    *,
    code: str,
    state: str,
    nonce: str,
    verifier: str,
    redirect_uri: str,
    transport: HttpClient,
) -> Tokens:
    """Exchange the code for tokens: one request.

    Raises the refusal that Microsoft's answer stands for, ``MicrosoftUnavailable`` or
    ``MicrosoftAnswerInvalid``.
    """
    client = _client(provider, MSALHttpClient(provider, transport=transport))
    started = {
        "state": state,
        "nonce": nonce,
        "code_verifier": verifier,
        "redirect_uri": redirect_uri,
        "scope": sorted({*_scopes(provider), "openid", "profile"}),
    }
    fault = ""
    try:
        # Nothing else of the query may reach MSAL: it believes client_info and error.
        answer = client.acquire_token_by_auth_code_flow(started, {"state": state, "code": code})
    except MSIdentityError:
        raise
    except Exception as error:  # MSAL raises a dozen types here.
        fault = type(error).__name__
    if fault:
        # Out here it has no context: MSAL's exceptions hold states, nonces and claims.
        raise MicrosoftAnswerInvalid(f"the token endpoint's answer broke MSAL: {fault}")
    if not isinstance(answer, dict):
        raise MicrosoftAnswerInvalid("the token endpoint's answer is not an object")
    if "error" in answer:
        raise error_for(answer.get("error"), answer.get("error_description"))
    id_token, access_token = answer.get("id_token"), answer.get("access_token", "")
    if not isinstance(id_token, str) or not isinstance(access_token, str):
        raise MicrosoftAnswerInvalid("the token endpoint sent no ID token", hint="Is 'openid' consented to?")
    return Tokens(id_token=id_token, access_token=access_token)


def _scopes(provider: Provider) -> list[str]:
    return [name for name in provider.scope if name not in RESERVED_SCOPES]


def _requested_claims(provider: Provider, id_token_claims: Mapping[str, object]) -> str:
    if not id_token_claims:
        return provider.requested_claims
    asked = json.loads(provider.requested_claims or "{}")
    own = asked.get("id_token")
    asked["id_token"] = (own if isinstance(own, dict) else {}) | dict(id_token_claims)
    return json.dumps(asked, separators=(",", ":"))


def _client(provider: Provider, wire: MSALHttpClient) -> msal.ConfidentialClientApplication:
    return msal.ConfidentialClientApplication(
        provider.client_id,
        client_credential=provider.client_secret,
        authority=authority(provider.cloud, provider.tenant),
        http_client=wire,
        token_cache=_NoCache(),
        instance_discovery=False,
        azure_region=False,
        exclude_scopes=["offline_access"],
    )


class _NoCache(msal.TokenCache):  # type: ignore[misc]  # msal has no types
    """Keep no token: MSAL's own cache keeps everybody's."""

    def add(self, event: object, now: object = None) -> None: ...


@dataclass(frozen=True, slots=True)
class _MSALResponse:
    status_code: int
    text: str = field(repr=False)
    headers: Mapping[str, str]


class MSALHttpClient:
    """MSAL's ``http_client``: discovery is answered from what we derive, tokens go to our transport."""

    def __init__(self, provider: Provider, *, transport: HttpClient | None) -> None:
        self._provider = provider
        self._transport = transport

    def get(self, url: str, **_: object) -> _MSALResponse:
        cloud, tenant = self._provider.cloud, self._provider.tenant
        document = {
            "issuer": issuer(cloud, tenant.value),
            "authorization_endpoint": authorize_url(cloud, tenant),
            "token_endpoint": token_url(cloud, tenant),
        }
        return _MSALResponse(200, json.dumps(document), {})

    def post(
        self,
        url: str,
        *,
        data: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **_: object,
    ) -> _MSALResponse:
        assert self._transport is not None  # noqa: S101  # begin() makes no request
        response = self._transport.post(url, data=data or {}, headers=headers)
        _refuse_outage(response)
        answer = parse_json(response.body)
        if not isinstance(answer, dict) or (response.status != 200 and "error" not in answer):
            raise MicrosoftAnswerInvalid(f"the token endpoint answered {response.status} and no OAuth answer")
        # Always 200: MSAL turns some error statuses into exceptions of its own; the answer says it all.
        return _MSALResponse(200, json.dumps(answer), {})

    def close(self) -> None: ...


def _refuse_outage(response: Response) -> None:
    if response.status == 429 or response.status >= 500:
        raise MicrosoftUnavailable(f"the token endpoint answered {response.status}")
