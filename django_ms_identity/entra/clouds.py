"""Microsoft's clouds and tenants, and the addresses derived from them. No network.

Hosts: learn.microsoft.com, "National clouds" (authentication-national-cloud).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

CONSUMER_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"
"""The tenant that every personal Microsoft account belongs to."""

GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
_DOMAIN = re.compile(
    r"(?=.{4,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]", re.ASCII
)


class Cloud(StrEnum):
    GLOBAL = "global"
    USGOV = "usgov"
    USGOV_DOD = "usgov_dod"
    CHINA = "china"

    @property
    def login(self) -> str:
        """The origin that signs people in."""
        return f"https://{_HOSTS[self][0]}"

    @property
    def graph(self) -> str:
        """The origin of Microsoft Graph."""
        return f"https://{_HOSTS[self][1]}"


_HOSTS = {
    Cloud.GLOBAL: ("login.microsoftonline.com", "graph.microsoft.com"),
    Cloud.USGOV: ("login.microsoftonline.us", "graph.microsoft.us"),
    Cloud.USGOV_DOD: ("login.microsoftonline.us", "dod-graph.microsoft.us"),
    Cloud.CHINA: ("login.partner.microsoftonline.cn", "microsoftgraph.chinacloudapi.cn"),
}


class TenantKind(StrEnum):
    GUID = "guid"
    DOMAIN = "domain"
    ORGANIZATIONS = "organizations"
    CONSUMERS = "consumers"
    COMMON = "common"


@dataclass(frozen=True, slots=True)
class Tenant:
    """The tenant that a provider is configured with."""

    value: str
    kind: TenantKind

    @classmethod
    def parse(cls, text: str) -> Tenant | None:
        """Parse ``microsoft_tenant``; None if it has none of the forms that Microsoft knows."""
        value = text.lower()
        if value in (TenantKind.ORGANIZATIONS, TenantKind.CONSUMERS, TenantKind.COMMON):
            return cls(value, TenantKind(value))
        if value == CONSUMER_TENANT:
            return cls(value, TenantKind.CONSUMERS)
        if GUID.fullmatch(value):
            return cls(value, TenantKind.GUID)
        if _DOMAIN.fullmatch(value):
            return cls(value, TenantKind.DOMAIN)
        return None

    @property
    def single(self) -> bool:
        """Whether only accounts of one organisation can sign in."""
        return self.kind in (TenantKind.GUID, TenantKind.DOMAIN)


def authority(cloud: Cloud, tenant: Tenant) -> str:
    return f"{cloud.login}/{tenant.value}"


def authorize_url(cloud: Cloud, tenant: Tenant) -> str:
    return f"{authority(cloud, tenant)}/oauth2/v2.0/authorize"


def token_url(cloud: Cloud, tenant: Tenant) -> str:
    return f"{authority(cloud, tenant)}/oauth2/v2.0/token"


def end_session_url(cloud: Cloud, tenant: Tenant) -> str:
    return f"{authority(cloud, tenant)}/oauth2/v2.0/logout"


def keys_url(cloud: Cloud, tenant: Tenant) -> str:
    """Return the URL of the signing keys; ``common`` names the issuer of each (Microsoft: access-tokens)."""
    segment = tenant.value if tenant.single else TenantKind.COMMON
    return f"{cloud.login}/{segment}/discovery/v2.0/keys"


def metadata_url(cloud: Cloud, tenant: Tenant) -> str:
    return f"{authority(cloud, tenant)}/v2.0/.well-known/openid-configuration"


def issuer(cloud: Cloud, tid: str) -> str:
    """Return the issuer of a tenant's v2.0 tokens."""
    return f"{cloud.login}/{tid}/v2.0"


def issuer_tenant(cloud: Cloud, text: str) -> str | None:
    """Return the tenant's GUID from an issuer of this cloud, else None."""
    tid = text.removeprefix(f"{cloud.login}/").removesuffix("/v2.0")
    return tid if GUID.fullmatch(tid) and text == issuer(cloud, tid) else None
