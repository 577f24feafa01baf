"""What the page of connected accounts says once after an action."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

_KEY = "_ms_identity_notice"


class Message(StrEnum):
    LINKED = "linked"
    UNLINKED = "unlinked"


_TEXTS: dict[str, _StrOrPromise] = {
    Message.LINKED: _("The Microsoft account is connected."),
    Message.UNLINKED: _("The Microsoft account is disconnected."),
}


def leave(request: HttpRequest, message: Message) -> None:
    """Leave a message for the next page."""
    request.session[_KEY] = message.value


def take(request: HttpRequest) -> _StrOrPromise:
    """Return the message that was left, once."""
    return _TEXTS.get(str(request.session.pop(_KEY, "")), "")
