"""Recipes against distributions, and formats inside formats, beside numbers found in other ways."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from analysis import absmax_mse
from paper_figures.four_bit_recipes import LAWS
from paper_figures.nested_formats import DIRECT, READINGS
from paper_figures.rows import Rows
from tests.paper_figures.figures import (
    assert_agree,
    assert_legible,
    assert_seen,
    changed,
    decibels,
    in_docs,
    module_of,
    quiet,
)

EXACT = dict(zip(LAWS[1:4], ("normal", "laplace", "student_t(5)"), strict=True))
PAGE = Path(__file__).parents[2] / "docs" / "fitted_grids.md"


def check_recipes(rows: Rows) -> None:
    """Recipes without a tensor scale have exact errors; drawn ones lie beside them."""
    compared = 0
    for row in rows:
        if row["law"] in EXACT and row["recipe"] in ("mxfp4", "nf4/32/float16"):
            exact = decibels(absmax_mse(row["recipe"], EXACT[row["law"]]))
            assert abs(row["sqnr_db"] - exact) < 5 * row["standard_error"], row
            compared += 1
    assert compared == 6
    assert all(0 < row["standard_error"] < 0.5 for row in rows)


def check_nested(rows: Rows) -> None:
    """The page has the same numbers from another run."""
    page = PAGE.read_text(encoding="utf-8")
    for row in rows:
        reading = "middle" if row["reading"] == DIRECT else row["reading"]
        cells = re.search(
            rf"^\| {row['stored']} +\| {row['read']} +\| {reading} +\|(.*)\|$", page, re.MULTILINE
        )
        assert cells
        nested, directly, *_ = cells[1].split("|")
        shown = directly if row["reading"] == DIRECT else nested
        assert shown.strip() == f"{row['sqnr_db']:.2f}"


def test_recipes_against_distributions() -> None:
    rows = in_docs("four_bit_recipes")
    check_recipes(rows)
    assert_seen(check_recipes, changed(rows, "sqnr_db", lambda db: db + 0.3))
    assert_legible("four_bit_recipes", rows)


def test_nested_formats() -> None:
    rows = in_docs("nested_formats")
    assert {row["reading"] for row in rows} == set(READINGS)
    check_nested(rows)
    assert_seen(check_nested, changed(rows, "sqnr_db", lambda db: db + 0.01))
    assert_legible("nested_formats", rows)


@pytest.mark.long
@pytest.mark.parametrize("name", ["four_bit_recipes", "nested_formats"])
def test_the_numbers_are_those_computed(name: str) -> None:
    assert_agree(in_docs(name), module_of(name).data(quiet))
