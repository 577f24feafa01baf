"""Metadata, signing keys, Microsoft Graph, userinfo and logout."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse

from . import pages
from .errors import Refusal, Refused
from .grants import Authorization
from .guard import endpoint
from .keys import key_set
from .microsoft import Microsoft
from .tenants import GRAPH_HOSTS, LOGIN_HOSTS
from .tokens import subject

CACHEABLE = {"Cache-Control": "max-age=86400, private"}


@endpoint("GET")
def metadata(request: HttpRequest, microsoft: Microsoft, host: str, tenant: str) -> HttpResponse:
    """Describe an authority (OpenID Connect Discovery), with Microsoft's own addresses."""
    authority = microsoft.authority(host, tenant)
    graph = GRAPH_HOSTS[host][0]
    document = {
        "token_endpoint": f"{authority.url}/oauth2/v2.0/token",
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
        "jwks_uri": f"{authority.url}/discovery/v2.0/keys",
        "response_modes_supported": ["query", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": authority.issuer,
        "request_uri_parameter_supported": False,
        "userinfo_endpoint": f"https://{graph}/oidc/userinfo",
        "authorization_endpoint": f"{authority.url}/oauth2/v2.0/authorize",
        "http_logout_supported": True,
        "end_session_endpoint": f"{authority.url}/oauth2/v2.0/logout",
        "claims_supported": [
            *("sub", "iss", "cloud_instance_name", "cloud_instance_host_name", "cloud_graph_host_name"),
            *("msgraph_host", "aud", "exp", "iat", "auth_time", "acr", "nonce", "preferred_username", "name"),
            *("tid", "ver", "at_hash", "c_hash", "email"),
        ],
        "tenant_region_scope": None,
        "cloud_instance_name": host.removeprefix("login."),
        "msgraph_host": graph,
    }
    return JsonResponse(document, headers=CACHEABLE)


@endpoint("GET")
def keys(request: HttpRequest, microsoft: Microsoft, host: str, tenant: str) -> HttpResponse:
    """List the keys that sign an authority's tokens."""
    authority = microsoft.authority(host, tenant)
    return JsonResponse({"keys": key_set(authority)}, headers=CACHEABLE)


def graph_refusal(request: HttpRequest, refusal: Refusal) -> JsonResponse:
    """Answer as Graph does, whose errors have no AADSTS code."""
    request_id = str(uuid.uuid4())
    date = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}"
    inner = {"date": date, "request-id": request_id, "client-request-id": request_id}
    error = {"code": refusal.error, "message": refusal.text, "innerError": inner}
    headers = {"WWW-Authenticate": 'Bearer realm=""'} if refusal.status == HTTPStatus.UNAUTHORIZED else None
    return JsonResponse({"error": error}, status=refusal.status, headers=headers)


@endpoint("GET", refuse=graph_refusal)
def me(request: HttpRequest, microsoft: Microsoft, host: str) -> HttpResponse:
    """Answer as Graph's ``/v1.0/me``; needs ``User.Read``."""
    authorization = _bearer(request, microsoft, host)
    if not {"User.Read", f"https://{host}/User.Read"} & set(authorization.scope):
        text = "Insufficient privileges to complete the operation."
        raise Refused("Authorization_RequestDenied", 0, text, HTTPStatus.FORBIDDEN)
    persona = authorization.persona
    document: dict[str, object] = {
        **dict.fromkeys(("jobTitle", "mobilePhone", "officeLocation", "preferredLanguage")),
        "@odata.context": f"https://{host}/v1.0/$metadata#users/$entity",
        "businessPhones": [],
        "displayName": persona.name,
        "givenName": persona.given_name,
        "mail": persona.email,
        "surname": persona.family_name,
        "userPrincipalName": persona.username,
        "id": authorization.graph_id,
    }
    return JsonResponse(document, headers={"Cache-Control": "private"})


@endpoint("GET", "POST", refuse=graph_refusal)
def userinfo(request: HttpRequest, microsoft: Microsoft, host: str) -> HttpResponse:
    """Answer as the OpenID userinfo endpoint, which has fewer claims than an ID token."""
    authorization = _bearer(request, microsoft, host)
    persona = authorization.persona
    document = {"sub": subject(authorization)}
    if "profile" in authorization.scope:
        document |= {
            "name": persona.name,
            "family_name": persona.family_name,
            "given_name": persona.given_name,
            "picture": f"https://{host}/v1.0/me/photo/$value",
        }
    if persona.email and "email" in authorization.scope:
        document["email"] = persona.email
    return JsonResponse(document, headers={"Cache-Control": "private"})


@endpoint("GET", "POST", refuse=pages.refusal)
def logout(request: HttpRequest, microsoft: Microsoft, host: str, tenant: str) -> HttpResponse:
    """End the session at Microsoft, of which the emulator has none, and send the browser back."""
    microsoft.authority(host, tenant)
    query = request.POST if request.method == "POST" else request.GET
    uri = query.get("post_logout_redirect_uri", "")
    return HttpResponseRedirect(uri) if microsoft.accepts_redirect_uri(uri) else pages.signed_out()


def _bearer(request: HttpRequest, microsoft: Microsoft, host: str) -> Authorization:
    """Return what the access token was issued for; it is not valid in another cloud."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    authorization = microsoft.grants.authorization_for(token.strip(), microsoft.clock())
    if scheme.lower() == "bearer" and authorization and authorization.authority.host == LOGIN_HOSTS[host]:
        return authorization
    text = "Access token is empty, unknown or expired."
    raise Refused("InvalidAuthenticationToken", 0, text, HTTPStatus.UNAUTHORIZED)
