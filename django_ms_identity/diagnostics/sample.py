"""Try a provider out on an invented person: mapper, bodies of web hooks, the connection to Microsoft."""

from __future__ import annotations

import time
from collections.abc import Iterator

from django.http import HttpRequest

from django_ms_identity import runtime
from django_ms_identity.conf import Config
from django_ms_identity.entra.clouds import CONSUMER_TENANT, TenantKind
from django_ms_identity.entra.code_exchange import VerifiedLogin
from django_ms_identity.entra.id_token import Claims
from django_ms_identity.entra.jwks import configured_tenant, parse_keys
from django_ms_identity.entra.providers import Provider
from django_ms_identity.exceptions import MapperBusy, WebHookFailed
from django_ms_identity.hooks import web_hook
from django_ms_identity.net.remote_documents import RemoteDocuments
from django_ms_identity.sign_in_context import SignInContext
from django_ms_identity.traits.mapping_result import MappingResult
from django_ms_identity.traits.problems import TraitProblem

_WORK_TENANT = "00000000-1111-4222-8333-444444444444"


def sample_context(provider: Provider, config: Config) -> SignInContext:
    """Return the sign-in of an invented person."""
    payload = sample_claims(provider)
    claims = Claims(
        tid=str(payload["tid"]), sub=str(payload["sub"]), oid=str(payload["oid"]), payload=payload
    )
    login = VerifiedLogin(provider=provider, claims=claims, subject=str(payload["sub"]))
    return SignInContext(request=HttpRequest(), config=config, login=login)


def map_sample(provider: Provider, config: Config) -> MappingResult:
    """Run the provider's mapper on the claims of an invented person.

    Starts a sandbox and may fetch the mapper, so it is not for every command. Raises a subclass of
    ``MapperFailed``.
    """
    # The claims are invented, so the engine may quote them.
    return runtime.map_claims(sample_context(provider, config), explain=True)


def sample_problems(provider: Provider, config: Config) -> tuple[TraitProblem, ...]:
    """Return the identity schema's problems with the invented person's traits; none where there is no schema.

    Raises a subclass of ``MapperFailed``, ``SchemaUnavailable`` or ``SchemaInvalid``.
    """
    schema = runtime.identity_schema(config)
    return () if schema is None else schema.problems(map_sample(provider, config).traits)


def sample_web_hooks(provider: Provider, config: Config) -> Iterator[tuple[str, WebHookFailed | MapperBusy]]:
    """Make the bodies of all web hooks for the invented person; return stage and fault of each that fails.

    Sends nothing. Raises a subclass of ``MapperFailed``.
    """
    return web_hook.check_bodies(sample_context(provider, config), map_sample(provider, config))


def ask_microsoft(provider: Provider, config: Config) -> tuple[str, int]:
    """Return the provider's tenant and the number of its signing keys, past every cache.

    Raises ``MicrosoftUnavailable`` or ``MicrosoftAnswerInvalid``.
    """
    documents = RemoteDocuments(transport=runtime.http_client(config), now=time.time)
    tenant = configured_tenant(provider, documents)
    return tenant, len(documents.read(provider.keys_url, parse_keys))


def sample_claims(provider: Provider) -> dict[str, object]:
    """Return what Microsoft's v2.0 ID token says of an ordinary member with every usual claim."""
    tid = {
        TenantKind.GUID: provider.tenant.value,
        TenantKind.CONSUMERS: CONSUMER_TENANT,
    }.get(provider.tenant.kind, _WORK_TENANT)
    return {
        "aud": provider.client_id,
        "iss": provider.issuer_template.replace("{tenantid}", tid),
        "iat": 1_700_000_000,
        "nbf": 1_700_000_000,
        "exp": 1_700_003_900,
        "name": "Sample Person",
        "given_name": "Sample",
        "family_name": "Person",
        "preferred_username": "sample.person@contoso.example",
        "email": "sample.person@contoso.example",
        "xms_edov": True,
        "acct": 0,
        "nonce": "0" * 64,
        "oid": "00000000-0000-4000-8000-000000000001",
        "sub": "sample-subject",
        "tid": tid,
        "groups": ["00000000-0000-4000-8000-00000000000a"],
        "roles": ["Sample.Role"],
        "ver": "2.0",
    }
