"""Functions under test: which arguments they take, and a call with no others."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from inspect import Parameter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from minifloat.formats import NumberFormat

BY_NAME = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
BY_POSITION = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


class UnderTest(NamedTuple):
    """A function of an array, and of those further arguments that its signature has."""

    function: Callable[..., Any]
    takes_format: bool
    takes: frozenset[str]
    spelled: str  # its name and signature, for messages

    def call(self, array: object, fmt: NumberFormat, **options: object) -> Any:
        """Call it with the array, and with the other arguments that it takes."""
        arguments = (array, fmt) if self.takes_format else (array,)
        taken = {name: value for name, value in options.items() if name in self.takes}
        return self.function(*arguments, **taken)


def under_test(function: object, name: str, options: Sequence[str]) -> UnderTest:
    """Return a function ready to be called as ``f(x)``, ``f(x, fmt)`` or with ``options`` too.

    A function whose signature Python does not know (one written in C) is called as ``f(x)``.
    """
    if not callable(function):
        raise TypeError(f"{name} must be a function, got {function!r}")
    called = getattr(function, "__name__", type(function).__name__)
    try:
        # numpy.vectorize hides the signature of the function that it wraps
        signature = inspect.signature(getattr(function, "pyfunc", function))
    except (TypeError, ValueError):
        return UnderTest(function, False, frozenset(), f"{called}(x)")
    parameters = signature.parameters.values()
    kinds = {parameter.kind for parameter in parameters}
    named = {parameter.name for parameter in parameters if parameter.kind in BY_NAME}
    takes = set(options) if Parameter.VAR_KEYWORD in kinds else named.intersection(options)
    places = [p for p in parameters if p.kind in BY_POSITION and p.name not in takes]
    takes_format = Parameter.VAR_POSITIONAL in kinds or any(
        p.name == "fmt" or p.default is Parameter.empty for p in places[1:2]
    )
    others = [p for p in parameters if p.kind is Parameter.KEYWORD_ONLY and p.name not in takes]
    needed = [p for p in (*places[2:], *others) if p.default is Parameter.empty]
    if needed or not (places or Parameter.VAR_POSITIONAL in kinds):
        raise TypeError(
            f"{name} must be f(x), f(x, fmt) or have the arguments of minifloat.{name}, got "
            f"{called}{signature}; wrap it in a function of one array"
        )
    return UnderTest(function, takes_format, frozenset(takes), f"{called}{signature}")


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
