"""The token endpoint: a code becomes an ID token, once and only for whom it was made."""

from __future__ import annotations

import base64
import hashlib
import logging

from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict

from . import errors
from .errors import Refused
from .grants import TOKEN_LIFETIME, Authorization
from .guard import endpoint
from .microsoft import Microsoft
from .tenants import Authority
from .tokens import client_info, id_token

logger = logging.getLogger(__name__)


@endpoint("POST")
def token(request: HttpRequest, microsoft: Microsoft, host: str, tenant: str) -> HttpResponse:
    """Redeem an authorization code (RFC 6749 section 4.1.3, RFC 7636 section 4.5)."""
    try:
        authority = microsoft.authority(host, tenant)
        authorization = _redeem(request.POST, authority, microsoft)
    except Refused as refused:
        logger.info("No token: AADSTS%s", refused.refusal.code)
        response = errors.json_refusal(refused.refusal, request)
    else:
        logger.info("Token for %s", authorization.persona.id)
        response = JsonResponse(_tokens(authorization, microsoft))
    response["Cache-Control"] = "no-store, no-cache"
    return response


def _redeem(body: QueryDict, authority: Authority, microsoft: Microsoft) -> Authorization:
    for name, values in body.lists():
        if len(values) > 1:
            raise Refused(errors.duplicated(name))
    if _required(body, "grant_type") != "authorization_code":
        raise Refused(errors.GRANT_TYPE_UNSUPPORTED)
    client_id = _required(body, "client_id")
    if client_id not in microsoft.clients:
        raise Refused(errors.unknown_client(client_id, authority.segment))
    if not body.get("client_secret"):
        raise Refused(errors.NO_SECRET)
    if body["client_secret"] != microsoft.clients[client_id]:
        raise Refused(errors.WRONG_SECRET)
    redirect_uri = _required(body, "redirect_uri")
    authorization = microsoft.grants.redeem_code(_required(body, "code"), microsoft.clock())
    if authorization.client_id != client_id:
        raise Refused(errors.CODE_INVALID)
    if authorization.authority != authority:
        raise Refused(errors.OTHER_AUTHORITY)
    if authorization.redirect_uri != redirect_uri:
        raise Refused(errors.OTHER_REDIRECT_URI)
    verifier = body.get("code_verifier", "")
    if not verifier:
        raise Refused(errors.VERIFIER_MISSING)
    if _challenge_for(verifier) != authorization.challenge:
        raise Refused(errors.VERIFIER_WRONG)
    return authorization


def _required(body: QueryDict, name: str) -> str:
    value = body.get(name)
    if not value:
        raise Refused(errors.missing(name))
    return value


def _challenge_for(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _tokens(authorization: Authorization, microsoft: Microsoft) -> dict[str, object]:
    now, home = microsoft.clock(), microsoft.home(authorization.persona)
    return {
        "token_type": "Bearer",
        "scope": " ".join(scope for scope in authorization.scope if scope != "offline_access"),
        "expires_in": TOKEN_LIFETIME - 1,
        "ext_expires_in": TOKEN_LIFETIME - 1,
        "access_token": microsoft.grants.issue_token(authorization, now),
        "id_token": id_token(authorization, home=home, now=now),
        "client_info": client_info(authorization, home=home),
    }
