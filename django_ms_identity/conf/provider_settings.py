"""Parse provider objects, written in Kratos' shape, into ``Provider`` values; all faults at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from django.utils.functional import Promise

from django_ms_identity.entra.clouds import CONSUMER_TENANT, GUID, Cloud, Tenant, TenantKind
from django_ms_identity.entra.providers import (
    PROVIDER_ID,
    AccountLinkingMode,
    Pkce,
    Provider,
    ResponseMode,
    SubjectSource,
    UpdateOnLogin,
)

from .reader import DictReader

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

IGNORED = (
    "issuer_url",
    "auth_url",
    "token_url",
    "claims_source",
    "fedcm_config_url",
    "net_id_token_origin_header",
    "organization_id",
)
"""Kratos' keys that mean nothing for its microsoft provider: accepted, with a warning."""
KEYS = (
    "provider",
    "microsoft_tenant",
    *(name for name in Provider.__dataclass_fields__ if name not in ("tenant",)),
    *IGNORED,
)


def parse_provider(read: DictReader) -> Provider | None:
    """Return the provider, or ``None`` with what is wrong in the reader's faults."""
    before = len(read.faults)
    read.refuse_unknown(KEYS)
    if read.text("provider", "microsoft") != "microsoft":
        read.fault("provider", "must be 'microsoft'; other providers of Kratos are not served by this app.")
    provider_id = read.required("id", '"id": "microsoft"')
    # Browsers drop the path segments "." and ".." of a URL.
    if provider_id and (not PROVIDER_ID.fullmatch(provider_id) or provider_id in (".", "..")):
        read.fault("id", "may only hold letters, digits, '.', '_' and '-'.", '"id": "microsoft"')
    tenant = _tenant(read)
    subject_source = read.choice("subject_source", SubjectSource.USERINFO)
    provider = Provider(
        id=provider_id,
        label=_label(read),
        client_id=read.required(
            "client_id", "Copy the Application (client) ID from the app's Overview page in Entra."
        ),
        client_secret=read.required(
            "client_secret", "Copy the Value (not the Secret ID) of a client secret in Entra."
        ),
        tenant=tenant,
        cloud=read.choice("cloud", Cloud.GLOBAL),
        subject_source=subject_source,
        scope=_scope(read, subject_source),
        mapper_url=read.text("mapper_url"),
        mapper=_mapper(read),
        requested_claims=_requested_claims(read),
        pkce=read.choice("pkce", Pkce.AUTO),
        account_linking_mode=read.choice("account_linking_mode", AccountLinkingMode.CONFIRM),
        update_identity_on_login=read.choice("update_identity_on_login", UpdateOnLogin.NEVER),
        aal2_acr_values=read.texts("aal2_acr_values"),
        aal2_amr_values=read.texts("aal2_amr_values"),
        aal2_auth_contexts=read.texts("aal2_auth_contexts"),
        additional_id_token_audiences=read.texts("additional_id_token_audiences"),
        allowed_tenants=_allowed_tenants(read, tenant),
        privileged_tenants=_privileged_tenants(read),
        auto_link_domains=tuple(domain.lower() for domain in read.texts("auto_link_domains")),
        response_mode=read.choice("response_mode", ResponseMode.QUERY),
        prompt=read.text("prompt"),
        domain_hint=read.text("domain_hint"),
    )
    _warn(provider, read)
    return provider if len(read.faults) == before else None


def _tenant(read: DictReader) -> Tenant:
    hint = (
        "Use the Directory (tenant) ID from the app's Overview page in Entra, a domain of the tenant, "
        "or 'organizations', 'consumers' or 'common'."
    )
    text = read.required("microsoft_tenant", hint)
    tenant = Tenant.parse(text) if text else None
    if text and tenant is None:
        read.fault("microsoft_tenant", f"cannot be {text!r}.", hint)
    return tenant or Tenant("", TenantKind.COMMON)


def _label(read: DictReader) -> _StrOrPromise:
    label = read.raw("label")
    # A lazy translation is no str and must stay lazy.
    if isinstance(label, str | Promise | None):
        return cast("_StrOrPromise", label or "Microsoft")
    read.fault("label", f"must be text, not {type(label).__name__}.")
    return ""


