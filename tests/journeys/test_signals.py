"""What a project's receivers hear, with which arguments and in which order."""

from __future__ import annotations

import logging

import pytest
from django.contrib.auth.signals import user_logged_in

from django_ms_identity import signals
from django_ms_identity.exceptions import RegistrationRefused, SignInRefused
from django_ms_identity.models import Credential, Identity
from tests.support.builders import make_settings
from tests.support.web import Browser

from .steps import NOTHING, code_of, page, press, rows

pytestmark = pytest.mark.django_db

ALL = (
    "identity_registering",
    "identity_registered",
    "identity_signing_in",
    "identity_signed_in",
    "sign_in_refused",
)
COMMON = {"request", "provider", "identity", "credential", "claims"}


@pytest.fixture
def heard(listen):
    """Collect name, sender and arguments of every signal."""
    heard = []

    def listener(name):
        def receive(sender, signal, **arguments):
            heard.append((name, sender, arguments))

        return receive

    for name in ALL:
        listen(getattr(signals, name), listener(name))
    listen(user_logged_in, listener("user_logged_in"))
    return heard


def test_signals_of_a_registration_go_from_veto_to_session(client, ms_identity_emulator, heard):
    ms_identity_emulator.sign_in(client)

    assert [name for name, _, _ in heard] == [
        "identity_registering",
        "identity_registered",
        "identity_signing_in",
        "user_logged_in",
        "identity_signed_in",
    ]
    ours = [(sender, arguments) for name, sender, arguments in heard if name != "user_logged_in"]
    assert {sender for sender, _ in ours} == {Identity}
    registering, registered, signing_in, signed_in = (arguments for _, arguments in ours)
    assert set(registering) == {"request", "provider", "claims", "mapped"}
    assert set(registered) == COMMON
    assert set(signing_in) == COMMON
    assert set(signed_in) == COMMON | {"registered"}
    assert signed_in["registered"] is True
    identity, credential = Identity.objects.get(), Credential.objects.get()
    for arguments in (registered, signing_in, signed_in):
        assert (arguments["identity"], arguments["credential"]) == (identity, credential)
    for arguments in (registering, registered, signing_in, signed_in):
        assert arguments["provider"].id == "microsoft"
        assert arguments["claims"].oid == credential.object_id
        assert arguments["request"].path == "/ms/callback/microsoft/"
    assert registering["mapped"].traits == identity.traits


def test_signals_of_a_login(client, ms_identity_emulator, heard):
    ms_identity_emulator.sign_in(Browser())
    heard.clear()

    ms_identity_emulator.sign_in(client)

    assert [name for name, _, _ in heard] == ["identity_signing_in", "user_logged_in", "identity_signed_in"]
    assert heard[-1][2]["registered"] is False


def test_registration_signals_come_before_and_after_the_rows(client, ms_identity_emulator, listen):
    seen = []
    listen(signals.identity_registering, lambda **_: seen.append(rows()["Identity"]))
    listen(signals.identity_registered, lambda identity, **_: seen.append(rows()["Identity"]))

    ms_identity_emulator.sign_in(client)

    assert seen == [0, 1]


@pytest.mark.django_db(transaction=True)
def test_signals_are_sent_outside_transactions(client, ms_identity_emulator, listen, monkeypatch):
    from django.db import connection

    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    seen = []
    for name in ALL[:4]:
        listen(getattr(signals, name), lambda **_: seen.append(connection.in_atomic_block))

    ms_identity_emulator.sign_in(client)

    assert seen == [False] * 4


def test_a_signal_receiver_can_veto_a_registration(client, ms_identity_emulator, listen, heard):
    def veto(**_):
        raise RegistrationRefused("not on the list")

    listen(signals.identity_registering, veto)

    response = ms_identity_emulator.sign_in(client)

    assert (code_of(response), response.status_code) == ("registration_refused", 403)
    assert "not on the list" not in page(response)
    assert rows() == NOTHING
    assert [name for name, _, _ in heard] == ["identity_registering", "sign_in_refused"]


def test_a_signal_receiver_can_veto_a_sign_in(client, ms_identity_emulator, listen):
    ms_identity_emulator.sign_in(Browser())
    before = rows()

    def veto(**_):
        raise SignInRefused("it is night")

    listen(signals.identity_signing_in, veto)

    response = ms_identity_emulator.sign_in(client)

    assert (code_of(response), response.status_code) == ("sign_in_refused", 403)
    assert rows() == before
    assert client.get("/home/").content == b"nobody"


def test_a_vetoed_sign_in_leaves_the_session_that_was_there(client, ms_identity_emulator, listen):
    ms_identity_emulator.sign_in(Browser(), "work")
    ms_identity_emulator.sign_in(client, "admin")

    def veto(**_):
        raise SignInRefused

    listen(signals.identity_signing_in, veto)
    location = press(client, prompt="select_account").headers["Location"]

    ms_identity_emulator.callback(location, "work").send(client)

    assert client.get("/home/").content == b"marek.lindqvist@contoso.example"


def test_the_first_session_can_be_vetoed_and_the_identity_stays(client, ms_identity_emulator, listen):
    def veto(**_):
        raise SignInRefused

    listen(signals.identity_signing_in, veto)

    response = ms_identity_emulator.sign_in(client)

    assert code_of(response) == "sign_in_refused"
    assert rows() == {"User": 1, "Identity": 1, "Credential": 1, "SignIn": 0, "Session": 0}


@pytest.mark.parametrize("name", ["identity_registered", "identity_signed_in"])
@pytest.mark.parametrize("failure", [ValueError("broken"), SignInRefused("too late")])
def test_a_signal_receiver_that_fails_does_not_stop_a_sign_in(
    client, ms_identity_emulator, listen, caplog, name, failure
):
    def fail(**_):
        raise failure

    listen(getattr(signals, name), fail)

    response = ms_identity_emulator.sign_in(client)

    assert response.status_code == 302, page(response)
    assert client.get("/home/").content == b"ines.okafor@contoso.example"
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info[1] is failure


def test_the_signal_of_a_refusal_has_its_error(client, ms_identity_emulator, heard):
    response = ms_identity_emulator.sign_in(client, "cancel")

    ((name, sender, arguments),) = heard
    assert (name, sender, set(arguments)) == ("sign_in_refused", Identity, {"request", "provider", "error"})
    assert (arguments["provider"], arguments["error"].code) == ("microsoft", code_of(response))


def test_a_signal_receiver_that_fails_does_not_stop_a_refusal(client, ms_identity_emulator, listen, caplog):
    def fail(**_):
        raise ValueError("broken")

    listen(signals.sign_in_refused, fail)

    response = ms_identity_emulator.sign_in(client, "cancel")

    assert code_of(response) == "sign_in_cancelled"
    assert "ERROR" in [record.levelname for record in caplog.records]


def test_the_signal_of_a_refusal_comes_before_a_provider_is_known_too(client, heard, settings):
    settings.MS_IDENTITY = make_settings()

    client.get("/ms/start/nobody/")

    assert [(name, arguments["provider"]) for name, _, arguments in heard] == [("sign_in_refused", "nobody")]
