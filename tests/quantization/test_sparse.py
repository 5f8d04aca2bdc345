"""`Sparse`: matrices come back, gaps take the fewest bits, and what is damaged is refused."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minifloat.composites import Sparse
from tests.composites.made import outliers


def bits_by_hand(matrix: np.ndarray, gap_bits: int) -> int:
    """Return what a matrix takes with gaps of so many bits: an entry for each step of a gap."""
    total = matrix.shape[0] * max(1, matrix.shape[1].bit_length())
    for row in matrix:
        before = -1
        for column in np.flatnonzero(row):
            gap = int(column) - before - 1
            while gap >= 2**gap_bits:
                gap -= 2**gap_bits
                total += 16 + gap_bits
            total += 16 + gap_bits
            before = int(column)
    return total


@given(
    st.integers(0, 5),
    st.sampled_from([0, 1, 2, 7, 64, 300]),
    st.sampled_from([0.0, 0.01, 0.1, 0.5, 1.0]),
    st.integers(0, 99),
)
def test_matrices_come_back_in_the_fewest_bits(
    rows: int, columns: int, share: float, seed: int
) -> None:
    matrix = outliers(rows, columns, share=share, seed=seed)
    sparse = Sparse.of(matrix)
    assert np.array_equal(sparse.dequantize(), matrix)
    assert sparse.bits == min(bits_by_hand(matrix, b) for b in range(1, 17))
    assert sparse.bits == bits_by_hand(matrix, sparse.gap_bits)
    assert sparse.size == sparse.row_lengths.sum() >= np.count_nonzero(matrix)
    assert np.array_equal(matrix[matrix != 0], sparse.values[sparse.values != 0])


def test_long_gaps_are_cut_by_zeros() -> None:
    matrix = np.zeros((40, 1000), np.float32)
    matrix[:, :8] = 1  # short gaps pay for narrow ones
    matrix[0, 999] = 2
    sparse = Sparse.of(matrix)
    assert sparse.gap_bits < 10
    assert np.array_equal(sparse.dequantize(), matrix)
    assert (sparse.values == 0).any()
    wrong = dataclasses.replace(sparse, gaps=np.minimum(sparse.gaps, 2))
    assert not np.array_equal(wrong.dequantize(), matrix)


def test_values_are_rounded_to_float16() -> None:
    sparse = Sparse.of([[0, 1 / 3, 0, 2049.0]])
    assert sparse.values.tolist() == [0.333251953125, 2048.0]
    with pytest.raises(ValueError, match=r"matrix must be of numbers up to 65504 .*, got 70000"):
        Sparse.of([[0, 70000.0]])
    with pytest.raises(ValueError, match="got nan"):
        Sparse.of([[np.nan]])
    with pytest.raises(ValueError, match=r"got shape \(1,\)"):
        Sparse.of([1.0])
    with pytest.raises(TypeError, match="matrix must be float16"):
        Sparse.of([["a"]])


def test_equal_by_parts_and_read_only() -> None:
    sparse = Sparse.of(outliers(5, 40, share=0.2))
    assert sparse == pickle.loads(pickle.dumps(sparse)) == copy.deepcopy(sparse)
    assert sparse != Sparse.of(outliers(5, 40, share=0.2, seed=4))
    assert sparse != 1
    assert repr(sparse) == f"<Sparse (5, 40): {sparse.size} entries of float16, gaps of 4 bits>"
    with pytest.raises(ValueError, match="read-only"):
        sparse.values[0] = 1
    assert 0 <= sparse.nbytes - sparse.bits / 8 < 2


GOOD = Sparse.of([[0, 1.0, 0, 0], [2.0, 0, 0, 3.0]])
WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "wide": ({"values": np.float32([0.1, 1, 2])}, ValueError, "values must be .*float16, got 0.1"),
    "infinite": ({"values": np.float32([1, np.inf, 2])}, ValueError, "got inf"),
    "halves": ({"values": np.float16([1, 1, 2])}, ValueError, "values must be float32"),
    "list": ({"values": [1, 1, 2]}, TypeError, "values must be a NumPy array"),
    "short": ({"gaps": np.zeros(2, np.uint8)}, ValueError, r"gaps must be uint8 of shape \(3,\)"),
    "wide gap": ({"gaps": np.uint8([1, 0, 4])}, ValueError, r"gaps must be below 2\*\*2"),
    "beyond": (
        {"gaps": np.uint8([3, 0, 3])},
        ValueError,
        "gaps must lead to columns below 4, got 4",
    ),
    "lengths": ({"row_lengths": np.uint32([2, 2])}, ValueError, "add up to .* 3, got 4"),
    "wrap": ({"row_lengths": np.uint32([4, 2**32 - 1])}, ValueError, "add up to"),
    "rows": ({"row_lengths": np.uint32([3])}, ValueError, r"row_lengths must be uint32 of shape"),
    "no bits": ({"gap_bits": 0}, ValueError, "gap_bits must be in 1..16, got 0"),
    "many bits": ({"gap_bits": 17}, ValueError, "gap_bits must be in 1..16, got 17"),
    "1-d": ({"shape": (8,)}, ValueError, r"shape must be \(outputs, inputs\), got \(8,\)"),
    "no shape": ({"shape": 8}, TypeError, "shape must be a tuple of int, got 8"),
    "negative": ({"shape": (2, -4)}, ValueError, "must be in"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_parts(name: str) -> None:
    change, kind, message = WRONG[name]
    with pytest.raises(kind, match=message):
        dataclasses.replace(GOOD, **change)
