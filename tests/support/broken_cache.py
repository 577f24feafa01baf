"""A cache that is down."""

from __future__ import annotations

from typing import Any, NoReturn

from django.core.cache.backends.base import BaseCache


class BrokenCache(BaseCache):
    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def _fail(self, *args: object, **kwargs: object) -> NoReturn:
        raise ConnectionError("the cache is down")

    get = set = add = touch = delete = _fail

    def clear(self) -> None: ...
