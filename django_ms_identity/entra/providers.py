"""The values that describe a provider: one app registration at Microsoft. Parses nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from .clouds import Cloud, Tenant, TenantKind

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

PROVIDER_ID = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
RESERVED_SCOPES = frozenset({"openid", "profile", "offline_access"})


class SubjectSource(StrEnum):
    """Where the subject comes from (Kratos ``subject_source``)."""

    USERINFO = "userinfo"
    """``sub`` of the ID token; the name is Kratos', no userinfo endpoint is asked."""
    ME = "me"
    """``id`` of Graph's ``/v1.0/me``."""
    OID = "oid"


class Pkce(StrEnum):
    AUTO = "auto"
    FORCE = "force"
    NEVER = "never"


class AccountLinkingMode(StrEnum):
    CONFIRM = "confirm_with_existing_credential"
    AUTOMATIC = "automatic"


class UpdateOnLogin(StrEnum):
    NEVER = "never"
    AUTOMATIC = "automatic"


class ResponseMode(StrEnum):
    QUERY = "query"
    FORM_POST = "form_post"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One app registration at Microsoft; docs/settings.md describes each key."""

    id: str
    label: _StrOrPromise
    client_id: str
    client_secret: str = field(repr=False)
    tenant: Tenant
    cloud: Cloud
    subject_source: SubjectSource
    scope: tuple[str, ...]
    mapper_url: str = field(repr=False)
    """Empty: the mapper that ships. Not in the repr: it may hold the whole program or a signed URL."""
    mapper: str
    """Dotted path of a mapper in Python, or empty; never beside ``mapper_url``."""
    requested_claims: str
    """JSON text for the ``claims`` parameter, or empty."""
    pkce: Pkce
    account_linking_mode: AccountLinkingMode
    update_identity_on_login: UpdateOnLogin
    aal2_acr_values: tuple[str, ...]
    aal2_amr_values: tuple[str, ...]
    aal2_auth_contexts: tuple[str, ...]
    additional_id_token_audiences: tuple[str, ...]
    allowed_tenants: frozenset[str] | None
    """Tenants that may come in; ``None``: all that ``tenant`` allows."""
    privileged_tenants: frozenset[str] | None
    """Tenants whose people may be given privileges; ``None``: the single tenant."""
    auto_link_domains: tuple[str, ...]
    response_mode: ResponseMode
    prompt: str
    domain_hint: str

    @property
    def scope_parameter(self) -> str:
        """The ``scope`` to request: ``openid`` and ``profile`` always, ``offline_access`` never.

        ``oid`` and ``tid`` need ``profile`` (Microsoft: id-token-claims-reference); no token is kept.
        """
        return " ".join(("openid", "profile", *(name for name in self.scope if name not in RESERVED_SCOPES)))

    @property
    def authorize_url(self) -> str:
        return f"{self._authority}/oauth2/v2.0/authorize"

    @property
    def token_url(self) -> str:
        return f"{self._authority}/oauth2/v2.0/token"

    @property
    def end_session_url(self) -> str:
        return f"{self._authority}/oauth2/v2.0/logout"

    @property
    def metadata_url(self) -> str:
        return f"{self._authority}/v2.0/.well-known/openid-configuration"

    @property
    def keys_url(self) -> str:
        """The URL of the signing keys; ``common`` names the issuer of each (Microsoft: access-tokens)."""
        segment = self.tenant.value if self.tenant.single else TenantKind.COMMON
        return f"{self.cloud.login}/{segment}/discovery/v2.0/keys"

    @property
    def issuer_template(self) -> str:
        """The issuer of v2.0 tokens, with ``{tenantid}`` for the GUID as in Microsoft's metadata."""
        return f"{self.cloud.login}/{{tenantid}}/v2.0"

    @property
    def _authority(self) -> str:
        return f"{self.cloud.login}/{self.tenant.value}"

    def is_privileged(self, tid: str, *, guest: bool) -> bool:
        """Say whether people of the verified tenant ``tid`` may be given privileges here.

        Guests only where ``privileged_tenants`` names the tenant: their home tenant writes their claims.
        """
        if self.privileged_tenants is None:
            return self.tenant.single and not guest
        return tid in self.privileged_tenants
