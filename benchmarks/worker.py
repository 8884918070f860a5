"""One measurement of one contestant in a fresh process: ``python -m benchmarks.worker MODULE MEASURE JOBS SECONDS``.

Prints one line of JSON. What runs often is warmed up with a few jobs first, so that imports and the interpreter's
own specialisation are not counted.
"""

from __future__ import annotations

import gc
import importlib
import json
import sys

from benchmarks.tools import Load

WARMED = {
    *("singly", "bulk", "run", "run_singly", "spawn", "checkpoint"),
    *("enqueue", "enqueue_normal", "bulk_normal", "run_normal"),
}
WARM_UP = 200


def main(module: str, measure: str, jobs: str, seconds: str) -> None:
    contestant = importlib.import_module(f"benchmarks.{module}")
    function = getattr(contestant, measure)
    if measure in WARMED:
        function(Load(min(WARM_UP, int(jobs))))
    gc.collect()
    values = function(Load(int(jobs), float(seconds)))
    print(json.dumps({"made_of": contestant.made_of(), "values": values}))


if __name__ == "__main__":
    main(*sys.argv[1:])
