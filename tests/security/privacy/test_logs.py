"""What every logger says at any level while visitors take the steps around a sign-in."""

from __future__ import annotations

import pytest

from django_ms_identity.emulator.personas import PERSONAS
from django_ms_identity.models import Credential
from tests.journeys.steps import page
from tests.support.builders import TENANT

from .conftest import EMAIL, STATES
from .visits import CLAIMS, VISITS, secrets_of

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("visit", VISITS)
def test_no_log_says_what_is_secret(world, visit, logged):
    world.microsoft.persona("work", claims=CLAIMS)
    ready = visit(world)
    secrets = secrets_of(world) | ready.secrets

    answer = ready.send()

    assert answer.status_code in (200, 302), page(answer)
    said = logged()
    # Nothing is logged where a sign-in starts.
    assert said or answer.headers["Location"].startswith("https://login.microsoftonline.com/")
    assert not [secret[:12] for secret in secrets | secrets_of(world) if secret in said]


@pytest.mark.parametrize(
    ("state", "step"), [("waits_for_traits", "complete"), ("waits_for_a_link", "confirm_link")]
)
def test_a_step_that_waits_is_logged_by_ids_alone(world, state, step, caplog):
    caplog.set_level("INFO", "django_ms_identity")
    STATES[state](world)

    (line,) = [it.getMessage() for it in caplog.records if "waits" in it.getMessage()]
    oid = next(persona.oid for persona in PERSONAS if persona.id == "work")
    assert line == (f"A sign-in by provider microsoft (tid {TENANT}, oid {oid}) waits for the step {step}")


def test_what_is_connected_and_disconnected_is_logged_by_ids_alone(world, logged):
    STATES["signed_in_by_password"](world)
    location = world.browser.post("/ms/connections/microsoft/link/").headers["Location"]
    world.microsoft.callback(location).send(world.browser)
    credential = Credential.objects.get()

    world.browser.post(f"/ms/connections/{credential.pk}/unlink/")

    said = logged()
    who = f"(tid {credential.tenant}, oid {credential.object_id})"
    assert f"Linked provider microsoft {who} to identity {credential.identity_id}" in said
    assert f"Unlinked provider microsoft from identity {credential.identity_id}" in said
    assert EMAIL not in said
