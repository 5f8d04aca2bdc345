"""What `check` reports of netlists that are wired by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from minifloat.hardware import Circuit, check
from minifloat.hardware.checks import trials


def module(inputs: dict[str, list[int]], outputs: dict[str, list[int]], **cells: Any) -> Any:
    """Return a netlist of inverters, each from one net to another."""
    ports = {name: {"direction": "input", "bits": bits} for name, bits in inputs.items()}
    ports |= {name: {"direction": "output", "bits": bits} for name, bits in outputs.items()}
    inverters = {
        name: {"type": "INV", "parameters": {}, "connections": {"A": [a], "Y": [y]}}
        for name, (a, y) in cells.items()
    }
    return {"ports": ports, "cells": inverters}


def test_each_output_is_compared() -> None:
    def meaning(words: Any) -> Any:
        return {"y": words["a"], "z": words["a"]}

    circuit = Circuit("two", "", {"a": 1}, {"y": 1, "z": 1}, None, 0, meaning)
    for wrong, wires in {"y": {"y": [3], "z": [2]}, "z": {"y": [2], "z": [3]}}.items():
        result = check(circuit, netlist=module({"a": [2]}, wires, inverter=(2, 3)))
        assert (result.words, result.wrong, result.exhaustive) == (2, 2, True)
        assert result.first is not None
        assert result.first.outputs[wrong] != result.first.expected[wrong]


def test_wrong_words_of_all_parts_are_counted() -> None:
    """Of a wide input: its corners, then random words; the netlist is wrong at all ones."""
    ones = (1 << 21) - 1

    def meaning(words: Any) -> Any:
        return {"y": (words["a"] & np.uint64(1)) ^ (words["a"] == ones)}

    circuit = Circuit("wide", "", {"a": 21}, {"y": 1}, None, 0, meaning)
    result = check(circuit, netlist=module({"a": list(range(2, 23))}, {"y": [2]}))
    parts = [int((part["a"] == ones).sum()) for part in trials(circuit)]
    assert parts[0] == 1
    assert parts[1] > 100
    assert (result.words, result.wrong, result.exhaustive) == (2 + 16384, sum(parts), False)
    assert result.first is not None
    assert (result.first.inputs, result.first.expected) == ({"a": ones}, {"y": 0})
