"""Threads that run commands, which end with the work that needs them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from minifloat.hardware.processes import STOP


@contextmanager
def stoppable_pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Give threads whose commands end, and whose work is cancelled, when the block is left.

    Examples
    --------
    >>> with stoppable_pool(2) as pool:
    ...     pool.submit(pow, 2, 5).result()
    32
    """
    stop = threading.Event()
    pool = ThreadPoolExecutor(workers, initializer=STOP.set, initargs=(stop,))
    try:
        yield pool
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
