"""Netlists checked against the library: all inputs where they are few, else the telling ones."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, SupportsIndex

import numpy as np

from minifloat.formats.base import check_int
from minifloat.hardware.circuits import Circuit, Words, check_circuit, to_words, words_of
from minifloat.hardware.netlists import Netlist
from minifloat.hardware.synthesis import netlist as synthesized
from minifloat.hardware.targets import Target, check_target

ALL_BITS = 20  # inputs of so many bits together are all tried
CHUNK = 1 << 16  # words in a run
RANDOM_WORDS = 1 << 14
CYCLES = 288  # more than the 256 that fill a sum of 4096 products of 16 lanes
STREAMS = 64
STARTED = (32, 512)  # clock cycles and streams that begin from a circuit's starts
RARE = 1 / 64
MAX_CORNERS = 1 << 15


@dataclass(frozen=True)
class Mismatch:
    """The first input at which a netlist is wrong.

    Attributes
    ----------
    inputs, outputs, expected : dict of str to int
        The words at the ports: what went in, what came out, and what should have; and from what
        an output that is a register began, if not from 0.
    cycle : int or None
        The clock cycle, in a circuit with a register.
    """

    inputs: dict[str, int]
    outputs: dict[str, int]
    expected: dict[str, int]
    cycle: int | None = None


@dataclass(frozen=True)
class Check:
    """The result of `check`; true if nothing is wrong.

    Attributes
    ----------
    circuit : str
        Its name.
    target : str
        What it was synthesised for; "netlist" where one was given.
    words : int
        Number of inputs tried; in a circuit with a register, of clock cycles of all streams.
    exhaustive : bool
        Whether these are all inputs.
    wrong : int
        Number of inputs with a wrong output.
    first : Mismatch or None
        The first of them.
    """

    circuit: str
    target: str
    words: int
    exhaustive: bool
    wrong: int
    first: Mismatch | None

    def __bool__(self) -> bool:
        return self.wrong == 0

    def __str__(self) -> str:
        tried = f"{'all ' * self.exhaustive}{self.words} inputs"
        if self.first is None:
            return f"{self.circuit} on {self.target}: {tried}, all right"
        return f"{self.circuit} on {self.target}: {self.wrong} of {tried} wrong, {self.first}"


def check(
    circuit: Circuit,
    target: Target = "cmos",
    *,
    netlist: Mapping[str, Any] | None = None,
    seed: SupportsIndex = 0,
    timeout: float = 600.0,
) -> Check:
    """Compare a circuit's netlist with what the library computes.

    All inputs are tried if they have at most 20 bits together. Otherwise all combinations of the
    circuit's `corners` are, and 16384 random words, some with a corner at one port. A circuit with
    a register gets 64 streams of 288 clock cycles: in the first ones the words at its corners stay,
    and inputs of one bit are 1 in the first cycle, then seldom or never. If it has ``starts``,
    512 streams of 32 cycles begin from these, and the inputs of one bit are 0.

    Parameters
    ----------
    circuit : Circuit
    target : str
        What it is synthesised for: "xc7", "xcup", "ice40", "ecp5" or "cmos". The cells of this
        netlist are evaluated.
    netlist : mapping, optional
        A module of Yosys' JSON to check instead, such as `Counts.netlist`; then nothing is
        synthesised.
    seed : int
        Of the random words.
    timeout : float
        Seconds that the synthesis may take.

    Returns
    -------
    Check

    Raises
    ------
    ModuleNotFoundError
        If Yosys is not installed, unless ``netlist`` is given.
    TypeError
        If ``circuit`` is none.
    ValueError
        If ``target`` is not one of these, or ``netlist`` has other ports than the circuit.

    Examples
    --------
    >>> from minifloat import hardware
    >>> print(hardware.check(hardware.decoder("e2m1")))  # doctest: +SKIP
    decoder_e2m1_fixed_case_twos_complement on cmos: all 16 inputs, all right
    """
    check_circuit(circuit)
    seed = check_int("seed", seed, 0)
    check_target(target)
    module = netlist
    if module is None:
        module = synthesized(circuit.verilog, circuit.name, target, timeout=timeout)
    built = Netlist(module)
    for side, ports, found in (
        ("inputs", circuit.inputs, built.inputs),
        ("outputs", circuit.outputs, built.outputs),
    ):
        widths = {name: len(bits) for name, bits in found.items()}
        if widths != dict(ports):
            raise ValueError(f"netlist must have the {side} {dict(ports)}, got {widths}")
    exhaustive = circuit.latency == 0 and sum(circuit.inputs.values()) <= ALL_BITS
    words = wrong = 0
    first: Mismatch | None = None
    for given in trials(circuit, seed):
        got, expected = built.run(given), circuit.meaning(given)
        bad = np.zeros(np.shape(next(iter(given.values()))), bool)
        for name in circuit.outputs:
            bad |= np.asarray(got[name] != expected[name], bool)
        words += bad.size
        wrong += int(bad.sum())
        if first is None and bad.any():
            place = tuple(np.argwhere(bad)[0].tolist())
            went_in, came_out, wanted = (
                {n: int(np.broadcast_to(port, bad.shape)[place]) for n, port in side.items()}
                for side in (given, got, expected)
            )
            cycle = place[0] if circuit.latency else None
            first = Mismatch(went_in, came_out, wanted, cycle)
    name = "netlist" if netlist is not None else target
    return Check(circuit.name, name, words, exhaustive, wrong, first)


def trials(circuit: Circuit, seed: int = 0) -> Iterator[dict[str, Words]]:
    """Yield the words at which `check` tries a circuit, in parts.

    Parameters
    ----------
    circuit : Circuit
    seed : int

    Yields
    ------
    dict of str to array
        The words of each input, of one shape: of clock cycles and streams with a register.

    Examples
    --------
    >>> from minifloat import hardware
    >>> (words,) = trials(hardware.decoder("int2"))
    >>> words["code"].tolist()
    [0, 1, 2, 3]
    """
    total = sum(circuit.inputs.values())
    generator = np.random.default_rng(seed)
    if circuit.latency:
        yield _streams(circuit, generator)
        if circuit.starts:
            yield _started(circuit, generator)
    elif total <= ALL_BITS:
        for start in range(0, 1 << total, CHUNK):
            number = np.arange(start, min(start + CHUNK, 1 << total), dtype=np.uint64)
            words: dict[str, Words] = {}
            for name, width in circuit.inputs.items():
                words[name] = to_words(number, width)
                number = number >> np.uint64(width)
            yield words
    else:
        yield from _corners(circuit)
        yield _random(circuit, (RANDOM_WORDS,), generator)


def _corner_words(circuit: Circuit, name: str) -> list[int]:
    """Return the corners of a port; 0 and all ones where the circuit names none."""
    width = circuit.inputs[name]
    return list(circuit.corners.get(name, (0, (1 << width) - 1)))


def _corners(circuit: Circuit) -> Iterator[dict[str, Words]]:
    """Yield all combinations of corners; of too many the first ones."""
    names = list(circuit.inputs)
    rows = itertools.product(*(_corner_words(circuit, name) for name in names))
    some = list(itertools.islice(rows, MAX_CORNERS))
    yield {
        name: to_words(np.array([row[i] for row in some], object), circuit.inputs[name])
        for i, name in enumerate(names)
    }


def _random(
    circuit: Circuit, shape: tuple[int, ...], generator: np.random.Generator
) -> dict[str, Words]:
    """Return random words, one in four of them with a corner at a port."""
    words = {}
    for name, width in circuit.inputs.items():
        word = words_of(generator.integers(0, 2, (*shape, width), np.uint8))
        corners = to_words(np.array(_corner_words(circuit, name), object), width)
        picked = corners[generator.integers(0, len(corners), shape)]
        words[name] = np.where(generator.random(shape) < 0.25, picked, word)
    return words


def _streams(circuit: Circuit, generator: np.random.Generator) -> dict[str, Words]:
    """Return streams of words: of corners that stay, then of random words."""
    shape = (CYCLES, STREAMS)
    words = _random(circuit, shape, generator)
    wide = [name for name, width in circuit.inputs.items() if width > 1]
    rows = itertools.product(*(_corner_words(circuit, name) for name in wide))
    steady = list(itertools.islice(rows, STREAMS // 2))
    for i, name in enumerate(wide):
        held = to_words(np.array([row[i] for row in steady], object), circuit.inputs[name])
        words[name][:, : len(steady)] = held
    for name, width in circuit.inputs.items():
        if width == 1:
            words[name] = (generator.random(shape) < RARE).astype(np.uint64)
            words[name][:, : len(steady)] = 0
            words[name][0] = 1
    return words


def _started(circuit: Circuit, generator: np.random.Generator) -> dict[str, Words]:
    """Return streams of random words that begin from some of a circuit's starts."""
    words = _random(circuit, STARTED, generator)
    for name, width in circuit.inputs.items():
        if width == 1:
            words[name][:] = 0
    for name, starts in circuit.starts.items():
        words[name] = to_words(
            generator.choice(np.array(starts, object), STARTED[1]), circuit.outputs[name]
        )
    return words
