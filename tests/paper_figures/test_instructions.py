"""Instructions per weight."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import pytest

from paper_figures import style
from paper_figures.rows import Rows
from tests.paper_figures.figures import (
    assert_agree,
    assert_legible,
    assert_seen,
    changed,
    drawn_texts,
    in_docs,
    module_of,
    quiet,
)


def check(rows: Rows) -> None:
    rows = {(row["format"], row["part"]): row for row in rows}
    counts = {  # by hand: a byte or a nibble goes to each half by known instructions
        ("e2m2", "folded"): 42 / 32, ("e2m2", "whole"): 58 / 32, ("int4", "folded"): 9 / 8,
        ("e4m3fn", "folded"): 5 / 4, ("e4m3fn", "whole"): 7 / 4,
    }  # fmt: skip
    for key, count in counts.items():
        row = rows[key]
        assert sum(row[kind] for kind in module_of("instructions").KINDS) == count, key
        assert row["sm_90"] in (None, count), key


def test_instructions_add_up(computed: dict[str, Rows]) -> None:
    check(computed["instructions"])


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("logic", lambda x: x + 1 / 32),
    ],
)
def test_the_check_has_teeth(
    column: str, change: Callable[[Any], Any], computed: dict[str, Rows]
) -> None:
    assert_seen(check, changed(computed["instructions"], column, change))


def test_all_texts_are_legible(computed: dict[str, Rows]) -> None:
    assert_legible("instructions", computed["instructions"])


def test_the_docs_show_the_same_numbers(computed: dict[str, Rows]) -> None:
    """Of the formats computed here, and without the machine's count, which needs a compiler."""
    key = operator.itemgetter("format", "part")
    rows = sorted(({**row, "sm_90": None} for row in computed["instructions"]), key=key)
    known = {key(row) for row in rows}
    shown = sorted(in_docs("instructions"), key=key)
    assert_agree([{**row, "sm_90": None} for row in shown if key(row) in known], rows)


def test_instructions_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_compiler(source: str, arch: str) -> bytes:
        raise RuntimeError("there is no g++")

    module = module_of("instructions")
    monkeypatch.setattr(module, "compile_cubin", no_compiler)
    monkeypatch.setattr(module, "FORMATS", ("e5m2",))
    rows = module.data(quiet)
    assert [row["sm_90"] for row in rows] == [None, None]
    with style.house_style():
        assert "needs the extra cuda" in str(drawn_texts(module.draw(rows)))
