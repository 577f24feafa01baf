"""Microsoft's emulator behind a socket of its own, for what asks it from outside the test's thread."""

from __future__ import annotations

from django.test import RequestFactory
from django.urls import resolve

from django_ms_identity.emulator.microsoft import ENVIRON_KEY
from django_ms_identity.testing.emulator import URLCONF, Emulator

from .loopback import Handler


def answer(handler: Handler, emulator: Emulator) -> None:
    """Answer a request that came in by the loopback interface as Microsoft."""
    asked = handler.received
    request = RequestFactory().generic(
        asked.method,
        asked.path,
        data=asked.body,
        content_type=asked.headers.get("Content-Type", "application/octet-stream"),
        headers=asked.headers,
    )
    request.META[ENVIRON_KEY] = emulator.microsoft
    match = resolve(request.path_info, urlconf=URLCONF)
    response = match.func(request, *match.args, **match.kwargs)
    handler.reply(response.content, status=response.status_code, Content_Type=response["Content-Type"])
