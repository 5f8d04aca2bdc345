"""Cost and error of circuits: drawn from the records of the docs, and legible."""

from __future__ import annotations

import math

import pytest

from analysis.records import from_csv
from paper_figures.cost_plane import saved
from paper_figures.rows import Rows
from tests.paper_figures.figures import IN_DOCS, assert_agree, assert_legible, assert_seen, changed

TARGETS = {"times themselves": "cmos", "times 8-bit integers": "cmos"}


def counted() -> dict[tuple[str, str, str], float]:
    return {
        (row["fmt"], row["activations"], row["target"]): (
            row["transistors" if row["target"] == "cmos" else "lut6"] / row["lanes"]
        )
        for row in saved()
        if row["accumulator"] == "exact" or row["unit"] == "block"
    }


def beaten(here: tuple[float, float], others: list[tuple[float, float]]) -> bool:
    return any(x <= here[0] and y >= here[1] and (x, y) != here for x, y in others)


def check(rows: Rows) -> None:
    costs = counted()
    for row in rows:
        target = TARGETS.get(row["panel"], "xc7")
        if "integers" in row["panel"]:
            both = [costs.get((row["format"], name, target), math.inf) for name in ("int8", "e1m6")]
            assert row["cost"] == min(both), row
        else:
            assert row["cost"] == costs[row["format"], "itself", target], row
        rivals = [
            (other["cost"], other["sqnr_db"])
            for other in rows
            if (other["source"], other["panel"]) == (row["source"], row["panel"])
        ]
        assert row["on_front"] == (not beaten((row["cost"], row["sqnr_db"]), rivals)), row


def check_losses(rows: Rows) -> None:
    costs = counted()
    for row in rows:
        assert row["cost"] == costs[row["format"], row["activations"], "cmos"], row
        rivals = [(r["cost"], -r["loss"]) for r in rows if r["panel"] == row["panel"]]
        assert row["on_front"] == (not beaten((row["cost"], -row["loss"]), rivals)), row
        assert 0 < row["standard_error"] < row["loss"]


def check_shares(rows: Rows) -> None:
    costs = counted()
    for row in rows:
        parts = [row[part] for part in ("decode", "multiply", "align", "tree", "accumulate")]
        assert sum(parts) == pytest.approx(costs[row["format"], "itself", "cmos"]), row


@pytest.mark.parametrize(
    ("name", "check", "column"),
    [
        ("circuit_cost", check, "cost"),
        ("circuit_cost", check, "on_front"),
        ("circuit_loss", check_losses, "cost"),
        ("circuit_loss", check_losses, "on_front"),
        ("circuit_shares", check_shares, "tree"),
    ],
)
def test_points_are_the_counts_and_the_front_is_not_beaten(
    computed: dict[str, Rows], name: str, check: object, column: str
) -> None:
    assert callable(check)
    rows = computed[name]
    check(rows)
    assert_seen(check, changed(rows, column, lambda number: 1 - number))


@pytest.mark.parametrize("name", ["circuit_cost", "circuit_loss", "circuit_shares"])
def test_the_figure_of_the_docs_is_that_of_the_records(
    computed: dict[str, Rows], name: str
) -> None:
    shown = (IN_DOCS / f"{name}.csv").read_text(encoding="utf-8")
    assert_agree(from_csv(shown), computed[name])
    assert (IN_DOCS / f"{name}.png").stat().st_size < 200_000


@pytest.mark.parametrize("name", ["circuit_cost", "circuit_loss", "circuit_shares"])
def test_all_texts_are_legible(computed: dict[str, Rows], name: str) -> None:
    assert_legible(name, computed[name])
