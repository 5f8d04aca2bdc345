"""Errors of grids, as published."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from paper_figures.rows import Rows
from tests.paper_figures.figures import (
    assert_legible,
    assert_seen,
    changed,
)


def check(rows: Rows) -> None:
    errors = {(row["bits"], row["format"]): row["mse"] for row in rows}
    published = {
        (4, "Lloyd-Max"): 0.00950101, (5, "Lloyd-Max"): 0.00250467, (6, "Lloyd-Max"): 6.4424e-4,
        (4, "int4"): 0.0128894, (5, "int5"): 0.00369322, (6, "int6"): 1.06929e-3,
        (4, "bipolar_int4"): 0.0115429, (5, "bipolar_int5"): 0.00349521,  # as Quartet has them
        (6, "bipolar_int6"): 1.04005e-3, (4, "e2m1"): 0.0126849,
    }  # fmt: skip
    for key, mse in published.items():
        assert errors[key] == pytest.approx(mse, rel=2e-5, abs=0), key
    for bits in (4, 5, 6):
        assert errors[bits, "Shannon's bound"] == pytest.approx(4.0**-bits, rel=1e-12, abs=0)
    for (bits, name), mse in errors.items():
        if name != "Shannon's bound":
            assert mse >= errors[bits, "Lloyd-Max"] * (1 - 1e-12), name


def test_errors_of_grids_are_the_published_ones(computed: dict[str, Rows]) -> None:
    check(computed["grid_loss"])


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("mse", lambda x: 1.0001 * x),
    ],
)
def test_the_check_has_teeth(
    column: str, change: Callable[[Any], Any], computed: dict[str, Rows]
) -> None:
    assert_seen(check, changed(computed["grid_loss"], column, change))


def test_all_texts_are_legible(computed: dict[str, Rows]) -> None:
    assert_legible("grid_loss", computed["grid_loss"])
