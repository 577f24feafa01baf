"""The values that the settings are parsed into; times are in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from django_ms_identity.entra.providers import Provider
from django_ms_identity.exceptions import ConfigurationInvalid, ProviderUnknown
from django_ms_identity.net.urls import HttpUrl

from .reader import ConfigIssue
from .web_hook_settings import WebHook


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """One entry of ``HOOKS``: a built-in name or a dotted path."""

    name: str
    web_hook: WebHook | None = None
    """What a ``web_hook`` sends and where; the others have none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything a project can set."""

    enabled: bool
    providers: tuple[Provider, ...]
    base_redirect_uri: str
    hooks: Mapping[str, tuple[Hook, ...]] = field(hash=False)
    create_groups: bool
    """Whether groups that a mapper names and that do not exist are created."""
    identity_schema_url: str = field(repr=False)
    """Empty: any traits are valid. Not shown: it may hold the whole schema or a signed URL."""
    registration_enabled: bool
    allowed_return_urls: tuple[HttpUrl, ...]
    flow_lifespan: float
    privileged_session_max_age: float
    mapper_timeout: float
    http_timeout: tuple[float, float]
    emulator_url: str

    def provider(self, provider_id: str) -> Provider:
        """Return a provider by its id, or raise ``ProviderUnknown``."""
        for provider in self.providers:
            if provider.id == provider_id:
                return provider
        raise ProviderUnknown("no provider of this id is configured")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """The outcome of a parse, for the system checks."""

    config: Config
    faults: tuple[ConfigIssue, ...]
    warnings: tuple[ConfigIssue, ...]

    def valid_config(self) -> Config:
        """Return the configuration, or raise ``ConfigurationInvalid`` with all faults."""
        if self.faults:
            raise ConfigurationInvalid(*map(str, self.faults))
        return self.config
