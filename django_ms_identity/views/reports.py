"""Keeps values out of Django's error reports of our views: they go out by e-mail."""

from __future__ import annotations

from functools import lru_cache
from types import FrameType
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter, get_exception_reporter_filter

_HIDDEN = "********************"


def silence(request: HttpRequest) -> None:
    """Let a report of this request show the traceback and no variables, unless DEBUG is on.

    ``sensitive_variables`` does not reach far enough: it is looked for among the callers of a frame, and a
    generator, such as every query is, has none any more when the report is made. Nor does it reach the
    middleware that saves the session.
    """
    kind = type(get_exception_reporter_filter(request))
    silent = _silent(kind)  # type: ignore[arg-type]  # mypy finds that classes have no hash
    request.exception_reporter_filter = silent()


@lru_cache(maxsize=4)
def _silent(kind: type[SafeExceptionReporterFilter]) -> type[SafeExceptionReporterFilter]:
    class Silent(kind):  # type: ignore[misc, valid-type]  # whatever the project uses
        def get_post_parameters(self, request: HttpRequest | None) -> dict[str, Any]:
            shown: dict[str, Any] = super().get_post_parameters(request)
            return shown if settings.DEBUG else dict.fromkeys(shown, _HIDDEN)

        def get_traceback_frame_variables(
            self, request: HttpRequest | None, tb_frame: FrameType
        ) -> list[tuple[str, Any]]:
            if settings.DEBUG:
                shown: list[tuple[str, Any]] = super().get_traceback_frame_variables(request, tb_frame)
                return shown
            return [(name, _HIDDEN) for name in tb_frame.f_locals]

    return Silent
