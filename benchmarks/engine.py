"""Times a Jsonnet engine by itself: a request as JSON on standard input, milliseconds as JSON on output."""

from __future__ import annotations

import importlib
import json
import sys
from time import perf_counter

WARM_UP = 5


def main() -> None:
    request = json.load(sys.stdin)
    engine = importlib.import_module(request["module"])
    times = []
    for _ in range(WARM_UP + request["rounds"]):
        began = perf_counter()
        engine.evaluate_snippet(
            "mapper.jsonnet",
            request["source"],
            max_stack=500,
            ext_codes={"claims": request["claims"], "identity": request["identity"]},
        )
        times.append((perf_counter() - began) * 1000)
    print(json.dumps(times[WARM_UP:]))


if __name__ == "__main__":
    main()
