"""Under gevent a request can end at any switch: a worker's late reply never reaches the next request.

gevent patches a whole process, so each test runs in a new one.
"""

from __future__ import annotations

import subprocess
import sys

PRELUDE = """
from gevent import monkey
monkey.patch_all()
import gevent, json, random
from django_ms_identity.exceptions import MapperFailed
from django_ms_identity.jsonnet.worker_pool import WorkerPool

SLOW = (
    "local fib(n) = if n < 2 then n else fib(n - 1) + fib(n - 2);"
    "{n: fib(16), who: std.extVar('claims').who}"
)

def ask(who, pool, timeout=20):
    return json.loads(pool.evaluate(SLOW, name="m", claims={"who": who}, identity={}, timeout=timeout))["who"]
"""


def run(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + script], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_worker_pool_keeps_no_reply_of_a_greenlet_that_timed_out():
    assert (
        run(
            """
pool = WorkerPool(size=1)
ask("warm", pool)
cut = 0
for turn in range(10):
    try:
        # Long enough to send, too short for the reply.
        with gevent.Timeout(0.004):
            ask(f"first {turn}", pool)
    except gevent.Timeout:
        cut += 1
        assert not pool.workers
    assert ask(f"second {turn}", pool) == f"second {turn}"
assert cut, "nothing was cut off"
print("each got their own")
"""
        )
        == "each got their own"
    )


def test_worker_pool_serves_greenlets_while_others_are_killed():
    assert (
        run(
            """
random.seed(7)
pool = WorkerPool(size=2)
wrong = []

def ask_and_compare(who):
    try:
        if ask(who, pool) != who:
            wrong.append(who)
    except MapperFailed:
        pass

for turn in range(12):
    greenlets = [gevent.spawn(ask_and_compare, f"{turn}-{number}") for number in range(6)]
    gevent.sleep(random.uniform(0, 0.3))
    for greenlet in greenlets[::2]:
        greenlet.kill(block=False)
    gevent.joinall(greenlets)
assert len(pool.workers) <= 2, pool.workers
assert ask("last", pool) == "last"
print(wrong)
"""
        )
        == "[]"
    )
