"""Evaluates Jsonnet in a process of its own that may do nothing else.

Started as ``python -I -S worker.py SETTINGS READ_FD WRITE_FD`` by ``worker_process``; imports nothing of
this package. It locks itself in, then answers frames (four bytes of length, JSON) until the other end
closes. An evaluation that outruns its time is ended by the kernel: no engine can be interrupted otherwise.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import struct
import sys
from contextlib import suppress
from types import ModuleType

# Whatever is imported later meets the locks below.
if sys.platform == "linux":
    import ctypes
if sys.platform != "win32":
    import resource

FILE_NAME = "mapper.jsonnet"
"""What the engine is told the source is called; the true name may hold a secret."""
MAX_STACK = 500
MAX_EXPLANATION = 2048

_STATIC = re.compile(rf"(STATIC ERROR: )?{re.escape(FILE_NAME)}:\(?(\d{{1,6}}):(\d{{1,6}})")
_FRAME = re.compile(rf"^\t{re.escape(FILE_NAME)}:\(?(\d{{1,6}}):(\d{{1,6}})", re.MULTILINE)


def main() -> None:
    leave_group()
    settings, source, sink = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    if source == sink:
        # A socket that gevent made is non-blocking at both ends.
        os.set_blocking(source, True)
    engine = load(settings["module"], settings["path"])
    mind_timers()
    forbid_files()
    limit(settings)
    while (request := receive(source)) is not None:
        send(sink, answer(engine, request, settings))


def leave_group() -> None:
    """Leave the parent's process group: a Ctrl-C at the terminal is meant for the parent.

    The session stays the parent's. Linux may give a session as much processor time as all that the web server
    runs (sched(7), autogroup), and a mapper that loops would take it.
    """
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)


def load(module: str, path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(module, path)
    if spec is None or spec.loader is None:
        raise ImportError(module)
    engine = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(engine)
    return engine


def mind_timers() -> None:
    """Let the two timers' signals end this process, whatever was inherited."""
    if hasattr(signal, "setitimer"):
        for number in (signal.SIGALRM, signal.SIGPROF):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM, signal.SIGPROF})


def limit(settings: dict[str, int]) -> None:
    """Take away memory, files and processes; a core dump would hold claims."""
    if sys.platform == "win32":
        return
    limits = {
        resource.RLIMIT_AS: settings["address_space"],
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: settings["open_files"],
    }
    if not settings["threads"]:
        limits[resource.RLIMIT_NPROC] = 0
    for kind, wanted in limits.items():
        hard = resource.getrlimit(kind)[1]
        lowest = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        try:
            resource.setrlimit(kind, (lowest, lowest))
        except (OSError, ValueError):
            if sys.platform == "linux":
                raise
            # macOS knows RLIMIT_AS but refuses to lower it.


def forbid_files() -> None:
    """Give up all access to files, TCP and signals by Landlock, where the kernel has it.

    See landlock(7). It holds for this thread: Go's others only collect garbage.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    set_no_new_privs, create_ruleset, restrict_self = 38, 444, 446
    libc.prctl(set_no_new_privs, ctypes.c_ulong(1), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0))
    version = libc.syscall(ctypes.c_long(create_ruleset), None, ctypes.c_size_t(0), ctypes.c_uint(1))
    if version < 1:
        return
    # Rights of the versions: 13 for files; 2 refer; 3 truncate; 4 TCP; 5 device ioctls; 6 signals, sockets.
    files = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1
    words = [files] + [0b11] * (version >= 4) + [0b11] * (version >= 6)
    ruleset = struct.pack(f"={len(words)}Q", *words)
    handle = libc.syscall(
        ctypes.c_long(create_ruleset), ruleset, ctypes.c_size_t(len(ruleset)), ctypes.c_uint(0)
    )
    if handle >= 0:
        libc.syscall(ctypes.c_long(restrict_self), ctypes.c_int(handle), ctypes.c_uint(0))
        os.close(handle)


def answer(engine: ModuleType, request: dict[str, object], settings: dict[str, int]) -> dict[str, object]:
    arm(settings["cpu"], request["wall"])
    outcome = evaluate(engine, request, max_output=settings["max_output"])
    arm(0, 0)
    return {"id": request["id"], **outcome}


def arm(cpu: float, wall: object) -> None:
    """Let the kernel end this process after so many seconds; 0 disarms."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, cpu)
        signal.setitimer(signal.ITIMER_REAL, float(str(wall)))


def evaluate(engine: ModuleType, request: dict[str, object], *, max_output: int) -> dict[str, object]:
    imports: list[str] = []

    def refuse_import(folder: str, name: str) -> None:
        imports.append(name)
        raise RuntimeError("imports are not available")

    try:
        output = engine.evaluate_snippet(
            FILE_NAME,
            request["source"],
            max_stack=MAX_STACK,
            # Both are code to the engine: the other side makes them with a JSON encoder.
            ext_codes={"claims": request["claims"], "identity": request["identity"]},
            import_callback=refuse_import,
        )
    except MemoryError:
        raise
    except Exception as error:
        return failure("import" if imports else "", str(error), explain=bool(request["explain"]))
    if len(output) > max_output or len(output.encode()) > max_output:
        return {"outcome": "large"}
    return {"output": output}


def failure(outcome: str, text: str, *, explain: bool) -> dict[str, object]:
    """Classify an engine's error by where it says that it is; its words may hold claims."""
    static = _STATIC.match(text)
    place = static or _FRAME.search(text)
    return {
        "outcome": outcome or ("static" if static else "runtime"),
        "line": int(place[place.re.groups - 1]) if place else 0,
        "column": int(place[place.re.groups]) if place else 0,
        "explanation": text[:MAX_EXPLANATION] if explain else "",
    }


def receive(source: int) -> dict[str, object] | None:
    header = read(source, 4)
    body = read(source, struct.unpack("!I", header)[0]) if header else b""
    return json.loads(body) if body else None


def read(source: int, size: int) -> bytes:
    """Read exactly ``size`` bytes, or none at all when the other end is gone."""
    content = bytearray()
    while len(content) < size:
        if not (part := os.read(source, size - len(content))):
            return b""
        content += part
    return bytes(content)


def send(sink: int, reply: dict[str, object]) -> None:
    body = json.dumps(reply, ensure_ascii=False).encode("utf-8", "replace")
    frame = struct.pack("!I", len(body)) + body
    while frame:
        frame = frame[os.write(sink, frame) :]


if __name__ == "__main__":
    # When the other end is gone there is nobody left to tell.
    with suppress(OSError):
        main()
