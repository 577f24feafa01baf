"""The people who can sign in at the emulator. All invented."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from .errors import Refusal
from .tenants import CONSUMERS, CONTOSO, FABRIKAM, Tenant

GROUPS_IN_TOKEN = 200
"""A member of more groups gets none in a token, but a pointer (learn.microsoft.com: groups overage)."""
_NAMESPACE = uuid.UUID("7d3138b5-a54a-4391-9586-ea26fc4b513b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Persona:
    """Somebody with a Microsoft account. Change one with ``dataclasses.replace``."""

    id: str
    """Stable; what tests and the picker's links call this person."""
    description: str
    """What the picker says beside the name."""
    given_name: str
    family_name: str
    username: str
    """``preferred_username``: not an address to write to; a personal account's may be a telephone number."""
    email: str | None = None
    oid: str
    """The object id in the home tenant."""
    tenant: str = CONTOSO.name
    """The home tenant's name or GUID; one that the emulator does not know is founded."""
    guest_in: str | None = None
    """The name or GUID of another tenant that this person is a guest of, under another object id."""
    guest_oid: str | None = None
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    """Object ids; more than ``GROUPS_IN_TOKEN`` make an overage."""
    xms_edov: bool | None = None
    """Whether the e-mail's domain is verified by its owner; nothing: Microsoft does not say."""
    mfa: bool = False
    """Whether this person can pass a second factor, and so meets whatever authentication context is asked."""
    claims: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    """Laid over the finished ID token claims: ``{"amr": ["mfa"]}`` adds, a value of ``None`` takes away, and
    ``{"auth_time": …}`` says that the password was typed at another time than now."""
    refusal: Refusal | None = None
    """Why Microsoft does not let this person through."""

    @property
    def name(self) -> str:
        return f"{self.given_name} {self.family_name}"

    @property
    def initials(self) -> str:
        return f"{self.given_name[:1]}{self.family_name[:1]}"

    @property
    def personal(self) -> bool:
        return self.tenant in (CONSUMERS.name, CONSUMERS.id)

    def is_guest_of(self, tenant: Tenant) -> bool:
        return self.guest_in in (tenant.name, tenant.id)

    def oid_as(self, *, guest: bool) -> str:
        """Return the object id here; a guest has another one than at home."""
        return (self.guest_oid or oid_for(f"{self.id} as guest")) if guest else self.oid


def oid_for(name: str) -> str:
    """Derive an object id that is the same in every run."""
    return str(uuid.uuid5(_NAMESPACE, name))


PERSONAS = (
    Persona(
        id="work",
        description="Work account at Contoso",
        given_name="Ines",
        family_name="Okafor",
        username="ines.okafor@contoso.example",
        email="ines.okafor@contoso.example",
        oid="755ec5f0-55ea-47ca-89c9-7fa0d0b1f962",
        groups=("840fecb2-df74-4345-8e62-39c7f2f0135c",),
        xms_edov=True,
    ),
    Persona(
        id="admin",
        description="Work account with the app role Admin",
        given_name="Marek",
        family_name="Lindqvist",
        username="marek.lindqvist@contoso.example",
        email="marek.lindqvist@contoso.example",
        oid="9ed08227-2642-4645-b62c-02ef38ef7a68",
        roles=("Admin",),
        xms_edov=True,
        mfa=True,
    ),
    Persona(
        id="mfa",
        description="Work account with a second factor",
        given_name="Noor",
        family_name="Castellan",
        username="noor.castellan@contoso.example",
        email="noor.castellan@contoso.example",
        oid="3617b54e-836e-4c92-8638-34996085d27e",
        xms_edov=True,
        mfa=True,
    ),
    Persona(
        id="collides",
        description="Work account whose address may be a local user's already",
        given_name="Lena",
        family_name="Farrow",
        username="lena.farrow@contoso.example",
        email="lena.farrow@contoso.example",
        oid="564fb78c-1505-4f87-b380-a8f96fc45eae",
        xms_edov=True,
    ),
    Persona(
        id="no-email",
        description="Work account without e-mail",
        given_name="Tomasz",
        family_name="Adeyemi",
        username="tomasz.adeyemi@contoso.example",
        oid="4924ca7b-e571-4a73-9efe-dfddede1f0f8",
    ),
    Persona(
        id="guest",
        description="Guest at Contoso, at home at Fabrikam",
        given_name="Tuva",
        family_name="Reyes",
        username="tuva.reyes@fabrikam.example",
        email="tuva.reyes@fabrikam.example",
        oid="124c522b-3226-412a-ae50-d39f2268ba38",
        tenant=FABRIKAM.name,
        guest_in=CONTOSO.name,
        guest_oid="00f9224d-f77b-47ae-86a6-ad303beb4c43",
        xms_edov=False,
    ),
    Persona(
        id="personal",
        description="Personal account",
        given_name="Jonas",
        family_name="Abara",
        username="jonas.abara@outlook.example",
        email="jonas.abara@outlook.example",
        oid="00000000-0000-0000-4a3f-19c0d27be865",
        tenant=CONSUMERS.name,
    ),
    Persona(
        id="personal-without-email",
        description="Personal account without e-mail",
        given_name="Sipho",
        family_name="Wren",
        username="+44 7700 900417",
        oid="00000000-0000-0000-8e52-f06d13a97c4b",
        tenant=CONSUMERS.name,
    ),
    Persona(
        id="many-groups",
        description="Work account in 250 groups, too many for a token",
        given_name="Dagny",
        family_name="Moreau",
        username="dagny.moreau@contoso.example",
        email="dagny.moreau@contoso.example",
        oid="a763d5ad-273e-4fb9-a3a0-36dc512a1411",
        groups=tuple(oid_for(f"group {number}") for number in range(250)),
        xms_edov=True,
    ),
    Persona(
        id="disabled",
        description="Work account that was disabled",
        given_name="Petra",
        family_name="Nwosu",
        username="petra.nwosu@contoso.example",
        email="petra.nwosu@contoso.example",
        oid="6cb3b810-4516-4fcd-8168-639c975ffc7e",
        refusal=Refusal(
            error="access_denied",
            code=50057,
            text="The user account is disabled.",
            title="Your account has been locked. Contact your support person to unlock it.",
        ),
    ),
    Persona(
        id="admin-consent",
        description="Work account whose administrators have not approved this app",
        given_name="Rafael",
        family_name="Imhof",
        username="rafael.imhof@contoso.example",
        email="rafael.imhof@contoso.example",
        oid="6767f4e7-c1b2-4ad7-b906-321a8ba1f349",
        refusal=Refusal(
            error="access_denied",
            code=90094,
            text="An administrator has set a policy that prevents you from granting this app permissions.",
            title="Need admin approval",
        ),
    ),
)
CANCEL = "cancel"
"""Not a persona: the choice of whoever turns back."""
