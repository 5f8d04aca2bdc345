"""The best split of the bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from paper_figures.rows import Rows
from tests.paper_figures.figures import (
    assert_legible,
    assert_seen,
    changed,
    decibels,
)


def check(rows: Rows) -> None:
    rows = {(row["block_size"], row["distribution"], row["bits"]): row for row in rows}
    names = {key: f"E{row['exponent_bits']}M{row['mantissa_bits']}" for key, row in rows.items()}
    assert [names[None, "normal", bits] for bits in (3, 4, 5, 6)] == [
        "E1M1", "E2M1", "E2M2", "E2M3",
    ]  # fmt: skip
    x = np.random.default_rng(4).standard_normal((2048, 512)).astype(np.float32)
    for size in (32, 128):
        errors = {}
        for name in ("e1m3", "e2m2", "e3m1"):
            error = x - mf.quantize(x, mf.Recipe(name, block=size, scale="float32")).dequantize()
            errors[name.upper()] = decibels(float(np.square(error, dtype=np.float64).mean()))
        best = max(errors, key=lambda name: errors[name])
        assert names[size, "normal", 5] == best
        lead = rows[size, "normal", 5]["lead_over_integer_db"]
        assert lead == pytest.approx(errors[best] - errors["E1M3"], abs=0.03)


def test_splits_are_the_best_measured_ones(computed: dict[str, Rows]) -> None:
    check(computed["best_splits"])


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("exponent_bits", lambda x: x + 1),
        ("lead_over_integer_db", lambda x: x + 0.1),
    ],
)
def test_the_check_has_teeth(
    column: str, change: Callable[[Any], Any], computed: dict[str, Rows]
) -> None:
    assert_seen(check, changed(computed["best_splits"], column, change))


def test_all_texts_are_legible(computed: dict[str, Rows]) -> None:
    assert_legible("best_splits", computed["best_splits"])
