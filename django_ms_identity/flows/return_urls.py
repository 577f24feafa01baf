"""URLs of this app's pages, and the URLs to which a visitor may be sent."""

from __future__ import annotations

from urllib.parse import urlencode, urljoin

from django.conf import settings
from django.http import HttpRequest
from django.shortcuts import resolve_url
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from django_ms_identity.conf import Config
from django_ms_identity.net.http_url import HttpUrl, parse_http_url


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
    """Return the link that asks a signed-in visitor to prove more; ``need`` names what."""
    return f"{reverse('ms_identity:step_up')}?{urlencode({'need': need, 'next': next_url})}"


def absolute(request: HttpRequest, url: str, *, config: Config) -> str:
    """Return a URL of this site with its host, as Microsoft has to know it."""
    return urljoin(config.base_redirect_uri or f"{request.scheme}://{request.get_host()}", url)


def safe_return_to(request: HttpRequest, url: str, *, config: Config) -> str:
    """Return ``url`` if a visitor may be sent there after signing in, else nothing.

    Allowed are this host and ``ALLOWED_RETURN_URLS`` (scheme, host and port equal, the path a prefix by
    whole segments; ``*.`` matches one or more subdomains).
    """
    # Browsers drop some control characters and outer space, and read a backslash as a slash: another URL.
    if not url or not url.isprintable() or url != url.strip() or "\\" in url or url.startswith("//"):
        return ""
    if url_has_allowed_host_and_scheme(
        url, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        return url
    target = parse_http_url(url) if config.allowed_return_urls else None
    if target is None or not any(_covers(allowed, target) for allowed in config.allowed_return_urls):
        return ""
    return url


def default_return_to() -> str:
    """Return the URL for visitors who asked for no other."""
    return resolve_url(settings.LOGIN_REDIRECT_URL)


def _covers(allowed: HttpUrl, target: HttpUrl) -> bool:
    if (allowed.scheme, allowed.port) != (target.scheme, target.port):
        return False
    if target.host != allowed.host and not _is_subdomain(target.host, pattern=allowed.host):
        return False
    # Browsers resolve dot segments (also when escaped) before they ask the server.
    if any(segment.lower().replace("%2e", ".") in (".", "..") for segment in target.path.split("/")):
        return False
    prefix = allowed.path.rstrip("/")
    return target.path == prefix or target.path.startswith(f"{prefix}/")


def _is_subdomain(host: str, *, pattern: str) -> bool:
    return pattern.startswith("*.") and host.endswith(pattern[1:]) and not host.startswith(".")
