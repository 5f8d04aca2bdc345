"""Ternary codes, five to a byte: every group of trits, and as gguf writes them."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.packing.trits import pack_trits, unpack_trits

EVERY = np.array(list(itertools.product(range(3), repeat=5)), np.uint8)


def test_every_group_of_trits_is_a_fraction_of_256_rounded_up() -> None:
    packed = pack_trits(EVERY)
    assert packed.shape == (243, 1)
    for trits, byte in zip(EVERY.tolist(), packed[:, 0].tolist(), strict=True):
        fraction = sum(Fraction(trit, 3 ** (k + 1)) for k, trit in enumerate(trits))
        assert byte - 1 < 256 * fraction <= byte
    np.testing.assert_array_equal(unpack_trits(packed, 5), EVERY)


@pytest.mark.parametrize("count", [0, 1, 4, 5, 6, 13, 100])
def test_rows_of_any_length_come_back(count: int) -> None:
    trits = np.random.default_rng(count).integers(0, 3, (2, 3, count), np.uint8)
    packed = pack_trits(trits)
    assert packed.shape == (2, 3, -(-count // 5))
    np.testing.assert_array_equal(unpack_trits(packed, count), trits)
    if count:
        alone = pack_trits(trits[1, 2])
        np.testing.assert_array_equal(alone, packed[1, 2])


def test_ternary_weights_take_1_6_bits() -> None:
    q = mf.quantize(np.random.default_rng(0).standard_normal(1000), "twn")
    packed = pack_trits((q.codes + 1) % 4)
    assert packed.nbytes * 8 == 1.6 * 1000
    codes = (unpack_trits(packed, 1000) + 3) % 4
    np.testing.assert_array_equal(codes, q.codes)


def test_bytes_are_those_of_gguf() -> None:
    """160 weights of a block of TQ1_0: byte j has the trits of weights j, j + 32, ..."""
    quants = pytest.importorskip("gguf.quants")
    w = np.random.default_rng(1).integers(-1, 2, (3, 256)).astype(np.float32)
    w[:, 0] = 1
    written = quants.TQ1_0.quantize_blocks(w)[:, :32]
    trits = (w[:, :160] + 1).astype(np.uint8).reshape(3, 5, 32).transpose(0, 2, 1)
    np.testing.assert_array_equal(pack_trits(trits)[..., 0], written)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pack_trits([0, 3]), "trits must be 0, 1 or 2"),
        (lambda: pack_trits([-1, 0]), "trits must be 0, 1 or 2"),
        (lambda: pack_trits([0.5]), "integers"),
        (lambda: pack_trits(1), "axis"),
        (lambda: unpack_trits([0, 1], 5), "packed must have 1 bytes"),
        (lambda: unpack_trits([0], 0), "packed must have 0 bytes"),
        (lambda: unpack_trits([256], 5), "packed must be bytes"),
        (lambda: unpack_trits([-1], 5), "packed must be bytes"),
        (lambda: unpack_trits([1], -1), "count must be at least 0"),
        (lambda: unpack_trits([1], 2.5), "count must be an int"),
    ],
)
def test_bad_arguments(call: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        call()
