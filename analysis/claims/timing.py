"""How long something takes, in time of the CPU."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np


def median_seconds(run: Callable[[], object], repeats: int) -> float:
    """Return the median CPU time of a run in seconds.

    Parameters
    ----------
    run : callable
    repeats : int
        At least 1.

    Returns
    -------
    float
    """
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    return float(np.median(seconds))
