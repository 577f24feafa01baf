"""Microsoft's hosts, the emulator's tenants, and what a tenant in an address means."""

from __future__ import annotations

from dataclasses import dataclass

from . import TENANT_ID

GRAPH_HOSTS = {
    "login.microsoftonline.com": ("graph.microsoft.com",),
    "login.microsoftonline.us": ("graph.microsoft.us", "dod-graph.microsoft.us"),
    "login.partner.microsoftonline.cn": ("microsoftgraph.chinacloudapi.cn",),
}
"""The hosts of Microsoft Graph of each cloud, by the cloud's login host."""
LOGIN_HOSTS = {graph: login for login, graphs in GRAPH_HOSTS.items() for graph in graphs}
GLOBAL_HOST = "login.microsoftonline.com"
"""The only cloud that has personal accounts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A directory. Personas belong to it by its name, so a project's own GUID can mean Contoso."""

    id: str
    name: str
    domains: tuple[str, ...] = ()


CONTOSO = Tenant(id=TENANT_ID, name="Contoso", domains=("contoso.example", "contoso.onmicrosoft.com"))
FABRIKAM = Tenant(
    id="3cd30985-3b6d-4c4e-8cfa-3ae2b2a31f8c",
    name="Fabrikam",
    domains=("fabrikam.example", "fabrikam.onmicrosoft.com"),
)
CONSUMERS = Tenant(
    id="9188040d-6c67-4c5b-b112-36a304b66dad", name="Microsoft Accounts", domains=("consumers",)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """The host and the tenant part of an address: one tenant, or a rule about who may sign in."""

    host: str
    segment: str
    """As Microsoft writes it in its own addresses: a GUID, ``common``, ``organizations`` or ``consumers``."""
    tenant: Tenant | None
    """``None`` for ``common`` and ``organizations``."""

    @property
    def url(self) -> str:
        return f"https://{self.host}/{self.segment}"

    @property
    def issuer(self) -> str:
        """The issuer as the metadata names it: a template where accounts of many tenants may sign in."""
        return issuer_for(self.host, self.tenant.id if self.tenant else "{tenantid}")

    @property
    def personal(self) -> bool:
        """Whether personal accounts may sign in beside those of any tenant."""
        return self.segment == "common" and self.host == GLOBAL_HOST


def issuer_for(host: str, tenant_id: str) -> str:
    return f"https://{host}/{tenant_id}/v2.0"
