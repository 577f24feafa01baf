"""Keep values out of Django's error reports of this app's pages: they go out by e-mail."""

from __future__ import annotations

import copy
from collections.abc import ItemsView
from functools import lru_cache
from types import FrameType
from typing import Any

from django.core.signals import got_request_exception
from django.http import HttpRequest, QueryDict
from django.urls import Resolver404, resolve
from django.views.debug import SafeExceptionReporterFilter, get_exception_reporter_filter

_HIDDEN = "********************"
_URLS = ("QUERY_STRING", "REQUEST_URI", "RAW_URI")


def hide_from_error_reports(request: HttpRequest) -> None:
    """Let a report of this request show the traceback and no variables, unless DEBUG is on.

    ``sensitive_variables`` does not reach far enough: it is looked for among the callers of a frame, and a
    generator, such as every query is, has none any more when the report is made. Nor does it reach the
    middleware that saves the session.
    """
    silent = copy.copy(get_exception_reporter_filter(request))
    if not isinstance(silent, _Silent):
        silent.__class__ = _silenced(type(silent))  # type: ignore[arg-type]  # mypy: classes have no hash
        request.exception_reporter_filter = silent


def empty_query(request: HttpRequest) -> None:
    """Take the query out of the request: on a callback it holds the code and the state."""
    request.GET = QueryDict()
    for name in _URLS:
        if name in request.META:
            request.META[name] = ""


def connect_receivers() -> None:
    """Connect the receiver; called once by the app registry."""
    got_request_exception.connect(_silence_what_failed, dispatch_uid="ms_identity_reports")


def _silence_what_failed(sender: object, *, request: HttpRequest | None = None, **_: object) -> None:
    # Django sends it before it reports: a middleware may fail before the view is asked.
    if request is not None and _is_ours(request):
        hide_from_error_reports(request)
        if get_exception_reporter_filter(request).is_active(request):
            empty_query(request)


def _is_ours(request: HttpRequest) -> bool:
    try:
        match = request.resolver_match or resolve(request.path_info)
    except Resolver404:
        return False
    if "ms_identity" in match.app_names:
        return True
    return "admin" in match.app_names and str(match.url_name).startswith("ms_identity_")


class _Silent(SafeExceptionReporterFilter):
    """Show no value; made the first base of whatever filter the project uses."""

    def get_safe_request_meta(self, request: HttpRequest) -> dict[str, Any]:
        shown: dict[str, Any] = super().get_safe_request_meta(request)
        # The address of the page before, which may have had a code in it.
        if self.is_active(request) and "HTTP_REFERER" in shown:
            shown["HTTP_REFERER"] = _HIDDEN
        return shown

    def get_safe_cookies(self, request: HttpRequest) -> dict[str, Any]:
        shown: dict[str, Any] = super().get_safe_cookies(request)
        return dict.fromkeys(shown, _HIDDEN) if self.is_active(request) else shown

    def get_post_parameters(self, request: HttpRequest | None) -> dict[str, Any]:
        shown: dict[str, Any] = super().get_post_parameters(request)
        return dict.fromkeys(shown, _HIDDEN) if self.is_active(request) else shown

    def get_traceback_frame_variables(
        self, request: HttpRequest | None, tb_frame: FrameType
    ) -> ItemsView[str, Any]:
        if self.is_active(request):
            return dict.fromkeys(tb_frame.f_locals, _HIDDEN).items()
        return super().get_traceback_frame_variables(request, tb_frame)


@lru_cache(maxsize=4)
def _silenced(kind: type[SafeExceptionReporterFilter]) -> type[SafeExceptionReporterFilter]:
    return type("Silent", (_Silent, kind), {})
