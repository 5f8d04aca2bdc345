"""Vectors for the product kernels, against `numpy.frexp` and `numpy.ldexp`, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from minifloat._kernels.vectors import scale_down, scale_up

UNTOUCHED = np.float32(7.0)


def scaled_down(x: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Return vectors in blocks with room for two more numbers, and powers; None if not finite."""
    count, length = x.shape
    out = np.full((count, -(-length // block), block + 2), UNTOUCHED)
    powers = np.empty(count)
    return (out, powers) if scale_down(x, block, out, powers) else None


def of_words(words: np.ndarray) -> np.ndarray:
    """Return float32 numbers of any bits."""
    return np.ascontiguousarray(words, np.uint32).view(np.float32)


@given(
    arrays.arrays(np.uint32, st.tuples(st.integers(1, 3), st.integers(1, 9))), st.integers(1, 10)
)
def test_vectors_are_divided_by_a_power_of_two(words: np.ndarray, block: int) -> None:
    x = of_words(words)
    found = scaled_down(x, block)
    if not np.isfinite(x).all():
        assert found is None
        return
    assert found is not None
    out, powers = found
    exponents = np.frexp(np.abs(x).max(axis=1))[1]
    np.testing.assert_array_equal(powers, np.ldexp(1.0, exponents))
    with np.errstate(under="ignore"):
        wanted = np.ldexp(x, -exponents[:, None])
    for n in range(len(x)):
        for b in range(out.shape[1]):
            numbers = wanted[n, b * block : (b + 1) * block]
            held, room = np.split(out[n, b], [len(numbers)])
            np.testing.assert_array_equal(held.view(np.uint32), numbers.view(np.uint32))
            assert (room == UNTOUCHED).all()


def test_the_power_is_right_for_every_exponent() -> None:
    ends = np.arange(0, 0x7F800000, 1 << 23, dtype=np.uint32)
    near = of_words(np.concatenate((ends[1:] - 1, ends, ends + 1, 1 << np.arange(23))))
    _, powers = scaled_down(near[:, None], 1) or pytest.fail("all are finite")
    np.testing.assert_array_equal(powers, np.ldexp(1.0, np.frexp(near)[1]))


@given(arrays.arrays(np.uint32, st.tuples(st.integers(1, 3), st.integers(1, 9))), st.data())
def test_products_are_multiplied_by_the_powers(words: np.ndarray, data: st.DataObject) -> None:
    y = of_words(words)
    exponents = np.array(data.draw(st.lists(st.integers(-148, 128), min_size=len(y))))[: len(y)]
    with np.errstate(over="ignore", under="ignore"):
        wanted = np.ldexp(y, exponents[:, None])
    assert scale_up(y, np.ldexp(1.0, exponents)) == np.isfinite(wanted).all()
    np.testing.assert_array_equal(y, wanted)
