"""What a project can name in HOOKS; the calls are kept here."""

from __future__ import annotations

from django.contrib.auth import login
from django.http import HttpRequest

from django_ms_identity.exceptions import SignInRefused
from django_ms_identity.models import Identity

calls: list[tuple[str, dict[str, object]]] = []


def first(**arguments: object) -> None:
    calls.append(("first", arguments))


def second(**arguments: object) -> None:
    calls.append(("second", arguments))


def fail(**_: object) -> None:
    raise ValueError("the hook broke")


def refuse(**_: object) -> None:
    raise SignInRefused("the hook said no")


def sign_in(*, request: HttpRequest, identity: Identity, **_: object) -> None:
    login(request, identity.user, backend="django_ms_identity.backends.IdentityBackend")
