"""The exceptions for evaluations that fail, each with a hint for the operator."""

from __future__ import annotations

from collections.abc import Mapping

from django_ms_identity import exceptions
from django_ms_identity.exceptions import MapperFailed

from .worker_process import CPU, MAX_OUTPUT

_REPORTED: dict[str, tuple[type[MapperFailed], str, str]] = {
    "static": (exceptions.MapperSyntaxInvalid, "is not valid Jsonnet", "Correct the mapper at that place."),
    "runtime": (
        exceptions.MapperRuntimeFailed,
        "failed for these claims",
        "Empty claims are absent: use std.get(claims, 'email') or ask 'email' in claims first.",
    ),
    "import": (exceptions.MapperImportRefused, "imports a file", "Put everything into the one mapper file."),
    "large": (
        exceptions.MapperOutputTooLarge,
        f"produced more than {MAX_OUTPUT} bytes",
        "Map only what you need; leave raw_claims out.",
    ),
}


def reported(name: str, reply: Mapping[str, object]) -> MapperFailed:
    """Return the failure that a worker's reply reports."""
    error, what, hint = _REPORTED.get(str(reply.get("outcome")), _REPORTED["runtime"])
    place = f" at line {reply.get('line')}, column {reply.get('column')}" if reply.get("line") else ""
    return error(f"{name} {what}{place}", hint=str(reply.get("explanation") or hint))


def timed_out(name: str, timeout: float) -> exceptions.MapperTimedOut:
    return exceptions.MapperTimedOut(
        f"{name} did not end within {timeout:g} s, or {CPU:g} s of processor time",
        hint="Look for loops in the mapper; on a slow server raise MAPPER_TIMEOUT.",
    )


def not_started(error: OSError) -> exceptions.MapperCrashed:
    return exceptions.MapperCrashed(
        f"the engine's process could not be started: {error.strerror}",
        hint="Check the server's limits on processes, memory and open files.",
    )


def crashed(name: str, status: int | None) -> exceptions.MapperCrashed:
    return exceptions.MapperCrashed(
        f"{name}: the engine's process ended with status {status}",
        hint="The mapper may need more memory than it gets: look for very long texts or arrays.",
    )


def busy(name: str, workers: int, timeout: float) -> exceptions.MapperBusy:
    return exceptions.MapperBusy(
        f"{name}: all {workers} workers were busy for {timeout:g} s",
        hint="Install gojsonnet, start more server processes, or make the mapper cheaper.",
    )
