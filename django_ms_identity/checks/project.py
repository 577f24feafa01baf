"""What in the project's own settings does not fit a sign-in with Microsoft."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.contrib.sessions.backends.signed_cookies import SessionStore as SignedCookieStore
from django.core.checks import CheckMessage, Error, Warning
from django.urls import NoReverseMatch, reverse
from django.utils.module_loading import import_string

from django_ms_identity import conf
from django_ms_identity.conf import Config
from django_ms_identity.entra.providers import ResponseMode
from django_ms_identity.exceptions import MapperUnavailable
from django_ms_identity.sessions import BACKEND
from django_ms_identity.traits import python_mapper

from . import ids
from .content_security_policy import allows, form_action_sources

_MIDDLEWARE = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
)
_REQUEST_PROCESSOR = "django.template.context_processors.request"


def check_project(**_: object) -> Iterator[CheckMessage]:
    """Report what is missing in the project's own settings, or prevents a sign-in."""
    config = conf.parse().config
    if not config.enabled:
        return
    yield from _backend()
    yield from _middleware()
    yield from _urls()
    yield from _context_processor()
    yield from _sessions()
    yield from _form_post(config)
    yield from _hosts(config)
    yield from _form_action(config)
    yield from _hooks(config)
    yield from _mappers(config)
    yield from _emulator()


def _backend() -> Iterator[CheckMessage]:
    # By its name: sessions name their backend, so not even a subclass would do.
    if BACKEND not in settings.AUTHENTICATION_BACKENDS:
        yield Error(
            "The authentication backend is missing, so a sign-in would not last.",
            hint=f'Add "{BACKEND}" to AUTHENTICATION_BACKENDS.',
            id=ids.E_BACKEND,
        )


def _middleware() -> Iterator[CheckMessage]:
    present = [_imported(path) for path in settings.MIDDLEWARE]
    for path in _MIDDLEWARE:
        wanted = import_string(path)
        if not any(isinstance(entry, type) and issubclass(entry, wanted) for entry in present):
            yield Error(
                f"The middleware {path} is missing.", hint=f'Add "{path}" to MIDDLEWARE.', id=ids.E_MIDDLEWARE
            )


def _urls() -> Iterator[CheckMessage]:
    try:
        # Without a ROOT_URLCONF there is nothing to reverse in.
        included = hasattr(settings, "ROOT_URLCONF") and bool(reverse("ms_identity:sign_in"))
    except NoReverseMatch:
        included = False
    if not included:
        yield Error(
            "The URLs are not included.",
            hint='Add path("ms/", include("django_ms_identity.urls")) to urlpatterns.',
            id=ids.E_URLS,
        )


def _context_processor() -> Iterator[CheckMessage]:
    templates: list[dict[str, Any]] = settings.TEMPLATES
    engines = [it for it in templates if str(it.get("BACKEND", "")).endswith("DjangoTemplates")]
    processors = [name for it in engines for name in it.get("OPTIONS", {}).get("context_processors", ())]
    if engines and _REQUEST_PROCESSOR not in processors:
        yield Warning(
            "Templates do not get the request, so `next=request.get_full_path` of the button stays empty.",
            hint=f'Add "{_REQUEST_PROCESSOR}" to context_processors in TEMPLATES.',
            id=ids.W_CONTEXT_PROCESSOR,
        )


def _sessions() -> Iterator[CheckMessage]:
    if str(settings.SESSION_COOKIE_SAMESITE).lower() == "strict":
        yield Error(
            "With SESSION_COOKIE_SAMESITE = 'Strict' visitors come back from Microsoft signed out.",
            hint='Set SESSION_COOKIE_SAMESITE = "Lax".',
            id=ids.E_SAMESITE_STRICT,
        )
    store = _imported(f"{settings.SESSION_ENGINE}.SessionStore")
    if isinstance(store, type) and issubclass(store, SignedCookieStore):
        yield Error(
            "Sessions in signed cookies cannot be ended by the server and show what they hold.",
            hint='Set SESSION_ENGINE = "django.contrib.sessions.backends.db" or another server-side engine.',
            id=ids.E_COOKIE_SESSIONS,
        )


def _form_post(config: Config) -> Iterator[CheckMessage]:
    https = config.base_redirect_uri.startswith("https://") or settings.SESSION_COOKIE_SECURE
    for provider in config.providers:
        if provider.response_mode is ResponseMode.FORM_POST and not https:
            yield Error(
                f"Provider {provider.id!r} uses response_mode 'form_post', whose cookie needs https.",
                hint='Set MS_IDENTITY["BASE_REDIRECT_URI"] = "https://your.host", or use "response_mode": '
                '"query".',
                id=ids.E_FORM_POST_HTTP,
            )


def _hosts(config: Config) -> Iterator[CheckMessage]:
    if "*" in settings.ALLOWED_HOSTS and not config.base_redirect_uri:
        yield Warning(
            "ALLOWED_HOSTS lets every Host header through, so a visitor chooses the redirect URI's host.",
            hint="Name the hosts in ALLOWED_HOSTS, or set "
            'MS_IDENTITY["BASE_REDIRECT_URI"] = "https://your.host".',
            id=ids.W_ANY_HOST,
        )


def _form_action(config: Config) -> Iterator[CheckMessage]:
    sources = form_action_sources()
    if sources is None:
        return
    for origin in sorted({provider.cloud.login for provider in config.providers}):
        if not any(allows(source, origin) for source in sources):
            yield Warning(
                f"The Content-Security-Policy's form-action does not let forms lead to {origin}: browsers "
                "that apply it to redirects block forms that start a sign-in.",
                hint=f'Add "{origin}" to form-action.',
                id=ids.W_FORM_ACTION,
            )


def _hooks(config: Config) -> Iterator[CheckMessage]:
    for stage, hooks in config.hooks.items():
        for hook in hooks:
            if "." in hook.name and not callable(_imported(hook.name)):
                yield Error(
                    f"The hook {hook.name!r} of HOOKS[{stage!r}] cannot be imported or called.",
                    hint="Use the dotted path of a function that takes request, provider, identity, "
                    "credential and claims.",
                    id=ids.E_HOOK,
                )


def _mappers(config: Config) -> Iterator[CheckMessage]:
    for provider in config.providers:
        try:
            if provider.mapper:
                python_mapper.import_mapper(provider.mapper)
        except MapperUnavailable as error:
            yield Error(f"Provider {provider.id!r}: {error.detail}.", hint=error.hint, id=ids.E_MAPPER)


def _emulator() -> Iterator[CheckMessage]:
    if "django_ms_identity.emulator" in settings.INSTALLED_APPS and not settings.DEBUG:
        yield Warning(
            "The Microsoft emulator is installed while DEBUG is off; it refuses every request.",
            hint='Remove "django_ms_identity.emulator" from INSTALLED_APPS and its URLs.',
            id=ids.W_EMULATOR,
        )


def _imported(path: str) -> object:
    """Return what a dotted path names, or None: a broken path is reported by whatever uses it."""
    try:
        return import_string(path)
    except Exception:  # A project's own module: anything can come out of its import.
        return None
