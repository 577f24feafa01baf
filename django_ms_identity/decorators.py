"""Require a second factor or a recent sign-in for a project's own views.

People who lack it are sent to Microsoft once and come back to the page by GET. If it is still missing then,
they see a refusal. Anonymous visitors go to LOGIN_URL first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import wraps
from typing import Any, TypeVar, cast, overload

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.views import View

from . import conf, sessions
from .flows import return_urls

_AnyView = TypeVar("_AnyView", bound=Callable[..., Any])
_Check = Callable[[HttpRequest], HttpResponse | None]


def aal2_required(view: _AnyView) -> _AnyView:
    """Require a sign-in with a second factor, as the provider's ``aal2_*`` keys define it."""
    return _checked(view, _ask_for_second_factor)


@overload
def recent_sign_in_required(view: _AnyView) -> _AnyView: ...
@overload
def recent_sign_in_required(*, max_age: float | timedelta) -> Callable[[_AnyView], _AnyView]: ...
def recent_sign_in_required(
    view: _AnyView | None = None, *, max_age: float | timedelta | None = None
) -> _AnyView | Callable[[_AnyView], _AnyView]:
    """Require an authentication within ``max_age``: seconds, or a timedelta.

    The default is PRIVILEGED_SESSION_MAX_AGE.
    """

    def check(request: HttpRequest) -> HttpResponse | None:
        return _ask_for_recent_sign_in(request, max_age)

    if view is None:
        return lambda view: _checked(view, check)
    return _checked(view, check)


class AAL2RequiredMixin(View):
    """Apply ``aal2_required`` to a class-based view; list the mixin before the other bases."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return _dispatched(self, _ask_for_second_factor, super().dispatch, request, args, kwargs)


class RecentSignInRequiredMixin(View):
    """Apply ``recent_sign_in_required`` to a class-based view; list the mixin before the other bases."""

    max_age: float | timedelta | None = None
    """Seconds, or a timedelta; None: PRIVILEGED_SESSION_MAX_AGE."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        def check(request: HttpRequest) -> HttpResponse | None:
            return _ask_for_recent_sign_in(request, self.max_age)

        return _dispatched(self, check, super().dispatch, request, args, kwargs)


def _ask_for_second_factor(request: HttpRequest) -> HttpResponse | None:
    return None if _is_met(request, sessions.has_second_factor) else _ask(request, "aal2")


def _ask_for_recent_sign_in(request: HttpRequest, max_age: float | timedelta | None) -> HttpResponse | None:
    if max_age is None:
        max_age = conf.get_config().privileged_session_max_age
    seconds = max_age.total_seconds() if isinstance(max_age, timedelta) else max_age
    is_met = _is_met(request, lambda request: sessions.is_recent(request, seconds=seconds))
    return None if is_met else _ask(request, "recent")


def _is_met(request: HttpRequest, check: Callable[[HttpRequest], bool]) -> bool:
    return sessions.user_of(request) is not None and check(request)


def _ask(request: HttpRequest, need: str) -> HttpResponse:
    path = request.get_full_path()
    if sessions.user_of(request) is None:
        return redirect_to_login(path)
    return HttpResponseRedirect(return_urls.step_up_url(need, next_url=path))


def _dispatched(
    view: View,
    check: _Check,
    dispatch: Callable[..., HttpResponseBase],
    request: HttpRequest,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> HttpResponseBase:
    if not view.view_is_async:
        asked = check(request)
        return dispatch(request, *args, **kwargs) if asked is None else asked

    async def dispatched() -> HttpResponseBase:
        asked = await sync_to_async(check)(request)
        if asked is not None:
            return asked
        return await cast("Awaitable[HttpResponseBase]", dispatch(request, *args, **kwargs))

    # Django awaits what the dispatch of an asynchronous view returns.
    return cast("HttpResponseBase", dispatched())


def _checked(view: _AnyView, check: _Check) -> _AnyView:
    if iscoroutinefunction(view):
        # Session and user are read from the database, which blocks.
        ask = sync_to_async(check)

        @wraps(view)
        async def checked_async(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            asked = await ask(request)
            if asked is not None:
                return asked
            answer: HttpResponseBase = await cast(
                "Awaitable[HttpResponseBase]", view(request, *args, **kwargs)
            )
            return answer

        return cast("_AnyView", checked_async)

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        asked = check(request)
        if asked is not None:
            return asked
        answer: HttpResponseBase = view(request, *args, **kwargs)
        return answer

    return cast("_AnyView", checked)
