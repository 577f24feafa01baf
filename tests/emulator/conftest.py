from __future__ import annotations

import pytest
from django.test import Client

from django_ms_identity.emulator import CLIENT_ID, CLIENT_SECRET
from django_ms_identity.emulator.microsoft import ENVIRON_KEY, Microsoft

from .wire import NOW, Wire


@pytest.fixture
def microsoft() -> Microsoft:
    return Microsoft(clients={CLIENT_ID: CLIENT_SECRET, "other-client": "other-secret"}, clock=lambda: NOW[0])


@pytest.fixture(autouse=True)
def _start_of_time() -> None:
    NOW[0] = 1_800_000_000.0


@pytest.fixture
def wire(microsoft: Microsoft, settings) -> Wire:
    """Call the emulator from within the process, which may ask without DEBUG."""
    settings.ROOT_URLCONF = "django_ms_identity.testing.urls"
    return Wire(Client(**{ENVIRON_KEY: microsoft}))
