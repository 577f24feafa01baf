"""The authorize endpoint: shows the account picker, and sends the browser back with a code or an error."""

from __future__ import annotations

import json
import logging
import re
import uuid
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from . import errors, pages
from .errors import Refusal, Refused
from .grants import Authorization
from .guard import endpoint
from .microsoft import Microsoft
from .personas import CANCEL, Persona
from .tenants import Authority, Tenant
from .tokens import client_info, login_hint

logger = logging.getLogger(__name__)

PROMPTS = ("", "login", "none", "consent", "select_account", "create")
_CANCELLED = Refusal("access_denied", 65004, "User declined to consent to access the app.")
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


@endpoint("GET", "POST", refuse=pages.refusal)
def authorize(request: HttpRequest, microsoft: Microsoft, host: str, tenant: str) -> HttpResponse:
    """Check the request as Microsoft does, then show the account picker or act on the choice made there.

    Errors are shown until the redirect URI is known to be the app's, and sent there afterwards
    (RFC 6749 section 4.1.2.1).
    """
    authority = microsoft.authority(host, tenant)
    query = errors.parse_parameters(request.POST if request.method == "POST" else request.GET)
    _check_client(query, authority, microsoft)
    try:
        auth_contexts = _check_parameters(query)
    except Refused as refused:
        return _send_error(request, query, refused.refusal)
    if query.get("persona") == CANCEL:
        return _send_error(request, query, _CANCELLED)
    persona = next((one for one in microsoft.personas if one.id == query.get("persona")), None)
    if persona is None:
        return _picker(query, authority, microsoft)
    signs_in_to = _admit(persona, authority, query["client_id"], microsoft)
    if isinstance(signs_in_to, Refusal):
        if "return" in query:
            return _send_error(request, query, signs_in_to)
        other, back = _link(query, persona=""), _link(query, **{"persona": persona.id, "return": "1"})
        return pages.refusal(request, signs_in_to, other=other, back=back)
    logger.info("Signed in %s to %s", persona.id, signs_in_to.name)
    now = microsoft.clock()
    authorization = Authorization(
        client_id=query["client_id"],
        redirect_uri=query["redirect_uri"],
        scope=tuple(dict.fromkeys(query["scope"].split())),
        nonce=query["nonce"],
        challenge=query["code_challenge"],
        authority=authority,
        persona=persona,
        home=microsoft.home(persona),
        tenant=signs_in_to,
        auth_time=int(now),
        # As in a tenant without a policy for it: a context that the persona cannot meet is left out.
        auth_contexts=auth_contexts if persona.mfa else (),
        sid=str(uuid.uuid4()),
    )
    parameters = {"code": microsoft.grants.issue_code(authorization, now)}
    if query.get("client_info") == "1":
        parameters["client_info"] = client_info(authorization)
    return _send(query, parameters | {"session_state": authorization.sid})


def _check_client(query: dict[str, str], authority: Authority, microsoft: Microsoft) -> None:
    errors.require(query, "client_id")
    client_id, redirect_uri = query["client_id"], query.get("redirect_uri", "")
    microsoft.check_client(client_id, authority)
    if not microsoft.accepts_redirect_uri(redirect_uri):
        text = f"The redirect URI '{redirect_uri}' does not match those of the application '{client_id}'."
        raise Refused("invalid_request", 50011, text)


