from __future__ import annotations

from tests.jsonnet.conftest import engine as engine
from tests.jsonnet.conftest import sandbox as sandbox
