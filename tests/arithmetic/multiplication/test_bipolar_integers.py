"""Bipolar integers: bit planes and their products, against sums of signed powers of two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minifloat as mf
from minifloat import arithmetic
from minifloat._kernels import bit_planes as kernels
from tests.arithmetic.multiplication.slow_products import bipolar_value

Matmul = Callable[[arithmetic.BitPlanes, arithmetic.BitPlanes], Any]


def slow_matmul(x: np.ndarray, w: np.ndarray, bits: int, others: int) -> list[list[int]]:
    return [
        [
            sum(
                bipolar_value(u, bits) * bipolar_value(v, others) for u, v in zip(a, b, strict=True)
            )
            for b in w.tolist()
        ]
        for a in x.tolist()
    ]


def random_codes(rows: int, length: int, bits: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**bits, (rows, length), np.uint8)


def check(bits: int, others: int, length: int, multiply: Matmul) -> None:
    x, w = random_codes(3, length, bits, 1), random_codes(4, length, others, 2)
    got = multiply(arithmetic.bit_planes(x, bits), arithmetic.bit_planes(w, others))
    assert got.dtype == np.int64
    assert got.tolist() == slow_matmul(x, w, bits, others)


@pytest.mark.parametrize("length", [1, 63, 64, 65, 200])
@pytest.mark.parametrize(("bits", "others"), [(1, 1), (2, 2), (3, 5), (4, 4), (8, 8), (8, 1)])
def test_products_equal_sums_of_signed_powers(bits: int, others: int, length: int) -> None:
    check(bits, others, length, arithmetic.bipolar_matmul)


@pytest.mark.parametrize("bits", range(1, 9))
def test_all_pairs_of_codes(bits: int) -> None:
    codes = np.arange(2**bits)[:, None]
    planes = arithmetic.bit_planes(codes, bits)
    values = mf.parse(f"bipolar_int{bits}").values()
    np.testing.assert_array_equal(
        arithmetic.bipolar_matmul(planes, planes), np.outer(values, values)
    )


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_products_are_those_of_the_values(data: st.DataObject) -> None:
    bits, others = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 8))
    rows, columns, length = (data.draw(st.integers(0, 70 if k else 3)) for k in (0, 0, 1))
    seed = data.draw(st.integers(0, 2**32))
    x, w = random_codes(rows, length, bits, seed), random_codes(columns, length, others, seed + 1)
    values = [
        mf.decode(codes, f"bipolar_int{n}", dtype=np.float64)
        for codes, n in ((x, bits), (w, others))
    ]
    got = arithmetic.bipolar_matmul(
        arithmetic.bit_planes(x, bits), arithmetic.bit_planes(w, others)
    )
    np.testing.assert_array_equal(got, values[0] @ values[1].T)


def test_the_largest_sums_are_exact() -> None:
    ones = np.full((1, 100_000), 255, np.uint8)
    planes, opposite = arithmetic.bit_planes(ones, 8), arithmetic.bit_planes(0 * ones, 8)
    assert arithmetic.bipolar_matmul(planes, planes).tolist() == [[100_000 * 255**2]]
    assert arithmetic.bipolar_matmul(planes, opposite).tolist() == [[-100_000 * 255**2]]


def test_rows_of_several_tiles_are_all_multiplied() -> None:
    x, w = random_codes(5, 70, 2, 3), random_codes(kernels.TILE, 70, 2, 4)
    got = arithmetic.bipolar_matmul(arithmetic.bit_planes(x, 2), arithmetic.bit_planes(w, 2))
    values = 2 * x.astype(int) - 3, 2 * w.astype(int) - 3
    np.testing.assert_array_equal(got, values[0] @ values[1].T)


def test_planes_have_the_first_number_in_the_lowest_bit() -> None:
    codes = random_codes(2, 130, 3, 5)
    planes = arithmetic.bit_planes(codes, 3)
    assert planes.words.shape == (2, 3, 3)
    assert (planes.bits, planes.length) == (3, 130)
    assert repr(planes) == "<BitPlanes: 2 rows of 130 numbers, 3 bits each>"
    for r, row in enumerate(codes.tolist()):
        for plane in range(3):
            whole = sum(int(word) << 64 * k for k, word in enumerate(planes.words[r, plane]))
            assert whole == sum((code >> plane & 1) << k for k, code in enumerate(row))


def reversed_planes(a: arithmetic.BitPlanes, b: arithmetic.BitPlanes) -> Any:
    return arithmetic.bipolar_matmul(arithmetic.BitPlanes(a.words[:, ::-1].copy(), a.length), b)


def padded(a: arithmetic.BitPlanes, b: arithmetic.BitPlanes) -> Any:
    whole = [arithmetic.BitPlanes(p.words, 64 * p.words.shape[2]) for p in (a, b)]
    return arithmetic.bipolar_matmul(*whole)


def negated(a: arithmetic.BitPlanes, b: arithmetic.BitPlanes) -> Any:
    return -arithmetic.bipolar_matmul(a, b)


@pytest.mark.parametrize("mistake", [reversed_planes, padded, negated])
def test_the_check_finds_mistakes(mistake: Matmul) -> None:
    with pytest.raises(AssertionError):
        check(3, 3, 65, mistake)


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: arithmetic.bit_planes([[4]], 2), ValueError, r"codes must be in 0\.\.3"),
    (lambda: arithmetic.bit_planes([[-1]], 2), ValueError, r"codes must be in 0\.\.3"),
    (lambda: arithmetic.bit_planes([1, 2], 2), ValueError, "codes must have shape"),
    (lambda: arithmetic.bit_planes([[1.0]], 2), TypeError, "codes must be integers"),
    (lambda: arithmetic.bit_planes([[1]], 0), ValueError, r"bits must be in 1\.\.8, got 0"),
    (lambda: arithmetic.bit_planes([[1]], 2.0), TypeError, "bits must be an int"),
    (lambda: arithmetic.bipolar_matmul([[1]], [[1]]), TypeError, "a must be BitPlanes"),
    (lambda: arithmetic.bipolar_matmul(*(arithmetic.bit_planes([[1] * n], 1) for n in (64, 63))),
     ValueError, "rows of one length, got 64 and 63"),
])  # fmt: skip
def test_errors(call: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
