"""The site under load: one database, one cache and one emulator for all of its processes."""

from __future__ import annotations

import base64
import os

import environ

from django_ms_identity.emulator import CLIENT_ID, CLIENT_SECRET, TENANT_ID
from tests import settings as tests

SECRET_KEY = tests.SECRET_KEY
DEBUG = True  # The app talks to an emulator under DEBUG only.
ALLOWED_HOSTS = ["127.0.0.1"]
USE_TZ = True
DEFAULT_AUTO_FIELD = tests.DEFAULT_AUTO_FIELD
INSTALLED_APPS = tests.INSTALLED_APPS
MIDDLEWARE = tests.MIDDLEWARE
TEMPLATES = tests.TEMPLATES
AUTHENTICATION_BACKENDS = tests.AUTHENTICATION_BACKENDS
ROOT_URLCONF = "benchmarks.load.urls"
STATIC_URL = tests.STATIC_URL
LOGIN_REDIRECT_URL = tests.LOGIN_REDIRECT_URL
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "root": {"level": "CRITICAL"},
    "loggers": {"django": {"level": "CRITICAL"}},
}

DATABASES = {"default": environ.Env().db_url("LOAD_DATABASE")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        # Writers wait for each other; a transaction that reads first and then writes could not wait.
        "transaction_mode": "IMMEDIATE",
        "timeout": 30,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;",
    }
CACHES = {
    "default": {
        # A state is used once whichever process sees it, so the processes must share it.
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "load_cache",
        "OPTIONS": {"MAX_ENTRIES": 1_000_000},
    }
}

_HOSTILE = """
local fib(n) = if n < 2 then n else fib(n - 1) + fib(n - 2);
local greedy = std.startsWith(std.extVar('claims').email, 'greedy');
if greedy then std.foldl(function(all, _) all + all, std.range(1, 60), 'x') else fib(90)
"""
_APP = {
    "client_id": CLIENT_ID,
    "client_secret": CLIENT_SECRET,
    "microsoft_tenant": TENANT_ID,
    # So that every sign-in asks for a worker of the sandbox.
    "update_identity_on_login": "automatic",
}
MS_IDENTITY: dict[str, object] = {
    "EMULATOR_URL": os.environ["LOAD_EMULATOR_URL"],
    "PROVIDERS": [
        {"id": "microsoft", **_APP},
        {
            "id": "hostile",
            **_APP,
            "mapper_url": f"base64://{base64.b64encode(_HOSTILE.encode()).decode()}",
        },
    ],
}
