from __future__ import annotations

import uuid

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.http import HttpResponse
from django.test import AsyncRequestFactory
from django.test.utils import CaptureQueriesContext

from django_ms_identity.backends import IdentityBackend
from django_ms_identity.models import Identity
from tests.support.builders import make_identity, make_settings

pytestmark = pytest.mark.django_db


def test_the_user_of_an_active_identity_is_known():
    identity = make_identity()

    assert IdentityBackend().get_user(identity.user.pk) == identity.user


def test_user_and_identity_are_one_query():
    identity = make_identity()

    with CaptureQueriesContext(connection) as context:
        user = IdentityBackend().get_user(identity.user.pk)
        assert user.ms_identity.is_active

    assert len(context) == 1


def test_an_inactive_identity_is_nobody():
    identity = make_identity()
    Identity.objects.update(state="inactive")

    assert IdentityBackend().get_user(identity.user.pk) is None


def test_an_inactive_user_is_nobody():
    identity = make_identity(is_active=False)

    assert IdentityBackend().get_user(identity.user.pk) is None


def test_a_user_without_an_identity_is_nobody():
    user = get_user_model().objects.create_user("local")

    assert IdentityBackend().get_user(user.pk) is None


@pytest.mark.parametrize("key", [None, "", "x", 0, -1, "1 OR 1=1", uuid.uuid4(), [], {}, 1.5])
def test_an_odd_key_is_nobody(key):
    assert IdentityBackend().get_user(key) is None


def test_nobody_is_known_while_sign_in_is_off(settings):
    identity = make_identity()
    settings.MS_IDENTITY = make_settings(ENABLED=False)

    assert IdentityBackend().get_user(identity.user.pk) is None


def test_async_code_sees_the_same():
    """ModelBackend's own aget_user would look at the user alone."""
    identity = make_identity()
    backend = IdentityBackend()

    assert async_to_sync(backend.aget_user)(identity.user.pk) == identity.user

    Identity.objects.update(state="inactive")
    assert async_to_sync(backend.aget_user)(identity.user.pk) is None


def test_an_async_view_sees_nobody_after_deactivation(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)
    Identity.objects.update(state="inactive")
    request = AsyncRequestFactory().get("/")
    request.session = client.session

    async def view():
        from django.contrib.auth import aget_user

        user = await aget_user(request)
        return HttpResponse(user.get_username())

    assert async_to_sync(view)().content == b""


@pytest.mark.parametrize("credentials", [{}, {"username": "user of subject", "password": ""}])
def test_nobody_signs_in_with_a_password_here(credentials):
    make_identity()
    backend = IdentityBackend()

    assert backend.authenticate(None, **credentials) is None
    assert async_to_sync(backend.aauthenticate)(None, **credentials) is None


def test_passwords_are_left_to_the_other_backends():
    make_identity(username="both", password="secret")

    user = authenticate(None, username="both", password="secret")

    assert user.backend == "django.contrib.auth.backends.ModelBackend"


def test_permissions_are_model_backends():
    identity = make_identity()
    permission = Permission.objects.get(codename="view_identity")
    identity.user.user_permissions.add(permission)

    user = IdentityBackend().get_user(identity.user.pk)

    assert user.has_perm("ms_identity.view_identity")
    assert not user.has_perm("ms_identity.delete_identity")
