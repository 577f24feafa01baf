"""Evaluate Jsonnet in a process that may do nothing else.

``worker_process`` starts it as ``python -I -S worker.py SETTINGS``. It imports nothing of this package. It
limits itself, then answers frames (four bytes of length, JSON) on standard input until that is closed. The
kernel ends an evaluation that outruns its processor time: nothing else can interrupt an engine.
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

# Before the limits below, which forbid to open the files of a module.
if sys.platform == "linux":
    import ctypes
if sys.platform != "win32":
    import resource

FILE_NAME = "mapper.jsonnet"
"""The name of the source for the engine; the true one may hold a secret."""
MAX_STACK = 500
MAX_EXPLANATION = 2048

_STATIC = re.compile(rf"(STATIC ERROR: )?{re.escape(FILE_NAME)}:\(?(\d{{1,6}}):(\d{{1,6}})")
_FRAME = re.compile(rf"^\t{re.escape(FILE_NAME)}:\(?(\d{{1,6}}):(\d{{1,6}})", re.MULTILINE)


def main() -> None:
    settings = json.loads(sys.argv[1])
    engine = load_engine(settings["module"], settings["path"])
    reset_timer()
    restrict_with_landlock()
    set_limits(settings)
    while (request := receive_frame()) is not None:
        send_frame(answer(engine, request, settings))


def load_engine(module: str, path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(module, path)
    if spec is None or spec.loader is None:
        raise ImportError(module)
    engine = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(engine)
    return engine


def reset_timer() -> None:
    """Let the timer's signal end this process even if the parent ignores or blocks that signal."""
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPROF})


def set_limits(settings: dict[str, int]) -> None:
    """Limit memory, files and processes; a core dump would hold claims."""
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


def restrict_with_landlock() -> None:
    """Give up files, TCP, signals to other processes and their memory, where the kernel has Landlock.

    Threat: claims that exploit a bug in an engine. Such a worker runs as the web server's user, so it could
    read the server's memory (ptrace), which no resource limit prevents. See landlock(7). It holds for this
    thread: the other threads of Go's runtime only collect garbage.
    """
    if sys.platform != "linux":
        return

    def call(number: int, *arguments: int) -> int:
        result: int = libc.syscall(*map(ctypes.c_long, (number, *arguments)))
        return result

    libc = ctypes.CDLL(None)
    create_ruleset, restrict_self, set_no_new_privileges = 444, 446, 38
    libc.prctl(*map(ctypes.c_ulong, (set_no_new_privileges, 1, 0, 0, 0)))
    version = call(create_ruleset, 0, 0, 1)
    if version < 1:
        return
    # Rights by version: 13 for files; 2 refer; 3 truncate; 4 TCP; 5 device ioctls; 6 signals and sockets.
    files = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1
    words = [files] + [0b11] * (version >= 4) + [0b11] * (version >= 6)
    ruleset = (ctypes.c_uint64 * len(words))(*words)
    handle = call(create_ruleset, ctypes.addressof(ruleset), ctypes.sizeof(ruleset), 0)
    if handle >= 0:
        call(restrict_self, handle, 0)
        os.close(handle)


def answer(engine: ModuleType, request: dict[str, object], settings: dict[str, int]) -> dict[str, object]:
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, settings["cpu"])
    outcome = run_engine(engine, request, max_output=settings["max_output"])
    return {"id": request["id"], **outcome}


def run_engine(engine: ModuleType, request: dict[str, object], *, max_output: int) -> dict[str, object]:
    imports: list[str] = []

    def refuse_import(folder: str, name: str) -> None:
        imports.append(name)
        raise RuntimeError("imports are not available")

    try:
        output = engine.evaluate_snippet(
            FILE_NAME,
            request["source"],
            max_stack=MAX_STACK,
            # The engine reads both as code: the parent makes them with a JSON encoder.
            ext_codes={"claims": request["claims"], "identity": request["identity"]},
            import_callback=refuse_import,
        )
    except MemoryError:
        raise
    except Exception as error:
        return failure("import" if imports else "", str(error), explain=bool(request["explain"]))
    if len(output.encode()) > max_output:
        return {"outcome": "large"}
    return {"output": output}


def failure(outcome: str, text: str, *, explain: bool) -> dict[str, object]:
    """Classify an engine's error by the place that it names; its text may hold claims."""
    static = _STATIC.match(text)
    place = static or _FRAME.search(text)
    return {
        "outcome": outcome or ("static" if static else "runtime"),
        "line": int(place[place.re.groups - 1]) if place else 0,
        "column": int(place[place.re.groups]) if place else 0,
        "explanation": text[:MAX_EXPLANATION] if explain else "",
    }


def receive_frame() -> dict[str, object] | None:
    """Read a request, or return None when the parent has closed its end."""
    header = sys.stdin.buffer.read(4)
    body = sys.stdin.buffer.read(struct.unpack("!I", header)[0]) if header else b""
    return json.loads(body) if body else None


def send_frame(reply: dict[str, object]) -> None:
    body = json.dumps(reply, ensure_ascii=False).encode("utf-8", "replace")
    sys.stdout.buffer.write(struct.pack("!I", len(body)) + body)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    # The parent may have closed its end; then the reply has no reader.
    with suppress(OSError):
        main()
