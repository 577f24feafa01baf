"""Find the installed Jsonnet engines and the limits that each needs. Never imports an engine.

Each engine can be made to abort its process, and Go's runtime hangs in a process that forks.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from django_ms_identity.exceptions import MapperUnavailable

MiB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """An engine's extension module and the limits that fit it."""

    module: str
    path: str
    """The file of the extension module: the worker runs without site-packages."""
    address_space: int
    """Bytes of RLIMIT_AS."""
    open_files: int
    """RLIMIT_NOFILE."""
    threads: bool
    """Whether the engine starts threads, which RLIMIT_NPROC 0 forbids to all users but root."""
    environment: tuple[tuple[str, str], ...] = ()


def installed() -> list[Engine]:
    """Return the installed engines, the preferred one first."""
    known = [
        Engine(
            module="_gojsonnet",
            path=_path_of("_gojsonnet"),
            address_space=2048 * MiB,
            open_files=16,  # Go's runtime opens an epoll instance for its first timer
            threads=True,
            # Otherwise the reserved memory grows with the number of processors; Kratos sets it too.
            environment=(("GOMAXPROCS", "1"),),
        ),
        Engine(
            module="_jsonnet",
            path=_path_of("_jsonnet"),
            address_space=512 * MiB,
            open_files=0,
            threads=False,
        ),
    ]
    return [engine for engine in known if engine.path]


def preferred() -> Engine:
    """Return the engine to use, or raise ``MapperUnavailable``."""
    for engine in installed():
        return engine
    raise MapperUnavailable(
        "no Jsonnet engine is installed", hint="Run `pip install jsonnet`, or `pip install gojsonnet`."
    )


def _path_of(module: str) -> str:
    spec = importlib.util.find_spec(module)
    return spec.origin or "" if spec else ""
