"""Errors by block size, and where they cross."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from paper_figures.rows import Rows
from tests.paper_figures.figures import (
    assert_agree,
    assert_legible,
    assert_seen,
    changed,
    decibels,
    in_docs,
    module_of,
)


def check(rows: Rows) -> None:
    found = {row["format"]: row["block_size"] for row in rows if row["kind"] == "crossover"}
    assert {name: round(size, 1) for name, size in found.items()} == {"int5": 97.4, "uint5": 392.1}
    sqnr = {(row["format"], row["block_size"]): row["sqnr_db"] for row in rows}
    x = np.random.default_rng(3).standard_normal((4096, 512)).astype(np.float32)
    for name, size in itertools.product(module_of("block_size").FORMATS, (64, 128)):
        recipe = mf.Recipe(name, block=size, scale="float32", zero_point=name == "uint5")
        error = x - mf.quantize(x, recipe).dequantize()
        measured = decibels(float(np.square(error, dtype=np.float64).mean()))
        assert sqnr[name, size] == pytest.approx(measured, abs=0.03), (name, size)
    assert sqnr["int5", 64] > sqnr["e2m2", 64]
    assert sqnr["int5", 128] < sqnr["e2m2", 128]


def test_errors_cross_where_measured_ones_do(computed: dict[str, Rows]) -> None:
    check(computed["block_size"])


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("sqnr_db", lambda x: x + 0.1),
        ("block_size", lambda x: 1.01 * x),
    ],
)
def test_the_check_has_teeth(
    column: str, change: Callable[[Any], Any], computed: dict[str, Rows]
) -> None:
    assert_seen(check, changed(computed["block_size"], column, change))


def test_all_texts_are_legible(computed: dict[str, Rows]) -> None:
    assert_legible("block_size", computed["block_size"])


def test_the_docs_show_the_same_numbers(computed: dict[str, Rows]) -> None:
    assert_agree(in_docs("block_size"), computed["block_size"])
