"""What the views have in common: headers, configuration, and the error page."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import replace
from functools import update_wrapper
from http import HTTPStatus
from typing import Concatenate, ParamSpec

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import BadRequest, SuspiciousOperation
from django.core.handlers.exception import response_for_exception
from django.db import OperationalError, connections, transaction
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods

from django_ms_identity import conf, sessions, transactions
from django_ms_identity.conf import Config
from django_ms_identity.exceptions import EmbeddedRefused, FormUnreadable, MSIdentityError, ProviderUnknown
from django_ms_identity.flows import return_urls
from django_ms_identity.models import Identity
from django_ms_identity.signals import sign_in_refused

from .error_reports import hide_from_error_reports

logger = logging.getLogger("django_ms_identity")

UNREADABLE = (
    BadRequest,
    LookupError,  # a charset that there is not, or that decodes no text
    MultiPartParserError,
    SuspiciousOperation,
    UnicodeError,
    UnreadablePostError,
)
"""What reading a form raises that no browser sends."""

_Args = ParamSpec("_Args")
_Inner = Callable[Concatenate[HttpRequest, Config, _Args], HttpResponse]
"""A view as it is written: the configuration is looked up once per request and passed to it."""
_View = Callable[Concatenate[HttpRequest, _Args], HttpResponse]
"""A view as Django calls it."""


def public_page(
    *methods: str, csrf: bool = False, despite_faults: bool = False
) -> Callable[[_Inner[_Args]], _View[_Args]]:
    """Make a view that is open to everyone, uncacheable, unframeable and outside transactions.

    A refusal becomes the error page; with ``ENABLED`` off there is no page. ``csrf`` protects a POST also
    where the project has no middleware for it. ``despite_faults`` calls the view also with a faulty
    configuration, which then has no providers; other views answer with an error page.
    """

    def decorate(view: _Inner[_Args]) -> _View[_Args]:
        page = _page(view, methods, csrf=csrf, despite_faults=despite_faults)
        return _outside_transactions(login_not_required(page))

    return decorate


def private_page(*methods: str, csrf: bool = False) -> Callable[[_Inner[_Args]], _View[_Args]]:
    """Make a view as ``public_page`` does, for people who are signed in; others go to LOGIN_URL.

    ``LoginRequiredMiddleware`` is told to leave it alone: it would have people return to an address that
    takes a POST alone.
    """

    def decorate(view: _Inner[_Args]) -> _View[_Args]:
        def checked(
            request: HttpRequest, config: Config, /, *args: _Args.args, **kwargs: _Args.kwargs
        ) -> HttpResponse:
            if sessions.user_of(request) is None:
                return redirect_to_login(reverse("ms_identity:connections"))
            return view(request, config, *args, **kwargs)

        return public_page(*methods, csrf=csrf)(update_wrapper(checked, view))

    return decorate


def refuse_embedded(request: HttpRequest) -> None:
    """Raise ``EmbeddedRefused`` in a frame, an image or a script of a page (Fetch Metadata)."""
    if request.META.get("HTTP_SEC_FETCH_DEST", "document") != "document":
        raise EmbeddedRefused("Sec-Fetch-Dest is not document")


def _page(view: _Inner[_Args], methods: tuple[str, ...], *, csrf: bool, despite_faults: bool) -> _View[_Args]:
    def configured(request: HttpRequest, /, *args: _Args.args, **kwargs: _Args.kwargs) -> HttpResponse:
        parsed = conf.parse()
        if not parsed.config.enabled:
            raise Http404
        if parsed.faults and despite_faults:
            config = replace(parsed.config, providers=())
        else:
            config = parsed.valid_config()
        if csrf:
            refuse_unreadable(request)
        return limited(request, config, *args, **kwargs)

    limited: _Inner[_Args] = require_http_methods(list(methods))(csrf_protect(view) if csrf else view)

    def wrapped(request: HttpRequest, /, *args: _Args.args, **kwargs: _Args.kwargs) -> HttpResponse:
        hide_from_error_reports(request)
        try:
            response = configured(request, *args, **kwargs)
        except MSIdentityError as error:
            response = refuse(request, error, provider=str(kwargs.get("provider", "")))
        except OperationalError as error:
            if (busy := transactions.busy_error(error)) is None:
                raise
            response = refuse(request, busy, provider=str(kwargs.get("provider", "")))
        except Http404 as error:
            # The project's own page, but made here: a cache may keep a 404 that does not forbid it.
            response = response_for_exception(request, error)
        # Not no-referrer: browsers then send "Origin: null" with a form, which the CSRF check refuses.
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["X-Frame-Options"] = "DENY"
        return response

    return update_wrapper(never_cache(wrapped), view)


def refuse_unreadable(request: HttpRequest) -> None:
    """Raise ``FormUnreadable`` for a form in an odd charset, or with text that nothing can encode."""
    try:
        values = [text for values in request.POST.lists() for text in values[1]]
        "".join(values).encode()
    except UNREADABLE as error:
        raise FormUnreadable(f"the form cannot be read: {type(error).__name__}") from None


def _outside_transactions(view: _View[_Args]) -> _View[_Args]:
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


def refuse(
    request: HttpRequest,
    error: MSIdentityError,
    *,
    provider: str = "",
    next_url: str = "",
    retry_url: str = "",
) -> HttpResponse:
    """Log a refusal, tell the signal's receivers, and answer with a page in plain words."""
    reference = secrets.token_hex(4)
    level = logging.ERROR if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR else logging.WARNING
    logger.log(
        level,
        # The id comes from the URL, so it is quoted: a line break in it would forge a line of the log.
        "Refused %s at provider %r: %s (reference %s, trace id %s)%s",
        error.code,
        provider,
        error.detail or "-",
        reference,
        error.trace_id or "-",
        f" Hint: {error.hint}" if error.hint else "",
    )
    sign_in_refused.send_robust(Identity, request=request, provider=provider, error=error)
    explain = settings.DEBUG or getattr(getattr(request, "user", None), "is_staff", False)
    context = {
        "title": error.title,
        "advice": error.advice,
        # Not "messages": that is what Django's own messages are called in a template.
        "reasons": getattr(error, "messages", ()),
        "code": error.code,
        "reference": reference,
        "trace_id": error.trace_id,
        "retry_url": retry_url or _retry_url(error, provider=provider, next_url=next_url),
        "detail": error.detail if explain else "",
        "hint": error.hint if explain else "",
    }
    return render(request, "ms_identity/error.html", context, status=error.status)


def _retry_url(error: MSIdentityError, *, provider: str, next_url: str) -> str:
    if not provider or isinstance(error, ProviderUnknown):
        return reverse("ms_identity:sign_in")
    # Microsoft would silently pick the same account again, which is not let in.
    other = error.status in (HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT)
    return return_urls.start_url(provider, next_url=next_url, prompt="select_account" if other else "")
