"""What a hostile or broken mapper may try: after each attempt the next good evaluation works."""

from __future__ import annotations

import json
import os
import time

import pytest

from django_ms_identity.exceptions import (
    MapperCrashed,
    MapperFailed,
    MapperImportRefused,
    MapperOutputTooLarge,
    MapperRuntimeFailed,
    MapperSyntaxInvalid,
    MapperTimedOut,
)
from django_ms_identity.jsonnet.json_values import JSON
from django_ms_identity.jsonnet.worker_pool import WorkerPool
from django_ms_identity.jsonnet.worker_process import MAX_OUTPUT

STOPPED = (MapperTimedOut, MapperCrashed)
RAISED = (MapperRuntimeFailed,)

SPIN = "local fib(n) = if n < 2 then n else fib(n - 1) + fib(n - 2); fib(60)"
ABUSES = [
    pytest.param("local f(n) = 1 + f(n + 1); f(0)", RAISED, id="endless recursion"),
    pytest.param("local a = a; a", RAISED, id="endless self reference"),
    pytest.param("local f(n) = { a: f(n + 1) }; f(0)", (*RAISED, *STOPPED), id="endless object"),
    pytest.param(SPIN, STOPPED, id="endless computation"),
    pytest.param("local f(n) = f(n + 1) tailstrict; f(0)", STOPPED, id="endless tail loop"),
    pytest.param("std.length(std.range(1, 200000000))", STOPPED, id="range bomb"),
    pytest.param(
        "local f(s, n) = if n == 0 then s else f(s + s, n - 1); f('xx', 40)", STOPPED, id="doubling"
    ),
    pytest.param("std.length(std.repeat('x', 1000000000))", STOPPED, id="repeat bomb"),
    pytest.param("std.length(std.makeArray(1000000000, function(i) i * i))", STOPPED, id="array bomb"),
    pytest.param(
        "local r = std.range(1, 3000); std.length([1 for a in r for b in r for c in r])",
        STOPPED,
        id="comprehension",
    ),
    pytest.param(
        "local a = std.repeat('x', 1000000); std.makeArray(200, function(i) a)",
        (*STOPPED, MapperOutputTooLarge),
        id="huge output",
    ),
    pytest.param("[" * 30_000 + "]" * 30_000, (*STOPPED, MapperSyntaxInvalid), id="deep source"),
    pytest.param("1" + "+1" * 32_000, (*STOPPED, None), id="long binary chain"),
    pytest.param("1" + "+1" * 200_000, (*STOPPED, None), id="binary chain over the limit for sources"),
]


def run(sandbox: WorkerPool, source: str, *, timeout: float = 20, **claims: JSON) -> str:
    return sandbox.evaluate(source, name="the mapper", claims=claims, identity={}, timeout=timeout)


@pytest.mark.parametrize(("source", "leaves"), ABUSES)
def test_worker_pool_contains_abuse_and_evaluates_the_next_mapper(
    sandbox: WorkerPool, source: str, leaves: tuple[type[MapperFailed] | None, ...]
) -> None:
    outcome: type[MapperFailed] | None = None
    try:
        run(sandbox, source, timeout=0.4)
    except MapperFailed as failure:
        outcome = type(failure)

    assert outcome in leaves
    assert json.loads(run(sandbox, "std.extVar('claims').n + 1", n=41)) == 42


@pytest.mark.parametrize("keyword", ["import", "importstr", "importbin"])
@pytest.mark.parametrize("path", ["/etc/hostname", "worker.py", "./mapper.jsonnet", "/proc/self/environ"])
def test_mapper_imports_are_refused(sandbox: WorkerPool, keyword: str, path: str) -> None:
    with pytest.raises(MapperImportRefused) as refusal:
        run(sandbox, f"\n  {keyword} '{path}'")

    # Go's binding sometimes garbles the engine's message, and the place in it.
    message = "the mapper imports a file"
    assert str(refusal.value) in (message, f"{message} at line 2, column 3")


@pytest.mark.parametrize(
    "text",
    [
        "importstr '/etc/hostname'",
        "'+ (importstr '/etc/hostname') +'",
        '" + (importstr "/etc/hostname") + "',
        '\\" + error "x" + \\"',
        "|||\n importstr\n|||",
        "%(claims)s ${claims} \u2028 \u0000 \x1b",
        "}, local x = error 'y', {",
    ],
)
def test_claims_are_never_evaluated_as_code(sandbox: WorkerPool, text: str) -> None:
    output = run(sandbox, "local c = std.extVar('claims'); { v: c.value, k: std.objectFields(c.object) }",
                 value=text, object={text: 1})  # fmt: skip

    assert json.loads(output) == {"v": text, "k": [text]}


def test_identity_is_never_evaluated_as_code(sandbox: WorkerPool) -> None:
    identity: dict[str, JSON] = {"traits": {"a": "' + importstr '/etc/hostname' + '"}}
    output = sandbox.evaluate("std.extVar('identity')", name="m", claims={}, identity=identity, timeout=20)

    assert json.loads(output) == identity


