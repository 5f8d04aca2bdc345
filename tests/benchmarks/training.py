"""Time training runs under recipes: `python -m tests.benchmarks.training`.

Seconds for two million bytes (`analysis.training`), from short runs: of one run that has both
cores, and for each of two runs that have a core each, as a grid of runs does it. The yardstick is
the same model without rounding; runs are timed in turns, and the medians are printed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # before PyTorch is loaded, here and in workers

from analysis.training.run import Setup, train

BYTES = 2_000_000
BATCH, WINDOW = 16, 128
RECIPES = {
    "none": "",
    "mxfp4": "forward=mxfp4 backward=mxfp4",
    **{name: name for name in ("fp4_e8m0", "fp4_e4m3", "fp4_ue5m3", "quartet", "ms_eden")},
}


def seconds(model: str, recipe: str, steps: int, threads: int) -> float:
    """Return how long a run of `BYTES` would take, from its steps after the first two."""
    times: list[float] = []
    setup = Setup(model, recipe, items=BATCH * WINDOW * (steps + 2), batch=BATCH)
    train(setup, threads=threads, progress=lambda *_: times.append(time.perf_counter()))
    return (times[-1] - times[1]) / steps * BYTES / (BATCH * WINDOW)


def main() -> None:
    """Measure and print a line for each model and recipe."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.training")
    parser.add_argument("--models", nargs="+", default=["0.2M", "0.8M"])
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=RECIPES)
    parser.add_argument("--steps", type=int, default=15, help="of a timed run (15)")
    parser.add_argument("--turns", type=int, default=3, help="of all recipes (3)")
    options = parser.parse_args()
    print(f"{'model':<6}{'recipe':<10}{'alone, s':>10}{'ratio':>7}{'two at once, s a run':>22}")
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        for model in options.models:
            alone = {name: list[float]() for name in dict.fromkeys(("none", *options.recipes))}
            pairs = {name: list[float]() for name in alone}
            for _ in range(options.turns):
                for name, times in alone.items():
                    job = (model, RECIPES[name], options.steps)
                    times.append(pool.submit(seconds, *job, 2).result())
                    both = [pool.submit(seconds, *job, 1) for _ in range(2)]
                    pairs[name].append(max(each.result() for each in both) / 2)
            plain = statistics.median(alone["none"])
            for name, times in alone.items():
                whole, half = statistics.median(times), statistics.median(pairs[name])
                print(f"{model:<6}{name:<10}{whole:>10.0f}{whole / plain:>7.2f}{half:>22.0f}")


if __name__ == "__main__":
    main()
