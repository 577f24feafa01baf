"""The pytest plugin. Loaded in every test run where the package is installed, so it imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .emulator import Emulator


@pytest.fixture
def ms_identity_emulator() -> Iterator[Emulator]:
    """Emulate Microsoft for one test; see ``django_ms_identity.testing.emulator.Emulator``."""
    from .emulator import Emulator

    with Emulator() as emulator:
        yield emulator
