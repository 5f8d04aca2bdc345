"""NumPy's ufuncs on arrays of a format: which there are, and what each computes.

OPERATIONS   what each operation of a format is: its results are rounded once
ANSWERS      questions about the values, answered exactly: comparisons and the like
CONTRACTED   products of matrices: see `contractions`

What is in none of them is refused, and so is what a ufunc can beside being called, reduced,
accumulated and called on all pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minifloat.arithmetic.arrays import contractions
from minifloat.arithmetic.arrays.contexts import (
    Context,
    InContext,
    Operation,
    check_out,
    refusal,
    shared,
)
from minifloat.arithmetic.arrays.reductions import Mask, fold, fold_where, running, total
from minifloat.arithmetic.operations import algebraic, elementary, remainders, selections
from minifloat.arithmetic.shapes import common_shape
from minifloat.codec import round_to

Array = NDArray[np.float64]
Axis: TypeAlias = int | tuple[int, ...] | None
Maker: TypeAlias = Callable[[Array, Context], InContext]  # of a `FormatArray`

ROUNDED: dict[ModuleType, tuple[str, ...]] = {
    algebraic: ("add", "divide", "multiply", "reciprocal", "sqrt", "square", "subtract"),
    remainders: ("fmod", "remainder"),
    selections: ("absolute", "copysign", "fmax", "fmin", "maximum", "minimum", "negative", "sign"),
    elementary: (
        "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "cbrt", "cos",
        "cosh", "exp", "exp2", "expm1", "hypot", "log", "log10", "log1p", "log2", "power", "sin",
        "sinh", "tan", "tanh",
    ),
}  # fmt: skip
EXACT = ("ceil", "conjugate", "fabs", "floor", "heaviside", "positive", "rint", "trunc")


def _exact(ufunc: np.ufunc) -> Operation:
    """Return the operation that rounds what a ufunc gives exactly in float64."""

    def operation(*arguments: Any, **options: Any) -> Any:
        *operands, fmt = arguments
        with np.errstate(all="ignore"):
            return round_to(ufunc(*operands), fmt, **options)

    return operation


def _named(*names: str) -> dict[str, np.ufunc]:
    """Return the ufuncs of these names, without those that an older NumPy lacks."""
    return {name: getattr(np, name) for name in names if hasattr(np, name)}


OPERATIONS: dict[np.ufunc, Operation] = {
    **{
        getattr(np, name): getattr(module, name)
        for module, names in ROUNDED.items()
        for name in names
    },
    **{getattr(np, name): _exact(getattr(np, name)) for name in EXACT},
}
ANSWERS = frozenset(
    _named(
        "equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "isfinite", "isinf",
        "isnan", "signbit", "logical_and", "logical_or", "logical_xor", "logical_not",
    ).values()
)  # fmt: skip
CONTRACTED: dict[np.ufunc, Callable[..., Array]] = {
    ufunc: getattr(contractions, name)
    for name, ufunc in _named("matmul", "vecdot", "matvec", "vecmat").items()
}


def apply(
    make: Maker,
    ufunc: np.ufunc,
    method: str,
    inputs: tuple[Any, ...],
    out: tuple[Any, ...] | None,
    options: dict[str, Any],
) -> Any:
    """Return what a ufunc gives, its values in an array that ``make`` makes.

    Raises
    ------
    TypeError
        If the ufunc, or an option of it, would compute in float64, or if arrays of two contexts
        meet.
    """
    name = f"numpy.{ufunc.__name__}" + f".{method}" * (method != "__call__")
    if ufunc in ANSWERS and method in METHODS:
        plain = [x.storage if isinstance(x, InContext) else x for x in inputs]
        if any(isinstance(x, InContext) for x in out or ()):
            raise TypeError(f"out must be a plain array for {name}, got a FormatArray")
        return getattr(ufunc, method)(*plain, **options, **({"out": out} if out else {}))
    context = shared(x for x in (*inputs, *(out or ())) if isinstance(x, InContext))
    knows = ufunc in OPERATIONS and (method == "__call__" or ufunc.nin == 2)
    if not (knows or (method == "__call__" and ufunc in CONTRACTED)):
        raise TypeError(refusal(name, context))
    options = {key: x for key, x in options.items() if key != "dtype" or x is not None}
    where = True if method == "reduce" else options.pop("where", True)
    if method not in METHODS or not options.keys() <= METHODS[method][1]:
        given = ", ".join(options) or method
        raise TypeError(f"{name} must have options that a FormatArray knows, got {given}")
    target = None if out is None else check_out(out, context)
    if where is not True:
        if target is None or not knows or method != "__call__":
            raise TypeError(f"where must come with out, and a function of elements, got {name}")
        _call_where(context, ufunc, inputs, where, target)
        return target
    values = METHODS[method][0](context, ufunc, *inputs, **options)
    if target is None:
        return make(values, context)
    if common_shape(values.shape, target.storage.shape) != target.storage.shape:
        raise ValueError(f"out must have shape {values.shape}, got {target.storage.shape}")
    target.storage[...] = values
    return target


def _call_where(
    context: Context, ufunc: np.ufunc, inputs: tuple[Any, ...], where: Any, target: InContext
) -> None:
    """Compute only the elements for which ``where`` is true, and put them into an array."""
    shape = target.storage.shape
    mask = np.broadcast_to(where, shape)
    operands = (np.broadcast_to(values_of(context, x), shape)[mask] for x in inputs)
    target.storage[mask] = context.compute(OPERATIONS[ufunc], *operands)


def values_of(context: Context, x: Any) -> Array:
    """Return the values of an array, or plain numbers rounded to the format."""
    if not isinstance(x, InContext):
        return context.rounded(x)
    return x.storage if x.context == context else context.rounded(x.storage)


def called(context: Context, ufunc: np.ufunc, *operands: Any) -> Array:
    """Return what a ufunc gives for operands: arrays of the context, or plain numbers.

    Plain numbers are rounded to the format first, but for an exponent that is one whole number.
    """
    if ufunc is np.power and _is_whole(operands[1]):
        x, n = values_of(context, operands[0]), float(operands[1])
        return context.compute(*((algebraic.square, x) if n == 2 else (elementary.power, x, n)))
    values = [values_of(context, x) for x in operands]
    if ufunc in CONTRACTED:
        return CONTRACTED[ufunc](context, *values)
    return context.compute(OPERATIONS[ufunc], *values)


def _is_whole(exponent: Any) -> bool:
    """Return whether an exponent is one plain whole number."""
    is_one = isinstance(exponent, int | float | np.integer | np.floating)
    return is_one and float(exponent).is_integer()


def _reduce(
    context: Context,
    ufunc: np.ufunc,
    x: Any,
    *,
    axis: Axis = 0,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = True,
) -> Array:
    start = None if initial is None else values_of(context, initial)
    values = values_of(context, x)
    return reduced(context, ufunc, values, axis, keepdims=keepdims, initial=start, where=where)


def _accumulate(context: Context, ufunc: np.ufunc, x: Any, *, axis: int = 0) -> Array:
    return accumulated(context, ufunc, values_of(context, x), axis)


def _outer(context: Context, ufunc: np.ufunc, a: Any, b: Any) -> Array:
    return on_all_pairs(context, ufunc, values_of(context, a), values_of(context, b))


def reduced(
    context: Context,
    ufunc: np.ufunc,
    x: Array,
    axis: Axis = 0,
    *,
    keepdims: bool = False,
    initial: Array | None = None,
    where: Any = True,
) -> Array:
    """Return the values of an array joined one after the other, in C order of the axes.

    With ``where`` those for which it is false are left out.
    """
    axes = axes_of(x, axis)
    terms = in_front(x, axes)
    if where is not True:
        mask = in_front(mask_of(where, x.shape), axes)
        joined = _reduced_where(context, ufunc, terms, mask, initial)
        return np.expand_dims(joined, axes) if keepdims else joined
    if initial is not None:
        initial = np.broadcast_to(initial, (1, *terms.shape[1:]))
    if ufunc is np.add:
        joined = total(context, terms, initial)
    else:
        if initial is None and not len(terms) and ufunc is np.multiply:
            initial = context.rounded(np.ones((1, *terms.shape[1:])))
        if initial is not None:
            terms = np.concatenate([initial, terms])
        if not len(terms):
            raise ValueError(f"x must have numbers to reduce with {ufunc.__name__}, got none")
        joined = fold(context, OPERATIONS[ufunc], terms)
    return np.expand_dims(joined, axes) if keepdims else joined


def mask_of(where: Any, shape: tuple[int, ...]) -> Mask:
    """Return where an array of a shape is to be read."""
    mask = np.asarray(where)
    if mask.dtype != np.bool_:
        raise TypeError(f"where must be bool, got {mask.dtype}")
    try:
        return np.broadcast_to(mask, shape)
    except ValueError:
        raise ValueError(f"where must broadcast to {shape}, got shape {mask.shape}") from None


def _reduced_where(
    context: Context, ufunc: np.ufunc, terms: Array, mask: Mask, initial: Array | None
) -> Array:
    """Return the terms for which a mask is true, joined one after the other."""
    if initial is None and ufunc not in (np.add, np.multiply):
        raise ValueError(f"initial must be given with where for {ufunc.__name__}, got None")
    start = initial
    if start is None:
        start = context.rounded(0.0 if ufunc is np.add else 1.0)
    if ufunc is np.add and context.accumulator is not None:
        rows = np.where(mask, terms, 0.0)
        return total(context, rows, np.broadcast_to(start, (1, *terms.shape[1:])))
    return fold_where(context, OPERATIONS[ufunc], terms, mask, start, initial is not None)


def accumulated(context: Context, ufunc: np.ufunc, x: Array, axis: int = 0) -> Array:
    """Return the values of an array joined one after the other, with what there is after each."""
    if x.ndim == 0:
        raise ValueError("x must have an axis to accumulate along, got a number")
    terms = np.moveaxis(x, axis, 0)
    return np.moveaxis(running(context, OPERATIONS[ufunc], terms), 0, axis)


def on_all_pairs(context: Context, ufunc: np.ufunc, a: Array, b: Array) -> Array:
    """Return what a ufunc gives for each value of a and each of b."""
    return context.compute(OPERATIONS[ufunc], a.reshape(a.shape + (1,) * b.ndim), b)


def axes_of(x: Array, axis: Axis) -> tuple[int, ...]:
    """Return the axes that an argument names, in ascending order; all for None."""
    if axis is None:
        return tuple(range(x.ndim))
    given = axis if isinstance(axis, Sequence) else (axis,)
    return tuple(sorted(np.lib.array_utils.normalize_axis_tuple(given, x.ndim)))


def in_front(x: NDArray[Any], axes: tuple[int, ...]) -> NDArray[Any]:
    """Return an array with these axes as the first one, in C order."""
    moved = np.moveaxis(x, axes, range(len(axes)))
    shape = moved.shape[len(axes) :]
    return moved.reshape(math.prod(moved.shape[: len(axes)]), *shape)


METHODS: dict[str, tuple[Callable[..., Array], set[str]]] = {  # and the options that each takes
    "__call__": (called, set()),
    "reduce": (_reduce, {"axis", "keepdims", "initial", "where"}),
    "accumulate": (_accumulate, {"axis"}),
    "outer": (_outer, set()),
}
