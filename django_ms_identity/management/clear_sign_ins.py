"""``manage.py ms_identity clear-sign-ins``: delete old rows of the audit trail."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import router
from django.utils import timezone

from django_ms_identity.models import SignIn

HELP = "delete old rows of the audit trail"
_BATCH = 5000
_MAX_DAYS = 36500


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        "--older-than",
        type=int,
        required=True,
        metavar="DAYS",
        help="delete the sign-ins that began more than this many days ago",
    )


def run(command: BaseCommand, options: Mapping[str, Any]) -> None:
    """Delete the sign-ins that began more than ``older_than`` days ago, and print their number."""
    days = options["older_than"]
    if not 0 <= days <= _MAX_DAYS:
        raise CommandError(f"--older-than takes a number of days from 0 to {_MAX_DAYS}.")
    rows = SignIn.objects.using(router.db_for_write(SignIn))
    old = rows.filter(created_at__lt=timezone.now() - timedelta(days=days))
    deleted = 0
    # Batches: one statement over a year of rows would lock the table for as long.
    while keys := list(old.values_list("pk", flat=True)[:_BATCH]):
        deleted += rows.filter(pk__in=keys).delete()[0]
    command.stdout.write(command.style.SUCCESS(f"Deleted {deleted} sign-ins older than {days} days."))
