"""A limit on memory, for readers of files that lie about their sizes."""

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

LITTLE = 8 << 20  # bytes; every file here is small, whatever size it claims


@contextmanager
def little_memory() -> Iterator[None]:
    """Fail if more is allocated at a time within the block."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < LITTLE
    finally:
        tracemalloc.stop()
