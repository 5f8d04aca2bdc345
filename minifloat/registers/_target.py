"""The formats of a program's outputs: float16 or bfloat16."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat.codec import decode, encode
from minifloat.formats import Format, NumberFormat
from minifloat.formats.exmy import SHORT_NAMES
from minifloat.packing.layouts import HALF_BITS
from minifloat.registers._program import Target

MAX_TABLE_BITS = 8  # of a code that `look_up` looks up
BOTH = 1 << HALF_BITS | 1  # a half times BOTH is a word with the half twice


def half_words(values: ArrayLike, target: Target) -> NDArray[np.uint16]:
    """Return the words of values rounded once to float16 or bfloat16.

    Parameters
    ----------
    values : array_like of float64
        Any shape; values that overflow become infinities.
    target : str
        "float16" or "bfloat16".

    Returns
    -------
    ndarray of uint16, the shape of ``values``

    Raises
    ------
    ValueError
        If the target is neither of them.

    Examples
    --------
    >>> from minifloat import registers
    >>> [hex(word) for word in registers.half_words([1.0, -2.5], "float16")]
    ['0x3c00', '0xc100']
    """
    words: NDArray[np.uint16] = encode(values, half_format(target), overflow="ieee")
    return words


def half_format(target: str) -> Format:
    """Return the format of a target."""
    if target not in ("float16", "bfloat16"):
        raise ValueError(f"target must be float16 or bfloat16, got {target!r}")
    return SHORT_NAMES[target]


@functools.cache
def half_word(value: float, half: Format) -> int:
    """Return the word of a value rounded to ``half``."""
    return int(encode(value, half, overflow="ieee"))


def holds(value: float, half: Format) -> bool:
    """Return whether ``half`` has a value."""
    return half.value(half_word(value, half)) == value


def not_held(fmt: NumberFormat, half: Format) -> list[float]:
    """Return the finite values of ``fmt`` that ``half`` does not have."""
    values = fmt.values()
    values = values[np.isfinite(values)]
    held = decode(encode(values, half, overflow="ieee"), half, dtype=np.float64)
    missing: list[float] = values[held != values].tolist()
    return missing


def both_halves(value: float, half: Format) -> int:
    """Return the 32-bit word with a value in both halves."""
    return half_word(value, half) * BOTH
