"""What a server's processes hold, as /proc tells it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from django_ms_identity.jsonnet import worker_process

_SANDBOX = worker_process._WORKER.name.encode()
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A server at one moment: its own processes, and the workers of its sandboxes beside them."""

    processes: int
    megabytes: float
    """Resident memory of the server's own processes together."""
    descriptors: int
    """Open descriptors of the server's own processes together."""
    sandboxes: int
    """Workers of all sandboxes."""
    most_sandboxes: int
    """Of one process."""
    zombies: int


def sample(root: int) -> Sample:
    """Look at the process ``root`` and everything below it."""
    processes, sandboxes, zombies, most = [], 0, 0, 0
    for pid in _tree(root):
        own = 0
        for child in _children(pid):
            own += _is_sandbox(child)
            zombies += _is_zombie(child)
        sandboxes += own
        most = max(most, own)
        if not _is_sandbox(pid):
            processes.append(pid)
    return Sample(
        processes=len(processes),
        megabytes=sum(map(_resident, processes)) / 2**20,
        descriptors=sum(map(_descriptors, processes)),
        sandboxes=sandboxes,
        most_sandboxes=most,
        zombies=zombies,
    )


def _tree(root: int) -> Iterator[int]:
    yield root
    for child in _children(root):
        yield from _tree(child)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    # Processes and threads end while we look.
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError):
                found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    return found


def _is_sandbox(pid: int) -> bool:
    with suppress(OSError):
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return any(argument.endswith(b"jsonnet/" + _SANDBOX) for argument in arguments)
    return False


def _is_zombie(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return False


def _resident(pid: int) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    return 0


def _descriptors(pid: int) -> int:
    with suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/fd"))
    return 0
