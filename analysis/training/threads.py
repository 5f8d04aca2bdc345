"""Threads of PyTorch: how many it uses, and two products at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Meanwhile, have PyTorch use so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def at_once(work: Callable[[int], Any], parts: tuple[int, int]) -> list[Any]:
    """Call ``work`` for both parts, each on one thread if PyTorch has several; return the results.

    Two threads with a whole product each wait less than two that share all small operations.
    """
    if torch.get_num_threads() == 1:
        return [work(part) for part in parts]

    def help_with(part: int) -> Any:
        torch.set_num_threads(1)  # of the thread that calls, as is
        with torch.no_grad():
            return work(part)

    with torch_threads(1):
        other = _helper(os.getpid()).submit(help_with, parts[0])
        try:
            own = work(parts[1])
        finally:
            wait([other])
    return [other.result(), own]


@lru_cache(maxsize=1)
def _helper(process: int) -> ThreadPoolExecutor:
    """Return a waiting thread; a forked process does not have its parent's and makes its own."""
    return ThreadPoolExecutor(1, thread_name_prefix=f"training-{process}")
