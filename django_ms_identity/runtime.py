"""Build the process's long-lived objects from the configuration, and keep them by its values."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.cache import cache

from .cache import SharedCache
from .conf import Config
from .crypto import Keyring
from .jsonnet import worker_pool
from .jsonnet.json_values import JSON
from .jsonnet.source_urls import display_url
from .jsonnet.sources import Sources, fetched_sources
from .net.http import HttpClient
from .net.remote_documents import RemoteDocuments
from .sign_in_context import SignInContext
from .traits import mapping_result, python_mapper
from .traits.mapper_claims import mapper_claims
from .traits.mapping_result import MappingResult

if TYPE_CHECKING:
    from .traits.schema import IdentitySchema

EMPTY_IDENTITY: Mapping[str, JSON] = {
    "traits": {},
    "metadata_public": {},
    "metadata_admin": {},
    "self_asserted": [],
}
"""What a mapper sees in ``std.extVar('identity')`` of a person who is not known yet."""


def map_claims(
    context: SignInContext, identity: Mapping[str, JSON] = EMPTY_IDENTITY, *, explain: bool = False
) -> MappingResult:
    """Run the provider's mapper over the claims of a verified login.

    ``identity`` is what is stored now. ``explain`` puts the engine's or the exception's own words, which may
    hold claims, into the hint of an error. Mappers are pure and may run twice. Raises ``ClaimsInvalid``;
    a subclass of ``MapperFailed``; or, from a mapper in Python, ``RegistrationRefused`` or
    ``SignInRefused``.
    """
    provider, config = context.provider, context.config
    claims = mapper_claims(context.claims.payload, subject=context.subject)
    if provider.mapper:
        output = python_mapper.evaluate(
            provider.mapper, claims=claims, identity=identity, explain=explain or settings.DEBUG
        )
    else:
        output = worker_pool.evaluate(
            sources(config).read(provider.mapper_url),
            name=display_url(provider.mapper_url),
            claims=claims,
            identity=identity,
            timeout=config.mapper_timeout,
            explain=explain,
        )
    return mapping_result.parse_mapping(output)


def keyring() -> Keyring:
    """Return the keys derived from SECRET_KEY and SECRET_KEY_FALLBACKS."""
    return _keyring((settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


def shared_cache() -> SharedCache:
    """Return Django's default cache, signed and forgiving."""
    return _shared_cache(keyring())


def http_client(config: Config) -> HttpClient:
    """Return the process's pool of connections."""
    return _http_client(config.http_timeout, config.emulator_url)


def documents(config: Config) -> RemoteDocuments:
    """Return the process's copies of Microsoft's keys and metadata."""
    return _documents(config.http_timeout, config.emulator_url, settings.SECRET_KEY)


def sources(config: Config) -> Sources:
    """Return the reader of mappers, schemas and web hooks' bodies; by plain http only while developing."""
    return Sources(
        documents=_fetched_sources(config.http_timeout, config.emulator_url), allow_http=settings.DEBUG
    )


def identity_schema(config: Config) -> IdentitySchema | None:
    """Return the identity schema as it is now, or nothing where any traits are valid.

    Raises ``SchemaUnavailable`` or ``SchemaInvalid``.
    """
    if not config.identity_schema_url:
        return None
    # jsonschema-rs takes its time to import, and most projects have no schema.
    from .traits.schema import load_schema

    return load_schema(config.identity_schema_url, sources=sources(config))


def reset() -> None:
    """Drop every copy and connection of this process, as in a new process."""
    _keyring.cache_clear()
    _shared_cache.cache_clear()
    _http_client.cache_clear()
    _documents.cache_clear()
    _fetched_sources.cache_clear()


@lru_cache(maxsize=4)
def _keyring(secrets: tuple[str, ...]) -> Keyring:
    return Keyring(secrets)


@lru_cache(maxsize=4)
def _shared_cache(keys: Keyring) -> SharedCache:
    return SharedCache(cache, keys)


@lru_cache(maxsize=4)
def _http_client(timeout: tuple[float, float], emulator_url: str) -> HttpClient:
    connect, read = timeout
    return HttpClient(connect=connect, read=read, emulator_url=emulator_url)


@lru_cache(maxsize=4)
def _documents(timeout: tuple[float, float], emulator_url: str, secret: str) -> RemoteDocuments:
    return RemoteDocuments(
        transport=_http_client(timeout, emulator_url),
        shared=shared_cache(),
        now=time.time,
        origin=emulator_url,
    )


@lru_cache(maxsize=4)
def _fetched_sources(timeout: tuple[float, float], emulator_url: str) -> RemoteDocuments:
    return fetched_sources(_http_client(timeout, emulator_url))


if hasattr(os, "register_at_fork"):
    # Locks that another thread held during a fork would stay locked in the child.
    os.register_at_fork(after_in_child=reset)
