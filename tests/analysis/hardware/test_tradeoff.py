"""Cost joined with error: the front, and the criterion of races."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from analysis.hardware import circuits
from analysis.hardware.circuits import EXACT, ITSELF, LANES, Job
from analysis.hardware.races import NOT_WORTH, TRADE, WORTH, races
from analysis.hardware.tradeoff import INTEGERS, Point, front, points
from analysis.records import Row


def row(fmt: str, transistors: float, unit: str = circuits.DOT, **other: Any) -> Row:
    job = Job(fmt, ITSELF, unit, EXACT if unit == circuits.DOT else None, "cmos")._asdict()
    lanes = LANES if unit in (circuits.DOT, circuits.SUM) else 1
    return {**job, "lanes": lanes, "transistors": transistors * lanes, "lut6": 0, **other}


def test_the_front_is_that_of_all_pairs() -> None:
    draw = np.random.default_rng(3)
    some = [Point(str(i), ITSELF, 4, *draw.integers(0, 12, 2).tolist()) for i in range(60)]
    found = front(some)
    for point in some:
        beaten = any(
            other.cost <= point.cost
            and other.sqnr_db >= point.sqnr_db
            and (other.cost, other.sqnr_db) != (point.cost, point.sqnr_db)
            for other in some
        )
        assert ((point.cost, point.sqnr_db) in {(p.cost, p.sqnr_db) for p in found}) != beaten
    assert [point.cost for point in found] == sorted({point.cost for point in found})


def test_a_point_is_the_cost_of_a_lane_and_the_error_of_measured_products() -> None:
    """Gaussian products, drawn; the draw's own error is 0.02 dB, the second order 0.1."""
    (point,) = points([row("e2m1", 591.5)], "normal", "cmos", ITSELF)
    assert (point.cost, point.bits) == (591.5, 4.125)
    values = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    x = np.random.default_rng(5).normal(size=(2, 4096, 128))
    scale = np.abs(x).max(axis=-1, keepdims=True) / 6
    nearest = values[np.searchsorted((values[1:] + values[:-1]) / 2, np.abs(x) / scale)]
    rounded = np.sign(x) * nearest * scale
    error = np.mean((x[0] * x[1] - rounded[0] * rounded[1]) ** 2)
    assert point.sqnr_db == pytest.approx(-10 * math.log10(error), abs=0.15)


def test_activations_count() -> None:
    some = [row("e2m1", 900.0, activations="e4m3fn"), row("e2m1", 800.0, activations="int8")]
    (int8,), (e4m3,) = (points(some, "normal", "cmos", name) for name in ("int8", "e4m3fn"))
    assert (int8.activations, e4m3.activations) == ("int8", "e4m3fn")
    assert int8.sqnr_db > e4m3.sqnr_db
    assert points(some, "normal", "cmos", ITSELF) == points(some, "normal", "xc7", "int8") == []


def test_integers_of_8_bits_are_those_of_the_cheaper_encoding() -> None:
    some = [row("e2m1", cost, activations=name) for name, cost in (("int8", 9.0), ("e1m6", 8.0))]
    (cheapest,) = points(some, "normal", "cmos", *INTEGERS)
    assert (cheapest.activations, cheapest.cost) == ("e1m6", 8.0)
    (dear,) = points(some, "normal", "cmos", "int8")
    assert dear.sqnr_db == cheapest.sqnr_db


def test_weights_alone_cost_a_decoder_and_have_their_own_error() -> None:
    some = [row("e2m1", 70.0, circuits.TO_FLOAT, activations="float"), row("e2m1", 600.0)]
    (alone,), (both,) = (points(some, "laplace", "cmos", name) for name in ("float", ITSELF))
    assert alone.cost == 70.0
    assert alone.sqnr_db == pytest.approx(both.sqnr_db + 10 * math.log10(2))


def test_an_accumulator_that_is_not_exact_is_no_point() -> None:
    assert points([row("e4m3fn", 9.0, accumulator="cut 8")], "normal", "cmos", ITSELF) == []


@pytest.mark.parametrize(
    ("cost", "law", "verdict"),
    [
        (90.0, "laplace", WORTH),  # as cheap and more accurate
        (120.0, "laplace", WORTH),  # +2.4 dB for 20; the integers ask 100 for 6.3
        (150.0, "laplace", NOT_WORTH),
        (102.0, "normal", WORTH),  # +0.18 dB for 2
        (104.0, "normal", NOT_WORTH),
    ],
)
def test_the_criterion(cost: float, law: str, verdict: str) -> None:
    some = [row("e1m3", 100.0), row("e1m4", 200.0), row("e1m2", 1.0), row("e2m2", cost)]
    (race,) = (race for race in races(some, law, "cmos", ITSELF) if race.fmt == "e2m2")
    assert race.rival == "e1m3"
    assert race.more == pytest.approx(cost / 100 - 1)
    assert race.verdict == verdict
    assert race.price == pytest.approx(100 / 6.3, rel=0.01)


def test_the_other_verdicts() -> None:
    worse = [row("int8", 100.0), row("e4m3fn", 120.0)]  # E4M3 loses 12 dB
    assert [race.verdict for race in races(worse, "normal", "cmos", ITSELF)] == [NOT_WORTH]
    cheap = [row("int8", 100.0), row("e4m3fn", 90.0)]
    assert [race.verdict for race in races(cheap, "normal", "cmos", ITSELF)] == [TRADE]
    alone = [row("int5", 100.0), row("e2m2", 120.0)]  # no other integer, no price
    assert [race.verdict for race in races(alone, "normal", "cmos", ITSELF)] == [""]
