"""Codes that are read at several widths: by the definition of each format, bit by bit."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.quantization.nested import cut_codebook, narrow_codes, nests
from tests.quantization.test_tables import block_numbers

EXMY = [f"e{e}m{m}" for e, m in itertools.product(range(1, 7), range(7)) if 2 <= e + m <= 7]
INTEGERS = [f"int{bits}full" for bits in range(2, 9)] + [f"uint{bits}" for bits in range(1, 9)]


def exmy(name: str) -> tuple[int, int]:
    """Return E and M of a plain ExMy."""
    exponent, mantissa = name[1:].split("m")
    return int(exponent), int(mantissa)


def value_of(code: int, exponent_bits: int, mantissa_bits: int) -> Fraction:
    """Return the value of a magnitude of an ExMy, by its definition."""
    field, fraction = divmod(code, 1 << mantissa_bits)
    bias = 2 ** (exponent_bits - 1) - 1
    significand = Fraction(fraction, 1 << mantissa_bits) + (field > 0)
    return significand * Fraction(2) ** (max(field, 1) - bias)


def plain(name: str) -> mf.Format:
    """Return an ExMy without specials, whatever the catalogue calls so."""
    return mf.Format(*exmy(name))


def test_exmy_nest_where_they_have_as_many_exponent_bits() -> None:
    for narrow, wide in itertools.product(EXMY, EXMY):
        (e, m), (wide_e, wide_m) = exmy(narrow), exmy(wide)
        assert nests(plain(narrow), plain(wide)) == (e == wide_e and m < wide_m), (narrow, wide)


def test_a_bias_is_a_power_of_two() -> None:
    assert nests("e2m2b0", "e2m3")
    assert nests("ue4m2", "ue4m4")
    assert not nests("ue4m2", "e4m3")


def test_integers_nest_by_their_kind() -> None:
    for narrow, wide in itertools.product(INTEGERS, INTEGERS):
        small, large = mf.parse(narrow), mf.parse(wide)
        same = narrow.startswith("u") == wide.startswith("u")
        assert nests(narrow, wide) == (same and small.bits < large.bits), (narrow, wide)


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [("int4", "int8"), ("e4m2", "e4m3fn"), ("e5m1", "e5m2"), ("nf4", "e4m3"), ("e2m3", "e2m2"),
     (mf.Codebook([0, 1]), mf.Codebook([0, 2, 1, 3])),
     (mf.Codebook([0, 1]), mf.Codebook([0, 1, 3, 4])), (mf.Codebook([0, -0.0]), "int2full"),
     (mf.Codebook([0, 1]), mf.Codebook([-0.0, 0.5, 1, 1.5])),
     (mf.Codebook([0, 2]), mf.Codebook([0, 0.1, 0.2, 0.3, 2, 1.5, 3, 4]))],
)  # fmt: skip
def test_what_does_not_nest(narrow: Any, wide: Any) -> None:
    """Unused codes, NaN, other values; groups that are no neighbours, or no power of two apart."""
    assert not nests(narrow, wide)


def test_codebooks_nest_by_their_values() -> None:
    assert nests(mf.Codebook([0, 1]), mf.Codebook([0, 0.5, 2, 3]))
    assert nests(mf.Codebook([-1, 0]), mf.Codebook([-2, -1, 0, 0.5]))


@pytest.mark.parametrize(("wide", "narrow"), [("e2m4", "e2m2"), ("e3m3", "e3m1"), ("e1m5", "e1m2")])
def test_cut_codes_are_the_nearest_values_towards_zero(wide: str, narrow: str) -> None:
    (e, m), (_, narrow_m) = exmy(wide), exmy(narrow)
    codes = narrow_codes(plain(wide), plain(narrow), "cut")
    sign = 1 << (e + m)
    values = [value_of(k, e, narrow_m) for k in range(1 << (e + narrow_m))]
    for code in range(2 * sign):
        exact = value_of(code % sign, e, m)
        wanted = max(k for k, value in enumerate(values) if value <= exact)
        assert codes[code] == wanted | (code >= sign) << (e + narrow_m)


@pytest.mark.parametrize(("wide", "narrow"), [("e2m4", "e2m2"), ("e3m3", "e3m1"), ("e1m5", "e1m2")])
def test_rounded_codes_are_the_nearest_values(wide: str, narrow: str) -> None:
    """As integers: half of the last place is added, less if the code is even; the largest stays."""
    (e, m), (_, narrow_m) = exmy(wide), exmy(narrow)
    codes = narrow_codes(plain(wide), plain(narrow), "rounded")
    sign, cut = 1 << (e + m), m - narrow_m
    for code in range(2 * sign):
        magnitude = code % sign
        odd = magnitude >> cut & 1
        wanted = min((magnitude + (1 << (cut - 1)) - 1 + odd) >> cut, (1 << (e + narrow_m)) - 1)
        assert codes[code] == wanted | (code >= sign) << (e + narrow_m)


@pytest.mark.parametrize("low", range(2, 8))
def test_integers_are_rounded_as_by_double_rounding(low: int) -> None:
    """W_l = clip(round(W_h / 2**d)), worth W_l * s * 2**d."""
    codes = np.arange(-128, 128)
    recipe = mf.Recipe.parse("int8full/256/float32")
    q = mf.Quantized(codes.astype(np.uint8), np.ones(1, np.float32), recipe, (256,), 0)
    read = mf.narrow(q, f"int{low}full")
    wanted = np.clip(np.rint(codes / 2 ** (8 - low)), -(2 ** (low - 1)), 2 ** (low - 1) - 1)
    assert (read.dequantize() == wanted * 2 ** (8 - low)).all()
    cut = mf.narrow(q, f"int{low}full", reading="cut")
    assert (cut.dequantize() == codes >> (8 - low) << (8 - low)).all()
    if low in (2, 4):  # Matryoshka's offset binary: so many codes are clipped (arXiv 2502.06786)
        offset = np.rint((codes + 128) / 2 ** (8 - low))
        assert (offset > 2**low - 1).sum() == {2: 32, 4: 8}[low]
        assert np.unique(offset).size == 2**low + 1
        clipped = np.minimum(offset, 2**low - 1) * 2 ** (8 - low) - 128
        if low == 4:
            assert (read.dequantize() == clipped).all()


def test_symmetric_integers_have_no_code_that_is_unused() -> None:
    q = mf.quantize(np.linspace(-1, 1, 255), "int8/channel/float32")
    for reading in ("rounded", "cut"):
        read = mf.narrow(q, "int4", reading=reading)  # type: ignore[arg-type]
        assert np.isfinite(read.dequantize()).all()


def weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(7).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(
    ("recipe", "narrow"),
    [("e2m4/16/float16", "e2m2"), ("e3m3/32/e8m0", "e3m1"), ("int8/16/e4m3fn/tensor-scale", "int5"),
     ("e2m3/8/float32/double", "e2m1"), ("nf5/2x8/float32", "nf4"),
     ("e2m2b0/channel/bfloat16", "e2m1b0")],
)  # fmt: skip
def test_weights_are_read_narrow(recipe: str, narrow: str, tmp_path: Path) -> None:
    q = mf.quantize(weights(4, 32), recipe)
    read = mf.narrow(q, narrow)
    assert read.fmt == mf.parse(narrow)
    factor = 2.0 ** (q.fmt.bits - read.fmt.bits) if q.fmt.is_integer else 1.0
    values = mf.decode(q.codes, q.fmt, dtype=np.float64) / factor
    assert (read.codes == mf.encode(values, narrow)).all()
    in_scales = factor if q.tensor_scale is None else 1.0
    assert (read.scales == q.scales * in_scales).all()
    assert (read.tensor_scale or 1.0) * in_scales == (q.tensor_scale or 1.0) * factor
    mf.save(read, tmp_path / "w.npz")
    assert mf.load(tmp_path / "w.npz") == read
    x = weights(2, 32)
    np.testing.assert_allclose(mf.linear(x, read), x @ read.dequantize().T, atol=1e-4)


def test_formats_with_nan_are_read_narrow_where_no_weight_is_nan() -> None:
    q = mf.quantize(weights(2, 16), "e4m3fn")
    read = mf.narrow(q, mf.Format(4, 2))
    assert (read.codes == mf.encode(mf.decode(q.codes, "e4m3fn"), mf.Format(4, 2))).all()
    codes = q.codes
    codes[0, 3] = 0x7F
    damaged = mf.Quantized(mf.pack(codes.reshape(-1), 8), q.scales, q.recipe, q.shape, q.axis)
    with pytest.raises(
        ValueError, match="q must have finite weights, got an infinity or NaN of e4"
    ):
        mf.narrow(damaged, "e3m2")


def test_the_middle_of_what_is_cut() -> None:
    for wide, bits in (("e2m3", 4), ("int8full", 3), ("uint4", 1)):
        fmt = mf.parse(wide)
        values = list(cut_codebook(wide, bits))
        for code, value in enumerate(values):
            inside = [
                fmt.exact_value(c) for c in range(fmt.code_count) if c >> (fmt.bits - bits) == code
            ]
            assert Fraction(value) == sum(inside) / len(inside)
    q = mf.quantize(weights(64, 128), "e2m4")
    read = mf.narrow(q, cut_codebook("e2m4", 5), reading="cut")
    assert read.sqnr(weights(64, 128)) > mf.quantize(weights(64, 128), "e2m2").sqnr(
        weights(64, 128)
    )


@pytest.mark.parametrize("block", ["channel", 16, "tensor", (2, 8)])
def test_nested_tables_are_read_at_each_width(block: Any) -> None:
    w = weights(4, 48)
    q = mf.quantize_nested(w, mf.Recipe("lut5", block=block, scale="float32"), 2)
    assert q.recipe == mf.Recipe("lut5", block=block, scale="float32")
    for bits in range(2, 5):
        read = mf.narrow(q, f"lut{bits}", reading="cut")
        assert (read.codes == q.codes >> 5 - bits).all()
        numbers, back = block_numbers(q), q.dequantize().astype(float)
        for k, table in enumerate(read.scales.reshape(-1, 1 << bits)):
            for code in np.unique(read.codes[numbers == k]):
                inside = back[(numbers == k) & (read.codes == code)]
                assert table[code] == pytest.approx(inside.mean(), rel=1e-6)
        assert read.sqnr(w) <= mf.quantize(w, read.recipe).sqnr(w) + 1e-5
        assert read.sqnr(w) == pytest.approx(mf.quantize_nested(w, read.recipe, 2).sqnr(w), abs=0.3)


def test_tables_of_groups_without_weights() -> None:
    q = mf.quantize([1.0, 1.0, 2.0], "lut3/channel/float32")
    assert mf.narrow(q, "lut2", reading="cut").dequantize().tolist() == [1.0, 1.0, 2.0]
    empty = mf.quantize(np.zeros((0, 3)), "lut3")
    assert mf.narrow(empty, "lut1", reading="cut").shape == (0, 3)


def test_what_is_wrong_is_said() -> None:
    q = mf.quantize(weights(2, 16), "e2m4")
    cases: list[tuple[Any, str]] = [
        (lambda: mf.narrow(q, "e2m4"), "fmt must have fewer bits than the 7 of e2m4, got e2m4"),
        (lambda: mf.narrow(q, "e2m2", reading="up"), "reading must be rounded or cut, got 'up'"),  # type: ignore[arg-type]
        (lambda: mf.narrow(q, "lut2"), 'fmt must be a lut, with reading="cut"'),
        (lambda: mf.narrow(mf.quantize(weights(2, 16), "lut4"), "lut2"), "fmt must be a lut"),
        (
            lambda: mf.narrow(mf.quantize(weights(2, 16), "uint4", zero_point=True), "uint2"),
            "q must have no zero points",
        ),
        (lambda: mf.quantize_nested(weights(2, 16), "e2m2", 2), "recipe must be of a lut"),
        (
            lambda: mf.quantize_nested(weights(2, 16), "lut4", 5),
            r"seed_bits must be in 1..4, got 5",
        ),
        (lambda: cut_codebook("e4m3fn", 4), "wide must have a finite value for each code"),
        (lambda: cut_codebook("e2m2", 5), r"bits must be in 1..4, got 5"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="q must be Quantized, got ndarray"):
        mf.narrow(weights(2, 2), "e2m2")  # type: ignore[arg-type]
