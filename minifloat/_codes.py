"""Which integers are codes: their dtype, and the check that they are a format's or fit a width."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat import _arrays
from minifloat._kernels import codec as kernels
from minifloat.formats import Integer, NumberFormat

Array = NDArray[Any]


def code_dtype(bits: int) -> type[np.uint8 | np.uint16 | np.uint32]:
    """Return the least unsigned dtype that holds codes of ``bits`` bits."""
    if bits <= 8:
        return np.uint8
    return np.uint16 if bits <= 16 else np.uint32


def check_codes(codes: Array, fmt: NumberFormat, threads: int = 1) -> None:
    """Raise a ValueError unless every code is one of the format's.

    Raises
    ------
    ValueError
    """
    unused = fmt.unused_code if isinstance(fmt, Integer) else None
    check_range(codes, fmt.code_count, f"{fmt}", unused=unused, threads=threads)


def check_range(
    codes: Array, count: int, owner: str, *, unused: int | None = None, threads: int = 1
) -> None:
    """Raise a ValueError unless every code is in ``0 .. count - 1`` and none is ``unused``.

    Raises
    ------
    ValueError
        With the first of them and its index.
    """
    own: np.dtype[Any] = np.dtype(code_dtype((count - 1).bit_length()))
    if unused is None and codes.dtype == own and count == 1 << 8 * own.itemsize:
        return
    as_read = own if codes.dtype == own else np.uint64 if codes.dtype == np.uint64 else np.int64

    def run(_: int, some: Array) -> tuple[int, int]:
        if unused is None and some.dtype == own and kernels.greatest(some) < count:
            return 0, 0
        words = some.view(np.int64) if some.dtype == np.uint64 else some
        return kernels.count_outside(words, count, -1 if unused is None else unused), 0

    outside, _ = _arrays.walk(run, [(codes, as_read)], None, threads=threads)
    if outside:
        index = first_index(codes, lambda c: (c < 0) | (c >= count) | (c == unused))
        but = "" if unused is None else f" and not the unused {unused}"
        raise ValueError(
            f"codes must be in 0..{count - 1}{but} for {owner}, got {codes[index]} at index "
            f"{index} ({outside} such codes)"
        )


def first_index(a: Array, test: Callable[[Array], Any]) -> tuple[int, ...] | None:
    """Return the index of the first element, in C order, that passes ``test``."""
    step = 1 << 15
    for start in range(0, a.size, step):
        found = np.flatnonzero(test(a.flat[start : start + step]))
        if found.size:
            index = np.unravel_index(start + int(found[0]), a.shape)
            return tuple(int(i) for i in index)
    return None
