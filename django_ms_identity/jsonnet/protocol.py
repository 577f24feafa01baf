"""What is said to a worker, and what its reply or its end means. Knows neither processes nor pools."""

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
    MapperUnavailable,
)
from django_ms_identity.traits.mapper_claims import MAX_CLAIMS

from .json_values import JSON, encode
from .source_urls import MAX_SOURCE
from .worker_process import CPU, MAX_OUTPUT, WorkerGone

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
    source: str,
    *,
    name: str,
    claims: Mapping[str, JSON],
    identity: Mapping[str, JSON],
    wall: float,
    explain: bool,
) -> tuple[str, bytes]:
    """Return a random id and the frame that carries it; ``wall`` is the worker's own limit in seconds.

    Raises ``MapperUnavailable`` for a source that is too large, ``ClaimsInvalid`` for claims or an identity
    that are too large or no JSON.
    """
    request_id = secrets.token_hex(8)
    request = {
        "id": request_id,
        "source": _checked(source, name),
        "claims": _encoded("claims", claims),
        "identity": _encoded("identity", identity),
        "wall": wall,
        "explain": explain,
    }
    return request_id, json.dumps(request).encode()


def _checked(source: str, name: str) -> str:
    if len(source.encode("utf-8", "replace")) > MAX_SOURCE:
        raise MapperUnavailable(f"{name} is larger than {MAX_SOURCE} bytes", hint="Make the mapper shorter.")
    return source


def _encoded(what: str, value: Mapping[str, JSON]) -> str:
    try:
        text = encode(dict(value))
    except (TypeError, ValueError, RecursionError):
        raise ClaimsInvalid(f"the {what} cannot be written as JSON") from None
    if len(text.encode()) > MAX_CLAIMS:
        raise ClaimsInvalid(f"the {what} takes more than {MAX_CLAIMS} bytes of JSON")
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
    leaf, what, hint = _FAILURES.get(str(reply.get("outcome")), _FAILURES["runtime"])
    place = f" at line {reply.get('line')}, column {reply.get('column')}" if reply.get("line") else ""
    raise leaf(f"{name} {what}{place}", hint=str(reply.get("explanation") or hint))


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
