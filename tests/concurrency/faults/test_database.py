"""The database fails at each statement, each commit: nobody is half there, and the next try succeeds.

What the visitor sees then is the project's own page for an error 500: with the database gone neither the
session nor a template's user can be read, and the operator's error reporting must hear of it.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import F
from django.http import HttpResponse

from django_ms_identity.models import Credential, Identity, SignIn, VerifiableAddress
from django_ms_identity.testing.emulator import Emulator
from tests.journeys.steps import code_of, page, pick
from tests.support.builders import make_mapper, make_schema, make_settings
from tests.support.web import Browser

from .outages import GONE, ended_connection, lost_commit, outage

pytestmark = pytest.mark.django_db(transaction=True)

MAPPER = make_mapper(
    """local claims = std.extVar('claims');
    { identity: { traits: { email: claims.email },
                  verified_addresses: [{ via: 'email', value: claims.email }] },
      user: { email: claims.email, groups: ['everybody'] } }"""
)
TEAM = make_schema({"email": {"type": "string"}, "team": {"type": "string"}}, required=["team"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One visitor of one journey; each try of a journey has another one."""

    emulator: Emulator
    number: int
    browser: Browser

    @property
    def persona(self) -> str:
        return f"person-{self.number}"

    @property
    def email(self) -> str:
        return f"{self.persona}@contoso.example"

    def arrive(self, **query: str) -> HttpResponse:
        return self.pick(**query)()

    def pick(self, **query: str) -> Callable[[], HttpResponse]:
        """Go to Microsoft and pick the account; what is returned takes the way back."""
        return partial(pick(self.browser, self.emulator, self.persona, **query).send, self.browser)

    def who(self) -> str:
        return self.browser.get("/home/").content.decode()


def comes(emulator: Emulator, number: int) -> Person:
    emulator.persona("work", id=f"person-{number}", email=f"person-{number}@contoso.example")
    return Person(emulator=emulator, number=number, browser=Browser(raise_request_exception=False))


# Journeys: what comes before the outage, and the request that meets it


def registers(person: Person) -> Callable[[], HttpResponse]:
    return person.pick()


def returns(person: Person) -> Callable[[], HttpResponse]:
    person.arrive()
    person.browser.cookies.clear()
    person.emulator.persona(person.persona, given_name="Renamed", username="renamed@contoso.example")
    return person.pick()


def returns_while_signed_in(person: Person) -> Callable[[], HttpResponse]:
    person.arrive()
    return person.pick(prompt="select_account")


def takes_over_the_browser(person: Person) -> Callable[[], HttpResponse]:
    get_user_model().objects.create_user(f"local-{person.number}", password="pw")
    assert person.browser.login(username=f"local-{person.number}", password="pw")
    return person.pick(prompt="select_account")


def meets_an_account(person: Person) -> Callable[[], HttpResponse]:
    get_user_model().objects.create_user(f"local-{person.number}", person.email, "pw")
    return person.pick()


def confirms_a_link(person: Person) -> Callable[[], HttpResponse]:
    meets_an_account(person)()
    assert person.browser.login(username=f"local-{person.number}", password="pw")
    shown = person.browser.get("/ms/confirm-link/")
    return partial(person.browser.post, "/ms/confirm-link/", {"ticket": shown.context["ticket"]})


def is_linked_at_once(person: Person) -> Callable[[], HttpResponse]:
    get_user_model().objects.create_user(f"local-{person.number}", person.email)
    return person.pick()


def connects(person: Person) -> Callable[[], HttpResponse]:
    get_user_model().objects.create_user(f"local-{person.number}", password="pw")
    assert person.browser.login(username=f"local-{person.number}", password="pw")
    location = person.browser.post("/ms/connections/microsoft/link/").headers["Location"]
    return partial(person.emulator.callback(location, person.persona).send, person.browser)


def fills_in(person: Person) -> Callable[[], HttpResponse]:
    assert person.arrive().headers["Location"] == "/ms/complete/"
    shown = person.browser.get("/ms/complete/")
    form = {"ticket": shown.context["ticket"], "trait-0": "Tools"}
    return partial(person.browser.post, "/ms/complete/", form)


