"""Sign-ins through a mapper in Python."""

from __future__ import annotations

import logging

import pytest
from django.contrib.auth import get_user_model
from django.views.debug import ExceptionReporter

from django_ms_identity import signals
from django_ms_identity.models import Identity, VerifiableAddress
from tests.support import mapper_functions
from tests.support.builders import make_settings
from tests.support.web import Browser

from .steps import NOTHING, code_of, page, rows

pytestmark = pytest.mark.django_db

WORK = "ines.okafor@contoso.example"


@pytest.fixture(autouse=True)
def _no_calls():
    mapper_functions.seen.clear()


@pytest.fixture
def mapper(settings):
    def configure(function, **provider):
        path = f"tests.support.mapper_functions.{function}"
        settings.MS_IDENTITY = make_settings({"mapper": path, **provider})

    return configure


def test_python_mapper_registers_and_signs_in(client, ms_identity_emulator, mapper):
    mapper("email")

    response = ms_identity_emulator.sign_in(client, next="/home/")

    assert response.headers["Location"] == "/home/"
    assert client.get("/home/").content == WORK.encode()
    assert Identity.objects.get().traits == {"email": WORK, "name": "Ines Okafor"}
    assert VerifiableAddress.objects.get().value == WORK


def test_python_mapper_updates_identity_on_login_and_sees_what_is_stored(
    client, ms_identity_emulator, mapper
):
    mapper("email", update_identity_on_login="automatic")
    ms_identity_emulator.sign_in(Browser())
    Identity.objects.update(traits={"name": "Old"})

    ms_identity_emulator.sign_in(client)

    assert Identity.objects.get().traits["name"] == "Ines Okafor"
    assert [identity["traits"] for identity in mapper_functions.seen][:2] == [{}, {"name": "Old"}]


def test_python_mapper_that_hands_on_stored_address_cannot_verify_it(client, ms_identity_emulator, mapper):
    # It refuses the second run, of the claims alone, which takes the trust and lets the person in.
    mapper("keep_stored", update_identity_on_login="automatic")
    ms_identity_emulator.sign_in(Browser())

    response = ms_identity_emulator.sign_in(client, next="/home/")

    assert response.headers["Location"] == "/home/"
    assert [identity["traits"] == {} for identity in mapper_functions.seen] == [True, False, True]
    assert not VerifiableAddress.objects.filter(value="boss@contoso.example").exists()
    assert get_user_model().objects.get().email == WORK


@pytest.mark.parametrize(
    ("function", "code"),
    [("refuse_registration", "registration_refused"), ("refuse_sign_in", "sign_in_refused")],
)
def test_python_mapper_may_refuse_a_registration(client, ms_identity_emulator, mapper, function, code):
    mapper(function)

    response = ms_identity_emulator.sign_in(client)

    assert (code_of(response), response.status_code) == (code, 403)
    assert rows() == NOTHING


def test_python_mapper_exception_leaks_no_claims_to_log_page_or_report(
    client, ms_identity_emulator, mapper, caplog, listen
):
    mapper("quote")
    caplog.set_level(logging.DEBUG)
    reports = []
    listen(
        signals.sign_in_refused,
        lambda request, error, **_: reports.append(
            ExceptionReporter(request, type(error), error, error.__traceback__).get_traceback_text()
        ),
    )

    response = ms_identity_emulator.sign_in(client)

    assert (code_of(response), response.status_code) == ("mapper_failed", 503)
    assert "mapper_functions.quote raised KeyError at " in caplog.text
    (report,) = reports
    for shown in (caplog.text, page(response), report):
        assert WORK not in shown
        assert "no use for" not in shown
    assert rows() == NOTHING


def test_python_mapper_exception_is_shown_in_debug(client, ms_identity_emulator, mapper, settings):
    mapper("quote")
    settings.DEBUG = True

    assert f"no use for {WORK}" in page(ms_identity_emulator.sign_in(client))
