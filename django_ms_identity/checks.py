"""System checks: every fault of the set-up, with what to type. Ids are stable."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.urls import NoReverseMatch, reverse
from django.utils.module_loading import import_string

from . import conf
from .conf import Config
from .entra.providers import Provider, ResponseMode
from .exceptions import MapperRuntimeFailed, MapperUnavailable, MSIdentityError
from .models import Credential
from .rehearsal import rehearse
from .sessions import BACKEND

TAG = "ms_identity"

E_SETTINGS = "ms_identity.E001"
E_BACKEND = "ms_identity.E002"
E_MIDDLEWARE = "ms_identity.E003"
E_URLS = "ms_identity.E004"
E_SAMESITE_STRICT = "ms_identity.E005"
E_COOKIE_SESSIONS = "ms_identity.E006"
E_FORM_POST_HTTP = "ms_identity.E007"
E_HOOK = "ms_identity.E008"
E_SUBJECT_SOURCE = "ms_identity.E009"
E_MAPPER = "ms_identity.E010"
W_SETTINGS = "ms_identity.W001"
W_NO_PROVIDER = "ms_identity.W002"
W_OPEN_TO_ALL = "ms_identity.W003"
W_FORM_ACTION = "ms_identity.W004"
W_ANY_HOST = "ms_identity.W005"
W_CONTEXT_PROCESSOR = "ms_identity.W006"
W_EMULATOR = "ms_identity.W007"
W_INSECURE_COOKIES = "ms_identity.W008"
W_HTTP_REDIRECT = "ms_identity.W009"
W_MAPPER = "ms_identity.W010"

_MIDDLEWARE = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
)
_REQUEST_PROCESSOR = "django.template.context_processors.request"


def register_checks() -> None:
    """Register every check; called once by the app registry."""
    register(check_settings, TAG)
    register(check_project, TAG)
    register(check_subject_sources, TAG, Tags.database)
    register(check_deployment, TAG, Tags.security, deploy=True)
    register(check_mappers, TAG, deploy=True)


def check_settings(app_configs: Sequence[AppConfig] | None, **_: object) -> list[CheckMessage]:
    """Report every fault and doubt of ``MS_IDENTITY`` or the environment."""
    parsed = conf.parse()
    return [
        *(
            Error(f"MS_IDENTITY: {fault}", hint=fault.remedy or None, id=E_SETTINGS)
            for fault in parsed.faults
        ),
        *(
            Warning(f"MS_IDENTITY: {doubt}", hint=doubt.remedy or None, id=W_SETTINGS)
            for doubt in parsed.warnings
        ),
    ]


def check_project(app_configs: Sequence[AppConfig] | None, **_: object) -> list[CheckMessage]:
    """Report what of the project does not fit a sign-in with Microsoft."""
    parsed = conf.parse()
    if not parsed.config.enabled:
        return []
    found: list[CheckMessage] = []
    for check in _PROJECT_CHECKS:
        found.extend(check(parsed.config))
    if not parsed.config.providers and not parsed.faults:
        found.append(
            Warning(
                "No provider is configured, so nobody can sign in with Microsoft.",
                hint='Set MS_IDENTITY["PROVIDERS"], or MS_IDENTITY_CLIENT_ID, MS_IDENTITY_CLIENT_SECRET and '
                "MS_IDENTITY_TENANT in the environment.",
                id=W_NO_PROVIDER,
            )
        )
    return found


def check_deployment(app_configs: Sequence[AppConfig] | None, **_: object) -> list[CheckMessage]:
    """Report what is fine while developing and dangerous or broken in production."""
    config = conf.parse().config
    if not config.enabled:
        return []
    found: list[CheckMessage] = []
    https = config.base_redirect_uri.startswith("https://")
    if not settings.SESSION_COOKIE_SECURE or not settings.CSRF_COOKIE_SECURE:
        found.append(
            Warning(
                "Session or CSRF cookies are sent over plain http.",
                hint="Set SESSION_COOKIE_SECURE = True and CSRF_COOKIE_SECURE = True.",
                id=W_INSECURE_COOKIES,
            )
        )
    if not https and settings.SECURE_PROXY_SSL_HEADER is None:
        found.append(
            Warning(
                "Behind a proxy that ends TLS, redirect URIs will begin with http:// and Microsoft will "
                "refuse them (AADSTS50011).",
                hint='Set MS_IDENTITY["BASE_REDIRECT_URI"] = "https://your.host", or SECURE_PROXY_SSL_HEADER '
                '= ("HTTP_X_FORWARDED_PROTO", "https") if the proxy always sets that header.',
                id=W_HTTP_REDIRECT,
            )
        )
    return found


def check_subject_sources(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **_: object
) -> list[CheckMessage]:
    """Report a ``subject_source`` that differs from what existing credentials were made with."""
    found: list[CheckMessage] = []
    for database in databases or ():
        stored = Credential.objects.using(database).order_by()
        used = set(stored.values_list("provider", "subject_source").distinct())
        for provider in conf.parse().config.providers:
            others = {source for name, source in used if name == provider.id} - {
                provider.subject_source.value
            }
            if others:
                found.append(
                    Error(
                        f"Provider {provider.id!r} has subject_source {provider.subject_source.value!r}, "
                        f"but existing credentials were made with {', '.join(sorted(others))}: these people would "
                        "not be found any more.",
                        hint=f'Set "subject_source": "{min(others)}", or configure a second provider id.',
                        id=E_SUBJECT_SOURCE,
                    )
                )
    return found


def check_mappers(app_configs: Sequence[AppConfig] | None, **_: object) -> list[CheckMessage]:
    """Try each provider's mapper on sample claims; only under ``--deploy``, since it starts a sandbox."""
    parsed = conf.parse()
    if parsed.faults or not parsed.config.enabled:
        return []
    found: list[CheckMessage] = []
    for provider in parsed.config.providers:
        try:
            rehearse(provider)
        except (MapperRuntimeFailed, MapperUnavailable) as error:
            # A mapper may well refuse the sample's person, and a URL may be out of reach from here.
            found.append(Warning(_mapper_text(provider, error), hint=_mapper_hint(error), id=W_MAPPER))
        except MSIdentityError as error:
            found.append(Error(_mapper_text(provider, error), hint=_mapper_hint(error), id=E_MAPPER))
    return found


