"""The authorize endpoint: pick an account, and the browser goes back with a code."""

from __future__ import annotations

import json
import logging
import re
import uuid
from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict

from . import errors, pages
from .errors import Refusal, Refused
from .grants import Authorization
from .guard import endpoint
from .microsoft import Microsoft
from .personas import CANCEL, Persona
from .tenants import Authority, Tenant
from .tokens import client_info, login_hint

logger = logging.getLogger(__name__)

PROMPTS = frozenset({"", "login", "none", "consent", "select_account", "create"})
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The way back to the app; once it is known, refusals go there."""

    client_id: str
    redirect_uri: str
    state: str
    form_post: bool

    def send(self, parameters: dict[str, str]) -> HttpResponse:
        if self.state:
            parameters |= {"state": self.state}
        if self.form_post:
            return pages.form_post(self.redirect_uri, parameters)
        separator = "&" if "?" in self.redirect_uri else "?"
        return HttpResponseRedirect(f"{self.redirect_uri}{separator}{urlencode(parameters)}")

    def refuse(self, request: HttpRequest, refusal: Refusal) -> HttpResponse:
        logger.info("Sent back: AADSTS%s", refusal.code)
        occurrence = errors.occur(refusal, request)
        parameters = {
            "error": refusal.error,
            "error_description": occurrence.description,
            "error_uri": occurrence.uri,
        }
        if refusal is errors.CANCELLED:
            parameters["error_subcode"] = "cancel"
        return self.send(parameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What the app asks of whoever signs in."""

    scope: tuple[str, ...]
    nonce: str
    challenge: str
    auth_contexts: tuple[str, ...]


@endpoint("GET", "POST")
def authorize(request: HttpRequest, microsoft: Microsoft, host: str, tenant: str) -> HttpResponse:
    """Check the request as Microsoft does, then show the account picker or act on the choice made there."""
    query = request.POST if request.method == "POST" else request.GET
    try:
        authority = microsoft.authority(host, tenant)
        reply = _reply(query, authority, microsoft)
    except Refused as refused:
        # Nobody to send it to: the address of the app is what is wrong (RFC 6749 section 4.1.2.1).
        logger.info("Shown: AADSTS%s", refused.refusal.code)
        return pages.refusal(request, refused.refusal)
    try:
        ask = _ask(query)
    except Refused as refused:
        return reply.refuse(request, refused.refusal)
    choice = query.get("persona", "")
    if choice == CANCEL:
        return reply.refuse(request, errors.CANCELLED)
    persona = next((persona for persona in microsoft.personas if persona.id == choice), None)
    if persona is None:
        return _picker(query, authority, reply, microsoft)
    signs_in_to = microsoft.tenant_of(persona, authority)
    refusal = persona.refusal if signs_in_to else _stranger(persona, authority, reply)
    if refusal and "return" in query:
        return reply.refuse(request, refusal)
    if refusal or signs_in_to is None:
        return _dead_end(request, query, refusal or errors.WRONG_ACCOUNT_TYPE)
    return _signed_in(query, authority, signs_in_to, persona, ask, reply, microsoft)


def _reply(query: QueryDict, authority: Authority, microsoft: Microsoft) -> Reply:
    for name, values in query.lists():
        if len(values) > 1:
            raise Refused(errors.duplicated(name))
    client_id = query.get("client_id", "")
    if not client_id:
        raise Refused(errors.missing("client_id"))
    if client_id not in microsoft.clients:
        directory = authority.tenant.name if authority.tenant else authority.segment
        raise Refused(errors.unknown_client(client_id, directory))
    redirect_uri = query.get("redirect_uri", "")
    if not microsoft.accepts_redirect_uri(redirect_uri):
        raise Refused(errors.wrong_redirect_uri(redirect_uri, client_id))
    return Reply(
        client_id=client_id,
        redirect_uri=redirect_uri,
        state=query.get("state", ""),
        form_post=query.get("response_mode") == "form_post",
    )


