"""Layouts: named ones against words drawn by hand, and random ones against their definition."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minifloat as mf
from minifloat.packing.layouts import FPE2M2_CHECKPOINT, FPE2M2_KERNEL, Plane, planes

# The codes of a group from the first on (the others are 0), and its words.
FIVE_BITS = [0x11, 0x02, 0x13, 0x04, 0x05, 0x16, 0x07, 0x08, 0x19]  # signs 1 at 0, 2, 5 and 8
SIX_BITS = {0: (1, 1), 1: (2, 2), 2: (3, 3), 3: (4, 0), 8: (15, 1)}  # four bits, two bits
SEVEN_BITS = {0: (1, 1, 1), 1: (0, 2, 2), 2: (1, 3, 3), 3: (0, 0, 4), 31: (1, 1, 1)}  # 1, 2, 4
DRAWN = {
    ("dense", 5): ([1, 2, 3, 4, 5, 6, 7], "cc520c41 00000001 00000000 00000000 00000000"),
    ("dense", 8): ([0x12, 0x34, 0x56, 0x78], "78563412"),
    ("dense", 12): ([0x123, 0x456, 0x789], "89456123 00000007 00000000"),
    ("nvfp4", 4): ([1, 2, 3, 4, 5, 6, 7, 8], "87654321"),
    ("4", 4): ([1, 2, 3, 4, 5, 6, 7, 8], "86427531"),
    ("1+4", 5): (FIVE_BITS, "00040013 86427531 00000009 00000000 00000000"),
    ("4+2", 6): (
        [four << 2 | two for four, two in (SIX_BITS.get(i, (0, 0)) for i in range(16))],
        "00420031 0000000f 0002010d",
    ),
    ("2+4", 6): (
        [two << 4 | four for four, two in (SIX_BITS.get(i, (0, 0)) for i in range(16))],
        "0002010d 00420031 0000000f",
    ),
    ("1+2+4", 7): (
        [a << 6 | b << 4 | c for a, b, c in (SEVEN_BITS.get(i, (0, 0, 0)) for i in range(32))],
        "80000003 0002000d 40000000 00420031 00000000 00000000 10000000",
    ),
    ("fpe2m2_checkpoint", 5): (FIVE_BITS, "87654321 00000009 00000000 00000000 00000125"),
    ("fpe2m2_kernel", 5): (FIVE_BITS, "86427531 00000009 00000000 00000000 2000c800"),
}


@pytest.mark.parametrize(("name", "bits"), DRAWN)
def test_words_drawn_by_hand(name: str, bits: int) -> None:
    codes, drawn = DRAWN[name, bits]
    layout = mf.parse_layout(name, bits)
    words = mf.pack_words(codes, layout)
    assert " ".join(f"{word:08x}" for word in words) == drawn
    assert mf.unpack_words(words, layout, len(codes)).tolist() == codes


def words_slowly(codes: list[int], layout: mf.Layout) -> list[int]:
    """Put bit after bit where ``layout.places`` says."""
    groups = -(-len(codes) // layout.count)
    words = [0] * (groups * layout.words)
    for index, code in enumerate(codes):
        group, i = divmod(index, layout.count)
        for b, place in enumerate(layout.places[i]):
            word, at = divmod(place, 32)
            words[group * layout.words + word] |= (code >> b & 1) << at
    return words


@st.composite
def layouts(draw: st.DrawFn) -> mf.Layout:
    """Draw arbitrary places, or planes of consecutive ones."""
    bits = draw(st.integers(1, 16))
    if draw(st.booleans()):
        words = draw(st.integers(1, 4))
        count = draw(st.integers(1, max(1, 32 * words // bits)))
        words = max(words, -(-count * bits // 32))
        places = draw(st.permutations(range(32 * words)))[: count * bits]
        return mf.Layout(bits, words, [places[bits * i : bits * (i + 1)] for i in range(count)])
    parts, low = [], 0
    while low < bits:
        width = draw(st.sampled_from([width for width in (1, 2, 4, 8, 16) if width <= bits - low]))
        parts.append(Plane(low, width, draw(st.booleans()), draw(st.booleans())))
        low += width
    return planes(bits, draw(st.permutations(parts)), "drawn")


@settings(max_examples=200)
@given(layout=layouts(), data=st.data())
def test_words_are_those_of_the_definition(layout: mf.Layout, data: st.DataObject) -> None:
    numbers = st.integers(0, (1 << layout.bits) - 1)
    codes = data.draw(st.lists(numbers, max_size=2 * layout.count + 3))
    words = mf.pack_words(codes, layout)
    assert words.dtype == np.uint32
    assert words.tolist() == words_slowly(codes, layout)
    assert mf.unpack_words(words, layout, len(codes)).tolist() == codes


@pytest.mark.parametrize("mistake", ["two bits of a code", "two codes", "one bit higher"])
def test_the_definition_finds_mistakes(mistake: str) -> None:
    layout = mf.parse_layout("1+4", 5)
    places = [list(row) for row in layout.places]
    if mistake == "two codes":
        places[6], places[7] = places[7], places[6]
    elif mistake == "two bits of a code":
        places[9][0], places[9][4] = places[9][4], places[9][0]
    else:
        places = [[(place + 1) % 160 for place in row] for row in places]
    codes = np.random.default_rng(2).integers(0, 32, 64).tolist()
    packed = mf.pack_words(codes, layout).tolist()
    assert packed == words_slowly(codes, layout)
    assert packed != words_slowly(codes, mf.Layout(5, 5, places))


@settings(max_examples=100)
@given(layout=layouts())
def test_bit_runs_hold_every_bit_and_are_as_long_as_possible(layout: mf.Layout) -> None:
    runs = list(layout.bit_runs())
    places = [[-1] * layout.bits for _ in range(layout.count)]
    for code, low, width, word, at in runs:
        assert at + width <= 32
        for k in range(width):
            places[code][low + k] = 32 * word + at + k
    assert tuple(map(tuple, places)) == layout.places
    for one, other in pairwise(runs):
        together = one.code == other.code and one.word == other.word
        assert not (together and one.at + one.width == other.at)


@pytest.mark.parametrize("bits", range(1, 17))
def test_dense_words_are_the_packed_bytes(bits: int) -> None:
    codes = np.random.default_rng(bits).integers(0, 1 << bits, 32 * 7)
    dense = mf.parse_layout("dense", bits)
    assert dense.is_dense
    np.testing.assert_array_equal(
        mf.pack_words(codes, dense), mf.pack(codes, bits).view("<u4").astype(np.uint32)
    )


def test_five_bits_are_five_bits() -> None:
    for name in ("dense", "1+4", "fpe2m2_checkpoint", "fpe2m2_kernel"):
        assert mf.pack_words(np.arange(32), mf.parse_layout(name, 5)).shape == (5,)


def test_planes_lie_in_pairs() -> None:
    for name, bits in (("4", 4), ("1+4", 5), ("4+2", 6), ("2+4", 6), ("1+2+4", 7), ("8", 8)):
        assert mf.parse_layout(name, bits).in_pairs
    assert FPE2M2_KERNEL.in_pairs
    assert not FPE2M2_CHECKPOINT.in_pairs
    assert not mf.parse_layout("dense", 5).in_pairs
    assert not mf.Layout(1, 1, [[0], [16], [1]]).in_pairs  # the last code has no partner


def test_the_kernel_layout_shifts_signs_to_where_float16_has_them() -> None:
    for i in range(16):
        for code, sign in ((2 * i, 15), (2 * i + 1, 31)):
            codes = np.zeros(32, np.uint8)
            codes[code] = 0x10
            assert int(mf.pack_words(codes, FPE2M2_KERNEL)[4]) << i == 1 << sign


def test_rows_and_the_last_group() -> None:
    layout = mf.parse_layout("1+4", 5)
    codes = np.random.default_rng(1).integers(0, 32, (2, 3, 40)).astype(np.uint8)
    words = mf.pack_words(codes, layout)
    assert words.shape == (2, 3, 10)
    assert words[1, 2].tolist() == words_slowly(codes[1, 2].tolist(), layout)
    np.testing.assert_array_equal(mf.unpack_words(words, layout, 40), codes)
    turned = np.asfortranarray(words.astype(">u4"))
    np.testing.assert_array_equal(mf.unpack_words(turned, layout, 40), codes)
    np.testing.assert_array_equal(mf.unpack_words(words.view(np.int32), layout, 40), codes)
    for empty in ((0,), (3, 0), (0, 5)):
        words = mf.pack_words(np.zeros(empty, np.uint8), layout)
        assert mf.unpack_words(words, layout, empty[-1]).shape == empty


@pytest.mark.parametrize(("name", "bits"), DRAWN)
def test_a_name_does_as_a_layout(name: str, bits: int) -> None:
    codes, _ = DRAWN[name, bits]
    words = mf.pack_words(codes, mf.parse_layout(name, bits))
    widths = (bits,) if name == "dense" else (bits, None)
    for width in widths:
        np.testing.assert_array_equal(mf.pack_words(codes, name, bits=width), words)
        assert mf.unpack_words(words, name, len(codes), bits=width).tolist() == codes


def test_idle_bits_are_zero_and_ignored() -> None:
    layout = mf.Layout(3, 1, [[0, 1, 2], [8, 9, 10]], "two")
    assert repr(layout) == "<Layout two: bits 3, codes 2, words 1, with idle bits>"
    words = mf.pack_words([7, 5], layout)
    assert words.tolist() == [0x0507]
    assert mf.unpack_words(words | np.uint32(0xFFFF_0000), layout, 2).tolist() == [7, 5]


def test_bad_words() -> None:
    layout = mf.parse_layout("1+4", 5)
    words = mf.pack_words([1, 2, 3], layout)
    for message, bad in {
        "words must be 5 along the last axis for 3 codes of <Layout 1+4": words[:4],
        "words must be 5 along the last axis for 3 codes of <Layout 1+4: bits 5, codes 32, "
        "words 5>, got shape ()": words[0],
        "words must be uint32 or int32, got int64": words.astype(np.int64),
        "words must be uint32 or int32, got float32": words.astype(np.float32),
        "words must be padded with code 0 after 3 codes, got padding with": np.full(
            5, 1 << 31, np.uint32
        ),
    }.items():
        with pytest.raises((ValueError, TypeError), match=re.escape(message)):
            mf.unpack_words(bad, layout, 3)
    with pytest.raises(ValueError, match="layout must be for codes of 6 bits, got <Layout 1"):
        mf.pack_words([1], "1+4", bits=6)
    with pytest.raises(ValueError, match="bits must be given for the layout dense, got None"):
        mf.unpack_words(words, "dense", 3)
    with pytest.raises(TypeError, match="layout must be a Layout or the name of one, got None"):
        mf.pack_words([1], None)
    with pytest.raises(ValueError, match=r"codes must be in 0\.\.31 for 5 bits, got 32 at index"):
        mf.pack_words([1, 32], layout)
    with pytest.raises(ValueError, match="count must be at least 0, got -1"):
        mf.unpack_words(words, layout, -1)


def test_bad_layouts() -> None:
    for message, arguments in {
        "bits must be in 1..16, got 17": (17, 1, [range(17)]),
        "words must be in 1..65536, got 0": (1, 0, [[0]]),
        "places must have at least one code": (1, 1, []),
        "places must have 2 bits for each code, got 1 for code 1": (2, 1, [[0, 1], [2]]),
        "places must be in 0..31, got 32 for code 0": (1, 1, [[32]]),
        "places must be in 0..31, got -1 for code 0": (1, 1, [[-1]]),
        "places must be used once, got 3 twice, in code 1": (1, 1, [[3], [3]]),
    }.items():
        with pytest.raises(ValueError, match=re.escape(message)):
            mf.Layout(*arguments)
    for message, name, bits in (
        ("layout must be for codes of 6 bits", "1+4", 6),
        ("layout must be for codes of 5 bits", "nvfp4", 5),
        ("layout must be dense, nvfp4, fpe2m2_checkpoint, fpe2m2_kernel or widths", "sparse", 5),
        ("planes must be 1, 2, 4, 8 or 16 bits wide, got 3", "3+2", 5),
        ("layout must be", "", 5),
        ("layout must be dense, .* or widths of planes such as 1\\+4, got '01\\+4'", "01+4", 5),
        ("layout must be dense, .*, got '1\\+04'", "1+04", 5),
        ("layout must be dense, .*, got '04'", "04", 4),
        ("layout must be for codes of an integer of 5001 digits bits", "1+4", 10**5000),
        ("planes must be 1, 2, 4, 8 or 16 bits wide, got 0", "0+4", 4),
        ("bits must be in 1..16", "dense", 17),
    ):
        with pytest.raises(ValueError, match=message):
            mf.parse_layout(name, bits)
    with pytest.raises(ValueError, match=r"planes must hold each of the bits 0\.\.3 once, got"):
        planes(4, [Plane(0, 2, True), Plane(1, 2, True)], "overlapping")
    with pytest.raises(TypeError, match="layout must be a Layout or the name of one, got 5"):
        mf.parse_layout(5, 5)


def test_a_checkpoint_of_fpe2m2_has_the_bits_of_its_authors() -> None:
    """By their encoder's steps on weights (in, out): double, look up, pack; sign: not positive."""
    w = np.random.default_rng(2).standard_normal((64, 3)).astype(np.float32)
    w[::7] *= 0.01  # codes of zero, of both signs
    q = mf.quantize(w.T, "fpe2m2")
    values = (mf.decode(q.codes, "fpe2m2")).T
    assert np.count_nonzero(values == 0) > 9
    doubled = [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28]
    magnitudes = np.searchsorted(doubled, np.abs(2 * values)).astype(np.uint32)
    qweight = np.zeros((8, 3), np.uint32)
    sign_map = np.zeros((2, 3), np.uint32)
    for j in range(64):
        qweight[j // 8] |= magnitudes[j] << np.uint32(4 * (j % 8))
        sign_map[j // 32] |= (values[j] <= 0).astype(np.uint32) << np.uint32(j % 32)
    words = mf.pack_words(np.where(q.codes == 0, 16, q.codes), "fpe2m2_checkpoint")
    words = words.reshape(3, 2, 5)
    np.testing.assert_array_equal(words[:, :, :4].reshape(3, 8).T, qweight)
    np.testing.assert_array_equal(words[:, :, 4].T, sign_map)
    codes = mf.unpack_words(words.reshape(3, 10), "fpe2m2_checkpoint", 64)
    np.testing.assert_array_equal(mf.decode(codes, "fpe2m2"), values.T)
