"""Costs of formats for allocate, against the stored counts as text."""

from __future__ import annotations

import pytest

from analysis.hardware.allocation_costs import cost_per_product
from analysis.hardware.errors import DATA


def test_costs_are_the_stored_counts_of_a_lane() -> None:
    lines = (DATA / "counts.csv").read_text("utf-8").splitlines()
    for fmt, activations, target, column in (
        ("e2m2", "itself", "xc7", "lut6"), ("int4", "itself", "cmos", "transistors"),
    ):  # fmt: skip
        place = lines[1].split(",").index(column)
        (line,) = [x for x in lines if x.startswith(f"{fmt},{activations},dot,exact,{target},16,")]
        found = cost_per_product([fmt], activations=activations, target=target)  # type: ignore[arg-type]
        assert found == {fmt: int(line.split(",")[place]) / 16}
    with pytest.raises(ValueError, match=r"formats must be of .*e2m1.*got 'e9m9'"):
        cost_per_product(["e9m9"])
