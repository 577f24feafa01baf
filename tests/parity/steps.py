"""The mark of a parity test, and the steps that these tests share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from django.http import HttpResponse
from django.test import Client

from django_ms_identity import sessions
from django_ms_identity.models import Credential, Identity, credential_key
from django_ms_identity.testing.emulator import Emulator
from tests.journeys.steps import code_of
from tests.support.builders import TENANT, make_mapper

HOME = "/home/"
COMPLETE = "/ms/complete/"
CONFIRM = "/ms/confirm-link/"
CONNECTIONS = "/ms/connections/"
WORK = "ines.okafor@contoso.example"
ADMIN = "marek.lindqvist@contoso.example"
SECOND = {"id": "second", "label": "Elsewhere", "client_id": "99999999-2222-3333-4444-555555555555"}
SEES_CLAIMS = make_mapper("{identity: {traits: {}, metadata_public: {claims: std.extVar('claims')}}}")
FAILS = make_mapper("error 'planted'")

_Test = TypeVar("_Test", bound=Callable[..., None])


def row(*numbers: int) -> Callable[[_Test], _Test]:
    """Say which rows of docs/kratos.md a test holds."""

    def mark(test: _Test) -> _Test:
        test.rows = numbers
        return test

    return mark


def who(browser: Client) -> str:
    return browser.get(HOME).content.decode()


def age(browser: Client, seconds: float = 2 * 3600) -> None:
    """Let time pass since the person proved who they are."""
    session = browser.session
    session[sessions.AUTHENTICATED_AT] -= seconds
    session[sessions.SIGNED_IN_AT] -= seconds
    session.save()


def fill(browser: Client, **values: str) -> HttpResponse:
    """Open the page that asks for traits and send its form, by the labels of the fields."""
    shown = browser.get(COMPLETE)
    assert code_of(shown) == "", code_of(shown)
    names = {field.label: field.html_name for field in shown.context["form"]}
    answers = {names[label]: value for label, value in values.items()}
    return browser.post(COMPLETE, {"ticket": shown.context["ticket"]} | answers)


def labels(response: HttpResponse) -> list[str]:
    """Return what a form asks for."""
    return [field.label for field in response.context["form"]]


def link_url(provider: str = "microsoft") -> str:
    return f"{CONNECTIONS}{provider}/link/"


def unlink_url(credential: int) -> str:
    return f"{CONNECTIONS}{credential}/unlink/"


def link(
    browser: Client, emulator: Emulator, persona: str = "work", provider: str = "microsoft"
) -> HttpResponse:
    """Connect an account to whoever is signed in."""
    response = browser.post(link_url(provider))
    return emulator.callback(response.headers["Location"], persona).send(browser)


def confirm(browser: Client) -> HttpResponse:
    """Confirm that the account that waits is to be connected."""
    shown = browser.get(CONFIRM)
    assert code_of(shown) == "", code_of(shown)
    return browser.post(CONFIRM, {"ticket": shown.context["ticket"]})


def buttons(response: HttpResponse, action: str) -> list[str]:
    """Return whose ``link`` or ``unlink`` buttons a page of connections has."""
    return re.findall(rf'action="{CONNECTIONS}([^/"]+)/{action}/"', response.content.decode())


def add_credential(identity: Identity, *, provider: str = "microsoft", subject: str = "another") -> None:
    Credential.objects.create(
        identity=identity,
        provider=provider,
        subject=subject,
        subject_source="userinfo",
        tenant=TENANT,
        key=credential_key(provider, subject),
    )
