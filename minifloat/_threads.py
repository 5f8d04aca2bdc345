"""Threads for verbs with a ``threads=`` argument.

Where no thread can be had the caller's own does all the work: when the interpreter ends (in
`atexit`, or in a thread that outlives the main one), and when the system allows no more threads.

A process may fork at any time but one: while another thread compiles, that is, is in the first
call of a verb. Numba's lock is then held in the child for ever, and the child's first call waits
for it. So call each verb once before forking, or start processes by "spawn" or "forkserver".
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, SupportsIndex, TypeVar

from minifloat.formats.base import check_int, shown

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

Part = TypeVar("Part")
Result = TypeVar("Result")


def check_threads(threads: SupportsIndex) -> int:
    """Return ``threads`` as an int, or raise unless it is a positive integer."""
    number = check_int("threads", threads)
    if number < 1:
        raise ValueError(f"threads must be a positive integer, got {shown(number)}")
    return number


def slices(count: int, step: int) -> list[slice]:
    """Return all of ``count`` in slices of ``step``; the last may be shorter."""
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def each(work: Callable[[Part], Result], parts: Sequence[Part], threads: int) -> list[Result]:
    """Call ``work`` for each part, on the caller's thread and others; return the results in order.

    If a part fails, parts that have begun are finished and no others begin. The error raised is
    that of the first failed part in their order, as on one thread. ``work`` may itself call
    ``each`` with one thread.
    """
    if threads == 1 or len(parts) <= 1:
        return [work(part) for part in parts]
    todo = deque(range(len(parts)))
    results: dict[int, Result] = {}
    errors: dict[int, BaseException] = {}

    def work_on_parts() -> None:
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

    def help_with_parts(helper: Future[None]) -> None:
        if helper.set_running_or_notify_cancel():
            work_on_parts()
            helper.set_result(None)

    helpers: list[Future[None]] = []
    try:
        with suppress(RuntimeError):  # no thread to be had
            pool = _pool(threads - 1, os.getpid())
            for _ in range(min(threads, len(parts)) - 1):
                helpers.append(Future())  # before it begins: an interrupt may come at any time
                pool.submit(help_with_parts, helpers[-1])
        work_on_parts()
        _finish(helpers)
    except BaseException:  # an interrupt must not leave threads writing
        todo.clear()
        _finish(helpers)
        raise
    if errors:
        raise errors[min(errors)]
    return [results[k] for k in range(len(parts))]


def _finish(helpers: list[Future[None]]) -> None:
    """Cancel threads that have not begun, and wait for the others."""
    for helper in helpers:
        if not helper.cancel():
            helper.result()


@lru_cache(maxsize=1)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Return a pool of waiting threads, since starting threads can take longer than the work.

    A forked process does not have its parent's threads and makes its own.
    """
    from concurrent.futures import ThreadPoolExecutor  # cannot be imported when Python ends

    return ThreadPoolExecutor(threads, thread_name_prefix=f"minifloat-{process}")
