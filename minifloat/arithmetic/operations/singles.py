"""Operations on float32 numbers, several times as fast: in float32, in chunks, rounded at once.

A result is rounded to odd, to float32, and then to the format. This is right in formats that are
short enough: all their values, and the ties between them, must be float32 numbers with a last bit
of 0. A number between two float32 numbers becomes the one with a last bit of 1, so it stays on its
side of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from minifloat import _arrays
from minifloat._kernels import single_operations
from minifloat._threads import check_threads, each
from minifloat.arithmetic.operations.functions import Exact
from minifloat.arithmetic.operations.results import Operands, Options
from minifloat.codec import EncodeOptions, round_to
from minifloat.codec.plans import dtype_or_error
from minifloat.formats import NumberFormat
from minifloat.formats.rounding import Rounding, choose

Array = NDArray[Any]

CHUNK = 1 << 15  # elements whose arrays stay in the cache
LAST_BIT = 2.0**-148  # of the least tie: float32 has one bit below it


@dataclass(frozen=True)
class Operation:
    """An operation that loops over arrays compute.

    Attributes
    ----------
    name : str
        Of its loops: that of `minifloat._kernels.operations` over terms of float32 or float64, and
        that of `minifloat._kernels.single_operations`.
    exact : Exact
        Its result in fractions.
    terms : callable
        From operands to terms.
    negates : tuple of int
        For sums: the terms whose signs change the sign of the sum. An exact sum of 0 is 0, and -0
        if it is rounded downward (IEEE 754-2019, 6.3): then it is the negative of the negative sum.
    """

    name: str
    exact: Exact
    terms: Callable[..., list[Array]] = lambda *operands: list(operands)
    negates: tuple[int, ...] = ()

    def loop(self, kernels: ModuleType, options: Options) -> Callable[..., Any]:
        """Return a loop, with zeros as these options have them."""
        compute: Callable[..., Any] = getattr(kernels, self.name)
        if not self.negates or options.get("rounding") != Rounding.DOWNWARD:
            return compute
        place = max(self.negates) + 1  # of the results

        def negative(*arrays: Array) -> Any:
            terms = [-x if i in self.negates else x for i, x in enumerate(arrays[:place])]
            returned = compute(*terms, *arrays[place:])
            np.negative(arrays[place], out=arrays[place])
            return returned

        return negative


def is_short(fmt: NumberFormat) -> bool:
    """Return whether values of a format and ties are float32 numbers with a last bit of 0.

    That is so up to the largest float32; the format itself may have larger values. A tie has one
    bit more than a value, which has at most 16, and float32 has 24.
    """
    return fmt.precision is not None and fmt.smallest >= LAST_BIT * 2.0**fmt.precision


def rounded_singles(
    operation: Operation, operands: Operands, fmt: NumberFormat, options: Options
) -> Any:
    """Return the results of an operation, rounded, or None where this needs float64.

    It does for operands of float64, long formats, stochastic modes, results that may be beyond
    float32, and where an error is to be raised.
    """
    mode = choose(Rounding, "rounding", options.get("rounding", Rounding.NEAREST_EVEN))
    arrays = operands.arrays
    if arrays[0].dtype != np.float32 or mode.is_stochastic or not is_short(fmt):
        return None
    dtype = options.get("dtype")
    rounded = np.empty(arrays[0].shape, dtype_or_error(operands.dtype if dtype is None else dtype))
    given: dict[str, Any] = {**options, "dtype": rounded.dtype, "threads": 1}
    flat = [x.reshape(-1) for x in (*arrays, rounded)]
    loop = operation.loop(single_operations, options)

    def compute(low: int) -> bool:
        *operands, target = (x[low : low + CHUNK] for x in flat)
        results = np.empty(target.size, np.float32)
        if loop(*operation.terms(*operands), results):
            return False
        round_to(results, fmt, out=target, **cast("EncodeOptions", given))
        return True

    parts = range(0, max(rounded.size, 1), CHUNK)
    try:
        is_right = all(each(compute, parts, check_threads(options.get("threads", 1))))
    except ValueError:  # of a part; that of the whole is raised where it is computed in float64
        return None
    return _arrays.as_given(operands.like, rounded) if is_right else None
