"""Arrays of a format against pychop and APyTypes, where their meaning is the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat import arithmetic
from tests.arithmetic.arrays import programs

FORMATS = [mf.Format(e, m, specials="ieee") for e, m in ((8, 7), (5, 10), (5, 2), (4, 3))]
PYCHOP_MODES = {"nearest_even": 1, "upward": 2, "downward": 3, "toward_zero": 4}
OPERATORS = (np.add, np.subtract, np.multiply, np.divide)
each_format = pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)


@pytest.fixture
def numbers() -> Any:
    rng = np.random.default_rng(0)
    x = rng.standard_normal(4000) * 2.0 ** rng.integers(-12, 12, 4000)
    return x, rng.standard_normal(4000)


@each_format
@pytest.mark.parametrize("mode", PYCHOP_MODES)
def test_like_pychop(fmt: mf.Format, mode: Any, numbers: Any) -> None:
    """But beyond the largest value, where pychop 0.6.2 gives 0 or, in every mode, infinity."""
    pychop = pytest.importorskip("pychop")
    chop = pychop.Chop(fmt.exponent_bits, fmt.mantissa_bits, rmode=PYCHOP_MODES[mode])
    x, y = (arithmetic.array(v / 8, fmt, rounding=mode, overflow="ieee") for v in numbers)
    for ufunc in OPERATORS:
        with np.errstate(all="ignore"):
            exact = ufunc(x.values, y.values)
        within = np.abs(exact) <= fmt.max
        assert within.mean() > 0.5
        np.testing.assert_array_equal(ufunc(x, y).values[within], chop(exact[within]))
    a = numbers[1][:144].reshape(12, 12)
    factors, order = chopped_lu(chop(a), chop)
    mine, my_order = programs.lu(arithmetic.array(a, fmt, rounding=mode, overflow="ieee"))
    assert my_order.tolist() == order.tolist()
    np.testing.assert_array_equal(mine.values, factors)


def chopped_lu(a: Any, chop: Any) -> Any:
    """Do as `programs.lu`, each operation rounded by hand."""
    order = np.arange(len(a))
    for k in range(len(a) - 1):
        p = k + np.argmax(np.abs(a[k:, k]))
        a[[k, p]], order[[k, p]] = a[[p, k]], order[[p, k]]
        a[k + 1 :, k] = chop(a[k + 1 :, k] / a[k, k])
        products = chop(np.outer(a[k + 1 :, k], a[k, k + 1 :]))
        a[k + 1 :, k + 1 :] = chop(a[k + 1 :, k + 1 :] - products)
    return a, order


@each_format
def test_like_apytypes(fmt: mf.Format, numbers: Any) -> None:
    apytypes = pytest.importorskip("apytypes")

    def theirs(x: Any) -> Any:
        return apytypes.APyFloatArray.from_float(x, fmt.exponent_bits, fmt.mantissa_bits)

    x, y = (arithmetic.array(v, fmt, overflow="ieee") for v in numbers)
    a, b = theirs(x.values), theirs(y.values)
    for got, want in ((x + y, a + b), (x - y, a - b), (x * y, a * b), (x / y, a / b)):
        np.testing.assert_array_equal(got.values, want.to_numpy())
    value = theirs(np.zeros(x.size))
    for coefficient in (0.1, 0.2, 0.5):
        value = value * a + theirs(np.full(x.size, coefficient))
    np.testing.assert_array_equal(programs.horner([0.1, 0.2, 0.5], x).values, value.to_numpy())
