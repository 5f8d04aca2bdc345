"""Means over items and groupings, their intervals, leads and verdicts, on made-up rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import f_oneway, ttest_1samp

from analysis.claims.figures import Figure, figure, verdict
from analysis.records import Rows

E2M2, INT5 = "e2m2/128/float16", "int5/128/float16"
METRICS = NATS, CHANGES = "nats", "changes"


def made_up(
    recipe: str, value: Callable[[int, int], float], draws: int = 4, items: int = 5
) -> Rows:
    return [
        {"recipe": recipe, "grouping": g, "item": f"item {i}"} | dict.fromkeys(METRICS, value(g, i))
        for g in range(draws)
        for i in range(items)
    ]


def test_the_error_over_items_is_that_of_a_t_test() -> None:
    values = np.random.default_rng(76).standard_normal(9) + 1
    rows = made_up(E2M2, lambda _, i: float(values[i]), draws=3, items=9)
    found = figure(rows, NATS, E2M2)
    interval = ttest_1samp(values, 0).confidence_interval(0.95)
    assert found.mean - found.half == pytest.approx(interval.low)
    assert found.mean + found.half == pytest.approx(interval.high)
    assert found.over_draws == pytest.approx(0)


def test_the_larger_error_counts() -> None:
    """Between groupings it is the standard deviation, with as many degrees of freedom."""
    rows = made_up(E2M2, lambda g, i: g + 0.01 * i)
    found = figure(rows, NATS, E2M2)
    assert found.over_draws == pytest.approx(np.std([0, 1, 2, 3], ddof=1))
    assert found.half == pytest.approx(3.182446 * found.over_draws)  # t of 3 degrees
    alone = figure(made_up(E2M2, lambda g, i: g + 0.01 * i, draws=1), NATS, E2M2)
    assert alone.over_draws is None
    assert alone.half == pytest.approx(2.776445 * alone.over_items)  # t of 4 degrees


@pytest.mark.parametrize(
    ("by_draw", "lead"),
    [
        ([-1, -1.1, -0.9, -1], "resolved"),
        ([-1, -0.1, -0.2, -0.1], "ahead"),
        ([-1, 0.1, -0.2, -0.1], ""),
    ],
)
def test_leads_are_paired_by_item_and_grouping(by_draw: list[float], lead: str) -> None:
    hardness = np.random.default_rng(77).standard_normal((4, 5)) * 10
    rows = made_up(INT5, lambda g, i: float(hardness[g, i]))
    rows += made_up(E2M2, lambda g, i: float(hardness[g, i]) + by_draw[g] + 0.01 * i)
    found = figure(rows, NATS, E2M2, INT5)
    assert found.draws == pytest.approx([x + 0.02 for x in by_draw])
    assert found.lead == lead


@pytest.mark.parametrize(
    ("nats", "spread", "changes", "wanted"),
    [
        (0.005, 0.001, 0.0, "yes"),
        (0.005, 0.02, 0.0, "open"),
        (0.009, 0.0, 0.02, "no"),
        (0.05, 0.001, 0.0, "no"),
        (-0.005, 0.001, 0.009, "yes"),
    ],
)
def test_verdicts_follow_the_criterion(
    nats: float, spread: float, changes: float, wanted: str
) -> None:
    rows = made_up("fp32", lambda _, i: i, draws=1)
    rows += made_up(E2M2, lambda _, i: i + nats + spread * (-1) ** i)
    for row in rows:
        row[CHANGES] = changes * (row["recipe"] == E2M2)
    assert verdict(rows, E2M2, {NATS: 0.01, CHANGES: 0.01}) == wanted


def nested(recipe: str, values: np.ndarray, first: int = 0) -> Rows:
    """Rows of a design in which each grouping has items of its own, (groupings, items)."""
    return [
        {"recipe": recipe, "grouping": g + first, "item": f"item {g + first} {i}", NATS: float(x)}
        for g, row in enumerate(values)
        for i, x in enumerate(row)
    ]


def test_own_items_give_the_analysis_of_variance() -> None:
    values = np.random.default_rng(78).standard_normal((8, 12)) + np.arange(8)[:, None] / 3
    found = figure(nested(E2M2, values), NATS, E2M2)
    ratio = np.var(found.draws, ddof=1) / found.own_items**2
    assert ratio == pytest.approx(f_oneway(*values).statistic)
    assert found.over_draws == pytest.approx(np.std(found.draws, ddof=1))
    assert found.apart == pytest.approx(found.own_items * (ratio - 1) ** 0.5)
    assert found.half == pytest.approx(2.364624 * found.over_draws)  # t of 7 degrees
    assert found.over_items == pytest.approx(found.own_items / 8**0.5)
    assert found.freedom == 8 * 11
    interval = ttest_1samp(values.mean(axis=1), 0).confidence_interval(0.95)
    assert found.mean + found.of_mean == pytest.approx(interval.high)


def test_groupings_that_differ_by_their_items_alone_have_no_deviation() -> None:
    values = np.tile(np.arange(12.0), (8, 1))
    found = figure(nested(E2M2, values), NATS, E2M2)
    assert found.apart == found.over_draws == 0
    assert found.half == pytest.approx(1.987290 * found.over_items)  # t of 88 degrees


def test_own_items_are_paired_with_those_of_the_other_recipe() -> None:
    hardness = np.random.default_rng(79).standard_normal((8, 12)) * 10
    lead = np.arange(8.0)[:, None] - 20 + np.zeros(12)
    rows = nested(INT5, hardness) + nested(E2M2, (hardness + lead)[2:], first=2)
    found = figure(rows, NATS, E2M2, INT5)
    assert found.draws == pytest.approx(np.arange(2.0, 8) - 20)
    assert found.lead == "resolved"
    rows += nested("fp32", hardness)
    for row in rows[: hardness.size]:
        row["grouping"] += 100  # the unchanged model's value holds for all groupings
    assert figure(rows, NATS, E2M2, "fp32").draws == found.draws


def test_groupings_without_as_many_items_are_refused() -> None:
    rows = nested(E2M2, np.zeros((3, 4)))
    with pytest.raises(ValueError, match="rows must hold nats of e2m2"):
        figure(rows[:-1], NATS, E2M2)
    with pytest.raises(ValueError, match="rows must hold nats of int5"):
        figure(rows, NATS, INT5)


@pytest.mark.parametrize("own_items", [False, True])
@pytest.mark.parametrize("of_groupings", [0.0, 0.3, 2.0])
def test_intervals_hold_the_mean_as_often_as_they_say(own_items: bool, of_groupings: float) -> None:
    """In simulations with deviations of groupings, of items, and of both; the mean is 0."""
    rng = np.random.default_rng(80)
    held, of_mean, deviation = 0, 0, []
    for _ in range(200):
        items = rng.standard_normal((8 if own_items else 1, 12))
        values = of_groupings * rng.standard_normal((8, 1)) + items
        values = values + 0.2 * rng.standard_normal((8, 12))
        rows = nested(E2M2, values)
        if not own_items:
            for row in rows:
                row["item"] = row["item"].split()[-1]
        found: Figure = figure(rows, NATS, E2M2)
        held += abs(found.mean) < found.half
        of_mean += abs(found.mean) < found.of_mean
        assert found.apart is not None
        deviation.append(found.apart**2)
    assert held >= 0.93 * 200
    assert 0.93 * 200 <= of_mean <= (200 if not own_items else 0.98 * 200)
    assert np.mean(deviation) ** 0.5 == pytest.approx(of_groupings, rel=0.1, abs=0.2)
