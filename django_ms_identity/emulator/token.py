"""The token endpoint: exchanges an authorization code for an ID token and an access token, once."""

from __future__ import annotations

import hashlib
import logging
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse, JsonResponse

from . import errors
from .errors import Refused
from .grants import TOKEN_LIFETIME, Authorization
from .guard import endpoint
from .keys import base64url
from .microsoft import Microsoft
from .tenants import Authority
from .tokens import client_info, id_token

logger = logging.getLogger(__name__)


@endpoint("POST")
def token(request: HttpRequest, microsoft: Microsoft, host: str, tenant: str) -> HttpResponse:
    """Redeem an authorization code (RFC 6749 section 4.1.3, RFC 7636 section 4.5)."""
    authorization = _redeem(
        errors.parse_parameters(request.POST), microsoft.authority(host, tenant), microsoft
    )
    logger.info("Token for %s", authorization.persona.id)
    now = microsoft.clock()
    document = {
        "token_type": "Bearer",
        "scope": " ".join(scope for scope in authorization.scope if scope != "offline_access"),
        "expires_in": TOKEN_LIFETIME - 1,
        "ext_expires_in": TOKEN_LIFETIME - 1,
        "access_token": microsoft.grants.issue_token(authorization, now),
        "id_token": id_token(authorization, now=now),
        "client_info": client_info(authorization),
    }
    return JsonResponse(document, headers={"Cache-Control": "no-store, no-cache"})


def _redeem(body: dict[str, str], authority: Authority, microsoft: Microsoft) -> Authorization:
    errors.require(body, "grant_type")
    if body["grant_type"] != "authorization_code":
        raise Refused("unsupported_grant_type", 70003, "The app requested an unsupported grant type.")
    errors.require(body, "client_id", "redirect_uri", "code")
    client_id = body["client_id"]
    microsoft.check_client(client_id, authority)
    if not body.get("client_secret"):
        text = "The request body must contain the following parameter: 'client_secret'."
        raise Refused("invalid_client", 7000218, text, HTTPStatus.UNAUTHORIZED)
    if body["client_secret"] != microsoft.clients[client_id]:
        text = "Invalid client secret provided. Ensure that it is the secret's value, not its ID."
        raise Refused("invalid_client", 7000215, text, HTTPStatus.UNAUTHORIZED)
    authorization = microsoft.grants.redeem_code(body["code"], microsoft.clock())
    if authorization.client_id != client_id:
        raise Refused("invalid_grant", 70000, "The provided value for 'code' is not valid.")
    if authorization.authority != authority:
        text = "Provided Authorization Code is intended to use against other tenant, thus rejected."
        raise Refused("invalid_grant", 700005, text)
    if authorization.redirect_uri != body["redirect_uri"]:
        text = "The reply address does not match the one provided when requesting Authorization code."
        raise Refused("invalid_client", 500112, text)
    verifier = body.get("code_verifier", "")
    if not verifier:
        raise Refused("invalid_grant", 50148, "The code_verifier does not match the code_challenge.")
    if base64url(hashlib.sha256(verifier.encode()).digest()) != authorization.challenge:
        raise Refused("invalid_grant", 501481, "The Code_Verifier does not match the code_challenge.")
    return authorization
