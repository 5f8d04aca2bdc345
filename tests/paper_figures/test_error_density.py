"""Densities of the squared error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from paper_figures.rows import Rows, grouped
from tests.paper_figures.figures import (
    assert_legible,
    assert_seen,
    changed,
)


def check(rows: Rows) -> None:
    for name, curve in grouped(rows, "format"):
        weights = [row["weight"] for row in curve]
        area = float(np.trapezoid([row["density"] for row in curve], weights))
        beyond = 2e-3  # the largest share of the error outside the figure
        assert area == pytest.approx(curve[0]["mse"], rel=beyond, abs=0), name


def test_areas_are_errors(computed: dict[str, Rows]) -> None:
    check(computed["error_density"])


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("density", lambda x: 1.01 * x),
    ],
)
def test_the_check_has_teeth(
    column: str, change: Callable[[Any], Any], computed: dict[str, Rows]
) -> None:
    assert_seen(check, changed(computed["error_density"], column, change))


def test_all_texts_are_legible(computed: dict[str, Rows]) -> None:
    assert_legible("error_density", computed["error_density"])
