"""`python manage.py demo`: from a fresh clone to a sign-in in the browser."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.utils.autoreload import DJANGO_AUTORELOAD_ENV

from django_ms_identity.emulator.personas import PERSONAS, Persona

if TYPE_CHECKING:
    from typing import Any

    from django.core.management.base import CommandParser

EMULATED = """
  Open http://localhost:{port}/ and press "Sign in with Microsoft".

  The accounts that you can pick are those of an emulator on this computer: no Azure, no password.
{people}

  Ctrl+C stops the demo.
"""
REAL = """
  Open http://localhost:{port}/ and sign in with an account of real Microsoft:
  the environment or .env names a client id, so the emulator is off.

  `python manage.py ms_identity check` prints the redirect URI to register in Entra.
  Ctrl+C stops the demo.
"""


PEOPLE = {
    "admin": "has the role Admin and may open the admin: http://localhost:{port}/admin/",
    "mfa": "has a second factor and can open the vault",
    "collides": "has the address of a local user: sign in as {username} (password: {password}) to link",
    "no-email": "has no e-mail address and is asked for it",
}
"""What to see with which persona."""
PASSWORD = "demo"  # noqa: S105 - valid in the demo only, which prints it


class Command(BaseCommand):
    help = "Prepares the database, says what to open, and serves the example project on localhost."
    requires_system_checks = ()  # runserver makes them

    def add_arguments(self, parser: CommandParser) -> None:
        default = int(os.environ.get("PORT", "8000"))
        parser.add_argument("port", nargs="?", type=int, default=default, help=f"default: {default}")

    def handle(self, *args: Any, port: int, **options: Any) -> None:
        # runserver runs this command again in the process that serves, which it restarts when a file
        # changes; that process reads PORT in the settings.
        if os.environ.get(DJANGO_AUTORELOAD_ENV) != "true":
            if _is_taken(port):
                raise CommandError(
                    f"Port {port} is taken: choose another one, as in `make demo PORT={port + 1}` "
                    f"or `python manage.py demo {port + 1}`."
                )
            os.environ["PORT"] = str(port)
            call_command("migrate", verbosity=0)
            emulated = apps.is_installed("django_ms_identity.emulator")
            if emulated:
                make_local_user()
            self.stdout.write(greeting(port) if emulated else REAL.format(port=port))
        call_command("runserver", f"localhost:{port}")


def greeting(port: int) -> str:
    """Say what to open, and which persona to pick to see what."""
    width = max(len(_persona(id_).name) for id_ in PEOPLE)
    lines = [
        f"    {_persona(id_).name:{width}}  {what.format(port=port, username=_username(), password=PASSWORD)}"
        for id_, what in PEOPLE.items()
    ]
    return EMULATED.format(port=port, people="\n".join(lines))


def make_local_user() -> None:
    """Make a user with a password and the e-mail address of a Microsoft account.

    An existing user is not changed: the password may be another one by now.
    """
    users = get_user_model().objects
    if users.filter(username=_username()).exists():
        return
    persona = _persona("collides")
    users.create_user(
        _username(),
        persona.email,
        PASSWORD,
        first_name=persona.given_name,
        last_name=persona.family_name,
    )


def _persona(id_: str) -> Persona:
    return next(persona for persona in PERSONAS if persona.id == id_)


def _username() -> str:
    return _persona("collides").given_name.lower()


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
