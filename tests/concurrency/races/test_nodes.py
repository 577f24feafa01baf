"""Several servers behind one database and one cache."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model

from django_ms_identity.models import Credential, Identity, SignIn
from tests.support import servers

from .nodes import START, cluster

pytestmark = pytest.mark.django_db(transaction=True)
one_cache = pytest.mark.skipif(servers.CACHE != "redis", reason="the nodes need one cache: TEST_CACHE=redis")


def test_one_subject_in_four_processes_is_one_identity_and_everybody_is_in():
    with cluster(4) as running:
        ways = []
        for node in running.nodes:
            started = node.open(START)
            ways.append((node, running.choose(started["location"]), started["cookies"]))

        for node, url, cookies in ways:
            node.ask(url, cookies)
        answers = [node.answer() for node in running.nodes]

    assert {(it["status"], it["location"]) for it in answers} == {(302, "/home/")}
    assert {it["who"] for it in answers} == {"ines.okafor@contoso.example"}
    assert (get_user_model().objects.count(), Identity.objects.count(), Credential.objects.count()) == (
        1,
        1,
        1,
    )
    assert SignIn.objects.count() == 4


def test_a_login_that_started_on_one_ends_on_the_other():
    with cluster(2) as running:
        one, other = running.nodes
        started = one.open(START)

        ended = other.open(running.choose(started["location"]), started["cookies"])
        afterwards = one.open("http://testserver/home/", ended["cookies"])

    assert (ended["status"], ended["location"]) == (302, "/home/")
    assert afterwards["who"] == "ines.okafor@contoso.example"


@one_cache
def test_a_state_that_was_used_on_one_is_refused_by_the_other():
    with cluster(2) as running:
        one, other = running.nodes
        started = one.open(START)
        back = running.choose(started["location"])
        one.open(back, started["cookies"])

        again = other.open(back, started["cookies"])

    assert (again["status"], again["code"], again["who"]) == (400, "flow_replayed", "nobody")
    assert SignIn.objects.count() == 1


@one_cache
def test_of_one_state_at_two_nodes_at_once_one_is_let_in():
    with cluster(2) as running:
        started = running.nodes[0].open(START)
        back = running.choose(started["location"])

        for node in running.nodes:
            node.ask(back, started["cookies"])
        answers = [node.answer() for node in running.nodes]

    assert sorted(it["code"] for it in answers) == ["", "flow_replayed"]
    assert SignIn.objects.count() == 1


def test_a_state_cannot_be_used_twice_even_where_the_nodes_share_no_cache():
    """Microsoft redeems a code once."""
    with cluster(2) as running:
        one, other = running.nodes
        started = one.open(START)
        back = running.choose(started["location"])
        one.open(back, started["cookies"])

        again = other.open(back, started["cookies"])

    assert again["code"] in ("flow_replayed", "code_expired")
    assert again["who"] == "nobody"
    assert SignIn.objects.count() == 1


@one_cache
def test_the_signing_keys_are_fetched_once_for_all():
    with cluster(2) as running:
        for node in running.nodes:
            started = node.open(START)
            node.open(running.choose(started["location"]), started["cookies"])

        assert running.asked("/oauth2/v2.0/token") == 2
        assert running.asked("/discovery/v2.0/keys") == 1


def test_a_deactivation_on_one_is_seen_by_the_other():
    with cluster(2) as running:
        one, other = running.nodes
        started = one.open(START)
        ended = one.open(running.choose(started["location"]), started["cookies"])
        Identity.objects.update(state="inactive")

        seen = other.open("http://testserver/home/", ended["cookies"])

    assert seen["who"] == "nobody"


@pytest.mark.parametrize(
    ("dies_at", "people", "sessions"),
    [
        pytest.param("identity_registering", 0, 0, id="before anything is written"),
        pytest.param("identity_registered", 1, 0, id="between commit and session"),
        pytest.param("identity_signed_in", 1, 1, id="after the session was opened"),
    ],
)
def test_who_was_registering_where_a_process_was_killed_simply_signs_in(dies_at, people, sessions):
    with cluster(2) as running:
        one, other = running.nodes
        started = one.open(START)
        one.ask(running.choose(started["location"]), started["cookies"], dies_at=dies_at)
        assert one.was_killed()
        assert (Identity.objects.count(), Credential.objects.count(), SignIn.objects.count()) == (
            people,
            people,
            sessions,
        )

        again = other.open(START, started["cookies"])
        ended = other.open(running.choose(again["location"]), again["cookies"])

    assert (ended["status"], ended["location"]) == (302, "/home/")
    assert ended["who"] == "ines.okafor@contoso.example"
    assert (get_user_model().objects.count(), Identity.objects.count(), Credential.objects.count()) == (
        1,
        1,
        1,
    )
