"""A server beside the tests' own process, on the same database and cache; see nodes.py."""

import json
import os

from tests.settings import *  # noqa: F403  # but for what follows, the same project
from tests.settings import DATABASES

DEBUG = True  # else EMULATOR_URL is refused
DATABASES["default"]["NAME"] = os.environ["NODE_DATABASE"]
MS_IDENTITY = json.loads(os.environ["NODE_MS_IDENTITY"])
