"""``manage.py ms_identity``: what an operator asks of the sign-in. Dispatch only."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from django_ms_identity.management import check, clear_sign_ins, import_kratos, map_claims


class Command(BaseCommand):
    help = "Check the set-up of the sign-in with Microsoft, try mappers, take people over, and tidy up."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(
            dest="subcommand", required=True, title="commands", metavar="COMMAND"
        )
        for name, subcommand in (
            ("check", check),
            ("map", map_claims),
            ("import-kratos", import_kratos),
            ("clear-sign-ins", clear_sign_ins),
        ):
            subcommand.add_arguments(commands.add_parser(name, help=subcommand.HELP))

    def handle(self, *args: object, **options: Any) -> None:
        match options["subcommand"]:
            case "check":
                check.run(self, online=options["online"])
            case "map":
                map_claims.run(
                    self, provider=options["provider"], claims=options["claims"], subject=options["subject"]
                )
            case "import-kratos":
                import_kratos.run(
                    self,
                    export=options["export"],
                    tenant=options["tenant"],
                    renamed=options["provider"],
                    dry_run=options["dry_run"],
                )
            case "clear-sign-ins":
                clear_sign_ins.run(self, days=options["older_than"])