def _ask(query: QueryDict) -> Ask:
    """Read the rest; state, nonce and PKCE are required, so that a client that forgets one is noticed."""
    for name in ("response_type", "scope", "state", "nonce", "code_challenge", "code_challenge_method"):
        if not query.get(name):
            raise Refused(errors.missing(name))
    if query.get("response_type") != "code":
        raise Refused(errors.RESPONSE_TYPE_UNSUPPORTED)
    if query.get("response_mode", "query") not in ("query", "form_post"):
        raise Refused(errors.RESPONSE_MODE_UNSUPPORTED)
    scope = tuple(dict.fromkeys(query.get("scope", "").split()))
    if "openid" not in scope:
        raise Refused(errors.SCOPE_INVALID)
    if query.get("code_challenge_method") != "S256":
        raise Refused(errors.CHALLENGE_METHOD_INVALID)
    challenge = query.get("code_challenge", "")
    if not _CHALLENGE.fullmatch(challenge):
        raise Refused(errors.CHALLENGE_INVALID)
    if query.get("prompt", "") not in PROMPTS:
        raise Refused(errors.PROMPT_UNSUPPORTED)
    requested = _requested_claims(query.get("claims", ""))
    if query.get("prompt") == "none":
        raise Refused(errors.NO_SESSION)
    return Ask(
        scope=scope,
        nonce=query.get("nonce", ""),
        challenge=challenge,
        auth_contexts=_auth_contexts(requested.get("acrs")),
    )


def _requested_claims(text: str) -> dict[str, object]:
    """Read the ``claims`` parameter's part for ID tokens (OpenID Connect Core section 5.5)."""
    if not text:
        return {}
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise Refused(errors.MALFORMED) from None
    if not isinstance(document, dict):
        raise Refused(errors.MALFORMED)
    requested = document.get("id_token") or {}
    if not isinstance(requested, dict):
        raise Refused(errors.MALFORMED)
    return requested


def _auth_contexts(wish: object) -> tuple[str, ...]:
    """Read which authentication contexts are asked for."""
    if not isinstance(wish, dict):
        return ()
    values = wish.get("values") or [wish.get("value")]
    return tuple(value for value in values if isinstance(value, str)) if isinstance(values, list) else ()


def _picker(query: QueryDict, authority: Authority, reply: Reply, microsoft: Microsoft) -> HttpResponse:
    offered = [persona for persona in microsoft.personas if microsoft.tenant_of(persona, authority)]
    hint = query.get("login_hint", "")
    hinted = next((one for one in offered if hint and _is_meant(one, hint, microsoft)), None)
    offered.sort(key=lambda persona: persona is not hinted)
    choices = [(persona, _link(query, persona=persona.id), persona is hinted) for persona in offered]
    return pages.picker(choices, cancel=_link(query, persona=CANCEL), app=reply.redirect_uri)


def _is_meant(persona: Persona, hint: str, microsoft: Microsoft) -> bool:
    if hint.lower() in (persona.username.lower(), persona.email):
        return True
    return hint == login_hint(persona, home=microsoft.home(persona))


def _stranger(persona: Persona, authority: Authority, reply: Reply) -> Refusal:
    if authority.tenant is None or authority.segment == "consumers":
        return errors.WRONG_ACCOUNT_TYPE
    return errors.not_in_tenant(persona.username, authority.tenant.name, reply.client_id)


def _dead_end(request: HttpRequest, query: QueryDict, refusal: Refusal) -> HttpResponse:
    logger.info("Shown: AADSTS%s", refusal.code)
    back = _link(query, **{"persona": query.get("persona", ""), "return": "1"})
    return pages.refusal(request, refusal, other=_link(query, persona=""), back=back)


def _link(query: QueryDict, **choice: str) -> str:
    """Address the same request with a choice; links, since CSP's form-action would have to name every app."""
    changed = query.copy()
    changed.pop("return", None)
    for name, value in choice.items():
        changed[name] = value
    return f"?{changed.urlencode()}"


def _signed_in(
    query: QueryDict,
    authority: Authority,
    tenant: Tenant,
    persona: Persona,
    ask: Ask,
    reply: Reply,
    microsoft: Microsoft,
) -> HttpResponse:
    now = microsoft.clock()
    authorization = Authorization(
        client_id=reply.client_id,
        redirect_uri=reply.redirect_uri,
        scope=ask.scope,
        nonce=ask.nonce,
        challenge=ask.challenge,
        authority=authority,
        persona=persona,
        tenant=tenant,
        auth_time=int(now),
        # Who cannot meet a context comes back all the same, as from a tenant without a policy for it.
        auth_contexts=ask.auth_contexts if persona.mfa else (),
        sid=str(uuid.uuid4()),
    )
    logger.info("Signed in %s to %s", persona.id, tenant.name)
    parameters = {"code": microsoft.grants.issue_code(authorization, now)}
    if query.get("client_info") == "1":
        parameters["client_info"] = client_info(authorization, home=microsoft.home(persona))
    return reply.send(parameters | {"session_state": authorization.sid})
