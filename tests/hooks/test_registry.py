from __future__ import annotations

import logging

import pytest

from django_ms_identity import signals
from django_ms_identity.models import Identity
from tests.journeys.steps import code_of, page, pick, rows
from tests.support import hook_functions
from tests.support.builders import make_settings
from tests.support.web import Browser

pytestmark = pytest.mark.django_db

FIRST, SECOND = (
    {"hook": "tests.support.hook_functions.first"},
    {"hook": "tests.support.hook_functions.second"},
)
FAIL, REFUSE = {"hook": "tests.support.hook_functions.fail"}, {"hook": "tests.support.hook_functions.refuse"}
SESSION = {"hook": "session"}
WITHOUT_SESSION = {"User": 1, "Identity": 1, "Credential": 1, "SignIn": 0, "Session": 0}


@pytest.fixture(autouse=True)
def _no_calls():
    hook_functions.calls.clear()


def hooks(settings, **stages):
    settings.MS_IDENTITY = make_settings(HOOKS=stages)


def called():
    return [name for name, _ in hook_functions.calls]


# Without the session hook


@pytest.fixture
def without_session(settings):
    hooks(settings, after_registration=[])


@pytest.mark.kratos(86)
def test_without_the_session_hook_the_person_is_told_to_sign_in(
    client, ms_identity_emulator, without_session
):
    response = ms_identity_emulator.sign_in(client, next="/home/")

    assert response.status_code == 200
    assert "ms_identity/registered.html" in [template.name for template in response.templates]
    assert response.context["sign_in_url"] == "/ms/start/microsoft/?next=%2Fhome%2F"
    assert rows() == WITHOUT_SESSION
    assert client.get("/home/").content == b"nobody"


def test_the_next_sign_in_is_a_login(client, ms_identity_emulator, without_session, listen):
    ms_identity_emulator.sign_in(client)
    heard = []
    listen(signals.identity_signed_in, lambda registered, **_: heard.append(registered))

    response = ms_identity_emulator.sign_in(client, next="/home/")

    assert response.headers["Location"] == "/home/"
    assert heard == [False]
    assert client.get("/home/").content == b"ines.okafor@contoso.example"


def test_registration_without_session_hook_signs_out_another_person(client, ms_identity_emulator, settings):
    ms_identity_emulator.sign_in(client, "admin")
    hooks(settings, after_registration=[])
    callback = pick(client, ms_identity_emulator, "work", prompt="select_account")

    response = callback.send(client)

    assert "sign_in_url" in response.context
    assert client.get("/home/").content == b"nobody"


def test_a_registration_without_session_cannot_be_repeated_into_one(
    client, ms_identity_emulator, without_session
):
    callback = pick(client, ms_identity_emulator)
    callback.send(client)

    response = callback.send(client)

    assert code_of(response) == "flow_missing"
    assert client.get("/home/").content == b"nobody"


# Hooks of the project


def test_hooks_are_called_in_order_with_everything_known(client, ms_identity_emulator, settings):
    hooks(settings, after_registration=[FIRST, SECOND, SESSION])

    response = ms_identity_emulator.sign_in(client)

    assert response.status_code == 302
    assert called() == ["first", "second"]
    arguments = hook_functions.calls[0][1]
    assert set(arguments) == {"request", "provider", "identity", "credential", "claims"}
    assert arguments["identity"] == Identity.objects.get()
    assert arguments["provider"].id == "microsoft"


@pytest.mark.kratos(86)
def test_the_session_comes_last(client, ms_identity_emulator, settings):
    hooks(settings, after_registration=[SESSION, REFUSE])

    ms_identity_emulator.sign_in(client)

    assert rows() == WITHOUT_SESSION


@pytest.mark.kratos(26, 36)
def test_hooks_come_after_the_receivers_of_the_signal(client, ms_identity_emulator, settings, listen):
    hooks(settings, after_registration=[FIRST], after_login=[SECOND])
    listen(signals.identity_registered, lambda **_: hook_functions.calls.append(("registered", {})))
    listen(signals.identity_signed_in, lambda **_: hook_functions.calls.append(("signed in", {})))

    ms_identity_emulator.sign_in(client)
    ms_identity_emulator.sign_in(client)

    assert called() == ["registered", "first", "second", "signed in"]


def test_hooks_after_login_are_for_logins_alone(client, ms_identity_emulator, settings):
    hooks(settings, after_login=[FIRST])

    ms_identity_emulator.sign_in(Browser())
    assert called() == []

    ms_identity_emulator.sign_in(client)
    assert called() == ["first"]


@pytest.mark.kratos(86)
@pytest.mark.parametrize(
    "path", ["tests.support.hook_functions.fail", "tests.support.hook_functions.absent", "nowhere.at.all"]
)
def test_a_hook_that_fails_leaves_the_identity_and_is_logged(
    client, ms_identity_emulator, settings, caplog, path
):
    hooks(settings, after_registration=[{"hook": path}, SESSION])

    response = ms_identity_emulator.sign_in(client)

    assert (code_of(response), response.status_code) == ("hook_failed", 503)
    assert "the hook broke" not in page(response)
    assert rows() == WITHOUT_SESSION
    record = next(record for record in caplog.records if record.name == "django_ms_identity.hooks.registry")
    assert (record.levelno, record.exc_info is not None) == (logging.ERROR, True)
    assert path in record.getMessage()


def test_after_a_failed_hook_the_next_sign_in_works(client, ms_identity_emulator, settings):
    hooks(settings, after_registration=[FAIL, SESSION])
    ms_identity_emulator.sign_in(client)

    response = ms_identity_emulator.sign_in(client)

    assert response.status_code == 302, page(response)
    assert rows()["Identity"] == 1


def test_a_hook_after_login_that_fails_opens_no_session(client, ms_identity_emulator, settings):
    hooks(settings, after_login=[FAIL])
    ms_identity_emulator.sign_in(Browser())

    response = ms_identity_emulator.sign_in(client)

    assert (code_of(response), response.status_code) == ("hook_failed", 503)
    assert client.get("/home/").content == b"nobody"


def test_hook_may_raise_sign_in_refused(client, ms_identity_emulator, settings):
    hooks(settings, after_registration=[REFUSE, SESSION])

    response = ms_identity_emulator.sign_in(client)

    assert (code_of(response), response.status_code) == ("sign_in_refused", 403)


def test_a_hook_that_signs_the_person_in_is_not_undone(client, ms_identity_emulator, settings):
    hooks(settings, after_registration=[{"hook": "tests.support.hook_functions.sign_in"}])

    response = ms_identity_emulator.sign_in(client, next="/home/")

    assert response.headers["Location"] == "/home/"
    assert client.get("/home/").content == b"ines.okafor@contoso.example"
