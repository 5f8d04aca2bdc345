"""Bits per weight, and the front."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from paper_figures import style
from paper_figures.rows import Rows
from tests.paper_figures.figures import (
    assert_legible,
    assert_seen,
    changed,
    module_of,
)


def check(rows: Rows) -> None:
    x = np.ones((2, 4096), np.float32)
    for row in rows:
        if row["scale"] == "float16":
            recipe = mf.Recipe(row["format"], block=row["block_size"])
            packed = mf.quantize(x, recipe)
            assert row["bits_per_weight"] == packed.bits_per_weight, row
    for row in rows:
        beaten = any(
            other["bits_per_weight"] <= row["bits_per_weight"] and other["sqnr_db"] > row["sqnr_db"]
            for other in rows
        )
        assert row["on_front"] == (not beaten), row


def test_bits_are_those_of_quantize_and_the_front_is_not_beaten(computed: dict[str, Rows]) -> None:
    check(computed["pareto"])


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("bits_per_weight", lambda x: x + 0.01),
        ("on_front", lambda x: 1 - x),
    ],
)
def test_the_check_has_teeth(
    column: str, change: Callable[[Any], Any], computed: dict[str, Rows]
) -> None:
    assert_seen(check, changed(computed["pareto"], column, change))


def test_the_title_of_a_panel_has_the_block_sizes_of_its_scale(computed: dict[str, Rows]) -> None:
    with style.house_style():
        panels = module_of("pareto").draw(computed["pareto"]).axes
    for axes, scale in zip(panels, ("float16", "e4m3fn", "e8m0:up"), strict=True):
        sizes = {row["block_size"] for row in computed["pareto"] if row["scale"] == scale}
        title = f"scales in {scale}\nblocks of {max(sizes)} to {min(sizes)}"
        assert axes.get_title(loc="left") == title
    assert "to 32" in panels[0].get_title(loc="left")


def test_all_texts_are_legible(computed: dict[str, Rows]) -> None:
    assert_legible("pareto", computed["pareto"])
