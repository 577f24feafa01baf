from __future__ import annotations

from tests.entra.conftest import wire as wire