def _mapper_text(provider: Provider, error: MSIdentityError) -> str:
    return f"The mapper of provider {provider.id!r} failed on sample claims: {error.code}: {error.detail}"


def _mapper_hint(error: MSIdentityError) -> str:
    return error.hint or "Test it with `manage.py ms_identity check`."


def _backend(config: Config) -> Iterable[CheckMessage]:
    for path in settings.AUTHENTICATION_BACKENDS:
        if path == BACKEND:
            return
    yield Error(
        "The authentication backend is missing, so nobody would stay signed in.",
        hint=f'Add "{BACKEND}" to AUTHENTICATION_BACKENDS.',
        id=E_BACKEND,
    )


def _middleware(config: Config) -> Iterable[CheckMessage]:
    present = [import_string(path) for path in settings.MIDDLEWARE]
    for path in _MIDDLEWARE:
        wanted = import_string(path)
        if not any(isinstance(entry, type) and issubclass(entry, wanted) for entry in present):
            yield Error(
                f"The middleware {path} is missing.", hint=f'Add "{path}" to MIDDLEWARE.', id=E_MIDDLEWARE
            )


def _urls(config: Config) -> Iterable[CheckMessage]:
    try:
        reverse("ms_identity:sign_in")
    except NoReverseMatch:
        yield Error(
            "The URLs are not included.",
            hint='Add path("ms/", include("django_ms_identity.urls")) to urlpatterns.',
            id=E_URLS,
        )


def _context_processor(config: Config) -> Iterable[CheckMessage]:
    templates: list[dict[str, Any]] = settings.TEMPLATES
    engines = [it for it in templates if str(it.get("BACKEND", "")).endswith("DjangoTemplates")]
    processors = [name for it in engines for name in it.get("OPTIONS", {}).get("context_processors", ())]
    if engines and _REQUEST_PROCESSOR not in processors:
        yield Warning(
            "Templates do not get the request, so `next=request.get_full_path` of the button stays empty.",
            hint=f'Add "{_REQUEST_PROCESSOR}" to context_processors in TEMPLATES.',
            id=W_CONTEXT_PROCESSOR,
        )


def _sessions(config: Config) -> Iterable[CheckMessage]:
    if str(settings.SESSION_COOKIE_SAMESITE).lower() == "strict":
        yield Error(
            "With SESSION_COOKIE_SAMESITE = 'Strict' visitors come back from Microsoft signed out.",
            hint='Set SESSION_COOKIE_SAMESITE = "Lax".',
            id=E_SAMESITE_STRICT,
        )
    if settings.SESSION_ENGINE.endswith("signed_cookies"):
        yield Error(
            "Sessions in signed cookies cannot be ended by the server and show what they hold.",
            hint='Set SESSION_ENGINE = "django.contrib.sessions.backends.db" or another server-side engine.',
            id=E_COOKIE_SESSIONS,
        )