def _check_parameters(query: dict[str, str]) -> tuple[str, ...]:
    """Return the authentication contexts asked for; the other parameters may be taken as they are.

    State, nonce and PKCE are required, which Microsoft does not do, to notice a client that forgets one.
    """
    errors.require(
        query, "response_type", "scope", "state", "nonce", "code_challenge", "code_challenge_method"
    )
    if query["response_type"] != "code":
        text = "The response_type is not supported: the emulator knows code."
        raise Refused("unsupported_response_type", 70005, text)
    if query.get("response_mode", "query") not in ("query", "form_post"):
        text = "The response_mode is not supported: the emulator knows query and form_post."
        raise Refused("invalid_request", 70007, text)
    if "openid" not in query["scope"].split():
        raise Refused("invalid_scope", 70011, "The provided 'scope' is not valid: it must hold openid.")
    if query["code_challenge_method"] != "S256":
        text = "Invalid Code_Challenge_method parameter: the emulator knows S256."
        raise Refused("invalid_request", 50149, text)
    if not _CHALLENGE.fullmatch(query["code_challenge"]):
        raise Refused("invalid_request", 501491, "Invalid size of Code_Challenge parameter.")
    if query.get("prompt", "") not in PROMPTS:
        raise Refused("invalid_request", 90023, "Unsupported 'prompt' value.")
    auth_contexts = _auth_contexts(query.get("claims") or "{}")
    if query.get("prompt") == "none":
        text = "A silent sign-in request was sent but no user is signed in."
        raise Refused("login_required", 50058, text)
    return auth_contexts


def _auth_contexts(claims: str) -> tuple[str, ...]:
    """Read ``acrs`` of the ``claims`` parameter's part for ID tokens (OpenID Connect Core section 5.5)."""
    try:
        document = json.loads(claims)
    except (ValueError, RecursionError):
        document = None
    requested = (document.get("id_token") or {}) if isinstance(document, dict) else None
    if not isinstance(requested, dict):
        raise Refused("invalid_request", 9002313, "Invalid request. Request is malformed or invalid.")
    acrs = requested.get("acrs")
    if not isinstance(acrs, dict):
        return ()
    values = acrs.get("values") or [acrs.get("value")]
    return tuple(value for value in values if isinstance(value, str)) if isinstance(values, list) else ()


def _admit(persona: Persona, authority: Authority, client_id: str, microsoft: Microsoft) -> Tenant | Refusal:
    """Return the tenant that the persona signs in to, or why it may not."""
    tenant = microsoft.tenant_of(persona, authority)
    if tenant:
        return persona.refusal or tenant
    if authority.tenant is None or authority.segment == "consumers":
        return Refusal(
            "access_denied",
            500208,
            "The domain is not a valid login domain for the account type.",
            title="You can't sign in here with this kind of account",
        )
    return Refusal(
        "access_denied",
        50020,
        f"User account '{persona.username}' does not exist in tenant '{authority.tenant.name}' and cannot "
        f"access the application '{client_id}' in that tenant.",
        title="Selected user account does not exist in tenant",
    )


def _picker(query: dict[str, str], authority: Authority, microsoft: Microsoft) -> HttpResponse:
    hint = query.get("login_hint", "").lower()
    choices = []
    for persona in microsoft.personas:
        if microsoft.tenant_of(persona, authority):
            opaque = login_hint(persona, home=microsoft.home(persona))
            names = filter(None, (persona.username, persona.email, opaque))
            choices.append((persona, _link(query, persona=persona.id), hint in map(str.lower, names)))
    choices.sort(key=lambda choice: not choice[2])
    return pages.picker(choices, cancel=_link(query, persona=CANCEL), app=query["redirect_uri"])


def _link(query: dict[str, str], **choice: str) -> str:
    """Link to the same request with a choice; for a form, CSP's form-action would have to name every app."""
    return f"?{urlencode(query | choice)}"


def _send_error(request: HttpRequest, query: dict[str, str], refusal: Refusal) -> HttpResponse:
    logger.info("Sent back: AADSTS%s", refusal.code)
    details = errors.describe(refusal, request)
    parameters = {name: str(details[name]) for name in ("error", "error_description", "error_uri")}
    if refusal is _CANCELLED:
        parameters["error_subcode"] = "cancel"
    return _send(query, parameters)


def _send(query: dict[str, str], parameters: dict[str, str]) -> HttpResponse:
    """Send the browser back to the app, whose redirect URI has been checked."""
    if query.get("state"):
        parameters["state"] = query["state"]
    redirect_uri = query["redirect_uri"]
    if query.get("response_mode") == "form_post":
        return pages.form_post(redirect_uri, parameters)
    separator = "&" if "?" in redirect_uri else "?"
    return HttpResponseRedirect(f"{redirect_uri}{separator}{urlencode(parameters)}")
