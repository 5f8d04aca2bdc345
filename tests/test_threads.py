"""Work on several threads: results in order, and errors of parts."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from minifloat._threads import each


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_are_in_the_order_of_the_parts(threads: int) -> None:
    def work(part: int) -> int:
        time.sleep(0.002 * (7 - part))
        return part * part

    assert each(work, range(8), threads) == [part * part for part in range(8)]
    assert each(work, [], threads) == []


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_error_is_that_of_the_first_failed_part(threads: int) -> None:
    def work(part: int) -> None:
        if part == 2:
            time.sleep(0.02)
        if part >= 2:
            raise ValueError(f"part {part}")

    with pytest.raises(ValueError, match="part 2"):
        each(work, range(6), threads)


def test_no_part_begins_after_an_error() -> None:
    running = threading.Semaphore(0)
    events: list[int | str] = []

    def work(part: int) -> None:
        events.append(part)
        time.sleep(0.005)
        if part == 0:
            running.acquire()
            raise ValueError("the first")
        if part == 1:
            running.release()
            time.sleep(0.05)
            events.append("finished")

    with pytest.raises(ValueError, match="the first"):
        each(work, [0, 1, *range(2, 400)], 2)
    assert "finished" in events
    count = len(events)
    time.sleep(0.02)
    assert len(events) == count < 400


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no timer signals")
def test_no_part_runs_after_an_interrupt() -> None:
    """The interrupt comes when the caller has finished its part and waits for another thread."""
    finished = []

    def work(part: int) -> None:
        time.sleep(0.2 * part)
        finished.append(part)

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(KeyboardInterrupt):
            each(work, [0, 1], 2)
        assert finished == [0, 1]
    finally:
        signal.signal(signal.SIGALRM, before)


def test_the_caller_works_too_and_threads_are_kept() -> None:
    def name(_: int) -> str:
        time.sleep(0.01)
        return threading.current_thread().name

    first = set(each(name, range(4), 2))
    assert threading.current_thread().name in first
    assert len(first) == 2
    assert set(each(name, range(4), 2)) == first
