"""Vectors for the product kernels, against `numpy.frexp` and `numpy.ldexp`, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from minifloat._kernels.products import scale_down, scale_up

UNTOUCHED = np.float32(7.0)
NUMBERS = (0.0, -0.0, 1.5, -3.0, 1e-45, -1e-40, 3.4e38, -3.4e38, np.inf, -np.inf, np.nan)
WORDS = st.integers(0, 2**32 - 1) | st.sampled_from(np.float32(NUMBERS).view(np.uint32).tolist())
VECTORS = arrays.arrays(
    np.uint32, st.tuples(st.integers(1, 3), st.integers(1, 9)), elements=WORDS
).map(lambda words: words.view(np.float32))


def scaled_down(
    x: np.ndarray, block: int, scales: np.ndarray | None = None, factor: float = 1.0
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return vectors in blocks padded by two numbers, and powers; None if not finite."""
    count, length = x.shape
    out = np.full((count, -(-length // block), block + 2), UNTOUCHED)
    powers = np.empty(count)
    return (out, powers) if scale_down(x, scales, factor, block, out, powers) else None


@given(VECTORS, st.integers(1, 10))
@example(np.float32([[-1.5, 0.5]]), 2)
def test_vectors_are_divided_by_a_power_of_two(x: np.ndarray, block: int) -> None:
    scaled = scaled_down(x, block)
    if not np.isfinite(x).all():
        assert scaled is None
        return
    assert scaled is not None
    out, powers = scaled
    exponents = np.frexp(np.abs(x).max(axis=1))[1]
    np.testing.assert_array_equal(powers, np.ldexp(1.0, exponents))
    with np.errstate(under="ignore"):
        expected = np.ldexp(x, -exponents[:, None])
    for n in range(len(x)):
        for b in range(out.shape[1]):
            numbers = expected[n, b * block : (b + 1) * block]
            held, padding = np.split(out[n, b], [len(numbers)])
            np.testing.assert_array_equal(held.view(np.uint32), numbers.view(np.uint32))
            assert (padding == UNTOUCHED).all()


@given(VECTORS, st.floats(-60, 60).map(np.exp2), st.data())
@example(np.float32([[1e-30, 2.0]]), 3.0, None)
def test_vectors_are_multiplied_by_scales(
    x: np.ndarray, factor: float, data: st.DataObject | None
) -> None:
    x = np.where(np.isfinite(x), x, np.float32(1.0))
    length = x.shape[1]
    scales = np.float32([1e30, -7.0] if data is None else data.draw(
        st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=length, max_size=length)
    ))  # fmt: skip
    out, powers = scaled_down(x, length, scales, factor) or pytest.fail("all are finite")
    products = x.astype(np.float64) * (scales.astype(np.float64) * factor)
    exponents = np.frexp(np.abs(products).max(axis=1))[1]
    np.testing.assert_array_equal(powers, np.ldexp(1.0, exponents))
    with np.errstate(under="ignore"):
        expected = np.ldexp(products, -exponents[:, None]).astype(np.float32)
    np.testing.assert_array_equal(out[:, 0, :length], expected)


def test_the_power_is_right_for_every_exponent() -> None:
    ends = np.arange(0, 0x7F800000, 1 << 23, dtype=np.uint32)
    words = np.concatenate((ends[1:] - 1, ends, ends + 1, 1 << np.arange(23)))
    near = words.astype(np.uint32).view(np.float32)
    _, powers = scaled_down(near[:, None], 1) or pytest.fail("all are finite")
    np.testing.assert_array_equal(powers, np.ldexp(1.0, np.frexp(near)[1]))


@given(VECTORS, arrays.arrays(np.int32, 3, elements=st.integers(-148, 128)))
@example(np.float32([[-1.5, 0.5]]), np.int32([128, 0, 0]))
def test_products_are_multiplied_by_the_powers(y: np.ndarray, exponents: np.ndarray) -> None:
    y, exponents = y.copy(), exponents[: len(y)]
    with np.errstate(over="ignore", under="ignore"):
        expected = np.ldexp(y, exponents[:, None])
    assert scale_up(y, np.ldexp(1.0, exponents)) == np.isfinite(expected).all()
    np.testing.assert_array_equal(y, expected)
