"""The threads that verbs with ``threads=`` share their work among."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")


def check_threads(threads: int) -> None:
    """Raise unless ``threads`` is a positive integer."""
    if not isinstance(threads, int) or isinstance(threads, bool) or threads < 1:
        raise ValueError(f"threads must be a positive integer, got {threads!r}")


def each(work: Callable[[Part], Result], parts: Sequence[Part], threads: int) -> list[Result]:
    """Do the parts of some work on the caller's thread and others, and return what each gives.

    When a part fails, those that have begun are finished and the others left; the error is that of
    the first part to fail in their order, as on one thread. ``work`` may call this for one thread.
    """
    if threads == 1 or len(parts) <= 1:
        return [work(part) for part in parts]
    todo = deque(range(len(parts)))
    results: dict[int, Result] = {}
    errors: dict[int, BaseException] = {}

    def some() -> None:
        while todo:
            try:
                k = todo.popleft()
            except IndexError:  # another thread took the last one
                return
            try:
                results[k] = work(parts[k])
            except BaseException as error:
                errors[k] = error
                todo.clear()

    pool = _pool(threads - 1, os.getpid())
    helpers: list[Future[None]] = []
    try:
        for _ in range(min(threads, len(parts)) - 1):
            helpers.append(pool.submit(some))  # noqa: PERF401 (those submitted before an interrupt)
        some()
        _finish(helpers)
    except BaseException:  # an interrupt must not leave threads writing
        todo.clear()
        _finish(helpers)
        raise
    if errors:
        raise errors[min(errors)]
    return [results[k] for k in range(len(parts))]


def _finish(helpers: list[Future[None]]) -> None:
    """Wait for those that have begun; the others are not needed any more."""
    for helper in helpers:
        if not helper.cancel():
            helper.result()


@lru_cache(maxsize=1)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Return threads that wait for work: to start them takes longer than some of it does.

    A forked process has none of its parent's threads, and makes its own.
    """
    return ThreadPoolExecutor(threads, thread_name_prefix=f"minifloat-{process}")
