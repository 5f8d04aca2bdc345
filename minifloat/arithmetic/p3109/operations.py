"""P3109's operations on values, by their names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from minifloat import _arrays
from minifloat._kernels import operations as kernels
from minifloat.arithmetic.operations.algebraic import KERNELS
from minifloat.arithmetic.operations.functions import FUNCTIONS
from minifloat.arithmetic.operations.results import (
    Fmt,
    Numbers,
    Operands,
    Options,
    function_results,
    kernel_results,
    round_results,
)
from minifloat.arithmetic.operations.selections import SELECTIONS
from minifloat.arithmetic.p3109.exact_results import exact_results
from minifloat.arithmetic.p3109.external import External, Projector, target_of
from minifloat.arithmetic.p3109.names import NAN_WHERE, OPERATIONS, check_name
from minifloat.arithmetic.p3109.projections import Projection, options_of
from minifloat.codec import FloatDtype
from minifloat.formats import NumberFormat

Array = NDArray[Any]
Change = Callable[[Array], Array]


def compute(name: str, *operands: Numbers, fmt: Fmt, **projection: Unpack[Projection]) -> Any:
    """Compute an operation of P3109 on values.

    Parameters
    ----------
    name : str
        One of `OPERATIONS`, such as ``"Add"``.
    *operands : array_like
        One, two or three arrays of numbers that broadcast, as for `minifloat.arithmetic.add`.
    fmt : format or str
        The format of the result: ``binary8p3se`` and so on, any other, or IEEE 754's ``binary32``
        and ``binary64``.
    **projection
        ``rounding`` and ``saturation``, and options of `minifloat.round_to`; see `Projection`.

    Returns
    -------
    ndarray, NumPy scalar or tensor
        Values of ``fmt``, as `minifloat.arithmetic.add` returns them, but never -0; of float32 for
        ``binary32`` and float64 for ``binary64``.

    Raises
    ------
    ValueError
        If there is no such operation or mode, the number of operands is not its own, or as
        `minifloat.arithmetic.add`. In a format without NaN a result of NaN is one.

    Examples
    --------
    >>> from minifloat.arithmetic import p3109
    >>> p3109.compute("Divide", [1, 1, -8], [3, 0, 3], fmt="binary8p4se")
    array([ 0.34375,      nan, -2.75   ])
    >>> p3109.compute("Exp", 100, fmt="binary8p4sf", saturation="SatFinite")
    np.float64(240.0)
    >>> p3109.compute("Divide", 1, 3, fmt="binary32", rounding="TowardPositive")
    np.float32(0.33333334)
    """
    check_name(name, len(operands))
    target, options = target_of(fmt), options_of(projection)
    given = Operands.of(*operands)
    if isinstance(target, External):
        projector = Projector.of(target, options, given.arrays[0].shape)
        values = exact_results(name, given.doubles(), projector)
    else:
        results = results_of(name, given.arrays, target, options)
        values = rounded_results(results, target, options, given.dtype)
    return _arrays.as_given(given.like, np.asarray(values))


def results_of(
    name: str,
    operands: Sequence[Array],
    fmt: NumberFormat,
    options: Options,
    change: Change = lambda results: results,
) -> Array:
    """Return an operation's results, to be rounded: on their exact values' side of all decisions.

    ``change`` is what they undergo before that.
    """
    with np.errstate(all="ignore"):
        x = [operand + 0.0 for operand in operands]  # without -0
        own = OPERATIONS[name]
        if own in FUNCTIONS:
            results = function_results(FUNCTIONS[own], x, fmt, options, change)
        elif own in KERNELS:
            operation = KERNELS[own]
            terms = operation.terms(*x)
            kernel = getattr(kernels, operation.name)
            results = kernel_results(kernel, operation.exact, terms, fmt, options)
        else:
            results = SELECTIONS[own](*x).astype(np.float64, copy=False)
        if name in NAN_WHERE:
            results = np.where(NAN_WHERE[name](*x), np.nan, results)
        return change(results + 0.0)


def rounded_results(
    results: Array, fmt: NumberFormat, options: Options, dtype: FloatDtype | None = None
) -> Array:
    """Return results rounded to a format, without -0, which P3109 does not have."""
    dtype = options.get("dtype") or dtype or np.dtype(np.float64)
    values = np.asarray(round_results(results + 0.0, fmt, options, dtype))
    whole: Array = np.where(values == 0, np.zeros((), values.dtype), values)[()]
    return whole
