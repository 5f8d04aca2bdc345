"""Where the cost goes: differences of circuits, which add up to the whole."""

from __future__ import annotations

import pytest

from analysis.hardware import circuits
from analysis.hardware.circuits import EXACT, ITSELF, LANES, PARTS, Job
from analysis.hardware.shares import shares
from analysis.hardware.tradeoff import of_job
from paper_figures.cost_plane import saved
from tests.analysis.hardware.test_tradeoff import row


def test_shares_are_the_differences_of_circuits() -> None:
    some = [
        row("e2m2", 40.0, circuits.DECODER),
        row("e2m2", 400.0, circuits.MULTIPLIER),
        row("e1m2", 200.0, circuits.MULTIPLIER),
        row("e2m2", 700.0, circuits.SUM),
        row("e2m2", 900.0),
    ]
    assert shares(some, "e2m2") == (80, 200, 120, 300, 200)
    for missing in range(len(some)):
        assert shares(some[:missing] + some[missing + 1 :], "e2m2") is None


def test_shares_of_the_records() -> None:
    rows = saved()
    taken = of_job(rows)
    seen = 0
    for fmt in PARTS:
        found = shares(rows, fmt)
        if found:
            lane = taken[Job(fmt, ITSELF, circuits.DOT, EXACT, "cmos")]["transistors"] / LANES
            assert sum(found) == pytest.approx(lane)
            assert min(found) >= 0, fmt
            if fmt.startswith(("int", "e1m")):
                assert (found.decode, found.align) == (0, 0)
            seen += 1
    assert seen >= 9
