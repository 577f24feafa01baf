"""The transaction scripts of linking, asked in another order than pages do, or by another backend."""

from __future__ import annotations

import pytest
from django.contrib.auth import BACKEND_SESSION_KEY, get_user_model
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.db import IntegrityError, connection
from django.test import RequestFactory

from django_ms_identity import conf, sessions
from django_ms_identity.exceptions import CredentialMissing, LastCredential, UserInactive
from django_ms_identity.identities.linking import credentials as linking
from django_ms_identity.models import Credential, Identity
from tests.journeys.steps import unquoted
from tests.support.builders import make_claims, make_context, make_identity, make_mapped

pytestmark = pytest.mark.django_db


@pytest.fixture
def request_():
    request = RequestFactory().get("/")
    request.session = SessionStore()
    request.user = AnonymousUser()
    return request


def make_user(**fields):
    return get_user_model().objects.create_user("ines", **fields)


def link(request, user, subject="subject"):
    context = make_context(claims=make_claims(sub=subject), subject=subject, request=request)
    return linking.link_credential(context, user, make_mapped())


def test_linking_refuses_an_inactive_user(request_):
    user = make_user(is_active=False)

    with pytest.raises(UserInactive):
        link(request_, user)

    assert (Identity.objects.count(), Credential.objects.count()) == (0, 0)


def test_linking_refuses_a_user_who_was_deleted_meanwhile(request_):
    user = make_user()
    get_user_model().objects.all().delete()

    with pytest.raises(UserInactive):
        link(request_, user)


def test_linking_once_more_changes_nothing(request_):
    user = make_user()

    assert link(request_, user) == link(request_, user)
    assert Credential.objects.count() == 1


def test_unlinking_refuses_a_user_without_an_identity(request_):
    with pytest.raises(CredentialMissing):
        linking.unlink_credential(request_, conf.get_config(), identity=None, credential=1)


class Tokens:
    """An authentication backend of a project's own, which takes no password."""

    def get_user(self, user_id):
        return get_user_model().objects.get(pk=user_id)


def made_by_a_function():
    """AUTHENTICATION_BACKENDS may name whatever can be called."""
    return Tokens()


TOKENS = f"{__name__}.Tokens"
FUNCTION = f"{__name__}.made_by_a_function"
MODEL = "django.contrib.auth.backends.ModelBackend"


@pytest.mark.parametrize(
    ("installed", "here", "counts"),
    [
        pytest.param([MODEL, sessions.BACKEND, TOKENS], TOKENS, True, id="a backend of the project's"),
        pytest.param([MODEL, sessions.BACKEND, FUNCTION], FUNCTION, True, id="one that a function makes"),
        pytest.param([MODEL, sessions.BACKEND], TOKENS, False, id="one that is installed no more"),
        pytest.param([MODEL, sessions.BACKEND, TOKENS], MODEL, False, id="Django's, without a password"),
        pytest.param([MODEL, sessions.BACKEND, TOKENS], sessions.BACKEND, False, id="our own"),
        pytest.param([MODEL, sessions.BACKEND, TOKENS], None, False, id="none"),
    ],
)
def test_unlinking_counts_the_backend_of_this_session_as_a_way_in(
    request_, settings, installed, here, counts
):
    settings.AUTHENTICATION_BACKENDS = installed
    identity = make_identity(username="ines")
    if here:
        request_.session[BACKEND_SESSION_KEY] = here
    credential = identity.credentials.get()

    assert linking.may_unlink(request_, conf.get_config(), credential) is counts
    if counts:
        linking.unlink_credential(request_, conf.get_config(), identity=identity, credential=credential.pk)
    else:
        with pytest.raises(LastCredential):
            linking.unlink_credential(
                request_, conf.get_config(), identity=identity, credential=credential.pk
            )
    assert Credential.objects.count() == (0 if counts else 1)


@pytest.mark.kratos(68)
def test_unlinking_counts_another_account_as_a_way_in(request_):
    identity = make_identity(username="ines")
    user = get_user_model().objects.get()
    link(request_, user, "second")
    first, second = identity.credentials.order_by("pk")

    assert linking.may_unlink(request_, conf.get_config(), first)
    linking.unlink_credential(request_, conf.get_config(), identity=identity, credential=first.pk)
    assert not linking.may_unlink(request_, conf.get_config(), second)


def test_linking_that_lost_a_race_to_a_credential_that_is_gone_is_refused(request_):
    def refuse(execute, sql, params, many, context):
        if unquoted(sql).startswith("INSERT INTO ms_identity_credential"):
            raise IntegrityError
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse), pytest.raises(UserInactive):
        link(request_, make_user())

    assert not Credential.objects.exists()
