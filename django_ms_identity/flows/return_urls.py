"""Where our own pages are, and where a visitor may be sent."""

from __future__ import annotations

from urllib.parse import SplitResult, urlencode, urljoin, urlsplit

from django.conf import settings
from django.http import HttpRequest
from django.shortcuts import resolve_url
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from django_ms_identity.conf import Config

_DEFAULT_PORTS = {"http": 80, "https": 443}


def redirect_uri(provider_id: str, *, config: Config, request: HttpRequest | None = None) -> str:
    """Return the redirect URI to register at Microsoft, exactly as it is sent.

    Scheme and host are BASE_REDIRECT_URI's, else the request's; the path is the URLconf's.
    """
    path = reverse("ms_identity:callback", args=[provider_id])
    if config.base_redirect_uri or request is None:
        return f"{config.base_redirect_uri}{path}"
    return f"{request.scheme}://{request.get_host()}{path}"


def is_secure(uri: str) -> bool:
    """Say whether cookies of a sign-in that ends at ``uri`` are for https only."""
    return uri.startswith("https://") or settings.SESSION_COOKIE_SECURE


def has_secure_cookies(request: HttpRequest, *, config: Config) -> bool:
    """Say whether cookies of a step after the sign-in are for https only; as ``is_secure``."""
    return is_secure(config.base_redirect_uri or f"{request.scheme}://")


def start_url(provider_id: str, *, next_url: str = "", prompt: str = "") -> str:
    """Return the link that starts a sign-in."""
    query = {name: value for name, value in (("next", next_url), ("prompt", prompt)) if value}
    url = reverse("ms_identity:start", args=[provider_id])
    return f"{url}?{urlencode(query)}" if query else url


def step_up_url(need: str, *, next_url: str) -> str:
    """Return the link that asks somebody who is signed in for more, as ``need`` names it."""
    return f"{reverse('ms_identity:step_up')}?{urlencode({'need': need, 'next': next_url})}"


def absolute(request: HttpRequest, url: str, *, config: Config) -> str:
    """Return a URL of this site with its host, as Microsoft has to know it."""
    return urljoin(config.base_redirect_uri or f"{request.scheme}://{request.get_host()}", url)


def safe_return_to(request: HttpRequest, url: str, *, config: Config) -> str:
    """Return ``url`` if a visitor may be sent there after signing in, else nothing.

    Allowed are this host and ``ALLOWED_RETURN_URLS`` (scheme, host and port equal, the path a prefix by
    whole segments; ``*.`` stands for one or more subdomains).
    """
    # Browsers drop some control characters and outer space, and read a backslash as a slash: another URL.
    if not url.isprintable() or url != url.strip() or "\\" in url or url.startswith("//"):
        return ""
    if url_has_allowed_host_and_scheme(
        url, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        return url
    # Django's function also refuses backslashes, control characters and three slashes; only the host differs.
    parts = urlsplit(url) if _is_plain(url) else None
    if parts is None or not url_has_allowed_host_and_scheme(url, allowed_hosts={parts.netloc}):
        return ""
    return url if any(_covers(urlsplit(allowed), parts) for allowed in config.allowed_return_urls) else ""


def default_return_to() -> str:
    """Return where visitors go who asked for nothing else."""
    return resolve_url(settings.LOGIN_REDIRECT_URL)


def _is_plain(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in _DEFAULT_PORTS
            and bool(parts.hostname)
            and "@" not in parts.netloc
            and _port(parts) > 0
        )
    except ValueError:
        return False


def _covers(allowed: SplitResult, asked: SplitResult) -> bool:
    if allowed.scheme != asked.scheme or _port(allowed) != _port(asked):
        return False
    host, pattern = asked.hostname or "", allowed.hostname or ""
    if not (host == pattern or (pattern.startswith("*.") and host.endswith(pattern[1:]) and host[0] != ".")):
        return False
    # Browsers resolve dot segments (also when escaped) before they ask the server.
    if any(segment.lower().replace("%2e", ".") in (".", "..") for segment in asked.path.split("/")):
        return False
    prefix = allowed.path.rstrip("/")
    return asked.path == prefix or asked.path.startswith(f"{prefix}/")


def _port(parts: SplitResult) -> int:
    return _DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port
