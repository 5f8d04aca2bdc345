"""Means over items and groupings, their intervals, leads and verdicts, on made-up rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from analysis.claims.figures import figure, verdict
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
