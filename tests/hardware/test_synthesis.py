"""Yosys in a process of its own: what it returns, what is kept, and how it is ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("platformdirs")

from minifloat.hardware import synthesis
from minifloat.hardware.circuits import Circuit
from minifloat.hardware.counts import count, synthesize
from minifloat.hardware.synthesis import SynthesisError, netlist, tool
from minifloat.hardware.targets import CMOS_CELLS, TARGETS, WAYS, passes

try:
    TOOL: str | None = tool()
except ModuleNotFoundError:
    TOOL = None
needs_yosys = pytest.mark.skipif(TOOL is None, reason="needs Yosys: pip install pyosys")

MULTIPLIER = """\
module mul(input signed [4:0] a, input signed [4:0] b, output signed [9:0] product);
    assign product = a * b;
endmodule
"""


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthesis, "_cache_folder", lambda: tmp_path / "cache")


@needs_yosys
@pytest.mark.parametrize("target", ["ice40", "ecp5", "cmos"])
def test_a_product_is_mapped_to_each_target(target: Any) -> None:
    counts = count(netlist(MULTIPLIER, "mul", target), target, tool())
    assert counts.levels > 2
    assert (counts.transistors > 0) == (target == "cmos")


@needs_yosys
@pytest.mark.skipif(TOOL != "pyosys 0.70", reason="counts are those of pyosys 0.70")
def test_counts_of_one_version() -> None:
    assert count(netlist(MULTIPLIER, "mul", "xc7"), "xc7", tool()).lut6 == 29
    booth = count(netlist(MULTIPLIER, "mul", "cmos", "booth"), "cmos", tool())
    plain = count(netlist(MULTIPLIER, "mul", "cmos"), "cmos", tool())
    assert (plain.transistors, booth.transistors) == (738, 654)


@needs_yosys
@pytest.mark.parametrize("target", ["ice40", "ecp5"])
def test_wide_products_take_multipliers_if_they_may(target: Any) -> None:
    wide = MULTIPLIER.replace("[4:0]", "[15:0]").replace("[9:0]", "[31:0]")
    counts = count(netlist(wide, "mul", target, "dsp"), target, tool())
    assert (counts.dsps, counts.luts) == (1, 0)


@needs_yosys
def test_the_cheapest_way_is_taken() -> None:
    circuit = Circuit("mul", MULTIPLIER, {"a": 5, "b": 5}, {"product": 10}, None, 0, dict)
    each = [count(netlist(MULTIPLIER, "mul", "cmos", way), "cmos", tool()) for way in WAYS["cmos"]]
    assert synthesize(circuit, "cmos") == min(each, key=lambda counts: counts.transistors)
    with pytest.raises(ValueError, match="way must be"):
        synthesize(circuit, "cmos", dsp=True)


@needs_yosys
def test_a_netlist_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = netlist(MULTIPLIER, "mul", "cmos")
    monkeypatch.setattr(synthesis, "_run", None)
    assert netlist(MULTIPLIER, "mul", "cmos") == first
    with pytest.raises(TypeError):
        netlist(MULTIPLIER + "\n", "mul", "cmos")  # another text


@needs_yosys
@pytest.mark.parametrize("damage", [b"", b"\x1f\x8b", b"no gzip"])
def test_a_damaged_file_in_the_cache_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    first = netlist(MULTIPLIER, "mul", "cmos")
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_bytes(damage)
    assert netlist(MULTIPLIER, "mul", "cmos") == first


@needs_yosys
def test_an_error_in_the_text_is_shown() -> None:
    with pytest.raises(SynthesisError, match="syntax error"):
        netlist("module mul(input a, output b); assign b = a +; endmodule\n", "mul", "cmos")
    with pytest.raises(SynthesisError, match="nothing"):
        netlist(MULTIPLIER, "nothing", "cmos")


@pytest.mark.parametrize("top", ["", "mul; shell ls", "a b", "1st", "mul\n"])
def test_a_top_that_is_no_name(top: str) -> None:
    with pytest.raises(ValueError, match="top must be"):
        netlist(MULTIPLIER, top, "cmos")


def test_an_unknown_target() -> None:
    with pytest.raises(ValueError, match="target must be one of xc7"):
        netlist(MULTIPLIER, "mul", "asic")  # type: ignore[arg-type]


def test_no_yosys_is_an_error_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthesis, "_TOOLS", ())
    with pytest.raises(ModuleNotFoundError, match=r"minifloat\[hardware\]"):
        netlist(MULTIPLIER, "mul", "cmos")


@pytest.mark.parametrize(("target", "way"), [(t, way) for t in TARGETS for way in WAYS[t]])
def test_each_way_reads_one_circuit_and_writes_one_netlist(target: Any, way: str) -> None:
    lines = passes(target, "mul", way)
    assert "read_verilog circuit.v" in lines
    assert lines[-1].endswith("netlist.json")


def test_an_unknown_way() -> None:
    with pytest.raises(ValueError, match="way must be one of plain, dsp for xc7, got 'booth'"):
        netlist(MULTIPLIER, "mul", "xc7", "booth")


@pytest.mark.parametrize(("name", "cell"), CMOS_CELLS.items())
def test_an_inverting_gate_has_two_transistors_an_input(name: str, cell: Any) -> None:
    inputs = sum(pin in cell.function for pin in "ABCD")
    if cell.function.startswith("!(") and "^" not in cell.function and name != "MUXI":
        assert cell.transistors == 2 * inputs
