"""Netlists evaluated in NumPy: 64 inputs in a word, net by net."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat.hardware.cells import Bit, Cell, FlipFlop, Table, parts
from minifloat.hardware.circuits import PortWords, Words, bits_of, words_of

Plane = NDArray[np.uint64]  # one bit of 64 inputs in each word


class Netlist:
    """A netlist as truth tables and flip-flops, in the order in which they can be computed.

    Parameters
    ----------
    module : mapping
        A module of Yosys' JSON, such as `Counts.netlist`.

    Attributes
    ----------
    inputs, outputs : dict of str to list
        The nets of the ports, the lowest bit first; ``clock`` is left out.

    Raises
    ------
    ValueError
        If it is not such a module, a cell is not known, a net is not driven, or nets depend on each
        other in a circle.

    Examples
    --------
    >>> import numpy as np
    >>> gate = {
    ...     "type": "$_NAND_",
    ...     "parameters": {},
    ...     "connections": {"A": [2], "B": [3], "Y": [4]},
    ... }
    >>> ports = {
    ...     "ab": {"direction": "input", "bits": [2, 3]},
    ...     "y": {"direction": "output", "bits": [4]},
    ... }
    >>> Netlist({"ports": ports, "cells": {"gate": gate}}).run({"ab": np.arange(4)})["y"].tolist()
    [1, 1, 1, 0]
    """

    def __init__(self, module: Mapping[str, Any]) -> None:
        try:
            self.inputs = _ports(module["ports"], "input")
            self.outputs = _ports(module["ports"], "output")
            found = list(_parts(module))
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            raise ValueError(
                f"netlist must be a module of Yosys' JSON, got one without {error}"
            ) from None
        clock = self.inputs.pop("clock", None)
        self._flip_flops = [part for part in found if isinstance(part, FlipFlop)]
        if any([part.clock] != clock for part in self._flip_flops):
            raise ValueError(f"netlist must have one clock, at the port clock, got {clock}")
        tables = _in_order([part for part in found if isinstance(part, Table)])
        registers = {part.output for part in self._flip_flops}
        changing = set(registers)  # nets that depend on a register
        self._ahead: list[Table] = []  # of the others, which are known for all cycles at once
        self._behind: list[Table] = []
        for table in tables:
            behind = not changing.isdisjoint(table.inputs)
            (self._behind if behind else self._ahead).append(table)
            if behind:
                changing.add(table.output)
        results = [bit for bits in self.outputs.values() for bit in bits]
        self._outputs_are_registers = registers.issuperset(
            bit for bit in results if isinstance(bit, int)
        )
        driven: set[Bit] = {*"01xz", *registers, *(table.output for table in tables)}
        driven.update(bit for bits in self.inputs.values() for bit in bits)
        read = [bit for table in tables for bit in table.inputs]
        read += [part.input for part in self._flip_flops]
        for bit in [*read, *results]:
            if bit not in driven:
                raise ValueError(f"netlist must drive each net, and does not drive {bit}")

    @property
    def flip_flops(self) -> int:
        """Number of flip-flops."""
        return len(self._flip_flops)

    def run(self, words: PortWords) -> dict[str, Words]:
        """Return the words at the outputs for words at the inputs.

        Parameters
        ----------
        words : mapping of str to array
            The words of each input, all of one shape. With flip-flops, which begin as 0, the first
            axis counts clock cycles; and words of an output whose bits are flip-flops may say what
            stands there at the beginning, of the shape of a row.

        Returns
        -------
        dict of str to array
            Of the same shape. With flip-flops row t is what stands at the outputs after clock
            edge t, with the inputs of row t.

        Raises
        ------
        ValueError
            If an input is missing, or has another shape.
        """
        if missing := [name for name in self.inputs if name not in words]:
            raise ValueError(f"words must have each input, and lack {', '.join(missing)}")
        shapes = {np.shape(words[name]) for name in self.inputs}
        if len(shapes) != 1 or (self._flip_flops and shapes == {()}):
            raise ValueError(f"words must be of one shape, and have rows, got {sorted(shapes)}")
        (shape,) = shapes
        cycles = shape[0] if self._flip_flops else 1
        given = {name: np.reshape(words[name], (cycles, -1)) for name in self.inputs}
        count = next(iter(given.values())).shape[1]
        none = np.zeros((cycles, -(-count // 64)), np.uint64)
        nets: dict[Bit, Plane] = {"0": none, "x": none, "z": none, "1": ~none}
        for name, bits in self.inputs.items():
            nets.update(zip(bits, to_planes(given[name], len(bits)), strict=True))
        _settle(self._ahead, nets)
        if self._flip_flops:
            self._step(nets, cycles, self._begin(words, nets["0"][0]))
        results = {
            name: from_planes([nets[bit] for bit in bits], count)
            for name, bits in self.outputs.items()
        }
        return {name: found.reshape(shape) for name, found in results.items()}

    def _begin(self, words: PortWords, none: Plane) -> dict[Bit, Plane]:
        """Return what stands in the flip-flops at the beginning."""
        state: dict[Bit, Plane] = {part.output: none for part in self._flip_flops}
        for name, bits in self.outputs.items():
            if name in words:
                if not state.keys() >= set(bits):
                    raise ValueError(
                        f"words must not have {name}, which is no register; leave it out"
                    )
                row = np.reshape(words[name], -1)
                state.update(zip(bits, to_planes(row, len(bits)), strict=True))
        return state

    def _step(self, nets: dict[Bit, Plane], cycles: int, state: dict[Bit, Plane]) -> None:
        """Add what the outputs are after each clock edge to the nets of all cycles."""
        read = {bit for table in self._behind for bit in table.inputs}
        read.update(part.input for part in self._flip_flops)
        read.update(bit for bits in self.outputs.values() for bit in bits)
        known = [(bit, nets[bit]) for bit in read if bit in nets]
        changing = [bit for bits in self.outputs.values() for bit in bits if bit not in nets]
        rows: dict[Bit, list[Plane]] = {bit: [] for bit in changing}
        for cycle in range(cycles):
            now = {bit: plane[cycle] for bit, plane in known} | state
            _settle(self._behind, now)
            state = {part.output: now[part.input] for part in self._flip_flops}
            now.update(state)
            if not self._outputs_are_registers:
                _settle(self._behind, now)
            for bit, row in rows.items():
                row.append(now[bit])
        nets.update({bit: np.stack(row) for bit, row in rows.items()})


def _settle(tables: Sequence[Table], nets: dict[Bit, Plane]) -> None:
    for table, inputs, output in tables:
        nets[output] = look_up(table, [nets[bit] for bit in inputs])


def look_up(table: int, inputs: Sequence[Plane]) -> Plane:
    """Return a truth table of bits, 64 of them in each word.

    Parameters
    ----------
    table : int
        Bit i is the result where the inputs, the first lowest, read i.
    inputs : sequence of ndarray of uint64
        At least one.

    Examples
    --------
    >>> look_up(0b1000, [np.array([0b0011], np.uint64), np.array([0b0101], np.uint64)]).tolist()
    [1]
    """
    *rest, top = inputs
    half = 1 << len(rest)
    ones = (1 << half) - 1
    low, high = table & ones, table >> half & ones
    if low == high:
        return look_up(low, rest) if rest else _constant(low, top)
    if high == low ^ ones:
        return top ^ (look_up(low, rest) if rest else _constant(low, top))
    if low == 0:
        return top & look_up(high, rest)
    if high == 0:
        return ~top & look_up(low, rest)
    if low == ones:
        return ~top | look_up(high, rest)
    if high == ones:
        return top | look_up(low, rest)
    below = look_up(low, rest)
    return below ^ (top & (below ^ look_up(high, rest)))


def _constant(bit: int, like: Plane) -> Plane:
    return ~np.zeros_like(like) if bit else np.zeros_like(like)


def to_planes(words: Words, width: int) -> list[Plane]:
    """Return the bits of rows of words, the lowest first: plane i has bit i of 64 words in each."""
    bits = np.moveaxis(bits_of(words, width), -1, 0)
    padding = -bits.shape[-1] % 64
    padded = np.pad(bits, [*[(0, 0)] * (bits.ndim - 1), (0, padding)])
    packed = np.ascontiguousarray(np.packbits(padded, axis=-1, bitorder="little"))
    return list(packed.view("<u8").astype(np.uint64))


def from_planes(planes: Sequence[Plane], count: int) -> Words:
    """Return the first ``count`` words of each row of planes: undoes `to_planes`."""
    raw = np.stack(planes).astype("<u8").view(np.uint8)
    bits = np.unpackbits(raw, axis=-1, bitorder="little", count=count)
    return words_of(np.moveaxis(bits, 0, -1))


def _parts(module: Mapping[str, Any]) -> Iterator[Table | FlipFlop]:
    """Yield the truth tables and flip-flops of all cells."""
    cells = [
        Cell(cell["type"], cell["parameters"], cell["connections"])
        for cell in module["cells"].values()
    ]
    used = [bit for cell in cells for bits in cell.pins.values() for bit in bits]
    used += [bit for port in module["ports"].values() for bit in port["bits"]]
    fresh = itertools.count(1 + max((bit for bit in used if isinstance(bit, int)), default=0))
    for cell in cells:
        yield from parts(cell, fresh)


def _ports(ports: Mapping[str, Any], direction: str) -> dict[str, list[Bit]]:
    return {n: list(p["bits"]) for n, p in ports.items() if p["direction"] == direction}


def _in_order(tables: list[Table]) -> list[Table]:
    """Return tables so that each stands behind those that drive its inputs."""
    driver = {table.output: place for place, table in enumerate(tables)}
    needs = {
        place: [driver[bit] for bit in table.inputs if bit in driver]
        for place, table in enumerate(tables)
    }
    try:
        return [tables[place] for place in TopologicalSorter(needs).static_order()]
    except CycleError:
        raise ValueError("netlist must not have nets that depend on each other") from None
