"""What the page of connected accounts says once after something was done."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

_KEY = "_ms_identity_notice"


class Notice(StrEnum):
    LINKED = "linked"
    UNLINKED = "unlinked"


_TEXTS: dict[str, _StrOrPromise] = {
    Notice.LINKED: _("The Microsoft account is connected."),
    Notice.UNLINKED: _("The Microsoft account is disconnected."),
}


def leave(request: HttpRequest, notice: Notice) -> None:
    """Leave a notice for the next page."""
    request.session[_KEY] = notice.value


def take(request: HttpRequest) -> _StrOrPromise:
    """Return the notice that was left, once."""
    return _TEXTS.get(str(request.session.pop(_KEY, "")), "")
