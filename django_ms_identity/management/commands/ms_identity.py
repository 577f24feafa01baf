"""``manage.py ms_identity``: the operator's commands. Dispatch only."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from django_ms_identity.management import check, clear_sign_ins, import_kratos, map_command

_SUBCOMMANDS = {
    "check": check,
    "map": map_command,
    "import-kratos": import_kratos,
    "clear-sign-ins": clear_sign_ins,
}


class Command(BaseCommand):
    help = "Check the set-up of the sign-in with Microsoft, try mappers, import people, and tidy up."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(
            dest="subcommand", required=True, title="commands", metavar="COMMAND"
        )
        for name, subcommand in _SUBCOMMANDS.items():
            subcommand.add_arguments(commands.add_parser(name, help=subcommand.HELP))

    def handle(self, *args: object, **options: Any) -> None:
        _SUBCOMMANDS[options["subcommand"]].run(self, options)
