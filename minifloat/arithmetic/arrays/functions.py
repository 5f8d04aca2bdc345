"""NumPy's functions on arrays of a format: which there are, and what becomes of them.

COMPUTED   sums, products and more, made of operations that are rounded one by one: `computed`
MOVED      values of the first argument in another place: no arithmetic, and views stay views
JOINED     values of several arguments side by side; plain ones are rounded
CREATED    new arrays of numbers, which are rounded: zeros_like(x), zeros(3, like=x)
WRITTEN    functions that put numbers, rounded, into their first argument
ANSWERS    questions about the values, answered exactly: places, counts, comparisons, texts

What is in none of them is refused, since its result would have more digits than the format.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat.arithmetic.arrays.computed import COMPUTED, VALUES
from minifloat.arithmetic.arrays.contexts import Context, InContext, check_out, refusal, shared
from minifloat.arithmetic.arrays.ufuncs import Maker, values_of
from minifloat.formats.base import shown

Array = NDArray[np.float64]
Function = Callable[..., Any]

PADS = ("constant", "edge", "empty", "maximum", "minimum", "reflect", "symmetric", "wrap")


def _found(names: str) -> frozenset[Function]:
    """Return NumPy's functions of these names, without those that an older NumPy lacks."""
    found = set()
    for name in names.split():
        home: Any = np
        *modules, last = name.split(".")
        for module in modules:
            home = getattr(home, module)
        if hasattr(home, last):
            found.add(getattr(home, last))
    return frozenset(found)


MOVED = _found("""
    array_split broadcast_to compress copy delete diag diagflat diagonal dsplit expand_dims extract
    flip fliplr flipud hsplit imag lib.stride_tricks.sliding_window_view linalg.diagonal
    linalg.matrix_transpose matrix_transpose moveaxis partition permute_dims ravel real
    real_if_close repeat reshape resize roll rollaxis rot90 sort split squeeze swapaxes take
    take_along_axis tile transpose tril trim_zeros triu unique unique_all unique_counts
    unique_inverse unique_values unstack vsplit
""")
JOINED = _found("""
    amax amin append atleast_1d atleast_2d atleast_3d block broadcast_arrays choose clip
    column_stack concat concatenate dstack hstack insert max meshgrid min nanmax nanmin pad select
    stack vstack where
""")
CREATED = _found("""
    arange array asanyarray asarray ascontiguousarray asfortranarray empty empty_like eye full
    full_like identity ones ones_like tri zeros zeros_like
""")
WRITTEN: dict[Function, tuple[int, str]] = {  # the argument that has the numbers
    np.copyto: (1, "src"),
    np.fill_diagonal: (1, "val"),
    np.place: (2, "vals"),
    np.put: (2, "v"),
    np.put_along_axis: (2, "values"),
    np.putmask: (2, "values"),
}
ANSWERS = _found("""
    all allclose any argmax argmin argpartition argsort argwhere array2string array_equal
    array_equiv array_repr array_str count_nonzero digitize flatnonzero isclose iscomplex
    iscomplexobj isin isneginf isposinf isreal isrealobj lexsort may_share_memory nanargmax
    nanargmin ndim nonzero searchsorted shape shares_memory size
""")


