"""The oracle as a step function, for sweeps over all inputs: `exact_steps`."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from minifloat.formats import NumberFormat
from minifloat.formats.names import parse
from minifloat.formats.rounding import (
    NaNPolicy,
    Overflow,
    OverflowLike,
    Rounding,
    RoundingLike,
    choose,
)
from minifloat.testing._oracle import code_dtype, encode_number
from minifloat.testing._points import FloatOrder, decision_points

Codes: TypeAlias = "NDArray[np.unsignedinteger[Any]]"


@dataclass(frozen=True, eq=False)
class StepTable:
    """A deterministic encoder of one source dtype, as a step function (see `exact_steps`).

    Attributes
    ----------
    keys : ndarray of int64
        The beginning of each step: the number of its first float in the order of values.
    codes : ndarray
        The code on each step.
    dtype : dtype
        The dtype of the source.

    Examples
    --------
    >>> import numpy as np
    >>> from minifloat.testing import exact_steps
    >>> table = exact_steps("e2m1", np.float32)
    >>> table(np.array([2.4, 2.5, 2.6], np.float32)).tolist()
    [4, 4, 5]
    """

    keys: NDArray[np.int64]
    codes: Codes
    dtype: np.dtype[Any]

    def __call__(self, x: NDArray[Any]) -> Codes:
        """Return the codes of an array of the table's dtype.

        Raises
        ------
        ValueError
            If x has another dtype or contains NaN, which has no place in the order.
        """
        if x.dtype != self.dtype:
            raise ValueError(f"x must be of dtype {self.dtype}, got {x.dtype}")
        order = FloatOrder(self.dtype)
        keys = order.keys(x.ravel())
        if np.any((keys < order.first) | (keys > order.last)):
            raise ValueError("x must not hold NaN; take it out first")
        at = np.searchsorted(self.keys, keys, side="right") - 1
        return self.codes[at].reshape(x.shape)

    def words(self, start: int, stop: int) -> Codes:
        """Return the codes of the words ``start .. stop - 1`` of the dtype, which have one sign.

        This fills each step at once and is much faster than a call. NaN words get the code of the
        infinity before them; mask them.

        Raises
        ------
        ValueError
            If the words have both signs.
        """
        sign = FloatOrder(self.dtype).sign
        if not 0 <= start < stop <= 2 * sign or start // sign != (stop - 1) // sign:
            raise ValueError(f"words must have one sign, got {start}..{stop - 1}")
        codes = np.empty(stop - start, self.codes.dtype)
        ends = np.append(self.keys[1:], 2 * sign)
        negative = start >= sign
        for begin, end, code in zip(self.keys, ends, self.codes, strict=True):
            # word = key, or sign + (-1 - key) for negative floats, where the order is reversed
            low, high = (sign - int(end), sign - int(begin)) if negative else (begin, end)
            if negative and begin == self.keys[0]:
                high = 2 * sign  # NaNs after -inf
            codes[max(int(low) - start, 0) : max(int(high) - start, 0)] = code
        return codes


def exact_steps(
    fmt: NumberFormat | str,
    dtype: DTypeLike = np.float32,
    rounding: RoundingLike = Rounding.NEAREST_EVEN,
    overflow: OverflowLike = Overflow.SATURATE,
) -> StepTable:
    """Return the oracle of a deterministic mode as a step function, for sweeps over all inputs.

    The oracle computes the codes of all `decision_points`. Rounding is monotone, so it is constant
    between two floats of the same code. If two consecutive points have different codes and are not
    neighbours in the dtype, bisection with the oracle finds the place of the change.

    Parameters
    ----------
    fmt : format or str
    dtype : dtype
        A float dtype.
    rounding : Rounding or str
        Not a stochastic mode.
    overflow : Overflow or str
        Not "raise".

    Returns
    -------
    StepTable

    Raises
    ------
    ValueError
        If the mode is stochastic, the policy is "raise", or the dtype is not a float dtype.

    Examples
    --------
    >>> from minifloat.testing import exact_steps
    >>> len(exact_steps("e2m1").codes)
    16
    """
    fmt, dtype = parse(fmt), np.dtype(dtype)
    rounding, overflow = (
        choose(Rounding, "rounding", rounding),
        choose(Overflow, "overflow", overflow),
    )
    if rounding.is_stochastic or overflow is Overflow.RAISE:
        raise ValueError(
            f"rounding and overflow must give every number a code, got {rounding}, {overflow}"
        )
    order = FloatOrder(dtype)

    def code_at(key: int) -> int:
        number = float(order.floats(np.array([key]))[0])
        return encode_number(number, fmt, rounding, overflow, NaNPolicy.RAISE, 0, 1)

    points = order.keys(decision_points(fmt, dtype)[:-1]).tolist()
    keys, codes = [points[0]], [code_at(points[0])]
    for low, high in pairwise(points):
        code = code_at(high)
        while codes[-1] != code:
            first = high  # the first key known to have this code
            while first - low > 1:
                middle = (low + first) // 2
                if code_at(middle) == codes[-1]:
                    low = middle
                else:
                    first = middle
            keys.append(first)
            codes.append(code_at(first))
            low = first
    return StepTable(np.array(keys, np.int64), np.array(codes, code_dtype(fmt)), dtype)
