"""Functions under test: which arguments they take, and a call with no others."""

from __future__ import annotations

import ctypes
import inspect
from _ctypes import CFuncPtr  # the type of the functions of a `ctypes.CDLL`
from collections.abc import Callable, Iterable, Sequence
from inspect import Parameter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from minifloat.formats import NumberFormat
from minifloat.formats.rounding import Overflow, Rounding

BY_NAME = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
BY_POSITION = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


class UnderTest(NamedTuple):
    """A function of arrays, and of those further arguments that its signature has."""

    function: Callable[..., Any]
    takes_format: bool
    takes: frozenset[str]
    spelled: str  # its name and signature, for messages

    def call(
        self, arrays: Sequence[NDArray[Any]], fmt: NumberFormat, dtype: DTypeLike, **options: object
    ) -> Any:
        """Call it with the arrays, and with the other arguments that it takes.

        A function of C writes its results into an array of ``dtype``, which is given to it.
        """
        if isinstance(self.function, CFuncPtr):
            return _call_c(self.function, arrays, dtype)
        given = {**options, "dtype": dtype}
        taken = {name: value for name, value in given.items() if name in self.takes}
        return self.function(*arrays, *[fmt] * self.takes_format, **taken)

    def check_choices(
        self, name: str, roundings: Sequence[Rounding], overflows: Sequence[Overflow]
    ) -> None:
        """Raise if it lacks the argument for one of several modes or policies."""
        for option, kind, asked in (
            ("rounding", "modes", roundings),
            ("overflow", "policies", overflows),
        ):
            if option not in self.takes and len(asked) > 1:
                raise TypeError(
                    f"{name} must take {option} to be checked in {len(asked)} {kind}, got "
                    f"{self.spelled}; name the one that it has: {option}s=[{asked[0].value!r}]"
                )


def under_test(
    function: object, name: str, options: Sequence[str], arrays: Sequence[str] = ("x",)
) -> UnderTest:
    """Return a function ready to be called as ``f(x)``, ``f(x, fmt)`` or with ``options`` too.

    A function whose signature Python does not know (one written in C) is called as ``f(x)``.
    """
    if not callable(function):
        raise TypeError(f"{name} must be a function, got {function!r}")
    called = getattr(function, "__name__", type(function).__name__)
    count, names = len(arrays), ", ".join(arrays)
    try:
        # numpy.vectorize hides the signature of the function that it wraps
        signature = inspect.signature(getattr(function, "pyfunc", function))
    except (TypeError, ValueError):
        return UnderTest(function, False, frozenset(), f"{called}({names})")
    parameters = signature.parameters.values()
    kinds = {parameter.kind for parameter in parameters}
    named = {parameter.name for parameter in parameters if parameter.kind in BY_NAME}
    takes = set(options) if Parameter.VAR_KEYWORD in kinds else named.intersection(options)
    places = [p for p in parameters if p.kind in BY_POSITION and p.name not in takes]
    takes_format = Parameter.VAR_POSITIONAL in kinds or any(
        p.name == "fmt" or p.default is Parameter.empty for p in places[count : count + 1]
    )
    others = [p for p in parameters if p.kind is Parameter.KEYWORD_ONLY and p.name not in takes]
    needed = [p for p in (*places[count + 1 :], *others) if p.default is Parameter.empty]
    if needed or not (len(places) >= count or Parameter.VAR_POSITIONAL in kinds):
        raise TypeError(
            f"{name} must be f({names}) or f({names}, fmt), with no other arguments but "
            f"{', '.join(options)}, got {called}{signature}; wrap it in such a function"
        )
    return UnderTest(function, takes_format, frozenset(takes), f"{called}{signature}")


def _call_c(function: Any, arrays: Sequence[NDArray[Any]], dtype: DTypeLike) -> NDArray[Any]:
    """Call ``void f(const T *x, ..., U *results, size_t n)``, where n is the number of rows."""
    inputs = [np.ascontiguousarray(array) for array in arrays]
    results = np.zeros(len(inputs[0]), dtype)
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (*inputs, results)]
    if function.argtypes:  # of typed pointers
        pointers = [
            ctypes.cast(pointer, kind)
            for pointer, kind in zip(pointers, function.argtypes, strict=False)
        ]
    function(*pointers, ctypes.c_size_t(len(results)))
    return results


def dtype_of(dtype: DTypeLike) -> np.dtype[Any]:
    """Return one of ``dtypes``; bfloat16 has a name only once ml_dtypes is imported."""
    try:
        return np.dtype(dtype)
    except TypeError:
        raise TypeError(
            f"dtypes must be dtypes of NumPy, got {dtype!r}; import ml_dtypes for bfloat16"
        ) from None


def listed(name: str, values: Iterable[Any] | str) -> list[Any]:
    """Return several values as a list; a string is one value, and none is an error."""
    found = [values] if isinstance(values, str) else list(values)
    if not found:
        raise ValueError(f"{name} must hold at least one, got none")
    return found
