"""One emulated Microsoft: the apps, tenants and personas it knows, and the grants it remembers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest

from . import CLIENT_ID, CLIENT_SECRET, TENANT_ID
from .errors import Refused
from .grants import Grants
from .personas import PERSONAS, Persona, oid_for
from .tenants import CONSUMERS, CONTOSO, FABRIKAM, GLOBAL_HOST, Authority, Tenant

ENVIRON_KEY = "ms_identity_emulator.microsoft"
"""Where a caller within the process puts a Microsoft of its own. No client on the network can set it: what
a request brings arrives in the environment under names that begin with ``HTTP_``."""
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Microsoft:
    clients: Mapping[str, str] = field(repr=False)
    """Client secrets by client id."""
    tenants: tuple[Tenant, ...] = (CONTOSO, FABRIKAM)
    personas: tuple[Persona, ...] = PERSONAS
    grants: Grants = field(default_factory=Grants, repr=False)
    http_hosts: frozenset[str] = frozenset({"localhost", "127.0.0.1"})
    """Where a redirect URI may be plain ``http``."""
    clock: Callable[[], float] = time.time

    def authority(self, host: str, segment: str) -> Authority:
        """Resolve the tenant of an address, in any case: a GUID, a domain or a reserved word."""
        value = segment.lower()
        if value in ("common", "organizations"):
            return Authority(host=host, segment=value, tenant=None)
        known = (*self.tenants, CONSUMERS, *map(self.home, self.personas))
        tenant = next((one for one in known if value == one.id or value in one.domains), None)
        if tenant is None or (tenant == CONSUMERS and host != GLOBAL_HOST):
            text = f"Tenant '{segment}' not found. Check to make sure you have the correct tenant ID."
            raise Refused("invalid_tenant", 90002, text)
        return Authority(host=host, segment=value if tenant == CONSUMERS else tenant.id, tenant=tenant)

    def check_client(self, client_id: str, authority: Authority) -> None:
        if client_id not in self.clients:
            directory = authority.tenant.name if authority.tenant else authority.segment
            text = f"Application with identifier '{client_id}' was not found in the directory '{directory}'."
            raise Refused("unauthorized_client", 700016, text)

    def home(self, persona: Persona) -> Tenant:
        """Return the tenant that an account belongs to; an unknown one is created."""
        for tenant in (*self.tenants, CONSUMERS):
            if persona.tenant in (tenant.name, tenant.id):
                return tenant
        created = persona.tenant if _GUID.fullmatch(persona.tenant) else oid_for(persona.tenant)
        return Tenant(id=created, name=persona.tenant)

    def tenant_of(self, persona: Persona, authority: Authority) -> Tenant | None:
        """Return the tenant that a persona signs in to by this authority; ``None`` if they may not."""
        home = self.home(persona)
        if authority.tenant is None:
            return home if authority.personal or home != CONSUMERS else None
        if authority.tenant.name == home.name or persona.is_guest_of(authority.tenant):
            return authority.tenant
        return None

    def accepts_redirect_uri(self, uri: str) -> bool:
        """Say whether a redirect URI could be registered (learn.microsoft.com: reply-url)."""
        try:
            parts = urlsplit(uri)
        except ValueError:
            return False
        if not parts.hostname or parts.fragment or parts.username or len(uri) > 256 or "*" in uri:
            return False
        return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in self.http_hosts)


_grants = Grants()
"""The grants of the process, for requests by network."""


def microsoft_for(request: HttpRequest) -> Microsoft:
    """Return the Microsoft that answers: the caller's own, or the process's as settings describe it now."""
    own = request.META.get(ENVIRON_KEY)
    if isinstance(own, Microsoft):
        return own
    configured = getattr(settings, "MS_IDENTITY_EMULATOR", {})
    contoso = replace(CONTOSO, id=configured.get("TENANT_ID", TENANT_ID).lower())
    return Microsoft(
        clients=configured.get("CLIENTS", {CLIENT_ID: CLIENT_SECRET}),
        tenants=(contoso, FABRIKAM),
        grants=_grants,
    )
