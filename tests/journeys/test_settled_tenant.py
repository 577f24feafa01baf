"""A credential without a tenant, as after an import: the first sign-in settles it."""

from __future__ import annotations

import dataclasses

import pytest

from django_ms_identity import signals
from django_ms_identity.emulator import TENANT_ID as CONTOSO
from django_ms_identity.emulator.personas import PERSONAS
from django_ms_identity.exceptions import SignInRefused
from django_ms_identity.models import Credential, SignIn
from django_ms_identity.sessions import set_active
from tests.support.builders import make_identity, make_settings
from tests.support.web import Browser

from .steps import code_of, pick, statements

pytestmark = pytest.mark.django_db

FABRIKAM = "3cd30985-3b6d-4c4e-8cfa-3ae2b2a31f8c"
WORK = next(persona for persona in PERSONAS if persona.id == "work")
SAME = {"sub": "the-same-subject"}
AT_CONTOSO = dataclasses.replace(WORK, claims=SAME)
AT_FABRIKAM = dataclasses.replace(WORK, claims=SAME, tenant=FABRIKAM)


@pytest.fixture
def imported(settings):
    settings.MS_IDENTITY = make_settings({"microsoft_tenant": "organizations"})
    return make_identity(subject=SAME["sub"], tenant="")


def belongs_to():
    return Credential.objects.values_list("tenant", "object_id").get()


@pytest.mark.usefixtures("imported")
def test_the_first_sign_in_settles_the_tenant(client, ms_identity_emulator):
    before = Credential.objects.get().updated_at

    response = ms_identity_emulator.sign_in(client, AT_CONTOSO)

    assert response.status_code == 302
    assert belongs_to() == (CONTOSO, WORK.oid)
    assert Credential.objects.get().updated_at > before
    assert SignIn.objects.get().credential is not None


@pytest.mark.usefixtures("imported")
def test_a_settled_tenant_keeps_another_tenant_out(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(Browser(), AT_CONTOSO)

    response = ms_identity_emulator.sign_in(client, AT_FABRIKAM)

    assert code_of(response) == "tenant_changed"
    assert belongs_to() == (CONTOSO, WORK.oid)
    assert SignIn.objects.count() == 1


@pytest.mark.usefixtures("imported")
def test_settling_the_tenant_costs_one_statement_once(ms_identity_emulator):
    ms_identity_emulator.sign_in(Browser(), dataclasses.replace(WORK, id="other", claims={"sub": "other"}))
    counts = []
    for _ in range(2):
        callback = pick(browser := Browser(), ms_identity_emulator, AT_CONTOSO)
        with statements() as gathered:
            callback.send(browser)
        counts.append(len(gathered))

    assert counts == [6 + 1, 6]


@pytest.mark.parametrize("reason", ["identity_inactive", "user_inactive", "sign_in_refused"])
def test_a_refused_sign_in_settles_no_tenant(client, ms_identity_emulator, imported, listen, reason):
    def veto(**_):
        raise SignInRefused("not today")

    if reason == "identity_inactive":
        set_active(imported, False)
    elif reason == "user_inactive":
        type(imported.user).objects.update(is_active=False)
    else:
        listen(signals.identity_signing_in, veto)

    assert code_of(ms_identity_emulator.sign_in(client, AT_FABRIKAM)) == reason
    assert belongs_to() == ("", "")


def test_a_sign_in_that_a_hook_refuses_settles_no_tenant(client, ms_identity_emulator, imported, settings):
    settings.MS_IDENTITY = make_settings(
        {"microsoft_tenant": "organizations"}, HOOKS={"after_login": [{"hook": "require_verified_address"}]}
    )

    assert code_of(ms_identity_emulator.sign_in(client, AT_FABRIKAM)) == "address_unverified"
    assert belongs_to() == ("", "")


@pytest.mark.usefixtures("imported")
@pytest.mark.parametrize(
    ("faster", "code"), [pytest.param(FABRIKAM, "tenant_changed", id="other"), (CONTOSO, "")]
)
def test_a_faster_request_settles_the_tenant(client, ms_identity_emulator, listen, faster, code):
    def overtake(**_):
        Credential.objects.update(tenant=faster, object_id="of the faster one")

    listen(signals.identity_signing_in, overtake)

    assert code_of(ms_identity_emulator.sign_in(client, AT_CONTOSO)) == code
    assert belongs_to() == (faster, "of the faster one")
    assert SignIn.objects.count() == (0 if code else 1)


@pytest.mark.usefixtures("imported")
def test_a_credential_that_is_deleted_meanwhile_opens_no_session(client, ms_identity_emulator, listen):
    listen(signals.identity_signing_in, lambda **_: Credential.objects.all().delete())

    assert code_of(ms_identity_emulator.sign_in(client, AT_CONTOSO)) == "identity_inactive"
    assert SignIn.objects.count() == 0
