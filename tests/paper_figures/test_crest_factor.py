"""Curves by crest factor, and where they cross."""

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
    for name, curves in grouped(rows, "pair"):
        crossings = {row["source"]: row["crest_factor"] for row in curves if row["format"] is None}
        published = {"MX8": 7.55, "MX6": 1.96, "MX4": 2.04, "NV4": 2.46}  # NV4 with rho = 1
        assert round(crossings["theorem"], 2) == published[name]
        assert ("exact" in crossings) == (name != "MX8")
        for source, crossing in crossings.items():
            points = [
                [
                    (r["crest_factor"], r["qsnr_db"])
                    for r in curves
                    if (r["format"], r["source"]) == key
                ]
                for key in dict.fromkeys((r["format"], source) for r in curves if r["format"])
            ]
            one, other = (np.interp(crossing, *zip(*curve, strict=True)) for curve in points)
            assert one == pytest.approx(other, abs=0.02), (name, source)


def test_curves_cross_as_published(computed: dict[str, Rows]) -> None:
    check(computed["crest_factor"])


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("crest_factor", lambda x: 1.01 * x),
    ],
)
def test_the_check_has_teeth(
    column: str, change: Callable[[Any], Any], computed: dict[str, Rows]
) -> None:
    assert_seen(check, changed(computed["crest_factor"], column, change))


def test_all_texts_are_legible(computed: dict[str, Rows]) -> None:
    assert_legible("crest_factor", computed["crest_factor"])
