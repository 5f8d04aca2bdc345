"""Errors of multiplication: lines against published figures, dots against draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from analysis.records import from_csv
from paper_figures.rows import Rows, grouped
from tests.paper_figures.figures import (
    IN_DOCS,
    assert_agree,
    assert_legible,
    assert_seen,
    changed,
)


def check(rows: Rows) -> None:
    kinds = {kind: list(part) for kind, part in grouped(rows, "kind")}
    formula = {r["x"]: r["error"] for r in kinds["relative"] if r["multiplier"] == "l-mul formula"}
    for row in kinds["published"]:
        assert formula[row["x"]] == pytest.approx(row["error"], abs=0.0015)
    for row in kinds["race"]:
        assert row["drawn"] == pytest.approx(row["error"], abs=5 * row["drawn_error"])
        assert row["with_factor"] <= row["error"] * (1 + 1e-12)
        assert row["drawn_error"] < 0.1 * row["drawn"]
    lines = {m: [r["error"] for r in part] for m, part in grouped(kinds["positive"], "multiplier")}
    assert lines["l-mul addition:e4m3fn"][-1] == pytest.approx(0.0479, abs=0.0002)  # its bias
    for errors in lines.values():
        assert errors == sorted(errors, reverse=True)


def test_numbers_agree_with_published_figures_and_draws(computed: dict[str, Rows]) -> None:
    check(computed["multiplication_error"])


@pytest.mark.parametrize(("column", "change"), [
    ("error", lambda x: 1.2 * x), ("with_factor", lambda x: 2.5 * x), ("drawn", lambda x: 2 * x),
    ("drawn_error", lambda x: 100 * x),
])  # fmt: skip
def test_the_check_has_teeth(
    column: str, change: Callable[[Any], Any], computed: dict[str, Rows]
) -> None:
    assert_seen(check, changed(computed["multiplication_error"], column, change))


def test_the_docs_show_these_numbers(computed: dict[str, Rows]) -> None:
    text = (IN_DOCS / "multiplication_error.csv").read_text(encoding="utf-8")
    shown = from_csv(text)
    check(shown)
    fewer = [
        [{k: v for k, v in row.items() if not k.startswith("drawn")} for row in rows]
        for rows in (shown, computed["multiplication_error"])  # draws are shorter here
    ]
    assert_agree(*fewer)


def test_all_texts_are_legible(computed: dict[str, Rows]) -> None:
    assert_legible("multiplication_error", computed["multiplication_error"])
