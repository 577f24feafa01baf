"""A browser that calls the WSGI handler: what Django's test client adds to a request is not measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from urllib.parse import unquote, urlsplit

from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse

HOST = "localhost:8000"


@dataclass(slots=True, kw_only=True)
class Browser:
    """Keep cookies and open pages of ``site``, whose middleware is loaded already."""

    site: WSGIHandler
    cookies: dict[str, str] = field(default_factory=dict)

    def open(self, url: str) -> HttpResponse:
        """GET ``url`` as after a click on a link of another site; redirects are not followed."""
        response = self.site(self._environ(url), _start_response)
        assert isinstance(response, HttpResponse)  # No page of this app streams.
        response.close()
        for name, morsel in response.cookies.items():
            if morsel["max-age"] == 0:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = morsel.value
        return response

    def redirected(self, url: str) -> str:
        """Return where ``url`` redirects to, or raise ``AssertionError`` with the page that came instead."""
        response = self.open(url)
        if response.status_code != 302:
            raise AssertionError(f"{url} answered {response.status_code}: {response.content.decode()[:2000]}")
        return response.headers["Location"]

    def _environ(self, url: str) -> dict[str, object]:
        parts = urlsplit(url)
        return {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(parts.path),
            "QUERY_STRING": parts.query,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_HOST": HOST,
            "HTTP_SEC_FETCH_DEST": "document",
            "HTTP_SEC_FETCH_MODE": "navigate",
            "HTTP_COOKIE": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(),
        }


def _start_response(
    status: str, headers: list[tuple[str, str]], failure: object = None, /
) -> Callable[[bytes], object]:
    """Send nothing: the response object says the same."""
    return bytes.__len__
