"""Accounts are connected and disconnected at the same moment."""

from __future__ import annotations

from functools import partial

import pytest
from django.contrib.auth import get_user_model

from django_ms_identity.models import Credential, Identity, SignIn
from tests.journeys.steps import pick
from tests.support.web import Browser

from .crowd import chosen, code_of, copy_of, make_settings, signed_in_here, statuses, together, who

pytestmark = pytest.mark.django_db(transaction=True)

SECOND = {"id": "second", "client_id": "99999999-2222-3333-4444-555555555555"}
ROUNDS = 4
"""Where two ends are right, a test looks at both."""


@pytest.fixture
def people():
    return [get_user_model().objects.create_user(name, password="pw") for name in ("ann", "ben")]


@pytest.fixture
def two_accounts(settings, ms_identity_emulator):
    """Return somebody's browsers, each signed in by another account of theirs; there is no password."""
    settings.MS_IDENTITY = make_settings({}, SECOND)
    first, second = Browser(), Browser()
    ms_identity_emulator.sign_in(first)
    chosen(first, ms_identity_emulator, "admin", provider="second").send(first)
    ms_identity_emulator.sign_in(second, "admin", provider="second")
    assert who(first) == who(second) != "nobody"
    return first, second


def unlink(provider):
    return f"/ms/connections/{Credential.objects.get(provider=provider).pk}/unlink/"


@pytest.mark.usefixtures("people")
def test_two_users_who_connect_one_account_get_it_once(ms_identity_emulator):
    browsers = [signed_in_here(name) for name in ("ann", "ben")]

    responses = together(*(partial(chosen(it, ms_identity_emulator).send, it) for it in browsers))

    assert sorted(map(code_of, responses)) == ["", "credential_taken"]
    assert statuses(responses) == [302, 409]
    owner = Credential.objects.get().identity
    # Who came too late has no empty identity left over.
    assert Identity.objects.get() == owner
    assert [who(it) for it in browsers] == ["ann", "ben"]


@pytest.mark.usefixtures("people")
def test_one_user_who_connects_one_account_in_many_browsers_has_it_once(ms_identity_emulator):
    browsers = [signed_in_here("ann") for _ in range(8)]

    responses = together(*(partial(chosen(it, ms_identity_emulator).send, it) for it in browsers))

    assert statuses(responses) == [302] * 8
    assert (Identity.objects.count(), Credential.objects.count()) == (1, 1)


@pytest.mark.usefixtures("people")
def test_one_user_who_connects_two_accounts_at_once_has_one_identity(ms_identity_emulator):
    browsers = [signed_in_here("ann") for _ in range(2)]

    responses = together(
        *(
            partial(chosen(it, ms_identity_emulator, persona).send, it)
            for it, persona in zip(browsers, ("work", "admin"), strict=True)
        )
    )

    assert statuses(responses) == [302, 302]
    assert (Identity.objects.count(), Credential.objects.count()) == (1, 2)


@pytest.mark.parametrize("attempt", range(ROUNDS))
def test_the_last_two_accounts_are_never_both_disconnected(two_accounts, attempt):
    first, second = two_accounts

    responses = together(
        partial(first.post, unlink("second")),
        partial(second.post, unlink("microsoft")),
    )

    assert Credential.objects.count() == 1
    # The session of whoever is second may end under its request: Django then answers 400.
    assert max(statuses(responses)) < 500
    assert 302 in statuses(responses)


@pytest.mark.parametrize("attempt", range(ROUNDS))
def test_an_account_disconnected_twice_at_once_is_gone_once(two_accounts, attempt):
    first, _ = two_accounts

    responses = together(*(partial(it.post, unlink("second")) for it in (first, copy_of(first))))

    assert Credential.objects.get().provider == "microsoft"
    assert sorted(map(code_of, responses)) in (["", "credential_missing"], ["", ""])
    assert who(first) != "nobody"


@pytest.mark.parametrize("attempt", range(ROUNDS))
def test_connecting_one_while_the_other_is_disconnected_leaves_a_way_in(
    ms_identity_emulator, settings, attempt
):
    settings.MS_IDENTITY = make_settings({}, SECOND)
    browser = Browser()
    ms_identity_emulator.sign_in(browser)
    link = chosen(browser, ms_identity_emulator, "admin", provider="second")
    other = copy_of(browser)

    responses = together(partial(link.send, browser), partial(other.post, unlink("microsoft")))

    assert max(statuses(responses)) < 500
    assert Credential.objects.filter(provider="second").exists()
    assert Identity.objects.count() == 1


@pytest.mark.parametrize("attempt", range(ROUNDS))
def test_nobody_is_in_by_an_account_that_was_disconnected_while_it_signed_in(
    ms_identity_emulator, people, attempt
):
    owner, visitors = signed_in_here("ann"), [Browser() for _ in range(4)]
    chosen(owner, ms_identity_emulator).send(owner)
    arrivals = [partial(pick(it, ms_identity_emulator).send, it) for it in visitors]
    people[0].email = "ines.okafor@contoso.example"
    people[0].save()

    removed, *responses = together(partial(owner.post, unlink("microsoft")), *arrivals)

    assert removed.status_code == 302
    assert not Credential.objects.exists()
    assert max(statuses(responses)) < 500
    assert [who(it) for it in visitors] == ["nobody"] * 4
    assert not SignIn.objects.filter(credential__isnull=False).exists()


def test_a_link_that_is_confirmed_twice_at_once_is_one_link(ms_identity_emulator, people):
    people[0].email = "ines.okafor@contoso.example"
    people[0].save()
    browser = Browser()
    pick(browser, ms_identity_emulator).send(browser)
    assert browser.login(username="ann", password="pw")
    form = {"ticket": browser.get("/ms/confirm-link/").context["ticket"]}

    responses = together(*(partial(it.post, "/ms/confirm-link/", form) for it in (browser, copy_of(browser))))

    assert 302 in statuses(responses)
    assert all(it.status_code == 302 or code_of(it) == "pending_missing" for it in responses)
    assert Credential.objects.get().identity.user == people[0]
    assert who(browser) == "ann"
