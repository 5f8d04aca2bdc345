"""Counts of netlists: pairs of LUTs against all pairings, levels and cells of netlists by hand."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minifloat.formats.names import parse
from minifloat.hardware import Choice, costs, decoder
from minifloat.hardware.counts import count, lut6_sites
from minifloat.hardware.integers import integers


def least_sites(luts: list[frozenset[int]]) -> int:
    """Return the same by trying each way to pair the first LUT."""
    if not luts:
        return 0
    first, rest = luts[0], luts[1:]
    alone = 1 + least_sites(rest)
    shared = (
        1 + least_sites(rest[:i] + rest[i + 1 :])
        for i, other in enumerate(rest)
        if len(first | other) <= 5
    )
    return min(alone, *shared, alone)


luts = st.lists(st.frozensets(st.integers(0, 9), min_size=1, max_size=6), max_size=9)


@given(luts)
def test_as_many_luts_share_a_site_as_can(luts: list[frozenset[int]]) -> None:
    assert lut6_sites(luts) == least_sites(luts)


def cell(kind: str, output: int, *inputs: int | str) -> dict[str, Any]:
    return {
        "type": kind,
        "parameters": {},
        "port_directions": {"O": "output"} | {f"I{i}": "input" for i in range(len(inputs))},
        "connections": {"O": [output]} | {f"I{i}": [bit] for i, bit in enumerate(inputs)},
    }


def netlist(*cells: dict[str, Any]) -> dict[str, Any]:
    return {"ports": {}, "cells": {str(i): each for i, each in enumerate(cells)}}


def test_a_lut_of_six_inputs_has_a_site_of_its_own() -> None:
    both = netlist(cell("LUT6", 10, 1, 2, 3, 4, 5, 6), cell("LUT1", 11, 1), cell("INV", 12, 2))
    counts = count(both, "xc7", "by hand")
    assert (counts.lut6, counts.luts, counts.levels) == (2, 3, 1)


def test_constants_are_no_inputs() -> None:
    both = netlist(cell("LUT6", 10, 1, 2, 3, 4, 5, "1"), cell("LUT2", 11, 1, "x"))
    assert count(both, "xc7", "by hand").lut6 == 1


def test_levels_end_at_registers() -> None:
    chain = netlist(
        cell("LUT1", 2, 1), cell("LUT1", 3, 2), cell("FDRE", 4, 3), cell("LUT2", 5, 4, 2),
    )  # fmt: skip
    counts = count(chain, "xc7", "by hand")
    assert (counts.levels, counts.flip_flops) == (2, 1)


def carry(inputs: list[int], outputs: list[int]) -> dict[str, Any]:
    return {
        "type": "CARRY4",
        "parameters": {},
        "port_directions": {"S": "input", "O": "output"},
        "connections": {"S": inputs, "O": outputs},
    }


def test_a_low_carry_may_lead_to_a_higher_input_of_its_own_block() -> None:
    looped = netlist(carry([1, 11, 3, 4], [5, 6, 7, 8]), cell("LUT1", 11, 5))
    assert count(looped, "xc7", "by hand").levels == 3


def test_a_loop_without_a_register_is_an_error() -> None:
    with pytest.raises(ValueError, match="register in each loop"):
        count(netlist(cell("LUT1", 2, 1), cell("LUT1", 1, 2)), "xc7", "by hand")


@pytest.mark.parametrize(
    ("kind", "target"), [("LUT6", "ice40"), ("NAND2", "xc7"), ("LUT7", "xc7"), ("$_AND_", "cmos")]
)
def test_cells_of_another_target_are_an_error(kind: str, target: Any) -> None:
    with pytest.raises(ValueError, match=f"cells of {target} alone"):
        count(netlist(cell(kind, 2, 1)), target, "by hand")


def test_transistors_of_gates_and_registers() -> None:
    gates = netlist(cell("NAND2", 3, 1, 2), cell("XOR2", 4, 3, 1), cell("DFF", 5, 4))
    counts = count(gates, "cmos", "by hand")
    assert (counts.transistors, counts.flip_flops, counts.lut6, counts.levels) == (38, 1, 0, 2)


@pytest.mark.parametrize(
    ("target", "kind"),
    [("ice40", "SB_DFFESR"), ("ice40", "SB_DFF"), ("xc7", "FDSE"), ("xcup", "FDRE_1")],
)
def test_registers_of_each_kind(target: Any, kind: str) -> None:
    assert count(netlist(cell(kind, 2, 1)), target, "by hand").flip_flops == 1


@pytest.mark.parametrize("unit", ["decoder", "l_mul"])
def test_a_unit_of_one_format_has_no_activations(unit: Any) -> None:
    with pytest.raises(ValueError, match="activations must be left out for"):
        costs(["e2m1"], unit=unit, activations="int8")


def test_a_codebook_of_wide_integers_is_refused_with_narrower_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.modules[costs.__module__], "tool", lambda: "by hand")
    wide = "[-1 -0.4 0 0.3 1]"
    message = re.escape("at most 32 bits, times a power of two, got 56 bits by " + wide)
    with pytest.raises(ValueError, match=message) as caught:
        costs(["e2m1"], activations=wide)
    steps = str(caught.value).rpartition(": ")[2]
    assert steps == "[-127 -51 0 38 127]"
    assert integers(parse(steps)).width == 8
    with pytest.raises(ValueError, match=re.escape("[-32767 -13107 0 33 32767]")):
        costs(["[-1 -0.4 0 0.001 1]"], unit="multiplier")
    many = f"[{' '.join(str(k / 7) for k in range(-8, 8))}]"
    with pytest.raises(ValueError, match=re.escape("[-127 -111 -95 -79 -64 -48 -32 -16 0 16 32")):
        costs([many])
    for apart in ("[1e-20 0 1]", "[0 -0 0.3 1]"):
        message = re.escape(apart) + "; give a codebook of integers$"
        with pytest.raises(
            ValueError, match=r"^formats must have values .* got \d+ bits by " + message
        ):
            costs([apart])


def test_a_netlist_that_is_wrong_has_no_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = {
        "code": {"direction": "input", "bits": [2, 3]},
        "value": {"direction": "output", "bits": [3, 2]},  # the two bits swapped
    }
    counts = count({"ports": ports, "cells": {}}, "cmos", "by hand")
    choice = Choice("wire", decoder("int2"), counts, {"wire": counts})
    module = sys.modules[costs.__module__]
    monkeypatch.setattr(module, "tool", lambda: "by hand")
    monkeypatch.setattr(module, "best", lambda *_, **__: choice)
    with pytest.raises(RuntimeError, match=r"the netlist must be right, and is not: .*2 of all 4"):
        costs(["int2"], unit="decoder", targets=["cmos"])
