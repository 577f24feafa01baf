"""Django's test client made more like a browser."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.test import Client


class Browser(Client):
    """Forget a cookie that the server deletes; Django's client goes on sending it, empty."""

    def request(self, **request: Any) -> HttpResponse:
        response: HttpResponse = super().request(**request)
        for name, cookie in list(self.cookies.items()):
            if cookie["max-age"] == 0:
                del self.cookies[name]
        return response