def test_mapper_has_no_native_functions(sandbox: WorkerPool) -> None:
    with pytest.raises(MapperRuntimeFailed):
        run(sandbox, "std.native('getenv')('PATH')")


def test_mapper_has_no_other_external_variables(sandbox: WorkerPool) -> None:
    with pytest.raises(MapperRuntimeFailed):
        run(sandbox, "std.extVar('provider')")


LEAKS = [
    "error 'bad ' + std.extVar('claims').email",
    "assert false : std.extVar('claims').email; {}",
    "local c = std.extVar('claims'); c[c.email]",
    "std.parseInt(std.extVar('claims').email)",
    "{ ['a' + std.extVar('claims').email]: error std.extVar('claims').email }",
    "std.trace(std.extVar('claims').email, error 'x')",
    "importstr std.extVar('claims').email",
    "{ a: planted }",
]


@pytest.mark.parametrize("source", LEAKS)
def test_engine_message_does_not_leave_the_worker_pool(
    sandbox: WorkerPool, source: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    with pytest.raises(MapperFailed) as failure:
        run(sandbox, source, email="planted@contoso.example")

    error = failure.value
    chain = [error, error.__cause__, error.__context__]
    assert "planted" not in repr(chain) + str(error) + error.hint + error.detail + caplog.text
    assert "planted" not in "".join(capfd.readouterr())
    assert error.hint


@pytest.mark.parametrize("source", [source for source in LEAKS if "import" not in source])
def test_engine_message_is_shown_to_an_operator_who_asks(sandbox: WorkerPool, source: str) -> None:
    with pytest.raises(MapperFailed) as failure:
        sandbox.evaluate(source, name="m", claims={"email": "planted"}, identity={}, timeout=20, explain=True)

    assert "planted" in failure.value.hint or "std.trace" in source
    assert "mapper.jsonnet:1:" in failure.value.hint
    assert "planted" not in str(failure.value)


def test_engine_message_is_cut_at_two_kib(sandbox: WorkerPool) -> None:
    with pytest.raises(MapperRuntimeFailed) as failure:
        sandbox.evaluate(
            "error std.repeat('é', 9000)", name="m", claims={}, identity={}, timeout=20, explain=True
        )

    assert len(failure.value.hint) == 2048


@pytest.mark.parametrize(
    ("source", "leaf", "message"),
    [
        ("{\n  a:}", MapperSyntaxInvalid, "m is not valid Jsonnet at line 2, column 5"),
        ("{ a: unknown }", MapperSyntaxInvalid, "m is not valid Jsonnet at line 1, column 6"),
        ("\n{\n  a: error 'x' }", MapperRuntimeFailed, "m failed for these claims at line 3, column 6"),
        (
            "error 'STATIC ERROR: mapper.jsonnet:7:7'",
            MapperRuntimeFailed,
            "m failed for these claims at line 1,",
        ),
        ("function(x) x", MapperRuntimeFailed, "m failed for these claims"),
    ],
)
def test_mapper_error_is_classified_and_located(
    sandbox: WorkerPool, source: str, leaf: type[MapperFailed], message: str
) -> None:
    with pytest.raises(leaf) as failure:
        sandbox.evaluate(source, name="m", claims={}, identity={}, timeout=20)

    assert str(failure.value).startswith(message)


def test_mapper_recursion_may_be_500_deep(sandbox: WorkerPool) -> None:
    source = "local f(n) = if n == 0 then 0 else 1 + f(n - 1); f(%d)"

    assert json.loads(run(sandbox, source % 400)) == 400
    with pytest.raises(MapperRuntimeFailed):
        run(sandbox, source % 600)


def test_mapper_output_up_to_the_limit_is_accepted(sandbox: WorkerPool) -> None:
    half = "é" * ((MAX_OUTPUT - 100) // 4)

    assert len(run(sandbox, "std.extVar('claims').v + std.extVar('claims').v", v=half)) > 100_000
    with pytest.raises(MapperOutputTooLarge, match=str(MAX_OUTPUT)):
        run(sandbox, "local v = std.extVar('claims').v; v + v + v", v=half)


def test_mapper_source_with_nul_is_refused(sandbox: WorkerPool) -> None:
    with pytest.raises(MapperFailed):
        run(sandbox, "{ a: 1 }\0 garbage")


def test_mapper_is_ended_by_processor_time_before_wall_time(sandbox: WorkerPool) -> None:
    started = time.monotonic()
    with pytest.raises(MapperTimedOut):
        run(sandbox, SPIN, timeout=30)

    assert time.monotonic() - started < 25


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="looks at the worker by way of /proc")
def test_worker_shows_neither_claims_nor_secrets_of_the_parent(
    sandbox: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.close()
    monkeypatch.setenv("SECRET_OF_THE_SITE", "planted")
    run(sandbox, "{ a: std.extVar('claims').email }", email="planted@contoso.example")

    (worker,) = sandbox.workers
    for name in ("environ", "cmdline"):
        with open(f"/proc/{worker.process.pid}/{name}", "rb") as file:
            assert b"planted" not in file.read()
