"""What an encoder reads: a float, or an integer in a unit; as sign and magnitude."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minifloat.formats import Format
from minifloat.formats.names import parse
from minifloat.hardware.circuits import PortWords, Words, to_words
from minifloat.hardware.verilog import Module, literal

Encoder: TypeAlias = Callable[[NDArray[Any]], NDArray[Any]]
FLOATS = ("float16", "bfloat16", "float32")
FLOAT32_FIELDS = (8, 23)


@dataclass(frozen=True)
class Fields:
    """A float as a circuit reads it."""

    exponent_bits: int
    mantissa_bits: int

    @property
    def bias(self) -> int:
        """What is added to an exponent to make its field."""
        return (1 << (self.exponent_bits - 1)) - 1

    @property
    def infinity(self) -> int:
        """The magnitude word of infinity; those above are NaN."""
        return ((1 << self.exponent_bits) - 1) << self.mantissa_bits


@dataclass(frozen=True)
class Source:
    """What an encoder reads.

    Attributes
    ----------
    name : str
        "float16", "bfloat16", "float32" or "fixed".
    width : int
        Bits of the input, or of the magnitude of a fixed one with a sign apart.
    fields : Fields or None
        Those of a float.
    unit : Fraction
        What 1 means in a fixed input: a power of two.
    sign_apart : bool
        Whether a fixed input is the ports ``sign`` and ``magnitude``.
    """

    name: str
    width: int
    fields: Fields | None
    unit: Fraction = Fraction(1)
    sign_apart: bool = False

    @property
    def magnitude_width(self) -> int:
        """Width of the magnitude."""
        return self.width if self.sign_apart or self.fields is None else self.width - 1

    @property
    def last(self) -> int:
        """The largest magnitude: infinity, if it is a float."""
        if self.fields is not None:
            return self.fields.infinity
        return (1 << self.width) - 1 if self.sign_apart else 1 << (self.width - 1)

    def add_to(self, module: Module) -> tuple[str, str]:
        """Add the ports, and return the nets of the sign and the magnitude."""
        width = self.width
        if self.sign_apart:
            module.input("sign", 1)
            module.input("magnitude", width)
            return "sign", "magnitude"
        module.input("value", width)
        sign = module.wire("negative", 1, f"value[{width - 1}]")
        if self.fields is not None:
            return sign, module.wire("size", width - 1, f"value[{width - 2}:0]")
        return sign, module.wire("size", width, f"{sign} ? -value : value")

    def numbers(self, magnitudes: NDArray[Any], negative: Any) -> NDArray[Any]:
        """Return the numbers that magnitude words mean, with a sign."""
        words = np.asarray(magnitudes).astype(np.uint64)
        if self.fields is None:
            values = words.astype(np.float64) * float(self.unit)
            return np.where(negative, -values, values)
        top = np.where(negative, 1 << (self.width - 1), 0).astype(np.uint64)
        return self._floats(words | top)

    def read(self, ports: PortWords) -> NDArray[Any]:
        """Return the numbers that the words at the ports mean."""
        if self.sign_apart:
            return self.numbers(ports["magnitude"], ports["sign"].astype(bool))
        words = np.asarray(ports["value"]).astype(np.uint64)
        if self.fields is not None:
            return self._floats(words)
        half = 1 << (self.width - 1)
        signed = words.astype(np.int64) - (words >= half).astype(np.int64) * 2 * half
        return signed * float(self.unit)

    def word_corners(self, magnitudes: list[int]) -> dict[str, tuple[int, ...]]:
        """Return magnitudes, with both signs, as corners of the ports."""
        if self.sign_apart:
            return {"sign": (0, 1), "magnitude": tuple(magnitudes)}
        top = 1 << (self.width - 1)
        if self.fields is not None:
            negative = [top | magnitude for magnitude in magnitudes]
        else:
            negative = to_words([-magnitude for magnitude in magnitudes], self.width).tolist()
            magnitudes = [magnitude for magnitude in magnitudes if magnitude < top]
        return {"value": tuple(sorted({*magnitudes, *negative}))}

    def _floats(self, words: Words) -> NDArray[Any]:
        if self.name == "float16":
            return words.astype(np.uint16).view(np.float16)
        shift = np.uint64(16 if self.name == "bfloat16" else 0)
        return (words << shift).astype(np.uint32).view(np.float32)


def float_source(name: str) -> Source:
    """Return a float as a source."""
    if name == "float32":
        return Source(name, 32, Fields(*FLOAT32_FIELDS))
    fmt = parse(name)
    assert isinstance(fmt, Format)
    return Source(name, fmt.bits, Fields(fmt.exponent_bits, fmt.mantissa_bits))


def steps(source: Source, encode: Encoder, *, negative: bool) -> tuple[list[int], list[int]]:
    """Return an encoder, monotone but for zero, as a step function of the magnitude of one sign.

    Parameters
    ----------
    source : Source
    encode : callable
        From numbers to codes. Above zero, a number with a code between those of two others lies
        between them. Zero may have any code: in a format without zeros it may become NaN, as what
        overflows does.
    negative : bool

    Returns
    -------
    starts, codes : list of int
        The magnitude at which each step begins, and the code on it.

    Examples
    --------
    >>> import minifloat as mf
    >>> half = float_source("float16")
    >>> starts, codes = steps(half, lambda x: mf.encode(x, "e2m1"), negative=False)
    >>> codes, np.array(starts[:3], np.uint16).view(np.float16).tolist()
    ([0, 1, 2, 3, 4, 5, 6, 7], [0.0, 0.250244140625, 0.75])
    """

    def code_of(magnitudes: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.asarray(encode(source.numbers(magnitudes, negative))).astype(np.int64)

    low, high = np.array([0, 1]), np.array([1, source.last])
    below, above = code_of(low), code_of(high)
    found = [(0, int(below[0]))]
    while low.size:
        differ = below != above
        low, high, below, above = low[differ], high[differ], below[differ], above[differ]
        near = high - low == 1
        found += zip(high[near].tolist(), above[near].tolist(), strict=True)
        low, high, below, above = low[~near], high[~near], below[~near], above[~near]
        middle = (low + high) // 2
        code = code_of(middle) if middle.size else below
        low, high = np.concatenate([low, middle]), np.concatenate([middle, high])
        below, above = np.concatenate([below, code]), np.concatenate([code, above])
    found.sort()
    return [start for start, _ in found], [code for _, code in found]


def is_nan(source: Source, magnitude: str) -> str | None:
    """Return the condition that a float is NaN; None for an integer."""
    if source.fields is None:
        return None
    return f"{magnitude} > {literal(source.fields.infinity, source.magnitude_width)}"
