"""Speeds of the benchmark."""

from __future__ import annotations

from paper_figures.rows import Rows
from tests.paper_figures.figures import (
    assert_legible,
    module_of,
)


def check(rows: Rows) -> None:
    assert len(rows) == 3 * len(module_of("speed").LINES)
    assert all(row["ratio"] > 0 and row["ns_per_element"] > 0 for row in rows)


def test_speeds_are_those_of_the_benchmark(computed: dict[str, Rows]) -> None:
    check(computed["speed"])


def test_all_texts_are_legible(computed: dict[str, Rows]) -> None:
    assert_legible("speed", computed["speed"])
