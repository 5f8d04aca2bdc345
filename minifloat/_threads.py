"""The threads that verbs with ``threads=`` share their work among."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from typing import TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")


def check_threads(threads: int) -> None:
    """Raise unless ``threads`` is a positive integer."""
    if not isinstance(threads, int) or isinstance(threads, bool) or threads < 1:
        raise ValueError(f"threads must be a positive integer, got {threads!r}")


def each(work: Callable[[Part], Result], parts: Sequence[Part], threads: int) -> list[Result]:
    """Do the parts of some work, in any order, and return what each gives.

    When a part fails, those that have begun are finished and the others left; the error is that of
    the first part to fail in their order, as on one thread. ``work`` must not call this again.
    """
    if threads == 1 or len(parts) == 1:
        return [work(part) for part in parts]
    pool = _pool(threads, os.getpid())
    futures = [pool.submit(work, part) for part in parts]
    try:
        return [future.result() for future in futures]
    except BaseException:  # an interrupt, too, must not leave threads writing
        for future in futures:
            future.cancel()
        wait(futures)
        raise


@lru_cache(maxsize=1)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Return threads that wait for work: to start them takes longer than some of it does.

    A forked process has none of its parent's threads, and makes its own.
    """
    return ThreadPoolExecutor(threads, thread_name_prefix=f"minifloat-{process}")
