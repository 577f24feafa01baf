"""Groups that a mapper gives and takes, and those that were given by hand."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group

from tests.support.builders import make_claims, make_identity, make_settings

from .updates import groups, program, stored_identity, updated

pytestmark = pytest.mark.django_db


@pytest.fixture
def three_groups():
    return [Group.objects.create(name=name) for name in ("by hand", "first", "second")]


def test_groups_are_joined_and_left_as_the_mapper_says(three_groups):
    identity = make_identity()
    identity.user.groups.add(three_groups[0])

    identity = updated(identity, program(user={"groups": ["first", "unknown"]}))
    assert (groups(identity), identity.granted_groups) == (["by hand", "first"], ["first"])

    identity = updated(identity, program(user={"groups": ["second"]}))
    assert (groups(identity), identity.granted_groups) == (["by hand", "second"], ["second"])

    identity = updated(identity, program(user={"groups": []}))
    assert (groups(identity), identity.granted_groups) == (["by hand"], [])
    assert Group.objects.count() == 3


def test_groups_are_made_where_the_settings_say_so(settings):
    settings.MS_IDENTITY = make_settings(CREATE_GROUPS=True)
    identity = stored_identity()

    identity = updated(identity, program(user={"groups": ["new", "", "x" * 151]}))
    assert (groups(identity), identity.granted_groups) == (["new"], ["new"])

    identity = updated(identity, program(user={"groups": []}))
    assert (groups(identity), identity.granted_groups) == ([], [])
    assert Group.objects.filter(name="new").exists()


def test_a_group_that_was_given_by_hand_stays_though_the_mapper_listed_it(three_groups):
    identity = make_identity()
    identity.user.groups.add(three_groups[0])

    identity = updated(identity, program(user={"groups": ["by hand"]}))
    identity = updated(identity, program(user={"groups": []}))

    assert groups(identity) == ["by hand"]


@pytest.mark.parametrize("user", [None, {}, {"first_name": "New"}])
def test_groups_stay_when_the_mapper_says_nothing_of_them(three_groups, user):
    identity = stored_identity(granted_groups=["first"])
    identity.user.groups.add(three_groups[1])

    identity = updated(identity, program(user=user, traits={"a": 1}))

    assert (groups(identity), identity.granted_groups) == (["first"], ["first"])


@pytest.mark.parametrize(
    "overage", [{"_claim_names": {"groups": "src1"}}, {"hasgroups": True}, {"hasgroups": "true"}]
)
def test_overage_leaves_groups_as_they_are_with_a_warning(three_groups, overage, caplog):
    identity = stored_identity(granted_groups=["first"])
    identity.user.groups.add(three_groups[1])

    identity = updated(
        identity, program(user={"groups": ["second"], "first_name": "New"}), claims=make_claims(**overage)
    )

    assert (groups(identity), identity.user.first_name) == (["first"], "New")
    assert "overage" in caplog.text


@pytest.mark.parametrize("claims", [{"_claim_names": {"roles": "src1"}}, {"hasgroups": False}])
def test_groups_that_fit_into_the_token_are_followed(three_groups, claims):
    identity = updated(make_identity(), program(user={"groups": ["first"]}), claims=make_claims(**claims))

    assert groups(identity) == ["first"]
