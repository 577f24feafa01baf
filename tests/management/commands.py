"""Run ``manage.py ms_identity`` in this process."""

from __future__ import annotations

from io import StringIO

from django.core.management import CommandError, call_command


def run(*arguments: str) -> tuple[str, str]:
    """Return what the command printed, and the error that it ended with."""
    out = StringIO()
    try:
        call_command("ms_identity", *arguments, stdout=out, stderr=StringIO(), no_color=True)
    except CommandError as error:
        return out.getvalue(), str(error)
    return out.getvalue(), ""
