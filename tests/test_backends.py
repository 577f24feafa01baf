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


def test_backend_finds_the_user_of_an_active_identity():
    identity = make_identity()

    assert IdentityBackend().get_user(identity.user.pk) == identity.user


def test_backend_asks_for_user_and_identity_once():
    identity = make_identity()

    with CaptureQueriesContext(connection) as context:
        user = IdentityBackend().get_user(identity.user.pk)
        assert user.ms_identity.is_active

    assert len(context) == 1


@pytest.mark.parametrize("why", ["inactive identity", "inactive user", "ENABLED is off"])
def test_backend_does_not_find_who_may_not_come_in(settings, why):
    identity = make_identity(is_active=why != "inactive user")
    if why == "inactive identity":
        Identity.objects.update(state="inactive")
    settings.MS_IDENTITY = make_settings(ENABLED=why != "ENABLED is off")

    assert IdentityBackend().get_user(identity.user.pk) is None


def test_backend_does_not_find_a_user_without_an_identity():
    user = get_user_model().objects.create_user("local")

    assert IdentityBackend().get_user(user.pk) is None


@pytest.mark.parametrize("key", [None, "", "x", 0, -1, "1 OR 1=1", uuid.uuid4(), [], {}, 1.5])
def test_backend_finds_no_user_by_an_odd_key(key):
    assert IdentityBackend().get_user(key) is None


def test_backend_answers_async_code_alike():
    """ModelBackend's own aget_user would look at the user alone."""
    identity = make_identity()
    backend = IdentityBackend()

    assert async_to_sync(backend.aget_user)(identity.user.pk) == identity.user

    Identity.objects.update(state="inactive")
    assert async_to_sync(backend.aget_user)(identity.user.pk) is None


def test_backend_shows_an_async_view_no_user_after_deactivation(client, ms_identity_emulator):
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
def test_backend_takes_no_password(credentials):
    make_identity()
    backend = IdentityBackend()

    assert backend.authenticate(None, **credentials) is None
    assert async_to_sync(backend.aauthenticate)(None, **credentials) is None


def test_backend_leaves_passwords_to_the_others():
    make_identity(username="both", password="secret")

    user = authenticate(None, username="both", password="secret")

    assert user.backend == "django.contrib.auth.backends.ModelBackend"


def test_backend_gives_the_permissions_of_model_backend():
    identity = make_identity()
    permission = Permission.objects.get(codename="view_identity")
    identity.user.user_permissions.add(permission)

    user = IdentityBackend().get_user(identity.user.pk)

    assert user.has_perm("ms_identity.view_identity")
    assert not user.has_perm("ms_identity.delete_identity")
