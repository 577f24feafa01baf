"""The personas and the tenants they belong to."""

from __future__ import annotations

from dataclasses import replace

from django_ms_identity.emulator.microsoft import Microsoft
from django_ms_identity.emulator.personas import PERSONAS, oid_for
from django_ms_identity.emulator.tenants import CONSUMERS, CONTOSO

WORK = PERSONAS[0]


def test_persona_ids_and_object_ids_are_unique():
    assert len({persona.id for persona in PERSONAS}) == len(PERSONAS)
    assert len({persona.oid for persona in PERSONAS}) == len(PERSONAS)


def test_persona_addresses_are_in_the_reserved_domain():
    assert all(persona.email.endswith(".example") for persona in PERSONAS if persona.email)


def test_unknown_home_tenant_is_created():
    northwind = replace(WORK, tenant="Northwind")
    by_guid = replace(WORK, tenant="333b61b9-19d9-4613-b8c7-85827b34fffa")
    microsoft = Microsoft(clients={}, personas=(northwind, by_guid))

    assert microsoft.home(northwind).id == oid_for("Northwind")
    assert microsoft.home(by_guid).id == by_guid.tenant
    assert microsoft.authority("login.microsoftonline.com", by_guid.tenant).tenant == microsoft.home(by_guid)


def test_personal_account_can_be_a_guest():
    guest = replace(WORK, tenant=CONSUMERS.name, guest_in=CONTOSO.name)
    microsoft = Microsoft(clients={}, personas=(guest,))
    contoso = microsoft.authority("login.microsoftonline.com", CONTOSO.id)

    assert microsoft.tenant_of(guest, contoso) == CONTOSO
    assert guest.oid_as(guest=True) != guest.oid
