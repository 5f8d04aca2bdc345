"""The table of conversion costs in docs/registers.md equals the library's and the compiler's."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.gpu.conversion_costs import conversion_costs
from analysis.gpu.cuda_toolkit import REMEDY, find_toolkit
from docs.generators.registers import table
from minifloat.registers import prove, table_formats

PAGE = (Path(__file__).parents[2] / "docs" / "registers.md").read_text(encoding="utf-8")

needs_toolkit = pytest.mark.skipif(find_toolkit() is None, reason=f"no CUDA toolkit; {REMEDY}")


@needs_toolkit
def test_some_rows() -> None:
    head, rule, *rows = table(conversion_costs(["e2m1", "e4m3fn", "int4", "nf4"])).splitlines()
    assert f"{head}\n{rule}\n" in PAGE
    for row in rows:
        assert row in PAGE


@needs_toolkit
@pytest.mark.long
def test_the_whole_table() -> None:
    costs = conversion_costs()
    assert table(costs) in PAGE
    for cost in costs:
        for program in filter(None, (cost.row.folded, cost.row.whole)):
            assert prove(program, cost.row.fmt)


def test_all_formats_have_a_row() -> None:
    for fmt in table_formats():
        assert f"\n| {fmt.name} | " in PAGE
