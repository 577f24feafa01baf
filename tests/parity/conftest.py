from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser

from .steps import WORK


@pytest.fixture
def namesake() -> AbstractBaseUser:
    """Somebody with a password, whose address a Microsoft account has too."""
    return get_user_model().objects.create_user("local", email=WORK, password="pw")


@pytest.fixture
def local(client) -> AbstractBaseUser:
    """Somebody with a password, signed in by it just now."""
    user = get_user_model().objects.create_user("local", password="pw")
    assert client.login(username="local", password="pw")
    return user
