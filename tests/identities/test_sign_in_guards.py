"""What a sign-in keeps up to date, and what it leaves behind."""

from __future__ import annotations

import pytest

from django_ms_identity.flows import pending_step
from django_ms_identity.models import Credential
from tests.support.web import Browser

pytestmark = pytest.mark.django_db


def test_another_account_name_is_stored_at_the_next_sign_in(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)
    Credential.objects.update(account="before.marriage@contoso.example")

    ms_identity_emulator.sign_in(Browser())

    assert Credential.objects.get().account == "ines.okafor@contoso.example"


def test_a_registration_drops_a_step_that_waited_in_the_session(client, ms_identity_emulator):
    session = client.session
    session[pending_step.SESSION_KEY] = "a step that the visitor left"
    session.save()

    ms_identity_emulator.sign_in(client)

    assert "_auth_user_id" in client.session
    assert pending_step.SESSION_KEY not in client.session
