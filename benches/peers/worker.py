"""One implementation in a process of its own: a JSON case on every line of stdin, a JSON result on every line of stdout.

A result has `seconds` (median), `min_seconds`, `runs`, `start_rss_mb` (before the case's data was made), `peak_rss_mb`,
and what the implementation adds; or `error`. Runs follow the rule of `reformer bench`: one to warm up, then at least
five and at least a second, but none after 30 seconds.
"""

import importlib
import json
import os
import statistics
import sys
import time

import machine

RUNS, SECONDS, PATIENCE = 5, 1.0, 30.0


def repeat(run, runs=None):
    run()
    taken = []
    start = time.perf_counter()
    while True:
        before = time.perf_counter()
        run()
        taken.append(time.perf_counter() - before)
        spent = time.perf_counter() - start
        if runs is not None:
            if len(taken) >= runs:
                return taken
        elif (len(taken) >= RUNS and spent >= SECONDS) or spent >= PATIENCE:
            return taken


def told(taken):
    return {"seconds": statistics.median(taken), "min_seconds": min(taken), "runs": len(taken)}


def measure(implementation, case):
    """A family returns what to repeat, or, as a dictionary, what it measured itself."""
    machine.restart_peak()
    start = machine.resident_mb()
    prepared = getattr(implementation, case["bench"])(case)
    result = prepared if isinstance(prepared, dict) else told(repeat(prepared, case.get("runs")))
    return {**result, "start_rss_mb": round(start, 1), "peak_rss_mb": round(machine.peak_mb(), 1)}


def main():
    # What libraries print must not look like a result.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    name, threads = sys.argv[1], sys.argv[2]
    os.environ.update(OMP_NUM_THREADS=threads, MKL_NUM_THREADS=threads, HF_HUB_OFFLINE="1")
    import torch

    torch.set_num_threads(int(threads))
    implementation = importlib.import_module(f"implementations.{name}")
    answers.write(json.dumps({"ready": name, "version": implementation.VERSION}) + "\n")
    for line in sys.stdin:
        torch.manual_seed(0)
        try:
            result = measure(implementation, json.loads(line))
        except (RuntimeError, MemoryError, ValueError) as error:
            result = {"error": f"{type(error).__name__}: {str(error)[:200]}"}
        answers.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
