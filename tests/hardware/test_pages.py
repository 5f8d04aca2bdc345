"""What pages show of synthesis, which doctest leaves out where Yosys is not installed."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

pytest.importorskip("pyosys", reason='Yosys is not installed: extra "hardware"')

DOCS = Path(__file__).parents[2] / "docs"
SKIP = "# doctest: +SKIP"


@pytest.mark.parametrize("page", ["start_hardware.md", "circuits.md", "circuit_costs.md"])
def test_the_examples_of_synthesis_are_what_it_gives(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    assert SKIP in text
    test = doctest.DocTestParser().get_doctest(text.replace(SKIP, ""), {}, page, page, 0)
    found = doctest.DocTestRunner(verbose=False).run(test)
    assert found.attempted > 2
    assert found.failed == 0
