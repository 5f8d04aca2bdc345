"""A circuit: its Verilog text, its ports, and what it computes, as one value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minifloat.formats.base import shown

Words: TypeAlias = "NDArray[Any]"  # uint64, or Python integers (dtype object) beyond 64 bits
PortWords: TypeAlias = "Mapping[str, Words]"
Meaning: TypeAlias = Callable[[PortWords], dict[str, Words]]


@dataclass(frozen=True, eq=False)
class Circuit:
    """A circuit in plain Verilog-2005, with the function that it must compute.

    Two circuits are equal if their texts are.

    Attributes
    ----------
    name : str
        The name of the top module.
    verilog : str
        The text: the top module and the modules that it uses.
    inputs, outputs : mapping of str to int
        The ports of the top module and their widths in bits, in the order of the text. The input
        ``clock`` of a circuit with a register is not among them.
    unit : Fraction or None
        The value of the least bit of the number at the output: `value`, `product`, `sum`, or
        `magnitude`; None where the output is a code or a float.
    latency : int
        Clock edges between an input and its output: 0 for a circuit without registers.
    meaning : callable
        From the words at the inputs to the words at the outputs, port by port: arrays of uint64
        and of one shape (of Python integers for ports of more than 64 bits). Numbers are two's
        complement words. With a register the first axis counts clock cycles, row t of an output
        is what stands there after clock edge t, and the circuit begins with all registers 0.
    corners : mapping of str to tuple of int
        Words of an input that are worth trying: extreme codes, decision points. `check` tries
        them where it cannot try all words.
    starts : mapping of str to tuple of int
        Words of an output that is a register, from which `check` lets the circuit begin, too; the
        meaning takes them as words of that name, of the shape of a row.

    Examples
    --------
    >>> import numpy as np
    >>> from minifloat import hardware
    >>> circuit = hardware.decoder("e2m1")
    >>> circuit.inputs, circuit.outputs, circuit.unit
    ({'code': 4}, {'value': 5}, Fraction(1, 2))
    >>> circuit.meaning({"code": np.array([1, 9, 7])})["value"].tolist()
    [1, 31, 12]
    """

    name: str
    verilog: str
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    unit: Fraction | None
    latency: int
    meaning: Meaning = field(repr=False)
    corners: Mapping[str, tuple[int, ...]] = field(default_factory=dict, repr=False)
    starts: Mapping[str, tuple[int, ...]] = field(default_factory=dict, repr=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Circuit):
            return NotImplemented
        return self.verilog == other.verilog

    def __hash__(self) -> int:
        return hash(self.verilog)

    def __repr__(self) -> str:
        return f"<Circuit {self.name}: {self._ports()}>"

    def _ports(self) -> str:
        sides = (self.inputs, self.outputs)
        return " -> ".join(
            ", ".join(f"{name}[{width}]" for name, width in s.items()) for s in sides
        )


def check_circuit(circuit: object) -> None:
    """Raise unless this is a circuit, such as for the text of one."""
    if not isinstance(circuit, Circuit):
        raise TypeError(
            f"circuit must be a Circuit, as minifloat.hardware.multiplier returns, got "
            f"{shown(circuit)}"
        )


def to_words(numbers: Any, width: int) -> Words:
    """Return integers as two's complement words of a width: uint64, or objects beyond 64 bits.

    Parameters
    ----------
    numbers : array_like of int
        Any integers; bits above ``width`` are dropped.
    width : int

    Returns
    -------
    ndarray of uint64, or of object

    Examples
    --------
    >>> to_words([-1, 3], 4).tolist()
    [15, 3]
    """
    array = np.asarray(numbers)
    mask = (1 << width) - 1
    if width > 64:
        return np.asarray(array.astype(object) & mask, object)
    if array.dtype == object:
        return np.asarray(array & mask).astype(np.uint64)
    return array.astype(np.uint64) & np.uint64(mask)


def bits_of(words: Words, width: int) -> NDArray[np.uint8]:
    """Return the bits of words, the lowest first, along a new last axis.

    Examples
    --------
    >>> bits_of(np.array([1, 6]), 3).tolist()
    [[1, 0, 0], [0, 1, 1]]
    """
    flat = np.ravel(words)
    size = 8 if width <= 64 else -(-width // 8)
    if width <= 64:
        raw = flat.astype(np.uint64).astype("<u8").view(np.uint8)
    else:
        raw = np.frombuffer(b"".join(int(w).to_bytes(size, "little") for w in flat), np.uint8)
    bits = np.unpackbits(raw.reshape(-1, size), axis=1, bitorder="little")
    return bits[:, :width].reshape((*np.shape(words), width))


def words_of(bits: NDArray[Any]) -> Words:
    """Return words of bits, the lowest first, along the last axis: undoes `bits_of`."""
    *shape, width = bits.shape
    size = 8 if width <= 64 else -(-width // 8)
    rows = np.zeros((int(np.prod(shape)), size * 8), np.uint8)
    rows[:, :width] = bits.reshape(-1, width)
    raw = np.packbits(rows, axis=1, bitorder="little")
    if width <= 64:
        return raw.view("<u8").astype(np.uint64).reshape(shape)
    words = np.empty(len(raw), object)
    words[:] = [int.from_bytes(row.tobytes(), "little") for row in raw]
    return words.reshape(shape)


def split_lanes(words: Words, width: int, lanes: int) -> Words:
    """Return the fields of words, the lowest first, along a new last axis.

    Parameters
    ----------
    words : ndarray of integers, of any shape
    width : int
        Width of a field in bits.
    lanes : int
        Number of fields.

    Returns
    -------
    ndarray, shape (..., lanes)

    Examples
    --------
    >>> split_lanes(np.array([0x21]), 4, 2).tolist()
    [[1, 2]]
    """
    bits = bits_of(words, width * lanes)
    return words_of(bits.reshape((*bits.shape[:-1], lanes, width)))


def join_lanes(fields: Words, width: int) -> Words:
    """Return words of fields along the last axis, the first one lowest: undoes `split_lanes`.

    Examples
    --------
    >>> join_lanes(np.array([[1, 2]]), 4).tolist()
    [33]
    """
    bits = bits_of(fields, width)
    return words_of(bits.reshape((*bits.shape[:-2], -1)))
