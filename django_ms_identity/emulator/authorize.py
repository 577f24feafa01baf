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
        if query.get("persona") == CANCEL:
            raise Refused(errors.CANCELLED)
    except Refused as refused:
        return _send_error(request, query, refused.refusal)
    persona = next((one for one in microsoft.personas if one.id == query.get("persona")), None)
    if persona is None:
        return _picker(query, authority, microsoft)
    try:
        signs_in_to = _check_persona(persona, authority, query["client_id"], microsoft)
    except Refused as refused:
        if "return" in query:
            return _send_error(request, query, refused.refusal)
        other, back = _link(query, persona=""), _link(query, **{"persona": persona.id, "return": "1"})
        return pages.refusal(request, refused.refusal, other=other, back=back)
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
    if client_id not in microsoft.clients:
        directory = authority.tenant.name if authority.tenant else authority.segment
        raise Refused(errors.UNKNOWN_CLIENT, client_id, directory)
    if not microsoft.accepts_redirect_uri(redirect_uri):
        raise Refused(errors.WRONG_REDIRECT_URI, redirect_uri, client_id)


def _check_parameters(query: dict[str, str]) -> tuple[str, ...]:
    """Return the authentication contexts asked for; the other parameters may be taken as they are.

    State, nonce and PKCE are required, which Microsoft does not do, to notice a client that forgets one.
    """
    errors.require(
        query, "response_type", "scope", "state", "nonce", "code_challenge", "code_challenge_method"
    )
    if query["response_type"] != "code":
        raise Refused(errors.RESPONSE_TYPE_UNSUPPORTED)
    if query.get("response_mode", "query") not in ("query", "form_post"):
        raise Refused(errors.RESPONSE_MODE_UNSUPPORTED)
    if "openid" not in query["scope"].split():
        raise Refused(errors.SCOPE_INVALID)
    if query["code_challenge_method"] != "S256":
        raise Refused(errors.CHALLENGE_METHOD_INVALID)
    if not _CHALLENGE.fullmatch(query["code_challenge"]):
        raise Refused(errors.CHALLENGE_INVALID)
    if query.get("prompt", "") not in PROMPTS:
        raise Refused(errors.PROMPT_UNSUPPORTED)
    auth_contexts = _auth_contexts(query.get("claims") or "{}")
    if query.get("prompt") == "none":
        raise Refused(errors.NO_SESSION)
    return auth_contexts


def _auth_contexts(claims: str) -> tuple[str, ...]:
    """Read ``acrs`` of the ``claims`` parameter's part for ID tokens (OpenID Connect Core section 5.5)."""
    try:
        document = json.loads(claims)
    except (ValueError, RecursionError):
        raise Refused(errors.MALFORMED) from None
    requested = (document.get("id_token") or {}) if isinstance(document, dict) else None
    if not isinstance(requested, dict):
        raise Refused(errors.MALFORMED)
    acrs = requested.get("acrs")
    if not isinstance(acrs, dict):
        return ()
    values = acrs.get("values") or [acrs.get("value")]
    return tuple(value for value in values if isinstance(value, str)) if isinstance(values, list) else ()


def _check_persona(persona: Persona, authority: Authority, client_id: str, microsoft: Microsoft) -> Tenant:
    """Return the tenant that the persona signs in to."""
    tenant = microsoft.tenant_of(persona, authority)
    if tenant and persona.refusal:
        raise Refused(persona.refusal)
    if tenant:
        return tenant
    if authority.tenant is None or authority.segment == "consumers":
        raise Refused(errors.WRONG_ACCOUNT_TYPE)
    raise Refused(errors.NOT_IN_TENANT, persona.username, authority.tenant.name, client_id)


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
    """Address the same request with a choice; links, since CSP's form-action would have to name every app."""
    kept = {name: value for name, value in query.items() if name != "return"}
    return f"?{urlencode(kept | choice)}"


def _send_error(request: HttpRequest, query: dict[str, str], refusal: Refusal) -> HttpResponse:
    logger.info("Sent back: AADSTS%s", refusal.code)
    details = errors.describe(refusal, request)
    parameters = {name: str(details[name]) for name in ("error", "error_description", "error_uri")}
    if refusal is errors.CANCELLED:
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
