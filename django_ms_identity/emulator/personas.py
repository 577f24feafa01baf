"""The personas that can sign in at the emulator. All invented."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from .errors import Refusal
from .tenants import CONSUMERS, CONTOSO, FABRIKAM, Tenant

GROUPS_IN_TOKEN = 200
"""A member of more groups gets none in a token, but a pointer (learn.microsoft.com: groups overage)."""
_NAMESPACE = uuid.UUID("7d3138b5-a54a-4391-9586-ea26fc4b513b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Persona:
    """A person with a Microsoft account. Change one with ``dataclasses.replace``."""

    id: str
    """Stable: tests and the picker's links name the persona by it."""
    description: str
    """Shown in the picker beside the name."""
    given_name: str
    family_name: str
    username: str
    """``preferred_username``: not an address to write to; a personal account's may be a telephone number."""
    email: str | None = None
    oid: str
    """The object id in the home tenant."""
    tenant: str = CONTOSO.name
    """The home tenant's name or GUID; one that the emulator does not know is created."""
    guest_in: str | None = None
    """The name or GUID of another tenant that this person is a guest of, under another object id."""
    guest_oid: str | None = None
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    """Object ids; more than ``GROUPS_IN_TOKEN`` make an overage."""
    xms_edov: bool | None = None
    """Whether the e-mail's domain is verified by its owner; ``None``: the claim is not sent."""
    mfa: bool = False
    """Whether this person has a second factor, and so meets every authentication context."""
    claims: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    """Laid over the finished ID token claims: ``{"amr": ["mfa"]}`` adds, a value of ``None`` removes, and
    ``{"auth_time": …}`` sets when the password was typed, which is otherwise now."""
    refusal: Refusal | None = None
    """Why Microsoft refuses this person."""

    @property
    def name(self) -> str:
        return f"{self.given_name} {self.family_name}"

    @property
    def initials(self) -> str:
        return f"{self.given_name[:1]}{self.family_name[:1]}"

    def is_guest_of(self, tenant: Tenant) -> bool:
        return self.guest_in in (tenant.name, tenant.id)

    def oid_as(self, *, guest: bool) -> str:
        """Return the object id here; a guest has another one than at home."""
        return (self.guest_oid or oid_for(f"{self.id} as guest")) if guest else self.oid


def oid_for(name: str) -> str:
    """Derive an object id that is the same in every run."""
    return str(uuid.uuid5(_NAMESPACE, name))


def _persona(id: str, name: str, oid: str, domain: str = "contoso.example") -> Persona:
    given_name, family_name = name.split()
    address = f"{given_name}.{family_name}@{domain}".lower()
    return Persona(
        id=id,
        description="Work account at Contoso",
        given_name=given_name,
        family_name=family_name,
        username=address,
        email=address,
        oid=oid,
        xms_edov=True,
    )


PERSONAS = (
    replace(
        _persona("work", "Ines Okafor", "755ec5f0-55ea-47ca-89c9-7fa0d0b1f962"),
        groups=("840fecb2-df74-4345-8e62-39c7f2f0135c",),
    ),
    replace(
        _persona("admin", "Marek Lindqvist", "9ed08227-2642-4645-b62c-02ef38ef7a68"),
        description="Work account with the app role Admin",
        roles=("Admin",),
        mfa=True,
    ),
    replace(
        _persona("mfa", "Noor Castellan", "3617b54e-836e-4c92-8638-34996085d27e"),
        description="Work account with a second factor",
        mfa=True,
    ),
    replace(
        _persona("collides", "Lena Farrow", "564fb78c-1505-4f87-b380-a8f96fc45eae"),
        description="Work account whose address may be a local user's already",
    ),
    replace(
        _persona("no-email", "Tomasz Adeyemi", "4924ca7b-e571-4a73-9efe-dfddede1f0f8"),
        description="Work account without e-mail",
        email=None,
        xms_edov=None,
    ),
    replace(
        _persona("guest", "Tuva Reyes", "124c522b-3226-412a-ae50-d39f2268ba38", "fabrikam.example"),
        description="Guest at Contoso, at home at Fabrikam",
        tenant=FABRIKAM.name,
        guest_in=CONTOSO.name,
        guest_oid="00f9224d-f77b-47ae-86a6-ad303beb4c43",
        xms_edov=False,
    ),
    replace(
        _persona("personal", "Jonas Abara", "00000000-0000-0000-4a3f-19c0d27be865", "outlook.example"),
        description="Personal account",
        tenant=CONSUMERS.name,
        xms_edov=None,
    ),
    replace(
        _persona("personal-without-email", "Sipho Wren", "00000000-0000-0000-8e52-f06d13a97c4b"),
        description="Personal account without e-mail",
        username="+44 7700 900417",
        email=None,
        tenant=CONSUMERS.name,
        xms_edov=None,
    ),
    replace(
        _persona("many-groups", "Dagny Moreau", "a763d5ad-273e-4fb9-a3a0-36dc512a1411"),
        description="Work account in 250 groups, too many for a token",
        groups=tuple(oid_for(f"group {number}") for number in range(250)),
    ),
    replace(
        _persona("disabled", "Petra Nwosu", "6cb3b810-4516-4fcd-8168-639c975ffc7e"),
        description="Work account that was disabled",
        refusal=Refusal(
            "access_denied",
            50057,
            "The user account is disabled.",
            title="Your account has been locked. Contact your support person to unlock it.",
        ),
    ),
    replace(
        _persona("admin-consent", "Rafael Imhof", "6767f4e7-c1b2-4ad7-b906-321a8ba1f349"),
        description="Work account whose administrators have not approved this app",
        refusal=Refusal(
            "access_denied",
            90094,
            "An administrator has set a policy that prevents you from granting this app permissions.",
            title="Need admin approval",
        ),
    ),
)
CANCEL = "cancel"
"""Not a persona: the choice to go back to the app without signing in."""
