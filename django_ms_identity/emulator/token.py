"""The token endpoint: exchanges an authorization code for an ID token and an access token, once."""

from __future__ import annotations

import hashlib
import logging

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
        raise Refused(errors.GRANT_TYPE_UNSUPPORTED)
    errors.require(body, "client_id", "redirect_uri", "code")
    client_id = body["client_id"]
    if client_id not in microsoft.clients:
        raise Refused(errors.UNKNOWN_CLIENT, client_id, authority.segment)
    if not body.get("client_secret"):
        raise Refused(errors.NO_SECRET)
    if body["client_secret"] != microsoft.clients[client_id]:
        raise Refused(errors.WRONG_SECRET)
    authorization = microsoft.grants.redeem_code(body["code"], microsoft.clock())
    if authorization.client_id != client_id:
        raise Refused(errors.CODE_INVALID)
    if authorization.authority != authority:
        raise Refused(errors.OTHER_AUTHORITY)
    if authorization.redirect_uri != body["redirect_uri"]:
        raise Refused(errors.OTHER_REDIRECT_URI)
    verifier = body.get("code_verifier", "")
    if not verifier:
        raise Refused(errors.VERIFIER_MISSING)
    if base64url(hashlib.sha256(verifier.encode()).digest()) != authorization.challenge:
        raise Refused(errors.VERIFIER_WRONG)
    return authorization
