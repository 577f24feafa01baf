"""Builds the process's long-lived objects from the configuration, and keeps them by its values."""

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
from .jsonnet.sources import Sources, fetched_sources
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


def sources() -> Sources:
    """Return the reader of mappers, schemas and bodies; by plain http only while developing."""
    config = conf.get_config()
    return Sources(
        documents=_fetched_sources(config.http_timeout, config.emulator_url), allow_http=settings.DEBUG
    )


def identity_schema() -> IdentitySchema | None:
    """Return the identity schema as it is now, or nothing where all traits are valid.

    Raises ``SchemaUnavailable`` or ``SchemaInvalid``.
    """
    url = conf.get_config().identity_schema_url
    if not url:
        return None
    # jsonschema takes its time to import, and most projects have no schema.
    from .traits.schema import load_schema

    return load_schema(url, sources=sources())


def reset() -> None:
    """Drop every copy and connection of this process, as in a new process."""
    _keyring.cache_clear()
    _transport.cache_clear()
    _documents.cache_clear()
    _fetched_sources.cache_clear()


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


@lru_cache(maxsize=4)
def _fetched_sources(timeout: tuple[float, float], emulator_url: str) -> RemoteDocuments:
    return fetched_sources(_transport(timeout, emulator_url))


if hasattr(os, "register_at_fork"):
    # Locks that another thread held during a fork would stay locked in the child.
    os.register_at_fork(after_in_child=reset)
