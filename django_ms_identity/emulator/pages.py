"""The emulator's pages: rendered by an engine of their own, so that a project's TEMPLATES do not matter."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from django.http import Http404, HttpRequest, HttpResponse
from django.template import Context, Engine

from .errors import Refusal, describe
from .guard import endpoint
from .microsoft import Microsoft
from .personas import Persona

HERE = Path(__file__).parent
ASSETS = {"emulator.css": "text/css; charset=utf-8", "submit.js": "text/javascript; charset=utf-8"}


def picker(choices: Sequence[tuple[Persona, str, bool]], *, cancel: str, app: str) -> HttpResponse:
    """Show who can sign in; a choice is a persona, the link that picks it, and whether it was hinted at."""
    return _page("picker.html", {"choices": choices, "cancel": cancel, "app": urlsplit(app).netloc})


def refusal(request: HttpRequest, refusal: Refusal, *, other: str = "", back: str = "") -> HttpResponse:
    """Show an error on a page, with links to another account and back to the app, if any."""
    context = {"refusal": refusal, "details": describe(refusal, request), "other": other, "back": back}
    return _page("refusal.html", context, status=HTTPStatus.OK if back else refusal.status)


def form_post(action: str, parameters: Mapping[str, str]) -> HttpResponse:
    """Send the browser back by a form (OAuth 2.0 Form Post Response Mode)."""
    context = {"action": action, "parameters": parameters, "app": urlsplit(action).netloc}
    # Browsers apply form-action to every redirect that follows; the app's own may lead anywhere.
    return _page("form_post.html", context, form_action="http: https:")


def signed_out() -> HttpResponse:
    return _page("signed_out.html", {})


@endpoint("GET")
def asset(request: HttpRequest, microsoft: Microsoft, name: str) -> HttpResponse:
    """Serve a page's own file, so that a project need not serve static files to use the emulator."""
    if name not in ASSETS:
        raise Http404
    octets = (HERE / "static" / "ms_identity_emulator" / name).read_bytes()
    return HttpResponse(octets, content_type=ASSETS[name], headers={"X-Content-Type-Options": "nosniff"})


@functools.cache
def _engine() -> Engine:
    return Engine(dirs=[str(HERE / "templates" / "ms_identity_emulator")], autoescape=True)


def _page(
    template: str,
    context: Mapping[str, object],
    *,
    status: HTTPStatus = HTTPStatus.OK,
    form_action: str = "'none'",
) -> HttpResponse:
    policy = (
        "default-src 'none'; style-src 'self'; script-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action {form_action}"
    )
    return HttpResponse(
        _engine().get_template(template).render(Context(dict(context))),
        status=status,
        headers={
            "Cache-Control": "no-store",
            "Content-Security-Policy": policy,
            # As Microsoft's: with no-referrer the form_post would arrive with "Origin: null".
            "Referrer-Policy": "strict-origin-when-cross-origin",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        },
    )
