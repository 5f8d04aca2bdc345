"""`pack` and `unpack` against a slow packer that places bit after bit, and their errors."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import minifloat as mf

Array = NDArray[Any]
ORDERS = ("little", "big")
WIDTHS = range(1, 33)


def pack_slowly(codes: list[int], bits: int, bit_order: str) -> list[int]:
    """Place bit after bit; in big order from the most significant bit of codes and bytes on."""
    packed = [0] * -(-len(codes) * bits // 8)
    for i, code in enumerate(codes):
        for b in range(bits):
            byte, at = divmod(i * bits + b, 8)
            if bit_order == "little":
                packed[byte] |= (code >> b & 1) << at
            else:
                packed[byte] |= (code >> (bits - 1 - b) & 1) << (7 - at)
    return packed


def random_codes(bits: int, shape: int | tuple[int, ...], seed: int = 0) -> Array:
    codes = np.random.default_rng(seed).integers(0, 1 << bits, shape)
    return codes.astype(np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32)


def check(pack: Callable[..., Array], unpack: Callable[..., Array]) -> None:
    """Compare with the slow packer for all widths, orders and counts around whole groups."""
    for bits in WIDTHS:
        for order in ORDERS:
            for count in (*range(1, 20), 31, 64, 65, 100):
                codes = random_codes(bits, count, seed=count)
                slow = np.array(pack_slowly(codes.tolist(), bits, order), np.uint8)
                np.testing.assert_array_equal(pack(codes, bits, bit_order=order), slow)
                back = unpack(slow, bits, count, bit_order=order)
                np.testing.assert_array_equal(back, codes)
                assert back.dtype == codes.dtype


def test_against_the_slow_packer() -> None:
    check(mf.pack, mf.unpack)


def other(order: str) -> str:
    return "big" if order == "little" else "little"


def shifted(packed: Array) -> Array:
    return np.packbits(np.roll(np.unpackbits(packed, bitorder="little"), 1), bitorder="little")


def last_lost(codes: Array) -> Array:
    return np.append(codes[:-1], codes.dtype.type(0))


MISTAKES: dict[str, tuple[Callable[..., Array], Callable[..., Array]]] = {
    "pack in the other order": (
        lambda codes, bits, *, bit_order: mf.pack(codes, bits, bit_order=other(bit_order)),
        mf.unpack,
    ),
    "pack one bit too high": (lambda *a, **k: shifted(mf.pack(*a, **k)), mf.unpack),
    "pack without the top bit": (
        lambda codes, bits, **k: mf.pack(codes & ((1 << (bits - 1)) - 1), bits, **k),
        mf.unpack,
    ),
    "pack without the last code": (
        lambda codes, bits, **k: mf.pack(last_lost(codes), bits, **k),
        mf.unpack,
    ),
    "unpack in the other order": (
        mf.pack,
        lambda packed, bits, count, *, bit_order: mf.unpack(
            packed, bits, count, start=0, bit_order=other(bit_order)
        ),
    ),
    "unpack one bit too high": (
        mf.pack,
        lambda packed, bits, count, **k: mf.unpack(shifted(packed), bits, count, start=0, **k),
    ),
    "unpack without the last code": (mf.pack, lambda *a, **k: last_lost(mf.unpack(*a, **k))),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_slow_packer_finds_mistakes(mistake: str) -> None:
    with pytest.raises(AssertionError, match="Arrays are not equal"):
        check(*MISTAKES[mistake])


@settings(max_examples=300)
@given(
    data=st.data(),
    bits=st.integers(1, 32),
    order=st.sampled_from(ORDERS),
    lead=st.lists(st.integers(0, 3), max_size=2),
    count=st.integers(0, 70),
)
def test_any_shape_and_any_slice(
    data: st.DataObject, bits: int, order: str, lead: list[int], count: int
) -> None:
    codes = random_codes(bits, (*lead, count), seed=bits)
    packed = mf.pack(codes, bits, bit_order=order)
    assert packed.shape == (*lead, -(-count * bits // 8))
    assert packed.dtype == np.uint8
    for row in np.ndindex(*lead):
        assert packed[row].tolist() == pack_slowly(codes[row].tolist(), bits, order)
    back = mf.unpack(packed, bits, count, bit_order=order)
    np.testing.assert_array_equal(back, codes)
    start = data.draw(st.integers(0, count))
    length = data.draw(st.integers(0, count - start))
    part = mf.unpack(packed, bits, length, start=start, bit_order=order)
    np.testing.assert_array_equal(part, codes[..., start : start + length])


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("bits", [1, 3, 5, 8, 11, 16, 19])
def test_every_slice(bits: int, order: str) -> None:
    codes = random_codes(bits, 41)
    packed = mf.pack(codes, bits, bit_order=order)
    for start in range(42):
        for count in range(42 - start):
            part = mf.unpack(packed, bits, count, start=start, bit_order=order)
            np.testing.assert_array_equal(part, codes[start : start + count])


@pytest.mark.parametrize("order", ORDERS)
def test_one_bit_codes_are_packed_as_numpy_packs_bits(order: str) -> None:
    codes = random_codes(1, 77)
    np.testing.assert_array_equal(
        mf.pack(codes, 1, bit_order=order), np.packbits(codes, bitorder=order)
    )


def test_big_order_is_the_written_order() -> None:
    assert mf.pack([0b10101, 0b00011, 0b11110], 5, bit_order="big").tolist() == [
        0b10101_000,
        0b11_11110_0,
    ]
    assert mf.pack([0b10101, 0b00011, 0b11110], 5).tolist() == [0b011_10101, 0b0_11110_00]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("bits", [3, 5, 8, 12])
def test_strides_and_dtypes_do_not_matter(bits: int, order: str) -> None:
    codes = random_codes(bits, (6, 50))
    want = mf.pack(codes, bits, bit_order=order)
    wide = np.zeros((12, 100), codes.dtype)
    wide[::2, ::2] = codes
    frozen = codes.copy()
    frozen.flags.writeable = False
    unaligned = np.zeros(codes.nbytes + 1, np.uint8)[1:].view(codes.dtype).reshape(codes.shape)
    unaligned[...] = codes
    for same in (
        codes.astype(np.int64), codes.astype(">u2"), codes.astype(np.uint64), codes.tolist(),
        np.asfortranarray(codes), wide[::2, ::2], codes[::-1, ::-1][::-1, ::-1], frozen, unaligned,
    ):  # fmt: skip
        np.testing.assert_array_equal(mf.pack(same, bits, bit_order=order), want)
    spread = np.zeros((6, 2 * want.shape[1]), np.uint8)
    spread[:, ::2] = want
    fixed = want.copy()
    fixed.flags.writeable = False
    for same in (spread[:, ::2], np.asfortranarray(want), fixed):
        np.testing.assert_array_equal(mf.unpack(same, bits, 50, bit_order=order), codes)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("bits", [3, 8, 12])
def test_out(bits: int, order: str) -> None:
    codes = random_codes(bits, (4, 50))
    packed = mf.pack(codes, bits, bit_order=order)
    for out in (np.full_like(packed, 255), np.full(packed.shape[::-1], 255, np.uint8).T):
        assert mf.pack(codes, bits, bit_order=order, out=out) is out
        np.testing.assert_array_equal(out, packed)
    for into in (np.full_like(codes, 255), np.full(codes.shape[::-1], 255, codes.dtype).T):
        assert mf.unpack(packed, bits, 50, bit_order=order, out=into) is into
        np.testing.assert_array_equal(into, codes)


def test_out_over_the_source() -> None:
    codes = random_codes(5, 80)
    want = mf.pack(codes, 5)
    memory = np.concatenate([np.zeros(20, np.uint8), codes])
    np.testing.assert_array_equal(mf.pack(memory[20:], 5, out=memory[:50]), want)
    memory = np.concatenate([np.zeros(60, np.uint8), want])
    np.testing.assert_array_equal(mf.unpack(memory[60:], 5, 80, out=memory[:80]), codes)


def test_an_error_leaves_out_unchanged() -> None:
    out = np.full(5, 7, np.uint8)
    with pytest.raises(ValueError, match="codes must be"):
        mf.pack([1, 2, 3, 4, 5, 6, 7, 32], 5, out=out)
    with pytest.raises(ValueError, match="packed must have 0 in"):
        mf.unpack(np.full(4, 255, np.uint8), 6, 5, out=out)
    assert out.tolist() == [7] * 5


def test_empty() -> None:
    for shape in ((0,), (3, 0), (0, 5), (2, 0, 4)):
        packed = mf.pack(np.zeros(shape, np.uint8), 5)
        assert packed.shape == (*shape[:-1], -(-shape[-1] * 5 // 8))
        assert mf.unpack(packed, 5, shape[-1]).shape == shape
    assert mf.pack([], 5).tolist() == []


def test_five_bit_weights_take_five_words() -> None:
    assert mf.pack(random_codes(5, 32), 5).nbytes == 5 * 4


def test_codes_that_do_not_fit() -> None:
    for codes, got in (
        ([1, 32], r"got 32 at index \(1,\) \(1 such"),
        ([[1, 2], [-1, 255]], r"got -1 at index \(1, 0\) \(2 such"),
        (np.array([3, 2**63], np.uint64), r"got 9223372036854775808 at index \(1,\)"),
        (np.arange(40, dtype=np.uint8)[::2], r"got 32 at index \(16,\) \(4 such"),
    ):
        with pytest.raises(ValueError, match=r"codes must be in 0\.\.31 for 5 bits, " + got):
            mf.pack(codes, 5)
    for bits in WIDTHS:
        assert mf.pack([(1 << bits) - 1], bits).any()
        with pytest.raises(ValueError, match="codes must be in"):
            mf.pack([1 << bits], bits)


def refusals() -> dict[str, Callable[[], object]]:
    packed = np.zeros(5, np.uint8)
    fixed = np.zeros(5, np.uint8)
    fixed.flags.writeable = False
    return {
        "codes must have an axis to pack along, got a 0-d array": lambda: mf.pack(3, 5),
        "codes must be integers, got float64": lambda: mf.pack([1.0], 5),
        "codes must be integers, got bool": lambda: mf.pack([True], 5),
        "bits must be in 1..32, got 0": lambda: mf.pack([0], 0),
        "bits must be in 1..32, got 33": lambda: mf.unpack(packed, 33, 1),
        "bits must be an int, got 5.0": lambda: mf.pack([0], 5.0),
        'bit_order must be "little" or "big", got 1': lambda: mf.pack([0], 5, bit_order=1),
        "count must be at least 0, got -1": lambda: mf.unpack(packed, 5, -1),
        "count must be an int, got 8.0": lambda: mf.unpack(packed, 5, 8.0),
        "start must be at least 0, got -1": lambda: mf.unpack(packed, 5, 1, start=-1),
        "packed must have 4 bytes along the last axis for 6 codes of 5 bits, got shape (5,); pass "
        "start=0": lambda: mf.unpack(packed, 5, 6),
        "packed must have 6 bytes along the last axis for 9 codes of 5 bits, got shape (5,)": (
            lambda: mf.unpack(packed, 5, 9)
        ),
        "packed must have 6 bytes along the last axis for 2 codes of 5 bits from 7 on": (
            lambda: mf.unpack(packed, 5, 2, start=7)
        ),
        f"for {2**70} codes of 5 bits": lambda: mf.unpack(packed, 5, 2**70),
        "packed must have 1 bytes along the last axis for 1 codes of 5 bits, got shape ()": (
            lambda: mf.unpack(np.uint8(3), 5, 1)
        ),
        "packed must be a uint8 array, got int8": lambda: mf.unpack(packed.view(np.int8), 5, 8),
        "packed must be a uint8 array, got |S5": lambda: mf.unpack(b"\1\2\3\4\5", 5, 8),
        "out must have dtype uint8, got int8": lambda: mf.pack([0], 5, out=np.zeros(1, np.int8)),
        "out must have shape (1,), got (2,)": lambda: mf.pack([0], 5, out=np.zeros(2, np.uint8)),
        "out must have dtype uint16, got uint8": (
            lambda: mf.unpack(packed, 10, 4, out=np.zeros(4, np.uint8))
        ),
        "out must be writeable": lambda: mf.pack(np.zeros(8, np.uint8), 5, out=fixed),
    }  # fmt: skip


@pytest.mark.parametrize("message", refusals())
def test_refusals(message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        refusals()[message]()


@pytest.mark.parametrize("order", ORDERS)
def test_bits_after_the_last_code(order: str) -> None:
    for bits in (3, 5, 11):
        for count in range(1, 9):
            packed = mf.pack(random_codes(bits, (2, count)), bits, bit_order=order)
            for left in range(-count * bits % 8):
                bad = packed.copy()
                bad[1, -1] ^= 1 << (7 - left if order == "little" else left)
                with pytest.raises(ValueError, match=r"packed must have 0 in the . bits after"):
                    mf.unpack(bad, bits, count, bit_order=order)
                part = mf.unpack(bad, bits, count, start=0, bit_order=order)
                np.testing.assert_array_equal(part, random_codes(bits, (2, count)))


@settings(max_examples=200)
@given(st.binary(max_size=40), st.integers(-1, 34), st.integers(-2, 80), st.integers(-2, 80))
def test_bytes_give_codes_or_an_error(blob: bytes, bits: int, count: int, start: int) -> None:
    packed = np.frombuffer(blob, np.uint8)
    for order in ORDERS:
        for from_start in (None, start):
            try:
                codes = mf.unpack(packed, bits, count, start=from_start, bit_order=order)
            except ValueError:
                continue
            assert codes.size == count
            if from_start is None:
                np.testing.assert_array_equal(mf.pack(codes, bits, bit_order=order), packed)
