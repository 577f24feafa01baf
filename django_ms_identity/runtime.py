"""The process's long-lived objects, built from the configuration and kept by its values."""

from __future__ import annotations

import os
import time
from functools import lru_cache
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.cache import cache

from . import conf
from .cache import SharedCache
from .crypto import Keyring
from .net.http import HttpClient
from .net.remote_documents import RemoteDocuments

if TYPE_CHECKING:
    from .traits.schema import IdentitySchema


def keyring() -> Keyring:
    """Return the keys derived from SECRET_KEY and SECRET_KEY_FALLBACKS."""
    return _keyring((settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


def shared_cache() -> SharedCache:
    """Return Django's default cache, signed and forgiving."""
    return SharedCache(cache, keyring())


def http_client() -> HttpClient:
    """Return the process's pool of connections."""
    config = conf.get_config()
    return _transport(config.http_timeout, config.emulator_url)


def documents() -> RemoteDocuments:
    """Return the process's copies of Microsoft's keys and metadata."""
    config = conf.get_config()
    return _documents(config.http_timeout, config.emulator_url, settings.SECRET_KEY)


def identity_schema() -> IdentitySchema | None:
    """Return the identity schema as it is now, or nothing where any traits are valid.

    Raises ``SchemaUnavailable`` or ``SchemaInvalid``.
    """
    url = conf.get_config().identity_schema_url
    if not url:
        return None
    # jsonschema-rs takes its time to import, and most projects have no schema.
    from .traits.schema import load_schema

    return load_schema(url, transport=http_client(), allow_http=allows_http())


def allows_http() -> bool:
    """Say whether mappers and schemas may come over plain http: only while developing."""
    return settings.DEBUG


def reset() -> None:
    """Drop every copy and connection of this process, as a new process would begin."""
    _keyring.cache_clear()
    _transport.cache_clear()
    _documents.cache_clear()


@lru_cache(maxsize=4)
def _keyring(secrets: tuple[str, ...]) -> Keyring:
    return Keyring(secrets)


@lru_cache(maxsize=4)
def _transport(timeout: tuple[float, float], emulator_url: str) -> HttpClient:
    connect, read = timeout
    return HttpClient(connect=connect, read=read, emulator_url=emulator_url)


@lru_cache(maxsize=4)
def _documents(timeout: tuple[float, float], emulator_url: str, secret: str) -> RemoteDocuments:
    return RemoteDocuments(
        transport=_transport(timeout, emulator_url),
        shared=shared_cache(),
        now=time.time,
        origin=emulator_url,
    )


if hasattr(os, "register_at_fork"):
    # Locks that another thread held during a fork would stay locked in the child.
    os.register_at_fork(after_in_child=reset)
