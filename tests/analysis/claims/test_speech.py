"""The study of speech: its statistics and verdicts on made-up rows, its cases, one quick run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from analysis.claims import speech, speech_speed
from analysis.claims.speech import CHANGES, METRICS, NATS, figure, verdict
from analysis.models.packages import MissingPackage
from analysis.records import Rows, from_csv
from minifloat import Recipe

E2M2, INT5 = speech.PAIR
DATA = Path(__file__).parents[3] / "docs" / "data" / "claims"


def made_up(
    recipe: str, value: Callable[[int, int], float], draws: int = 4, items: int = 5
) -> Rows:
    return [
        {"recipe": recipe, "grouping": g, "recording": f"r{i}"}
        | dict.fromkeys(METRICS, value(g, i))
        for g in range(draws)
        for i in range(items)
    ]


def test_the_error_over_recordings_is_that_of_a_t_test() -> None:
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
def test_leads_are_paired_by_recording_and_grouping(by_draw: list[float], lead: str) -> None:
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
    assert verdict(rows, E2M2) == wanted


def test_the_pair_has_every_grouping_and_others_the_first() -> None:
    cases = speech.cases()
    assert len(set(cases)) == len(cases)
    for recipe in map(str, map(Recipe.parse, (*speech.PAIR, *speech.OTHERS))):
        draws = sorted(grouping for name, grouping in cases if name == recipe)
        assert draws == list(range(speech.GROUPINGS if recipe in speech.PAIR else 1))
    assert speech.GROUPINGS >= 8


def test_the_stored_records_are_of_the_study() -> None:
    rows = from_csv((DATA / "speech.csv").read_text(encoding="utf-8"))
    recordings = [row["recording"] for row in rows if row["recipe"] == "fp32"]
    assert len(set(recordings)) == len(recordings) == 9
    stored = [(row["recipe"], row["grouping"]) for row in rows[:: len(recordings)]]
    assert stored == [case for case in [("fp32", 0), *speech.cases()] if case in stored]
    assert [row["recording"] for row in rows] == recordings * len(stored)
    for row in rows:
        assert (row[speech.DIVERGENCE] == 0) == (row["recipe"] == "fp32")
        assert 0 < row[NATS] < 8


@pytest.mark.long
def test_a_quick_run_has_rows_for_every_case() -> None:
    try:
        rows = speech.records(quick=True)
    except MissingPackage as error:
        pytest.skip(str(error))
    assert [row["recipe"] for row in rows[:: speech.QUICK]] == ["fp32", *speech.PAIR]
    assert all(row[speech.DIVERGENCE] == row[CHANGES] == 0 for row in rows[: speech.QUICK])
    for row in rows[speech.QUICK :]:
        assert 0 < row[speech.DIVERGENCE] < 1
        assert 0 < row[NATS] < 8


@pytest.mark.long
def test_speed_and_memory_have_the_right_size() -> None:
    try:
        rows = speech_speed.records(quick=True)
    except MissingPackage as error:
        pytest.skip(str(error))
    fp32, e2m2 = rows
    assert [row["weights"] for row in rows] == ["fp32", E2M2]
    assert fp32["stored"] == 4 * (71_504_384 + 1_098_752)
    assert 5 < fp32["stored"] / e2m2["stored"] < 32 / 5.125
    for row in rows:
        assert row["stored"] < row["peak"] < row["stored"] + 150e6
        assert 0.001 < row["real_time_factor"] < 5
