from __future__ import annotations

import pytest

from .crowd import make_settings


@pytest.fixture(autouse=True)
def _patient(settings):
    settings.MS_IDENTITY = make_settings()
