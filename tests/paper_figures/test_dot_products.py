"""Errors of dot products: the figure shows the means of the records, legibly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from paper_figures import dot_products
from paper_figures.rows import Rows
from tests.paper_figures.figures import (
    assert_agree,
    assert_legible,
    assert_seen,
    changed,
    in_docs,
)


def check(rows: Rows) -> None:
    own = [row for row in rows if row["quantity"] == "relative error" and row["data"] == "0 to 1"]
    found = {(row["sums"], row["at"]): row["mean"] for row in own}
    assert found["hopper/e4m3fn/float32", 4096] == pytest.approx(0.0746, rel=0.01)
    assert found["bfloat16", 16384] == pytest.approx(0.938, abs=0.002)
    assert found["float32", 16384] < 3e-6
    assert {name for name, _ in found} == set(dot_products.SHOWN)


def test_the_figure_shows_what_is_known(computed: dict[str, Rows]) -> None:
    check(computed["dot_products"])


@pytest.mark.parametrize(
    ("column", "change"), [("mean", lambda x: 1.1 * x), ("at", lambda x: 4 * x)]
)
def test_the_check_has_teeth(
    column: str, change: Callable[[Any], Any], computed: dict[str, Rows]
) -> None:
    assert_seen(check, changed(computed["dot_products"], column, change))


def test_all_texts_are_legible(computed: dict[str, Rows]) -> None:
    assert_legible("dot_products", computed["dot_products"])


def test_the_docs_show_the_same_numbers(computed: dict[str, Rows]) -> None:
    assert_agree(in_docs("dot_products"), computed["dot_products"])
