"""What a sign-in costs: the exact numbers of statements and of requests to Microsoft."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from django.core.cache import cache

from django_ms_identity import runtime
from tests.support.builders import make_mapper, make_settings
from tests.support.web import Browser

from .steps import pick, press, statements

pytestmark = pytest.mark.django_db

GROUPS = make_mapper("{identity: {traits: {}}, user: {username: 'ines', groups: ['staff', 'unknown']}}")


def costs(client, emulator, persona="work", *, cookies=None, **query):
    """Finish a sign-in; return its statements and its requests to Microsoft."""
    callback = pick(client, emulator, persona, **query)
    client.cookies.load(cookies or {})
    before = len(emulator.requests)
    with statements() as gathered:
        response = callback.send(client)
    assert response.status_code == 302, response.content.decode()
    return gathered, emulator.requests[before:]


def paths(requests):
    return [url.partition("/8eaef023-2b34-4da1-9baa-8bc8c9d6a490")[2] or url for _, url in requests]


@pytest.fixture
def known(ms_identity_emulator):
    """A person who has signed in before; the process is warm."""
    ms_identity_emulator.sign_in(Browser())
    return ms_identity_emulator


def test_start_asks_neither_the_database_nor_microsoft(client, ms_identity_emulator):
    with statements() as gathered:
        response = press(client, next="/home/")

    assert response.status_code == 302
    assert gathered == []
    assert ms_identity_emulator.requests == []


def test_budget_of_a_known_person_in_a_fresh_browser(client, known):
    gathered, requests = costs(client, known)

    assert len(gathered) == 6, gathered
    assert paths(requests) == ["/oauth2/v2.0/token"]


def test_budget_of_a_known_person_with_a_stale_session_cookie(client, known):
    gathered, _ = costs(client, known, cookies={"sessionid": "0123456789abcdefghijklmnopqrstuv"})

    assert len(gathered) == 7, gathered


def test_budget_of_a_known_person_with_an_anonymous_session(client, known):
    session = client.session
    session["cart"] = ["bread"]
    session.save()

    gathered, _ = costs(client, known)

    assert len(gathered) == 9, gathered
    assert client.session["cart"] == ["bread"]


def test_budget_of_a_known_person_with_another_users_session(client, known):
    """Two more than for an anonymous session: who signs out (for the signal), and when (for the audit)."""
    known.sign_in(client, "admin")

    gathered, _ = costs(client, known, prompt="select_account")

    assert len(gathered) == 11, gathered


def test_budget_of_a_known_person_with_cache_sessions(client, known, settings):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"

    gathered, _ = costs(client, known)

    assert len(gathered) == 3, gathered


def test_budget_of_a_new_person(client, known):
    gathered, requests = costs(client, known, "admin")

    assert len(gathered) == 6 + 6, gathered
    assert paths(requests) == ["/oauth2/v2.0/token"]


def test_budget_of_a_new_person_with_groups(client, known, settings):
    settings.MS_IDENTITY = make_settings({"mapper_url": GROUPS})
    staff = Group.objects.create(name="staff")

    gathered, _ = costs(client, known, "admin")

    # No trait is an address, so none is looked up or kept.
    assert len(gathered) == 6 + 3 + 2, gathered
    assert list(staff.user_set.values_list("username", flat=True)) == ["ines"]


def test_the_first_sign_in_of_a_process_fetches_the_keys(client, ms_identity_emulator):
    _, requests = costs(client, ms_identity_emulator)

    assert paths(requests) == ["/oauth2/v2.0/token", "/discovery/v2.0/keys"]


def test_a_new_process_beside_a_warm_cache_fetches_nothing(client, known):
    runtime.reset()

    _, requests = costs(client, known)

    assert paths(requests) == ["/oauth2/v2.0/token"]


def test_a_warm_process_beside_an_empty_cache_fetches_nothing(client, known):
    cache.clear()

    _, requests = costs(client, known)

    assert paths(requests) == ["/oauth2/v2.0/token"]


def test_a_domain_is_resolved_once(ms_identity_emulator, settings):
    settings.MS_IDENTITY = make_settings({"microsoft_tenant": "contoso.example"})

    _, first = costs(Browser(), ms_identity_emulator)
    _, second = costs(Browser(), ms_identity_emulator)

    base = "https://login.microsoftonline.com/contoso.example"
    assert [url for _, url in first] == [
        f"{base}/oauth2/v2.0/token",
        f"{base}/v2.0/.well-known/openid-configuration",
        f"{base}/discovery/v2.0/keys",
    ]
    assert [url for _, url in second] == [f"{base}/oauth2/v2.0/token"]


def test_graph_is_asked_where_it_names_the_subject(ms_identity_emulator, settings):
    settings.MS_IDENTITY = make_settings({"subject_source": "me"})
    ms_identity_emulator.sign_in(Browser())

    _, requests = costs(Browser(), ms_identity_emulator)

    assert paths(requests) == ["/oauth2/v2.0/token", "https://graph.microsoft.com/v1.0/me"]


def test_a_repeated_callback_asks_microsoft_nothing(client, known):
    callback = pick(client, known)
    callback.send(client)
    before = len(known.requests)

    callback.send(client)

    assert known.requests[before:] == []
