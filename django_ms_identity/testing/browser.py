"""The browser's part of a sign-in, played by Django's test client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast
from urllib.parse import urljoin, urlsplit

from django.http import HttpResponse
from django.test import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """How the browser comes back to the app: by a link, or by a form when there are fields."""

    url: str
    fields: Mapping[str, str] = field(default_factory=dict, repr=False)

    def send(self, client: Client) -> HttpResponse:
        """Go back with the cookies of ``client``; the 303 that answers a form is followed."""
        response = navigate(client, self.url, fields=self.fields)
        location = urljoin(self.url, response.headers.get("Location", ""))
        followed = response.status_code == HTTPStatus.SEE_OTHER and same_path(location, self.url)
        return navigate(client, location) if followed else response


def same_path(url: str, other: str) -> bool:
    return urlsplit(url).path == urlsplit(other).path


def navigate(client: Client, url: str, *, fields: Mapping[str, str] | None = None) -> HttpResponse:
    """Open ``url`` as a browser does that comes from Microsoft; with ``fields``, by a form."""
    parts = urlsplit(url)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    headers = {"Host": parts.netloc, "Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate"}
    secure = parts.scheme == "https"
    if not fields:
        return cast("HttpResponse", client.get(path, headers=headers, secure=secure))
    headers |= {"Origin": "https://login.microsoftonline.com", "Sec-Fetch-Site": "cross-site"}
    return cast("HttpResponse", client.post(path, dict(fields), headers=headers, secure=secure))