def _scope(read: DictReader, subject_source: SubjectSource) -> tuple[str, ...]:
    names = ("openid", *read.texts("scope", ("profile", "email")))
    graph = any(name.rpartition("/")[2].lower() == "user.read" for name in names)
    if subject_source is SubjectSource.ME and not graph:
        names += ("User.Read",)
    return tuple(dict.fromkeys(names))


def _mapper(read: DictReader) -> str:
    path = read.text("mapper")
    if path and read.text("mapper_url"):
        read.fault("mapper", "and mapper_url are both set.", "Keep one of them.")
    elif path and "." not in path:
        read.fault("mapper", "is not the dotted path of a function.", '"mapper": "my_project.mappers.claims"')
    return path


def _requested_claims(read: DictReader) -> str:
    if not read.has("requested_claims"):
        return ""
    read.inner("requested_claims", "See OpenID Connect Core 5.5.").refuse_unknown(("id_token", "userinfo"))
    try:
        return json.dumps(read.raw("requested_claims"), separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        read.fault("requested_claims", "cannot be written as JSON.")
        return ""


def _guids(read: DictReader, key: str) -> frozenset[str] | None:
    if not read.has(key):
        return None
    values = frozenset(value.lower() for value in read.texts(key))
    for value in sorted(values):
        if not GUID.fullmatch(value):
            read.fault(key, f"holds {value!r}, which is not a tenant's GUID.", "Use Directory (tenant) IDs.")
    return values


def _allowed_tenants(read: DictReader, tenant: Tenant) -> frozenset[str] | None:
    tenants = _guids(read, "allowed_tenants")
    if tenants is None:
        return None
    never = {
        TenantKind.GUID: tenants - {tenant.value},
        TenantKind.CONSUMERS: tenants - {CONSUMER_TENANT},
        TenantKind.DOMAIN: tenants & {CONSUMER_TENANT},
        TenantKind.ORGANIZATIONS: tenants & {CONSUMER_TENANT},
    }.get(tenant.kind, frozenset())
    if read.raw("allowed_tenants") in ([], ()):
        read.fault(
            "allowed_tenants", "is empty, so no person could sign in.", "Leave it out, or name tenants."
        )
    for value in sorted(never):
        read.fault(
            "allowed_tenants",
            f"names {value}, which microsoft_tenant never lets in.",
            "Remove it, or widen microsoft_tenant.",
        )
    return tenants


def _privileged_tenants(read: DictReader) -> frozenset[str] | None:
    tenants = _guids(read, "privileged_tenants")
    if tenants and CONSUMER_TENANT in tenants:
        read.fault(
            "privileged_tenants",
            "names the tenant of personal accounts, which is open to all.",
            "Name organisations only.",
        )
    return tenants


def _warn(provider: Provider, read: DictReader) -> None:
    for key in IGNORED:
        if read.has(key):
            read.warn(key, "means nothing for provider 'microsoft' and is ignored.", "Remove it.")
    if provider.pkce is Pkce.NEVER:
        read.warn("pkce", "'never' is not honoured: PKCE (S256) is always used.", "Remove it.")
    if provider.account_linking_mode is AccountLinkingMode.AUTOMATIC:
        if not provider.tenant.single:
            read.warn(
                "account_linking_mode",
                "'automatic' is for a single tenant only: here visitors confirm.",
                "Set microsoft_tenant to a tenant's ID, or remove the key.",
            )
        elif not provider.auto_link_domains:
            read.warn(
                "auto_link_domains",
                "is empty, so 'automatic' links no person: visitors confirm.",
                '"auto_link_domains": ["contoso.com"]',
            )
    if provider.aal2_acr_values or provider.aal2_amr_values:
        read.warn(
            "aal2_acr_values" if provider.aal2_acr_values else "aal2_amr_values",
            "will rarely match: Microsoft's v2.0 tokens carry neither acr nor amr.",
            "Use aal2_auth_contexts with a Conditional Access authentication context.",
        )
