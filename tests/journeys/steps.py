"""The steps of a sign-in that journeys interrupt, repeat or watch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlencode, urlsplit

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.contrib.sessions.models import Session
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from django_ms_identity import sessions
from django_ms_identity.models import Credential, Identity, SignIn
from django_ms_identity.testing.browser import Callback
from django_ms_identity.testing.emulator import Emulator

SECOND = {"id": "second", "label": "Elsewhere", "client_id": "99999999-2222-3333-4444-555555555555"}
"""Changes that make another provider."""

TRANSACTION_CONTROL = ("BEGIN", "COMMIT", "RELEASE", "ROLLBACK", "SAVEPOINT")


def press(client: Client, provider: str = "microsoft", **query: str) -> HttpResponse:
    """Press the button: ask to be sent to Microsoft."""
    return client.get(f"/ms/start/{provider}/?{urlencode(query)}")


def pick(client: Client, emulator: Emulator, persona: str = "work", **query: str) -> Callback:
    """Press the button and pick an account at Microsoft; the way back is not taken yet."""
    return emulator.callback(press(client, **query).headers["Location"], persona)


def link(
    client: Client, emulator: Emulator, persona: str = "work", provider: str = "microsoft"
) -> HttpResponse:
    """Connect a Microsoft account to the user who is signed in."""
    location = client.post(f"/ms/connections/{provider}/link/").headers["Location"]
    return emulator.callback(location, persona).send(client)


def sign_in_locally(client: Client, username: str = "local", **fields: object) -> AbstractBaseUser:
    """Sign a user in by password, here; make the user unless there is one."""
    users = get_user_model().objects
    user = users.filter(username=username).first() or users.create_user(username, password="pw", **fields)
    assert client.login(username=username, password="pw")
    return user


def who(client: Client) -> str:
    """Return the name of the user who is signed in, or "nobody"."""
    return client.get("/home/").content.decode()


def age(client: Client, seconds: float = 2 * 3600) -> None:
    """Let time pass since the person proved who they are."""
    session = client.session
    session[sessions.AUTHENTICATED_AT] -= seconds
    session[sessions.SIGNED_IN_AT] -= seconds
    session.save()


def asked(location: str) -> dict[str, str]:
    """Read the query of a URL."""
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


def page(response: HttpResponse) -> str:
    return response.content.decode()


def code_of(response: HttpResponse) -> str:
    """Return the error code of our error page, and nothing for any other answer."""
    context = getattr(response, "context", None)
    return context["code"] if context is not None and "reference" in context else ""


def rows() -> dict[str, int]:
    """Count what a sign-in writes."""
    models = (get_user_model(), Identity, Credential, SignIn, Session)
    return {model.__name__: model.objects.count() for model in models}


NOTHING = {"User": 0, "Identity": 0, "Credential": 0, "SignIn": 0, "Session": 0}


def unquoted(sql: str) -> str:
    """Return a statement without the quotes around its names: each database has its own."""
    return sql.replace('"', "").replace("`", "")


@contextmanager
def statements() -> Iterator[list[str]]:
    """Gather the SQL statements that are no transaction control; complete when the context ends."""
    gathered: list[str] = []
    with CaptureQueriesContext(connection) as context:
        yield gathered
    gathered += [
        query["sql"] for query in context.captured_queries if not query["sql"].startswith(TRANSACTION_CONTROL)
    ]
