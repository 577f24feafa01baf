"""The project that is measured: that of the tests, on a database and a cache that processes can share."""

from __future__ import annotations

import base64
import os
from importlib.util import find_spec
from pathlib import Path

import environ

from django_ms_identity.emulator import CLIENT_ID, CLIENT_SECRET, TENANT_ID
from tests import settings as tests

FOLDER = Path(os.environ["BENCHMARKS_FOLDER"])
EMULATOR_URL = os.environ.get("BENCHMARKS_EMULATOR_URL", "")
WITH_ADFS = find_spec("django_auth_adfs") is not None

SECRET_KEY = tests.SECRET_KEY
DEBUG = bool(EMULATOR_URL)  # The app talks to an emulator outside the process under DEBUG only.
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
USE_TZ = True
DEFAULT_AUTO_FIELD = tests.DEFAULT_AUTO_FIELD
INSTALLED_APPS = [*tests.INSTALLED_APPS, *(["django_auth_adfs"] if WITH_ADFS else [])]
MIDDLEWARE = tests.MIDDLEWARE
TEMPLATES = tests.TEMPLATES
AUTHENTICATION_BACKENDS = tests.AUTHENTICATION_BACKENDS
ROOT_URLCONF = "benchmarks.urls"
STATIC_URL = tests.STATIC_URL
LOGIN_REDIRECT_URL = tests.LOGIN_REDIRECT_URL
LOGGING = {"version": 1, "disable_existing_loggers": False, "root": {"handlers": [], "level": "CRITICAL"}}

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": FOLDER / "db.sqlite3",
        "CONN_MAX_AGE": None,
        # A commit appends to a file and waits for no disk, so that the machine's disk is not what we measure.
        "OPTIONS": {"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"},
    }
}
if url := os.environ.get("BENCHMARKS_DATABASE"):
    DATABASES["default"] |= environ.Env().db_url_config(url)
    if DATABASES["default"]["ENGINE"] != "django.db.backends.sqlite3":
        del DATABASES["default"]["OPTIONS"]
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    if not EMULATOR_URL
    else {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": FOLDER / "cache"}
}

_WITH_GROUPS = """
local claims = std.extVar('claims');
{
  identity: {
    traits: { email: claims.email },
    verified_addresses: [{ via: 'email', value: claims.email }],
  },
  user: { username: claims.preferred_username, groups: ['editors', 'reviewers'] },
}
"""
_APP = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "microsoft_tenant": TENANT_ID}
MS_IDENTITY: dict[str, object] = {
    "PROVIDERS": [
        {"id": "microsoft", **_APP},
        {"id": "graph", **_APP, "subject_source": "me"},
        {
            "id": "groups",
            **_APP,
            "mapper_url": f"base64://{base64.b64encode(_WITH_GROUPS.encode()).decode()}",
        },
        {"id": "domain", **_APP, "microsoft_tenant": "contoso.example"},
    ]
}
if EMULATOR_URL:
    MS_IDENTITY["EMULATOR_URL"] = EMULATOR_URL

AUTH_ADFS = {
    "AUDIENCE": CLIENT_ID,
    "CLIENT_ID": CLIENT_ID,
    "CLIENT_SECRET": CLIENT_SECRET,
    "CLAIM_MAPPING": {"first_name": "given_name", "last_name": "family_name", "email": "email"},
    "GROUPS_CLAIM": "roles",
    "USERNAME_CLAIM": "upn",
    "TENANT_ID": TENANT_ID,
    "RELYING_PARTY_ID": CLIENT_ID,
    "VERSION": "v2.0",
    "SCOPES": ["openid", "profile", "email"],
}
