"""Each page beside each state of its visitor: who sees it, who is sent where, who is refused."""

from __future__ import annotations

import pytest

from django_ms_identity.models import Credential, Identity, SignIn
from tests.journeys.steps import code_of
from tests.support.builders import make_identity
from tests.support.web import Browser

from .conftest import STATES

pytestmark = pytest.mark.django_db

PAGES = {
    "complete": ("GET", "/ms/complete/"),
    "complete, sent": ("POST", "/ms/complete/"),
    "confirm_link": ("GET", "/ms/confirm-link/"),
    "confirm_link, sent": ("POST", "/ms/confirm-link/"),
    "connections": ("GET", "/ms/connections/"),
    "link": ("POST", "/ms/connections/microsoft/link/"),
    "unlink": ("POST", "/ms/connections/{credential}/unlink/"),
    "step_up": ("GET", "/ms/step-up/?need=aal2&next=/home/"),
}
MISSING, PAGE, LOGIN, NOWHERE, MICROSOFT = "pending_missing", "page", "login", "404", "microsoft"
NOTHING_WAITS = [MISSING] * 4
LOCKED_OUT = [*NOTHING_WAITS, LOGIN, LOGIN, LOGIN, LOGIN]

# In the order of PAGES. What is sent has no ticket here, so it does nothing.
OUTCOMES = {
    "anonymous": LOCKED_OUT,
    "user_inactive": LOCKED_OUT,
    "identity_inactive": LOCKED_OUT,
    "login_required_everywhere": LOCKED_OUT,
    "signed_in_by_microsoft": [*NOTHING_WAITS, PAGE, MICROSOFT, "last_credential", "step_up_failed"],
    "signed_in_by_password": [*NOTHING_WAITS, PAGE, MICROSOFT, "credential_missing", "step_up_failed"],
    "identity_inactive_with_a_password": [
        *NOTHING_WAITS,
        PAGE,
        MICROSOFT,
        "identity_inactive",
        "step_up_failed",
    ],
    "off": [NOWHERE] * 8,
    "waits_for_traits": [PAGE, MISSING, MISSING, MISSING, LOGIN, LOGIN, LOGIN, LOGIN],
    "another_signed_in_meanwhile": [
        *NOTHING_WAITS,
        *(PAGE, MICROSOFT, "credential_missing", "step_up_failed"),
    ],
    "waits_for_a_link": [MISSING, MISSING, "asks to sign in", "asks to sign in", LOGIN, LOGIN, LOGIN, LOGIN],
    "proved_to_be_the_owner": [
        *(MISSING, MISSING, PAGE, MISSING),
        *(PAGE, MICROSOFT, "credential_missing", "step_up_failed"),
    ],
    "proved_to_be_another": [
        *(MISSING, MISSING, "link_mismatch", "link_mismatch"),
        *(PAGE, MICROSOFT, "credential_missing", "step_up_failed"),
    ],
    "waited_too_long": LOCKED_OUT,
    "proved_too_late": [*NOTHING_WAITS, PAGE, MICROSOFT, "credential_missing", "step_up_failed"],
}
CASES = [
    pytest.param(state, page, outcome, id=f"{state}-{page}")
    for state, outcomes in OUTCOMES.items()
    for page, outcome in zip(PAGES, outcomes, strict=True)
]


def outcome_of(response):
    """Name what a visitor gets, in one word."""
    location = response.headers.get("Location", "")
    if location.startswith("https://login.microsoftonline.com/"):
        return MICROSOFT
    if location:
        return LOGIN if location.startswith("/accounts/login/?next=/") else location
    if response.status_code == 200:
        return "asks to sign in" if response.context.get("login_url") else PAGE
    return code_of(response) or str(response.status_code)


def target(page):
    """Return method and address, for the credential that there is or would be."""
    method, path = PAGES[page]
    credential = Credential.objects.first()
    return method, path.format(credential=credential.pk if credential else 1)


def kept():
    """Count what no page here may change without a ticket or a token."""
    open_ = SignIn.objects.filter(ended_at=None)
    return (Identity.objects.count(), Credential.objects.count(), open_.count())


def test_every_state_is_in_the_table():
    assert set(OUTCOMES) == set(STATES)


@pytest.mark.parametrize(("state", "page", "outcome"), CASES)
def test_who_gets_what(world, state, page, outcome):
    STATES[state](world)
    before = kept()
    method, path = target(page)

    response = world.browser.generic(method, path)

    assert outcome_of(response) == outcome
    assert kept() == before


MAY_FINISH = {"complete, sent": "waits_for_traits", "confirm_link, sent": "proved_to_be_the_owner"}


@pytest.mark.parametrize("page", MAY_FINISH)
@pytest.mark.parametrize("state", STATES)
def test_with_the_ticket_only_whose_step_it_is_may_finish_it(world, state, page):
    STATES[state](world)
    before = kept()
    _, path = PAGES[page]

    response = world.browser.post(path, {"ticket": world.ticket(), "trait-0": "Tools"})

    if state == MAY_FINISH[page]:
        assert outcome_of(response) == "/home/"
        assert kept()[:2] == (1, 1)
    else:
        assert outcome_of(response) == dict(zip(PAGES, OUTCOMES[state], strict=True))[page]
        assert kept() == before


@pytest.mark.parametrize("page", ["connections", "link", "unlink", "step_up"])
def test_a_visitor_who_is_sent_to_sign_in_can_come_back(world, page):
    """Also where the middleware of a site sends them: what only takes a POST is no address to return to."""
    STATES["login_required_everywhere"](world)
    method, path = target(page)

    location = world.browser.generic(method, path).headers["Location"]

    world.log_in("local")
    assert world.browser.get(location.partition("next=")[2]).status_code in (200, 302)


@pytest.mark.parametrize("owner", ["microsoft", "nobody"])
def test_nobody_disconnects_what_is_somebody_elses(world, owner):
    other = make_identity(subject="somebody else").credentials.get()
    if owner == "microsoft":
        world.arrive()
    else:
        world.log_in("local")

    path = f"/ms/connections/{other.pk}/unlink/"
    world.browser.post(path)

    assert Credential.objects.filter(pk=other.pk).exists()


@pytest.mark.parametrize(
    ("state", "page"),
    [
        ("waits_for_traits", "/ms/complete/"),
        ("proved_to_be_the_owner", "/ms/confirm-link/"),
        ("signed_in_by_microsoft", "/ms/connections/microsoft/link/"),
        ("signed_in_by_microsoft", "/ms/connections/{credential}/unlink/"),
        ("signed_in_by_microsoft", "/ms/sign-out/"),
    ],
)
@pytest.mark.parametrize("middleware", ["with the middleware", "without it"])
def test_a_form_without_its_token_does_nothing(world, state, page, middleware):
    if middleware == "without it":
        world.settings.MIDDLEWARE = [name for name in world.settings.MIDDLEWARE if "csrf" not in name]
    STATES[state](world)
    strict = Browser(enforce_csrf_checks=True)
    strict.cookies = world.browser.cookies
    before = kept()
    credential = Credential.objects.first()

    response = strict.post(page.format(credential=credential.pk if credential else 1), {"trait-0": "x"})

    assert response.status_code == 403
    assert kept() == before
