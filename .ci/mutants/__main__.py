"""Remove each check once and see whether a test notices: ``make mutants``, or ``make mutants ONLY=flows``.

A check is a condition before a refusal, one operand of such a condition, the result of a function that
returns a bool, or a call for its side effect. Each is removed in a copy of the tree, where the tests that
modules.toml names for its module run until the first failure. What no test notices is a survivor: it needs a
test, or a reason in survivors.toml.

Neither mutmut 3.8 nor cosmic-ray 8.7 can do this by configuration. mutmut has a fixed list of operators, none
of which removes a condition, and it skips functions with a decorator: all views and all transactions. Of
identities/linking/credentials.py, where 36 checks are to be removed, it makes 245 mutants. cosmic-ray makes
134 by negating and replacing, which the sign-ins that succeed notice already, and edits the tree in place.
Operators that remove would be a package of their own, beside one configuration and one session per module.
"""

from __future__ import annotations

import argparse
import ast
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
PACKAGE = "django_ms_identity"
TIMEOUT = 180
"""Seconds for the tests of one mutant; longer means an endless loop, if the machine is not too busy."""
COPIED = (
    PACKAGE,
    "tests",
    "example_project",
    "manage.py",
    "pyproject.toml",
    "docs",
    "README.md",
    "CHANGELOG.md",
)


class Outcome(Enum):
    """Whether the tests notice a mutant."""

    NOTICED = "noticed"
    HANGS = f"the tests take over {TIMEOUT} s"
    SURVIVES = "survives"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A module with one check removed."""

    module: str
    function: str
    line: int
    what: str
    """The source of what is removed; with module and function it names the mutant."""
    source: str
    """The whole module without it."""

    @property
    def name(self) -> str:
        return f"{self.module}:{self.function}: {self.what}"


def mutants_of(module: str, source: str) -> Iterator[Mutant]:
    """Remove each check of a module, one at a time."""
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    seen: Counter[str] = Counter()
    for function in functions:
        for node in _own(function):
            for inner, replacement in _weakened(node, answers=_answers(function)):
                what = ast.unparse(inner)
                what += f" -> {replacement}" if isinstance(node, ast.Return) and inner is node.value else ""
                what = what if len(what) <= 160 else f"{what[:157]}..."
                # Number the checks that have the same source.
                seen[f"{function.name}: {what}"] += 1
                if (number := seen[f"{function.name}: {what}"]) > 1:
                    what = f"{what} ({number})"
                yield Mutant(
                    module=module,
                    function=function.name,
                    line=inner.lineno,
                    what=what,
                    source=_replaced(source, inner, replacement),
                )


def _own(function: ast.AST) -> Iterator[ast.AST]:
    """Walk a function without the functions inside it, which are walked by themselves."""
    for child in ast.iter_child_nodes(function):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
            yield from _own(child)


def _answers(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Say whether a function returns a bool."""
    return isinstance(function.returns, ast.Name) and function.returns.id == "bool"


def _weakened(node: ast.AST, *, answers: bool) -> Iterator[tuple[ast.expr, str]]:
    """Return the parts of a check, each with its replacement."""
    if isinstance(node, ast.If) and _refuses(node.body):
        yield node.test, "False"
        yield from _operands(node.test)
    elif isinstance(node, ast.Return) and isinstance(node.value, ast.BoolOp):
        yield from _operands(node.value)
    elif answers and isinstance(node, ast.Return) and node.value and not isinstance(node.value, ast.Constant):
        yield node.value, "True"
        yield node.value, "False"
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and not _checks_nothing(node.value):
        yield node.value, "None"
    elif isinstance(node, ast.comprehension):
        for test in node.ifs:
            yield test, "True"


def _checks_nothing(call: ast.Call) -> bool:
    # What is only logged, and what only the type checker asks for.
    return ast.unparse(call.func).startswith(("logger.", "_log", "assert_never"))


def _operands(test: ast.expr) -> Iterator[tuple[ast.expr, str]]:
    if isinstance(test, ast.BoolOp):
        neutral = "True" if isinstance(test.op, ast.And) else "False"
        for operand in test.values:
            yield operand, neutral
            yield from _operands(operand)


