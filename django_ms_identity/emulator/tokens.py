"""The claims of an ID token of the v2.0 endpoint (learn.microsoft.com: id-token-claims-reference)."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets

from .grants import Authorization
from .keys import PERSONAL, WORK, signing_key
from .personas import GROUPS_IN_TOKEN, Persona
from .tenants import CONSUMERS, Tenant, issuer_for

BACKDATED = 5 * 60
"""Microsoft dates tokens back, so that a slow clock does not refuse them."""
WORK_LIFETIME = 65 * 60
PERSONAL_LIFETIME = 24 * 60 * 60 + 5 * 60


def id_token(authorization: Authorization, *, home: Tenant, now: float) -> str:
    """Sign what is said about somebody; ``home`` is the tenant that their account belongs to."""
    claims = _claims(authorization, home=home, now=int(now)) | dict(authorization.persona.claims)
    key = signing_key(PERSONAL if authorization.tenant == CONSUMERS else WORK)
    return key.sign({name: value for name, value in claims.items() if value is not None})


def subject(authorization: Authorization) -> str:
    """Derive ``sub``, another one for each app; a personal account's begins with many A's, as in life."""
    seed = f"{authorization.client_id}|{authorization.tenant.id}|{authorization.oid}"
    digest = hashlib.sha256(seed.encode()).digest()
    if authorization.tenant == CONSUMERS:
        digest = bytes(16) + digest[:16]
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def login_hint(persona: Persona, *, home: Tenant) -> str:
    """Name an account in Microsoft's own words, for ``login_hint`` and ``logout_hint`` to hand back."""
    digest = hashlib.sha256(f"{home.id}|{persona.oid}".encode()).digest()
    return f"O.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def client_info(authorization: Authorization, *, home: Tenant) -> str:
    """Name the account at home, in the form that MSAL keys its cache by."""
    text = json.dumps({"uid": authorization.persona.oid, "utid": home.id})
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def _claims(authorization: Authorization, *, home: Tenant, now: int) -> dict[str, object]:
    persona, tenant = authorization.persona, authorization.tenant
    personal = tenant == CONSUMERS
    iat = now - BACKDATED
    claims: dict[str, object] = {
        "aud": authorization.client_id,
        "iss": issuer_for(authorization.authority.host, tenant.id),
        "iat": iat,
        "nbf": iat,
        "exp": iat + (PERSONAL_LIFETIME if personal else WORK_LIFETIME),
        "nonce": authorization.nonce,
        "sub": subject(authorization),
        "tid": tenant.id,
        "uti": secrets.token_urlsafe(16),
        "ver": "2.0",
        # Optional claims, which an app has to be configured for.
        "auth_time": authorization.auth_time,
        "sid": authorization.sid,
        "login_hint": login_hint(authorization.persona, home=home),
    }
    if "profile" in authorization.scope:
        claims |= {
            "name": persona.name,
            "given_name": persona.given_name,
            "family_name": persona.family_name,
            "oid": authorization.oid,
            "preferred_username": persona.username,
        }
    if persona.email and ("email" in authorization.scope or authorization.guest):
        claims |= {"email": persona.email, "xms_edov": persona.xms_edov}
    if not personal:
        claims |= {"acct": int(authorization.guest), "rh": f"1.{secrets.token_urlsafe(24)}."}
    if authorization.guest:
        claims["idp"] = "live.com" if home == CONSUMERS else f"https://sts.windows.net/{home.id}/"
    if persona.roles:
        claims["roles"] = list(persona.roles)
    claims |= _group_claims(authorization)
    if authorization.auth_contexts:
        claims["acrs"] = list(authorization.auth_contexts)
    return claims


def _group_claims(authorization: Authorization) -> dict[str, object]:
    groups = authorization.persona.groups
    if not groups:
        return {}
    if len(groups) <= GROUPS_IN_TOKEN:
        return {"groups": list(groups)}
    endpoint = (
        f"https://graph.windows.net/{authorization.tenant.id}/users/{authorization.oid}/getMemberObjects"
    )
    return {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": endpoint}}}
