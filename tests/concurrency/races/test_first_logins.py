"""Somebody new comes many times at once, or several new people do who have something in common."""

from __future__ import annotations

from functools import partial

import pytest
from django.contrib.auth import get_user_model

from django_ms_identity.models import Credential, Identity
from tests.journeys.steps import pick, rows
from tests.support.builders import make_mapper, make_schema
from tests.support.web import Browser

from .crowd import code_of, copy_of, make_settings, statuses, together, who

pytestmark = pytest.mark.django_db(transaction=True)

THREADS = 16


def arrivals(emulator, *personas):
    """Let a browser for each persona choose it at Microsoft; return the browsers and their ways back."""
    browsers = [Browser() for _ in personas]
    calls = [partial(pick(it, emulator, who).send, it) for it, who in zip(browsers, personas, strict=True)]
    return browsers, calls


def test_one_subject_in_sixteen_threads_is_one_identity_and_everybody_is_in(ms_identity_emulator):
    browsers, calls = arrivals(ms_identity_emulator, *["work"] * THREADS)

    responses = together(*calls)

    assert {(it.status_code, it.headers.get("Location")) for it in responses} == {(302, "/home/")}
    kept = rows()
    # The project may keep its sessions elsewhere than in rows.
    del kept["Session"]
    assert kept == {"User": 1, "Identity": 1, "Credential": 1, "SignIn": THREADS}
    assert len({it.cookies["sessionid"].value for it in browsers}) == THREADS
    assert {who(it) for it in browsers} == {"ines.okafor@contoso.example"}
    assert Identity.objects.get().verifiable_addresses.count() == 1


def test_the_keys_are_fetched_once_for_sixteen_threads(ms_identity_emulator):
    _, calls = arrivals(ms_identity_emulator, *["work"] * THREADS)

    together(*calls)

    keys = [url for _, url in ms_identity_emulator.requests if url.endswith("/keys")]
    assert len(keys) == 1


def test_different_people_do_not_stand_in_each_others_way(ms_identity_emulator):
    people = [
        ms_identity_emulator.persona(
            "work",
            id=f"person-{number}",
            username=f"person-{number}@contoso.example",
            email=f"person-{number}@contoso.example",
        )
        for number in range(THREADS)
    ]
    browsers, calls = arrivals(ms_identity_emulator, *people)

    responses = together(*calls)

    assert statuses(responses) == [302] * THREADS
    assert rows()["Identity"] == THREADS
    assert [who(it) for it in browsers] == [it.username for it in people]


def test_two_people_with_one_address_never_share_an_account(ms_identity_emulator):
    """Both may be registered, where the user model's e-mail column is not unique; the next one is asked."""
    people = [
        ms_identity_emulator.persona("work", id=f"person-{number}", username=f"person-{number}")
        for number in range(3)
    ]
    browsers, calls = arrivals(ms_identity_emulator, *people)

    responses = together(*calls[:2])

    assert {it.headers["Location"] for it in responses} <= {"/home/", "/ms/confirm-link/"}
    for number, response in enumerate(responses):
        registered = response.headers["Location"] == "/home/"
        assert who(browsers[number]) == (f"person-{number}" if registered else "nobody")
    assert calls[2]().headers["Location"] == "/ms/confirm-link/"
    assert who(browsers[2]) == "nobody"


def test_people_who_want_the_same_user_name_all_get_one(ms_identity_emulator, settings):
    mapper = make_mapper("{identity: {traits: {}}, user: {username: 'same'}}")
    settings.MS_IDENTITY = make_settings({"mapper_url": mapper})
    people = [ms_identity_emulator.persona("work", id=f"person-{number}") for number in range(4)]
    _, calls = arrivals(ms_identity_emulator, *people)

    responses = together(*calls)

    assert statuses(responses) == [302] * 4
    names = sorted(get_user_model().objects.values_list("username", flat=True))
    assert names[0] == "same"
    assert {name[:5] for name in names[1:]} == {"same-"}


def test_new_groups_of_many_people_are_made_once(ms_identity_emulator, settings):
    mapper = make_mapper(
        "{identity: {traits: {}}, user: {username: std.extVar('claims').sub, groups: ['one', 'two']}}"
    )
    settings.MS_IDENTITY = make_settings(
        {"mapper_url": mapper, "privileged_tenants": ["8eaef023-2b34-4da1-9baa-8bc8c9d6a490"]},
        CREATE_GROUPS=True,
    )
    people = [ms_identity_emulator.persona("work", id=f"person-{number}") for number in range(8)]
    _, calls = arrivals(ms_identity_emulator, *people)

    responses = together(*calls)

    assert statuses(responses) == [302] * 8
    for identity in Identity.objects.all():
        assert sorted(identity.user.groups.values_list("name", flat=True)) == ["one", "two"]
        assert identity.granted_groups == ["one", "two"]


def test_the_form_of_a_new_person_sent_twice_at_once_is_one_identity(ms_identity_emulator, settings):
    _ask_for_the_team(settings)
    browser = Browser()
    form = _form(ms_identity_emulator, browser)

    responses = together(*(partial(it.post, "/ms/complete/", form) for it in (browser, copy_of(browser))))

    # Whoever is second may find the session renamed by the first: nothing waits there any more.
    assert 302 in statuses(responses)
    assert all(it.status_code == 302 or code_of(it) == "pending_missing" for it in responses)
    assert (Identity.objects.count(), Credential.objects.count()) == (1, 1)


def test_the_form_of_one_subject_in_two_browsers_lets_both_in(ms_identity_emulator, settings):
    _ask_for_the_team(settings)
    browsers = Browser(), Browser()
    forms = [_form(ms_identity_emulator, browser) for browser in browsers]

    responses = together(
        *(partial(it.post, "/ms/complete/", form) for it, form in zip(browsers, forms, strict=True))
    )

    assert statuses(responses) == [302, 302]
    assert (Identity.objects.count(), Credential.objects.count()) == (1, 1)
    assert {who(it) for it in browsers} == {Identity.objects.get().user.get_username()}


def _ask_for_the_team(settings):
    settings.MS_IDENTITY = make_settings(
        {"mapper_url": make_mapper("{identity: {traits: {}}}")},
        IDENTITY_SCHEMA_URL=make_schema({"team": {"type": "string", "title": "Team"}}, required=["team"]),
    )


def _form(emulator, browser):
    assert pick(browser, emulator).send(browser).headers["Location"] == "/ms/complete/"
    context = browser.get("/ms/complete/").context
    (field,) = context["form"]
    return {"ticket": context["ticket"], field.html_name: "Blue"}