def _refuses(body: list[ast.stmt]) -> bool:
    return isinstance(body[-1], ast.Raise | ast.Return | ast.Continue | ast.Break)


def _replaced(source: str, node: ast.expr, replacement: str) -> str:
    lines = source.encode().splitlines(keepends=True)
    start = sum(map(len, lines[: node.lineno - 1])) + node.col_offset
    end = sum(map(len, lines[: (node.end_lineno or node.lineno) - 1])) + (node.end_col_offset or 0)
    octets = source.encode()
    return (octets[:start] + f"({replacement})".encode() + octets[end:]).decode()


class Copies:
    """Copies of the tree, one for each worker; a class because they outlive the mutants."""

    def __init__(self, count: int, folder: Path) -> None:
        self._free: SimpleQueue[Path] = SimpleQueue()
        for number in range(count):
            copy = folder / str(number)
            copy.mkdir()
            for name in COPIED:
                source = ROOT / name
                (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / name)
            self._free.put(copy)

    def untouched(self, tests: Sequence[str]) -> Outcome:
        """Run tests on the tree as it is."""
        with self._lent() as copy:
            return _run(tests, copy)

    def outcome(self, mutant: Mutant, tests: Sequence[str]) -> Outcome:
        """Run the tests on a mutant."""
        with self._lent() as copy:
            path = copy / PACKAGE / mutant.module
            before = path.read_text(encoding="utf-8")
            path.write_text(mutant.source, encoding="utf-8")
            try:
                return _run(tests, copy)
            finally:
                path.write_text(before, encoding="utf-8")

    @contextmanager
    def _lent(self) -> Iterator[Path]:
        copy = self._free.get()
        try:
            yield copy
        finally:
            self._free.put(copy)


def _run(tests: Sequence[str], folder: Path) -> Outcome:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:randomly",
        "-p",
        "no:cacheprovider",
        *tests,
    ]
    environment = os.environ | {"CI": "true", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return Outcome.HANGS
    if done.returncode not in (0, 1, 2):
        raise SystemExit(
            f"pytest ended with {done.returncode}:\n{done.stdout.decode()}{done.stderr.decode()}"
        )
    return Outcome.NOTICED if done.returncode else Outcome.SURVIVES


def main() -> None:
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__)
    parser.add_argument(
        "only", nargs="*", help="modules whose path contains one of these texts; it begins with a slash"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    modules = tomllib.loads((HERE / "modules.toml").read_text(encoding="utf-8"))
    reasons = tomllib.loads((HERE / "survivors.toml").read_text(encoding="utf-8"))
    work = [
        (mutant, tests)
        for module, tests in modules.items()
        if not options.only or any(part in f"/{module}" for part in options.only)
        for mutant in mutants_of(module, (ROOT / PACKAGE / module).read_text(encoding="utf-8"))
    ]
    if missing := [part for part in options.only if not any(part in f"/{module}" for module in modules)]:
        raise SystemExit(f"modules.toml has no module like {' or '.join(missing)}.")
    began = time.monotonic()
    unexplained = 0
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.jobs) as pool:
        copies = Copies(options.jobs, Path(folder))
        test_sets = {tuple(tests) for _, tests in work}
        if any(outcome is not Outcome.SURVIVES for outcome in pool.map(copies.untouched, test_sets)):
            raise SystemExit("The tests fail, or hang, before anything is removed.")
        outcomes = pool.map(lambda each: (each[0], copies.outcome(*each)), work)
        for number, (mutant, outcome) in enumerate(outcomes, 1):
            reason = reasons.get(mutant.name, "")
            survives = outcome is Outcome.SURVIVES
            verdict = f"survives: {reason or 'NO REASON GIVEN'}" if survives else outcome.value
            unexplained += outcome is not Outcome.NOTICED and not reason
            place = f"{mutant.module}:{mutant.line} {mutant.function}"
            print(f"{number}/{len(work)} {place}: {mutant.what}: {verdict}", flush=True)
    print(
        f"{len(work)} mutants in {time.monotonic() - began:.0f} s; {unexplained} without a test or a reason"
    )
    sys.exit(unexplained > 0)


if __name__ == "__main__":
    main()
