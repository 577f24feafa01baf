"""The claims of an ID token of the v2.0 endpoint (learn.microsoft.com: id-token-claims-reference)."""

from __future__ import annotations

import hashlib
import json
import secrets

from .grants import Authorization
from .keys import PERSONAL, WORK, base64url, signing_key
from .personas import GROUPS_IN_TOKEN, Persona
from .tenants import CONSUMERS, Tenant, issuer_for

BACKDATED = 5 * 60
"""Microsoft dates tokens back, so that a slow clock does not refuse them."""
WORK_LIFETIME = 65 * 60
PERSONAL_LIFETIME = 24 * 60 * 60 + 5 * 60


def id_token(authorization: Authorization, *, now: float) -> str:
    """Sign the claims of an authorization, with those of the persona laid over them."""
    claims = _claims(authorization, iat=int(now) - BACKDATED) | dict(authorization.persona.claims)
    key = signing_key(PERSONAL if authorization.tenant == CONSUMERS else WORK)
    return key.sign({name: value for name, value in claims.items() if value is not None})


def subject(authorization: Authorization) -> str:
    """Derive ``sub``, a different one for each app; as at Microsoft, a personal account's begins with A's."""
    seed = f"{authorization.client_id}|{authorization.tenant.id}|{authorization.oid}"
    digest = hashlib.sha256(seed.encode()).digest()
    return base64url(bytes(16) + digest[:16] if authorization.tenant == CONSUMERS else digest)


def login_hint(persona: Persona, *, home: Tenant) -> str:
    """Return the opaque name of an account, which an app sends as ``login_hint`` and ``logout_hint``."""
    return f"O.{base64url(hashlib.sha256(f'{home.id}|{persona.oid}'.encode()).digest())}"


def client_info(authorization: Authorization) -> str:
    """Name the account at home, in the form that MSAL keys its cache by."""
    info = {"uid": authorization.persona.oid, "utid": authorization.home.id}
    return base64url(json.dumps(info).encode())


def _claims(authorization: Authorization, *, iat: int) -> dict[str, object]:
    persona, tenant, home = authorization.persona, authorization.tenant, authorization.home
    personal = tenant == CONSUMERS
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
        "login_hint": login_hint(persona, home=home),
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
    if authorization.auth_contexts:
        claims["acrs"] = list(authorization.auth_contexts)
    if len(persona.groups) > GROUPS_IN_TOKEN:
        path = f"{tenant.id}/users/{authorization.oid}/getMemberObjects"
        claims["_claim_names"] = {"groups": "src1"}
        claims["_claim_sources"] = {"src1": {"endpoint": f"https://graph.windows.net/{path}"}}
    elif persona.groups:
        claims["groups"] = list(persona.groups)
    return claims
