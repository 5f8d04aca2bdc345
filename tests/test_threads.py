"""Work on several threads: results in order, and errors of parts."""

from __future__ import annotations

import multiprocessing
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat._threads import check_threads, each


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
    begun = threading.Event()

    def work(part: int) -> None:
        if threading.current_thread() is threading.main_thread():
            begun.wait(10)
        else:
            begun.set()
            time.sleep(0.2)
        finished.append(part)

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(KeyboardInterrupt):
            each(work, [0, 1], 2)
        assert sorted(finished) == [0, 1]
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


def run(program: str) -> subprocess.CompletedProcess[str]:
    header = "import numpy as np, minifloat as mf\nx = np.ones((500, 400), np.float32)\n"
    command = [sys.executable, "-W", "error", "-c", header + program]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.parametrize("before", ["", "mf.encode(x, 'e2m2', threads=2)\n"])
def test_threads_may_be_asked_for_when_the_interpreter_ends(before: str) -> None:
    """In `atexit`, and in a thread that outlives the main one, there are no further threads."""
    program = (
        before
        + """
import atexit, threading, time

def work(where):
    codes = mf.encode(x, "e2m2", threads=2)
    q = mf.quantize(x, "e2m2", threads=3)
    assert (codes == mf.encode(x, "e2m2")).all() and q == mf.quantize(x, "e2m2")
    print(where, flush=True)

def outlive():
    threading.main_thread().join()
    work("thread")

atexit.register(work, "atexit")
threading.Thread(target=outlive).start()
"""
    )
    ran = run(program)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert sorted(ran.stdout.split()) == ["atexit", "thread"]


def test_the_caller_does_all_where_the_system_has_no_more_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert each(str, range(9), 7) == [str(k) for k in range(9)]


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_forked_processes_have_threads_of_their_own() -> None:
    program = """
import multiprocessing, warnings
warnings.simplefilter("ignore")
wanted = mf.encode(x, "e2m2", threads=2)

def work(_):
    return (mf.encode(x, "e2m2", threads=2) == wanted).all()

with multiprocessing.get_context("fork").Pool(2) as pool:
    print(all(pool.map(work, range(8))))
"""
    ran = run(program)
    assert ran.stdout == "True\n", ran.stderr


@pytest.mark.parametrize("threads", [0, -1, -(2**70), np.int64(0)])
def test_fewer_threads_than_one_are_refused(threads: Any) -> None:
    with pytest.raises(ValueError, match=f"threads must be a positive integer, got {threads}$"):
        check_threads(threads)


@pytest.mark.parametrize("threads", [True, 1.0, "2", None, np.True_, [2]])
def test_threads_that_are_no_integers_are_refused(threads: Any) -> None:
    with pytest.raises(TypeError, match="threads must be an int, got"):
        mf.quantize([1.0], "e2m2", threads=threads)


@pytest.mark.parametrize("threads", [np.int64(2), np.uint8(3), 2**63, 2**70])
def test_any_number_of_threads_is_a_number(threads: Any) -> None:
    x = np.linspace(-8, 8, 1 << 18, dtype=np.float32)
    np.testing.assert_array_equal(mf.encode(x, "e2m2", threads=threads), mf.encode(x, "e2m2"))
