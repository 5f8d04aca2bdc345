"""What a fault is: a wrong exception, a message that is not printable, a warning, too much work."""

from __future__ import annotations

import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SECONDS = 5.0  # of CPU; inputs are some KiB
MEMORY = 16 << 20  # bytes at a time, beside
MEMORY_PER_BYTE = 16  # of the input


class Fault(AssertionError):
    """Something that minifloat must never do, whatever its input is."""


@contextmanager
def only(*documented: type[Exception]) -> Iterator[None]:
    """Let pass the errors that are documented, if their messages are one printable line.

    Any other one is a fault.
    """
    try:
        yield
    except documented as error:
        check_line(f"the message of {type(error).__name__}", str(error))
    except Fault:
        raise
    except Exception as error:
        raise Fault(f"an undocumented {type(error).__name__}: {error!s:.300}") from error


def check_line(what: str, text: str) -> None:
    """Refuse a text that is empty or has a line break or a control character."""
    check(bool(text) and text.isprintable(), f"{what} must be one printable line: {text[:500]!r}")


def check(is_right: bool, what: str) -> None:
    """Raise unless this holds."""
    if not is_right:
        raise Fault(what)


def run(target: Callable[[bytes], None], data: bytes) -> None:
    """Run a target on an input; a `Fault` gets the input as a note.

    The second run is for memory, as measuring it slows. What takes too much of either may do so
    once: something may have been imported or compiled.
    """
    memory = MEMORY + MEMORY_PER_BYTE * len(data)
    try:
        with _no_warning(), only():
            if _seconds(target, data) > SECONDS:
                seconds = _seconds(target, data)
                check(seconds <= SECONDS, f"{seconds:.1f} s of CPU")
            if _peak(target, data) > memory:
                peak = _peak(target, data)
                check(peak <= memory, f"{peak} bytes of memory at a time")
    except Fault as fault:
        fault.add_note(f"input, {len(data)} bytes: {data[:2000]!r}")
        raise


@contextmanager
def _no_warning() -> Iterator[None]:
    """Refuse a warning that is given within the block."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield
    for warning in warned:
        raise Fault(f"a warning: {warning.category.__name__}: {warning.message}")


def _seconds(target: Callable[[bytes], None], data: bytes) -> float:
    """Return the CPU time that a target takes."""
    started = time.process_time()
    target(data)
    return time.process_time() - started


def _peak(target: Callable[[bytes], None], data: bytes) -> int:
    """Return the bytes that a target has at a time, at most."""
    tracemalloc.start()
    try:
        target(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