def _form_post(config: Config) -> Iterable[CheckMessage]:
    https = config.base_redirect_uri.startswith("https://") or settings.SESSION_COOKIE_SECURE
    for provider in config.providers:
        if provider.response_mode is ResponseMode.FORM_POST and not https:
            yield Error(
                f"Provider {provider.id!r} uses response_mode 'form_post', whose cookie needs https.",
                hint='Set MS_IDENTITY["BASE_REDIRECT_URI"] = "https://your.host", or use "response_mode": '
                '"query".',
                id=E_FORM_POST_HTTP,
            )


def _tenants(config: Config) -> Iterable[CheckMessage]:
    for provider in config.providers:
        open_to_all = not provider.tenant.single and provider.allowed_tenants is None
        if open_to_all and config.registration_enabled:
            yield Warning(
                f"Anybody with a Microsoft account can register through provider {provider.id!r} "
                f"(microsoft_tenant {provider.tenant.value!r}).",
                hint='Set "allowed_tenants": ["<tenant id>", …], or REGISTRATION_ENABLED: False; if '
                f'everybody is welcome, SILENCED_SYSTEM_CHECKS = ["{W_OPEN_TO_ALL}"].',
                id=W_OPEN_TO_ALL,
            )


def _hosts(config: Config) -> Iterable[CheckMessage]:
    if "*" in settings.ALLOWED_HOSTS and not config.base_redirect_uri:
        yield Warning(
            "ALLOWED_HOSTS lets every Host header through, so anybody chooses the redirect URI's host.",
            hint="Name the hosts in ALLOWED_HOSTS, or set "
            'MS_IDENTITY["BASE_REDIRECT_URI"] = "https://your.host".',
            id=W_ANY_HOST,
        )


def _form_action(config: Config) -> Iterable[CheckMessage]:
    sources = _form_action_sources()
    if sources is None:
        return
    for origin in sorted({provider.cloud.login for provider in config.providers}):
        host = urlsplit(origin).netloc
        if not {"*", "https:", origin, host, f"{origin}/"} & sources:
            yield Warning(
                f"The Content-Security-Policy's form-action does not let forms lead to {origin}: browsers "
                "that apply it to redirects block forms that start a sign-in.",
                hint=f'Add "{origin}" to form-action.',
                id=W_FORM_ACTION,
            )


def _form_action_sources() -> set[str] | None:
    """Return form-action's sources of Django's own policy (6.0) or django-csp's, if there is one."""
    django = getattr(settings, "SECURE_CSP", None) or {}
    third_party: Any = (getattr(settings, "CONTENT_SECURITY_POLICY", None) or {}).get("DIRECTIVES", {})
    for policy in (django, third_party):
        if sources := policy.get("form-action"):
            return {
                str(source).strip("'\"") for source in ([sources] if isinstance(sources, str) else sources)
            }
    return None


def _hooks(config: Config) -> Iterable[CheckMessage]:
    for stage, hooks in config.hooks.items():
        for hook in hooks:
            if hook.name == "session":
                continue
            try:
                usable = callable(import_string(hook.name))
            except ImportError:
                usable = False
            if not usable:
                yield Error(
                    f"The hook {hook.name!r} of HOOKS[{stage!r}] cannot be imported or called.",
                    hint="Use the dotted path of a function that takes request, provider, identity, "
                    "credential and claims.",
                    id=E_HOOK,
                )


def _emulator(config: Config) -> Iterable[CheckMessage]:
    if "django_ms_identity.emulator" in settings.INSTALLED_APPS and not settings.DEBUG:
        yield Warning(
            "The Microsoft emulator is installed while DEBUG is off; it refuses every request.",
            hint='Remove "django_ms_identity.emulator" from INSTALLED_APPS and its URLs.',
            id=W_EMULATOR,
        )


_PROJECT_CHECKS: tuple[Callable[[Config], Iterable[CheckMessage]], ...] = (
    _backend,
    _middleware,
    _urls,
    _context_processor,
    _sessions,
    _form_post,
    _tenants,
    _hosts,
    _form_action,
    _hooks,
    _emulator,
)
