"""Values at the best scale, and the density of weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats

import minifloat as mf
from paper_figures.rows import Rows, grouped
from tests.paper_figures.figures import (
    assert_agree,
    assert_legible,
    assert_seen,
    changed,
    decibels,
    in_docs,
)


def check(rows: Rows) -> None:
    formats = dict(grouped(rows, "format"))
    halves = [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 10, 12, 14]  # FPE2M2's own grid
    e2m2 = formats["e2m2"]
    assert sorted({abs(row["value"]) for row in e2m2}) == [value / 2 for value in halves]
    assert [row["value"] for row in formats["int5"]] == list(range(-15, 16))
    assert len(formats["nf4"]) == 16
    # steps of 2**b - 1 uniform levels and E2M1's scale are published; E2M2's by brute force
    x = np.random.default_rng(0).standard_normal(1 << 18)
    grid = np.array([row["value"] for row in e2m2])

    def sampled(scale: float) -> float:
        return float(np.square(x - scale * mf.round_to(x / scale, "e2m2")).mean())

    best = e2m2[0]["scale"]
    assert sampled(best) < min(sampled(0.97 * best), sampled(1.03 * best))
    assert decibels(sampled(best)) == pytest.approx(e2m2[0]["sqnr_db"], abs=0.03)
    assert np.allclose([row["position"] for row in e2m2], best * grid, rtol=1e-15)
    for row in rows:
        density = scipy.stats.norm.pdf(row["position"])
        assert row["density"] == pytest.approx(density, rel=1e-12, abs=0)
    assert [formats[name][0]["fields"] for name in ("e2m2", "int5", "e3m1", "nf4")] == [
        "SEEMM", "IIIII", "SEEEM", "####",
    ]  # fmt: skip


def test_values_are_at_the_best_scale(computed: dict[str, Rows]) -> None:
    check(computed["anatomy"])


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("position", lambda x: 1.0001 * x),
        ("density", lambda x: 1.0001 * x),
    ],
)
def test_the_check_has_teeth(
    column: str, change: Callable[[Any], Any], computed: dict[str, Rows]
) -> None:
    assert_seen(check, changed(computed["anatomy"], column, change))


def test_all_texts_are_legible(computed: dict[str, Rows]) -> None:
    assert_legible("anatomy", computed["anatomy"])


def test_the_docs_show_the_same_numbers(computed: dict[str, Rows]) -> None:
    assert_agree(in_docs("anatomy"), computed["anatomy"])
