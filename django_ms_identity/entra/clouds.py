"""Microsoft's clouds and the tenants in them. No network.

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
