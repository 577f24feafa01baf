"""What a project can name in HOOKS; the calls are kept here."""

from __future__ import annotations

from django_ms_identity.exceptions import SignInRefused

calls: list[tuple[str, dict[str, object]]] = []


def first(**arguments: object) -> None:
    calls.append(("first", arguments))


def second(**arguments: object) -> None:
    calls.append(("second", arguments))


def fail(**_: object) -> None:
    raise ValueError("the hook broke")


def refuse(**_: object) -> None:
    raise SignInRefused("the hook said no")
