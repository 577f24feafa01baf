"""What becomes of a verified login. The decision reads nothing, so a sign-in and a dry run share it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.contrib.auth import get_user_model

from django_ms_identity import conf
from django_ms_identity.identities.sign_in_decision import Action, decide
from django_ms_identity.models import Credential, Identity
from django_ms_identity.traits.problems import ProblemKind, TraitProblem
from tests.support.builders import TENANT, make_claims, make_context

OTHER = "3cd30985-3b6d-4c4e-8cfa-3ae2b2a31f8c"
MISSING = (TraitProblem(kind=ProblemKind.MISSING, path=("team",)),)


def known(*, tenant=TENANT, state="active", is_active=True):
    user = get_user_model()(username="ines", is_active=is_active)
    return Credential(pk=7, tenant=tenant, identity=Identity(user=user, state=state))


def codes(decision):
    return [refusal.code for refusal in decision.refusals]


def closed():
    return make_context(config=replace(conf.get_config(), registration_enabled=False))


def test_decision_signs_a_known_credential_in():
    assert decide(make_context(), credential=known()).action is Action.SIGN_IN


def test_decision_admits_a_known_credential_without_a_tenant():
    assert decide(make_context(), credential=known(tenant="")).action is Action.SIGN_IN


@pytest.mark.parametrize(
    ("credential", "code"),
    [
        (known(tenant=OTHER), "tenant_changed"),
        (known(state="inactive"), "identity_inactive"),
        (known(is_active=False), "user_inactive"),
    ],
)
def test_decision_refuses_a_known_credential(credential, code):
    decision = decide(make_context(claims=make_claims()), credential=credential)

    assert (decision.action, codes(decision)) == (Action.REFUSE, [code])


def test_decision_names_every_refusal_of_a_known_credential():
    decision = decide(make_context(), credential=known(tenant=OTHER, state="inactive", is_active=False))

    assert codes(decision) == ["tenant_changed", "identity_inactive", "user_inactive"]


def test_decision_registers_a_new_subject():
    assert decide(make_context(), credential=None).action is Action.REGISTER


def test_decision_asks_a_new_subject_for_missing_traits():
    assert decide(make_context(), credential=None, problems=MISSING).action is Action.COMPLETE


def test_decision_refuses_a_new_subject_while_registration_is_off():
    decision = decide(closed(), credential=None, problems=MISSING)

    assert (decision.action, codes(decision)) == (Action.REFUSE, ["registration_disabled"])


@pytest.mark.parametrize("context", [make_context, closed])
def test_decision_asks_to_confirm_a_link_to_an_owner_of_the_address(context):
    """Also while registration is off: the account is not a new one."""
    owner = get_user_model()(pk=5)

    decision = decide(context(), credential=None, owners=(owner,), problems=MISSING)

    assert (decision.action, decision.owners) == (Action.CONFIRM_LINK, (owner,))


def test_decision_links_at_once_only_whom_automatic_linking_allows():
    owner = get_user_model()(pk=5)

    decision = decide(make_context(), credential=None, owners=(owner,), linked_at_once=owner)

    assert (decision.action, decision.refusals) == (Action.LINK, ())
