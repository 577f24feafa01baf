"""Which Jsonnet engine runs, where it lies, and what it may use. Never imports one.

An engine in the web process can be made to abort it, and Go's hangs a process that forks.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from django_ms_identity.exceptions import MapperUnavailable

MiB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A compiled engine module and the limits that fit it."""

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
    """Return the engines that are installed, the preferred one first."""
    engines = []
    if path := _path_of("_gojsonnet"):
        engines.append(
            Engine(
                module="_gojsonnet",
                path=path,
                address_space=2048 * MiB,
                open_files=16,  # Go's runtime opens an epoll instance when it first needs a timer
                threads=True,
                # Memory reserved grows with the machine's processors otherwise; Kratos sets it too.
                environment=(("GOMAXPROCS", "1"),),
            )
        )
    if path := _path_of("_jsonnet"):
        engines.append(
            Engine(module="_jsonnet", path=path, address_space=512 * MiB, open_files=0, threads=False)
        )
    return engines


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
