"""Comparisons against Python's of fractions."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

import minifloat as mf
from minifloat import arithmetic

COMPARISONS: dict[str, Callable[[Fraction, Fraction], bool]] = {
    "equal": operator.eq,
    "not_equal": operator.ne,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
}


def compared(name: str, x: float, y: float) -> bool:
    """Compare fractions; there is one zero, and infinities are beyond all numbers."""
    if math.isnan(x) or math.isnan(y):
        return name == "not_equal"
    far = Fraction(2) ** 3000
    a, b = (Fraction(v) if math.isfinite(v) else far * int(math.copysign(1, v)) for v in (x, y))
    return COMPARISONS[name](a, b)


def with_specials(values: np.ndarray) -> np.ndarray:
    both = np.concatenate([values, [-0.0, 0.0, math.inf, -math.inf, math.nan]])
    return np.unique(both.view(np.int64)).view(np.float64)


@pytest.mark.parametrize("name", COMPARISONS)
def test_pairs_of_8_bits(name: str) -> None:
    x, y = (with_specials(mf.parse(fmt).values())[::3] for fmt in ("e4m3fn", "e5m2"))
    a, b = (grid.ravel() for grid in np.meshgrid(x, y))
    got = getattr(arithmetic, name)(a, b.astype(np.float32))
    assert got.dtype == np.bool_
    want = [compared(name, v, w) for v, w in zip(a.tolist(), b.tolist(), strict=True)]
    assert got.tolist() == want


@pytest.mark.parametrize("name", COMPARISONS)
def test_numbers_that_only_float64_tells_apart(name: str) -> None:
    numbers = [1.0, 1.0 + 2.0**-52, -0.0, 0.0, 2.0**-1074, math.inf]
    for x, y in itertools.product(numbers, numbers):
        for b in (y, np.float32(y)):  # beside float64, float32 is float64
            want = compared(name, x, float(b))
            assert getattr(arithmetic, name)(np.float64(x), b) == want, (name, x, b)


def test_shapes_and_errors() -> None:
    assert arithmetic.less(np.zeros((2, 1)), [1, 2, 0]).tolist() == [[True, True, False]] * 2
    assert isinstance(arithmetic.less(1, 2), np.bool_)
    with pytest.raises(TypeError, match=r"^a must be"):
        arithmetic.equal("1", 1)
    with pytest.raises(ValueError, match=r"^operands must have shapes"):
        arithmetic.equal([1, 2], [1, 2, 3])
