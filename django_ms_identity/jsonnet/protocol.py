"""Write the requests to a worker, read its replies, and name its failures."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping

from django_ms_identity.exceptions import (
    ClaimsInvalid,
    MapperBusy,
    MapperCrashed,
    MapperFailed,
    MapperImportRefused,
    MapperOutputTooLarge,
    MapperRuntimeFailed,
    MapperSyntaxInvalid,
    MapperTimedOut,
)

from .json_values import JSON, encode
from .worker_process import CPU, MAX_OUTPUT, WorkerGone

MAX_INPUT = 256 * 1024
"""Bytes of JSON that the claims may take, and the identity as many."""

_FAILURES: dict[str, tuple[type[MapperFailed], str, str]] = {
    "static": (MapperSyntaxInvalid, "is not valid Jsonnet", "Correct the mapper at that place."),
    "runtime": (
        MapperRuntimeFailed,
        "failed for these claims",
        "Empty claims are absent: use std.get(claims, 'email') or ask 'email' in claims first.",
    ),
    "import": (MapperImportRefused, "imports a file", "Put everything into the one mapper file."),
    "large": (
        MapperOutputTooLarge,
        f"produced more than {MAX_OUTPUT} bytes",
        "Map only what you need; leave raw_claims out.",
    ),
}


def request_for(
    source: str, *, claims: Mapping[str, JSON], identity: Mapping[str, JSON], explain: bool
) -> tuple[str, bytes]:
    """Return a random id and the frame that carries it.

    Raises ``ClaimsInvalid`` for claims or an identity that are too large or not JSON.
    """
    request_id = secrets.token_hex(8)
    request = {
        "id": request_id,
        "source": source,
        "claims": _encoded("claims", claims),
        "identity": _encoded("identity", identity),
        "explain": explain,
    }
    return request_id, json.dumps(request).encode()


def _encoded(what: str, value: Mapping[str, JSON]) -> str:
    try:
        text = encode(dict(value))
    except (TypeError, ValueError, RecursionError):
        raise ClaimsInvalid(f"the {what} cannot be written as JSON") from None
    if (size := len(text.encode())) > MAX_INPUT:
        raise ClaimsInvalid(
            f"the {what} takes {size} bytes of JSON; at most {MAX_INPUT} are accepted",
            hint="Look at the optional claims and the claims-mapping policies of the app registration.",
        )
    return text


def reply_to(request_id: str, frame: bytes) -> Mapping[str, object]:
    """Read a worker's reply, or raise ``WorkerGone`` unless it echoes the request's id."""
    try:
        reply = json.loads(frame)
    except (ValueError, RecursionError):
        raise WorkerGone from None
    if not isinstance(reply, dict) or reply.get("id") != request_id:
        raise WorkerGone
    return reply


def output_of(reply: Mapping[str, object], *, name: str) -> str:
    """Return the output in a reply, or raise the failure that it reports."""
    output = reply.get("output")
    if isinstance(output, str):
        return output
    error, what, hint = _FAILURES.get(str(reply.get("outcome")), _FAILURES["runtime"])
    place = f" at line {reply.get('line')}, column {reply.get('column')}" if reply.get("line") else ""
    raise error(f"{name} {what}{place}", hint=str(reply.get("explanation") or hint))


def timed_out(name: str, timeout: float) -> MapperTimedOut:
    return MapperTimedOut(
        f"{name} did not end within {timeout:g} s, or {CPU:g} s of processor time",
        hint="Look for loops in the mapper; on a slow server raise MAPPER_TIMEOUT.",
    )


def not_started(error: OSError) -> MapperCrashed:
    return MapperCrashed(
        f"the engine's process could not be started: {error.strerror}",
        hint="Check the server's limits on processes, memory and open files.",
    )


def crashed(name: str, status: int | None) -> MapperCrashed:
    return MapperCrashed(
        f"{name}: the engine's process ended with status {status}",
        hint="The mapper may need more memory than it gets: look for very long texts or arrays.",
    )


def busy(name: str, workers: int, timeout: float) -> MapperBusy:
    return MapperBusy(
        f"{name}: all {workers} workers were busy for {timeout:g} s",
        hint="Install gojsonnet, start more server processes (each has its own workers), or make the mapper "
        "cheaper.",
    )
