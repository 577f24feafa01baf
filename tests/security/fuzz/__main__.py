"""Runs the targets in rounds until the time is over; exits with 1 and an example where one fails."""

from __future__ import annotations

import argparse
import logging
import os
import random
import sys
import time
import traceback

import django
from django.conf import settings as django_settings


def run(seconds: float, seed: int, only: str) -> int:
    import hypothesis
    from django.core.cache import cache
    from django.db import transaction
    from hypothesis import HealthCheck, given

    from django_ms_identity import runtime

    from .targets import TARGETS, Target

    chosen = [target for target in TARGETS if only in target.name]
    if not chosen:
        print(f"No target is called so; there are: {', '.join(target.name for target in TARGETS)}")
        return 2
    end = time.monotonic() + seconds
    tried: dict[str, int] = {target.name: 0 for target in chosen}

    def visit(target: Target, seed: int) -> None:
        runtime.reset()
        cache.clear()
        with transaction.atomic(), target.begin() as begun:

            def one(**values: object) -> None:
                # When the time is over the rest of this visit is skipped, but no failure is shrunk in haste.
                if time.monotonic() > end and not failing:
                    return
                tried[target.name] += 1
                with transaction.atomic():
                    try:
                        target.check(begun, **values)
                    except BaseException:
                        failing.append(target.name)
                        raise
                    transaction.set_rollback(True)

            failing: list[str] = []
            test = given(**target.inputs)(one)
            for example in target.known:
                test = hypothesis.example(**example)(test)
            limits = hypothesis.settings(
                max_examples=target.examples,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
                print_blob=False,
            )
            hypothesis.seed(seed)(limits(test))()
            transaction.set_rollback(True)

    round_, target = 0, chosen[0]
    try:
        while time.monotonic() < end:
            for target in chosen:
                if time.monotonic() < end:
                    visit(target, seed + round_)
            round_ += 1
    except Exception:
        traceback.print_exc()
        again = f"python -m tests.security.fuzz --seed {seed + round_} --only '{target.name}'"
        print(f"\n{target.name} failed. The same again: {again}")
        return 1
    for name, number in tried.items():
        print(f"{number:7} {name}")
    print(
        f"{sum(tried.values()):7} examples in {round_} rounds, and nothing but our own answers (seed {seed})"
    )
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.security.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--only", default="", help="a part of a target's name")
    options = parser.parse_args()

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    from django.db import connection
    from django.test.utils import setup_test_environment

    setup_test_environment()
    # Refusals are what this is about; thousands of them say nothing.
    logging.disable(logging.CRITICAL)
    connection.creation.create_test_db(verbosity=0)
    print(f"Fuzzing for {options.seconds:g} s with seed {options.seed}", flush=True)
    assert not django_settings.DEBUG
    return run(options.seconds, options.seed, options.only)


sys.exit(main())