AUTOMATIC = {"account_linking_mode": "automatic", "auto_link_domains": ["contoso.example"]}
JOURNEYS = {
    "registers": (registers, {}, {}),
    "returns": (returns, {"update_identity_on_login": "automatic"}, {}),
    "returns while signed in": (returns_while_signed_in, {}, {}),
    "takes over the browser": (takes_over_the_browser, {}, {}),
    "meets an account": (meets_an_account, {}, {}),
    "confirms a link": (confirms_a_link, {}, {}),
    "is linked at once": (is_linked_at_once, AUTOMATIC, {}),
    "connects": (connects, {}, {}),
    "fills in": (fills_in, {}, {"IDENTITY_SCHEMA_URL": TEAM}),
}
OUTAGES = {
    "one statement fails": partial(outage, lasting=False),
    "the database is gone from there": partial(outage, lasting=True),
    "a commit fails": partial(lost_commit, late=False),
    "the answer to a commit is lost": partial(lost_commit, late=True),
    "the server ends the connection": ended_connection,
}
ONLY_IN = {
    # A single statement is another matter only where something goes on after an error.
    "one statement fails": {"registers", "confirms a link"},
    "the server ends the connection": {"registers", "returns", "confirms a link"},
}
"""What is worth its time in some journeys alone."""
served = pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no server to end a connection")
CASES = [
    pytest.param(journey, fails, id=f"{journey}, {name}", marks=[served] if fails is ended_connection else [])
    for journey in JOURNEYS
    for name, fails in OUTAGES.items()
    if journey in ONLY_IN.get(name, JOURNEYS)
]


@pytest.fixture
def journey(request, settings):
    begin, provider, top = JOURNEYS[request.param]
    settings.MS_IDENTITY = make_settings({"mapper_url": MAPPER} | provider, CREATE_GROUPS=True, **top)
    return begin


def assert_consistent():
    """Whoever is here is here as a whole: user, identity, credential, address."""
    identities = set(Identity.objects.values_list("pk", flat=True))
    assert Identity.objects.filter(user__isnull=False).count() == len(identities)
    for model in (Credential, VerifiableAddress):
        assert sorted(model.objects.values_list("identity", flat=True)) == sorted(identities)
    vouched = VerifiableAddress.objects.filter(credential__identity=F("identity"))
    assert vouched.count() == len(identities)
    strangers = get_user_model().objects.filter(ms_identity=None).exclude(username__startswith="local-")
    assert not strangers.exists()
    assert not SignIn.objects.filter(credential=None).exists()


def goes_on(person: Person) -> None:
    """Do once what a visitor does who saw an error: press the button again, and do what the pages ask for."""
    location = person.arrive(prompt="select_account").headers.get("Location", "")
    if location == "/ms/confirm-link/":
        assert person.browser.login(username=f"local-{person.number}", password="pw")
    if location in ("/ms/confirm-link/", "/ms/complete/"):
        shown = person.browser.get(location)
        form = {"ticket": shown.context["ticket"], "trait-0": "Tools"}
        location = person.browser.post(location, form).headers["Location"]
    assert location == "/home/", f"{person.persona} cannot get in any more"


@pytest.mark.parametrize(("journey", "fails"), CASES, indirect=["journey"])
def test_nobody_is_half_there_and_the_next_try_succeeds(ms_identity_emulator, journey, fails, caplog):
    caplog.set_level(logging.CRITICAL, "django.request")
    answers = set()
    for at in itertools.count(1):
        person = comes(ms_identity_emulator, at)
        send = journey(person)

        with fails(at=at) as failing:
            response = send()

        # 400 is Django's answer where the row of a session cannot be written.
        assert response.status_code in (302, 400, 500), page(response)
        assert GONE not in page(response)
        assert_consistent()
        if not failing.struck:
            break
        answers.add(response.status_code)
        goes_on(person)
        assert_consistent()
        assert Credential.objects.filter(identity__user__username=person.who()).exists()
    # A journey that never met the outage would prove nothing.
    assert answers & {400, 500}


@pytest.mark.parametrize("path", ["/ms/sign-in/", "/ms/start/microsoft/"])
def test_a_stranger_can_start_while_the_database_is_down(client, path):
    """Neither the page with the buttons nor the way to Microsoft asks the database for anything."""
    with outage(at=1, lasting=True) as failing:
        assert client.get(path).status_code in (200, 302)

    assert failing.seen == 0


def test_what_microsoft_refuses_is_our_page_while_the_database_is_down(client, ms_identity_emulator):
    send = pick(client, ms_identity_emulator, "cancel").send

    with outage(at=1, lasting=True):
        response = send(client)

    assert code_of(response) == "sign_in_cancelled"
    assert response.context["retry_url"]
