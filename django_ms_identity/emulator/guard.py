"""Restricts the emulator to a developer's own machine, and to callers within the process."""

from __future__ import annotations

import functools
import ipaddress
import logging
from collections.abc import Callable

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.http.request import split_domain_port
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from .errors import Refused, json_refusal
from .microsoft import ENVIRON_KEY, microsoft_for

logger = logging.getLogger(__name__)

View = Callable[..., HttpResponse]


def endpoint(*methods: str, refuse: View = json_refusal) -> Callable[[View], View]:
    """Make a view of a function that takes a request and a Microsoft; ``refuse`` answers ``Refused``.

    The view is 404 unless a developer asks from this machine, or the caller brings a Microsoft of its own.
    """

    def decorate(function: View) -> View:
        @csrf_exempt  # There is no session here: no request changes anything in a user's name.
        @login_not_required
        @require_http_methods(list(methods))
        @functools.wraps(function)
        def view(request: HttpRequest, **parameters: str) -> HttpResponse:
            if ENVIRON_KEY not in request.META and not _is_local(request):
                logger.warning("The emulator answers the loopback interface under DEBUG only")
                raise Http404
            try:
                return function(request, microsoft_for(request), **parameters)
            except Refused as refused:
                logger.info("%s refuses: AADSTS%s", function.__name__, refused.refusal.code)
                return refuse(request, refused.refusal)

        return view

    return decorate


_PROXIED = ("HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_FORWARDED_HOST", "HTTP_X_REAL_IP")


def _is_local(request: HttpRequest) -> bool:
    """Say whether a developer asks from this machine.

    The Host header is checked because a page on the internet can point a name of its own at 127.0.0.1
    (DNS rebinding), and the headers of proxies because behind a tunnel or proxy on this machine every
    client has a local address.
    """
    if not settings.DEBUG or any(name in request.META for name in _PROXIED):
        return False
    host, _port = split_domain_port(request.META.get("HTTP_HOST", ""))
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
    peers = [request.META.get("REMOTE_ADDR", ""), *(part for part in forwarded.split(",") if part.strip())]
    named = host == "localhost" or host.endswith(".localhost") or _is_loopback(host)
    return named and all(map(_is_loopback, peers))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.strip().strip("[]")).is_loopback
    except ValueError:
        return False