def apply(
    make: Maker, own: Context, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Return what a function of NumPy gives, its values in arrays that ``make`` makes.

    ``own`` is the context of the array that NumPy asks, which is no argument where it is ``like``.

    Raises
    ------
    TypeError
        If the function, or one of its options, would compute in float64, or if arrays of two
        contexts meet.
    """
    if function in ANSWERS:
        return function(*_plain(args, writable=False), **_plain(kwargs, writable=False))
    if function in WRITTEN:
        return _write(function, args, kwargs)
    context = shared(arrays_in((args, kwargs)), own)
    kwargs = {name: x for name, x in kwargs.items() if _is_given(name, x)}
    if "out" in kwargs:
        out = check_out(kwargs.pop("out"), context)
        out.storage[...] = apply(make, own, function, args, kwargs).storage
        return out
    if function in COMPUTED:
        return make(_compute(context, function, args, kwargs), context)
    if function in CREATED:
        return _create(make, context, function, args, kwargs)
    if function in MOVED:
        return _made(make, context, function(*_plain(args), **_plain(kwargs)), is_rounded=True)
    if function in JOINED:
        _check_pad(function, args, kwargs)
        alone = not _has_numbers((args, kwargs))  # no number comes in that must be rounded
        result = function(*_plain(args, writable=alone), **_plain(kwargs, writable=alone))
        return _made(make, context, result, is_rounded=alone)
    raise TypeError(refusal(f"{function.__module__}.{function.__name__}", context))


def _is_given(name: str, x: Any) -> bool:
    """Return whether an option says something; NumPy has a mark for one that is left out."""
    return x is not np._NoValue and not (x is None and name in ("dtype", "out", "device"))


def arrays_in(x: Any) -> Iterator[InContext]:
    """Yield the arrays of a format in the arguments of a function."""
    if isinstance(x, InContext):
        yield x
    elif isinstance(x, list | tuple):
        for part in x:
            yield from arrays_in(part)
    elif isinstance(x, dict):
        yield from arrays_in(list(x.values()))


def _plain(x: Any, *, writable: bool = True) -> Any:
    """Return arguments with the values of arrays in place of the arrays."""
    if isinstance(x, InContext):
        view = x.storage.view()
        view.flags.writeable &= writable
        return view
    if type(x) in (list, tuple):
        return type(x)(_plain(part, writable=writable) for part in x)
    if isinstance(x, dict):
        return {name: _plain(value, writable=writable) for name, value in x.items()}
    return x


def _has_numbers(x: Any) -> bool:
    """Return whether there are numbers in the arguments, beside arrays of a format and an axis."""
    if isinstance(x, InContext | str | bool | np.bool_) or x is None:
        return False
    if isinstance(x, list | tuple):
        return any(map(_has_numbers, x))
    if isinstance(x, dict):
        return any(_has_numbers(value) for name, value in x.items() if name != "axis")
    return bool(np.asarray(x).dtype.kind != "b")


def _made(make: Maker, context: Context, result: Any, *, is_rounded: bool) -> Any:
    """Return a result, or several; whole numbers among them are places and counts."""
    if isinstance(result, list | tuple):
        parts = [_made(make, context, part, is_rounded=is_rounded) for part in result]
        return type(result)(*parts) if hasattr(result, "_fields") else type(result)(parts)
    values = np.asarray(result)
    if values.dtype.kind in "biu":
        return result
    return make(values if is_rounded else context.rounded(values), context)


def _compute(
    context: Context, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Array:
    compute = COMPUTED[function]
    try:
        bound = inspect.signature(compute).bind(context, *args, **kwargs)
    except TypeError as error:
        raise TypeError(
            f"numpy.{function.__name__} must have arguments that it knows for a FormatArray: "
            f"{error}; use np.asarray(x) for the others"
        ) from None
    for name, x in bound.arguments.items():
        if name == "operands":
            bound.arguments[name] = tuple(values_of(context, each) for each in x)
        elif name in VALUES and x is not None:
            bound.arguments[name] = values_of(context, x)
    return compute(*bound.args, **bound.kwargs)


def _create(
    make: Maker,
    context: Context,
    function: Function,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    if function in (np.empty, np.empty_like):  # whatever lies in memory is no value of the format
        function = np.zeros if function is np.empty else np.zeros_like
    if function in (np.eye, np.tri) and kwargs.get("dtype") is float:  # which is their default
        del kwargs["dtype"]
    dtype = kwargs.get("dtype")
    if dtype is not None and np.dtype(dtype).kind not in "biu":
        raise TypeError(
            f"dtype must be left out, or of integers or bool, got {shown(dtype)}: the array is of "
            f"{context.fmt}; use np.asarray(x) for one of NumPy's floats"
        )
    result = function(*_plain(args), **_plain(kwargs))
    return result if dtype is not None else make(context.rounded(result), context)


def _write(function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    target, *rest = args
    if not isinstance(target, InContext):
        raise TypeError(
            f"numpy.{function.__name__} must write to a FormatArray where it reads one, got "
            f"{type(target).__name__}; use np.asarray(x)"
        )
    place, name = WRITTEN[function]
    if name in kwargs:
        kwargs = {**kwargs, name: target.context.rounded(_plain(kwargs[name]))}
    else:
        rest[place - 1] = target.context.rounded(_plain(rest[place - 1]))
    function(target.storage, *_plain(rest), **_plain(kwargs))


def _check_pad(function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    if function is not np.pad:
        return
    mode = args[2] if len(args) > 2 else kwargs.get("mode", "constant")
    if mode not in PADS or kwargs.get("reflect_type", "even") != "even":
        raise TypeError(
            f"mode must be one of {', '.join(PADS)} for a FormatArray, reflect_type even, got "
            f"{shown(mode)}; use np.asarray(x)"
        )
