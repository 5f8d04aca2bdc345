"""Formats against tables of the standards, and against NumPy, ml_dtypes and gfloat.

The numbers below are literal on purpose; the library derives all of them.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction

import gfloat.formats
import ml_dtypes
import numpy as np
import pytest
from gfloat import decode_ndarray
from gfloat.types import Domain, Signedness
from numpy.typing import NDArray

from minifloat.formats import Codebook, CodeRow, Format, Integer, NumberFormat, Specials
from minifloat.formats.catalogue import CATALOGUE, p3109
from minifloat.formats.names import parse
from minifloat.packing.layouts import Plane, planes

INF, NAN = math.inf, math.nan

# name: bias, largest, smallest normal, smallest value (OCP OFP8 1.0; OCP MX 1.0; IEEE
# 754-2019 table 3.5; bfloat16 and TF32 by their makers; the FNUZ proposal; FNUZ-like bias 11)
STANDARDS = {
    "e5m2": (15, 57344.0, 2.0**-14, 2.0**-16),
    "e4m3fn": (7, 448.0, 2.0**-6, 2.0**-9),
    "e3m2": (3, 28.0, 0.25, 0.0625),
    "e2m3": (1, 7.5, 1.0, 0.125),
    "e2m1": (1, 6.0, 1.0, 0.5),
    "e8m0": (127, 2.0**127, 2.0**-127, 2.0**-127),
    "ue4m3": (7, 448.0, 2.0**-6, 2.0**-9),
    "ue5m3": (15, 114688.0, 2.0**-14, 2.0**-17),
    "e4m3fnuz": (8, 240.0, 2.0**-7, 2.0**-10),
    "e5m2fnuz": (16, 57344.0, 2.0**-15, 2.0**-17),
    "e4m3b11fnuz": (11, 30.0, 2.0**-10, 2.0**-13),
    "e4m3ieee": (7, 240.0, 2.0**-6, 2.0**-9),
    "e3m4ieee": (3, 15.5, 0.25, 2.0**-6),
    "e2m2": (1, 7.0, 1.0, 0.25),
    "e2m2b0": (0, 14.0, 2.0, 0.5),
    "e2m2ieee": (1, 3.5, 1.0, 0.25),
    "e3m1": (3, 24.0, 0.25, 0.125),
    "e1m3": (0, 3.75, 2.0, 0.25),
    "float16": (15, 65504.0, 2.0**-14, 2.0**-24),
    "bfloat16": (127, 3.3895313892515355e38, 2.0**-126, 2.0**-133),
    "tf32": (127, 3.4011621342146535e38, 2.0**-126, 2.0**-136),
}

# IEEE P3109, the signed extended 8-bit formats by precision: largest and smallest positive value
P3109_8BIT = {
    1: (2.0**62, 2.0**-63),
    2: (2.0**31, 2.0**-32),
    3: (49152.0, 2.0**-17),
    4: (224.0, 2.0**-10),
    5: (15.0, 2.0**-7),
    6: (3.875, 2.0**-6),
}

# name: number of infinities, NaNs and zeros among the codes
SPECIAL_COUNTS = {
    "e5m2": (2, 6, 2),
    "e4m3fn": (0, 2, 2),
    "e3m2": (0, 0, 2),
    "e2m1": (0, 0, 2),
    "e8m0": (0, 1, 0),
    "ue4m3": (0, 1, 1),
    "ue5m3": (0, 1, 1),
    "e4m3fnuz": (0, 1, 1),
    "e5m2fnuz": (0, 1, 1),
    "e2m2": (0, 0, 2),
    "binary8p3se": (2, 1, 1),
    "binary8p3sf": (0, 1, 1),
    "binary8p3ue": (1, 1, 1),
    "binary8p3uf": (0, 1, 1),
    "float16": (2, 2046, 2),
}

ML_DTYPES = [
    "bfloat16",
    "float4_e2m1fn",
    "float6_e2m3fn",
    "float6_e3m2fn",
    "float8_e3m4",
    "float8_e4m3",
    "float8_e4m3b11fnuz",
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
]

EVERY_P3109 = [
    (width, precision, signed, extended)
    for width in range(3, 17)
    for signed in (True, False)
    for precision in range(1, width + (not signed))
    for extended in (True, False)
]


def fmt(name: str) -> Format:
    return parse(name)


def assert_same_values(actual: NDArray[np.float64], expected: NDArray[np.float64]) -> None:
    """Compare bit for bit, except that all NaNs are equal."""
    assert actual.dtype == expected.dtype == np.float64
    nan = np.isnan(expected)
    np.testing.assert_array_equal(np.isnan(actual), nan)
    np.testing.assert_array_equal(actual[~nan].view(np.int64), expected[~nan].view(np.int64))


@pytest.mark.parametrize("name", STANDARDS)
def test_standards(name: str) -> None:
    f = fmt(name)
    assert (f.bias, f.max, f.min_normal, f.smallest) == STANDARDS[name]
    assert f.emax == math.floor(math.log2(f.max))
    assert f.min == (-f.max if f.signed else f.values()[0])
    assert f.precision == f.mantissa_bits + 1


@pytest.mark.parametrize("precision", P3109_8BIT)
def test_p3109_of_8_bits(precision: int) -> None:
    f = p3109(8, precision, signed=True, extended=True)
    assert (f.max, f.smallest) == P3109_8BIT[precision]


@pytest.mark.parametrize("name", SPECIAL_COUNTS)
def test_special_codes(name: str) -> None:
    f = fmt(name)
    kinds = [row.kind for row in f.table()]
    assert tuple(map(kinds.count, ("inf", "nan", "zero"))) == SPECIAL_COUNTS[name]
    assert (f.has_inf, f.has_nan, f.has_zero) == tuple(n > 0 for n in SPECIAL_COUNTS[name])
    assert f.has_negative_zero == (kinds.count("zero") == 2)


@pytest.mark.parametrize(
    ("name", "code", "value"),
    [
        ("e5m2", 0b0_11111_00, INF),
        ("e5m2", 0b1_11111_00, -INF),
        ("e5m2", 0b0_11111_01, NAN),
        ("e4m3fn", 0b0_1111_110, 448.0),
        ("e4m3fn", 0b1_1111_111, NAN),
        ("e4m3fn", 0b1_0000_000, -0.0),
        ("e4m3fnuz", 0b1_0000_000, NAN),
        ("e4m3fnuz", 0b0_1111_111, 240.0),
        ("e8m0", 0, 2.0**-127),
        ("e8m0", 127, 1.0),
        ("e8m0", 255, NAN),
        ("binary8p4se", 0x80, NAN),
        ("binary8p4se", 0x7F, INF),
        ("binary8p4se", 0xFF, -INF),
        ("binary8p4ue", 0xFF, NAN),
        ("binary8p4ue", 0xFE, INF),
        ("binary4p2se", 0x8, NAN),
        ("binary4p2sf", 0x7, 3.0),
        ("binary8p4uf", 0xFF, NAN),
        ("e2m2ieee", 0b0_11_00, INF),
        ("e2m2ieee", 0b0_11_01, NAN),
        ("e4m3_nosub", 0b0_0000_000, 0.0),
        ("e4m3_nosub", 0b0_0000_001, 1.125 * 2.0**-7),
    ],
)
def test_single_codes(name: str, code: int, value: float) -> None:
    assert_same_values(np.array([fmt(name).value(code)]), np.array([value]))


def test_codes_of_nan_and_infinity() -> None:
    names = ("float16", "e5m2", "e4m3fn", "e4m3fnuz", "e8m0", "binary8p4se", "binary8p4ue")
    codes = [fmt(name).nan_code for name in names]
    assert codes == [0x7E00, 0b0_11111_10, 0x7F, 0x80, 0xFF, 0x80, 0xFF]
    names = ("float16", "e5m2", "binary8p4se", "binary8p4ue")
    assert [fmt(name).inf_magnitude for name in names] == [0x7C00, 0x7C, 0x7F, 0xFE]
    assert fmt("e2m1").nan_code is fmt("nf4").nan_code is fmt("int4").nan_code is None
    assert [fmt(name).inf_code() for name in names] == [0x7C00, 0x7C, 0x7F, 0xFE]
    assert [fmt(name).inf_code(negative=True) for name in names] == [0xFC00, 0xFC, 0xFF, None]
    assert fmt("e4m3fn").inf_code() is fmt("nf4").inf_code() is None
    with pytest.raises(ValueError, match="e4m3fn has no infinity"):
        _ = fmt("e4m3fn").inf_magnitude


@pytest.mark.parametrize("name", ML_DTYPES)
def test_values_equal_ml_dtypes(name: str) -> None:
    f = fmt(name)
    word = np.uint16 if name == "bfloat16" else np.uint8
    codes = np.arange(f.code_count).astype(word)
    with np.errstate(invalid="ignore"):  # a signalling NaN raises the flag when it is cast
        expected = codes.view(getattr(ml_dtypes, name)).astype(np.float64)
    assert_same_values(f.values(), expected)


def test_values_equal_float16() -> None:
    codes = np.arange(1 << 16).astype(np.uint16)
    assert_same_values(fmt("float16").values(), codes.view(np.float16).astype(np.float64))


def test_tf32_codes_are_the_upper_19_bits_of_float32() -> None:
    f, rng = fmt("tf32"), np.random.default_rng(19)
    codes = np.append(rng.integers(0, 1 << 19, 2000), [0, 1, 0x3FC00, 0x3FBFF, 0x40000])
    with np.errstate(invalid="ignore"):  # a signalling NaN raises the flag when it is cast
        expected = (codes.astype(np.uint32) << 13).view(np.float32).astype(np.float64)
    assert_same_values(np.array([f.value(int(code)) for code in codes]), expected)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("int4full", "int4"), ("int2full", "int2"), ("uint4", "uint4"), ("uint2", "uint2")],
)
def test_integers_equal_ml_dtypes(name: str, dtype: str) -> None:
    f = parse(name)
    info = ml_dtypes.iinfo(getattr(ml_dtypes, dtype))
    assert (f.min, f.max, f.bits) == (info.min, info.max, info.bits)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16])
def test_integers_equal_numpy(dtype: type) -> None:
    info = np.iinfo(dtype)
    f = Integer(info.bits, signed=info.kind == "i", symmetric=False)
    words = np.arange(1 << info.bits).astype(f"uint{info.bits}")
    assert_same_values(f.values(), words.view(dtype).astype(np.float64))


def test_symmetric_integers_leave_one_code_out() -> None:
    f = Integer(5)
    assert (f.min, f.max, f.smallest) == (-15, 15, 1)
    assert f.unused_code == 16
    assert (f.kind(16), f.kind(0), f.kind(17)) == ("unused", "zero", "normal")
    assert math.isnan(f.value(16))
    assert Integer(5, symmetric=False).unused_code is None
    assert Integer(4, signed=False) == Integer(4, signed=False, symmetric=False)


@pytest.mark.parametrize("name", ["float16", *ML_DTYPES])
def test_finfo(name: str) -> None:
    finfo = np.finfo if name == "float16" else ml_dtypes.finfo
    theirs = finfo(getattr(ml_dtypes, name, np.float16))
    ours = fmt(name).finfo._asdict()
    if ours["bits"] <= 8:  # ml_dtypes defines these two differently from NumPy
        del ours["precision"], ours["resolution"]
    for key, value in ours.items():
        expected = float(getattr(theirs, key))
        tolerance = 1e-2 if key == "resolution" else 0.0  # theirs is rounded to the type
        assert value == pytest.approx(expected, rel=tolerance, abs=0.0), key


@pytest.mark.parametrize(
    "name", ["e2m1", "e2m2", "e2m2b0", "e3m2", "e4m3fn", "e1m3", "binary8p3se"]
)
def test_eps_is_the_gap_beside_one(name: str) -> None:
    f = fmt(name)
    values = np.unique(f.values()[np.isfinite(f.values())])
    one = int(np.searchsorted(values, 1.0))
    assert values[one] == 1.0
    assert f.eps == f.finfo.eps == values[one + 1] - 1.0
    assert f.finfo.epsneg == 1.0 - values[one - 1]


@pytest.mark.parametrize(
    "which", [case for case in EVERY_P3109 if case[0] <= 8], ids="k{0[0]}p{0[1]}{0[2]}{0[3]}".format
)
def test_p3109_values_equal_gfloat(which: tuple[int, int, bool, bool]) -> None:
    width, precision, signed, extended = which
    info = gfloat.formats.format_info_p3109(
        width,
        precision,
        Signedness.Signed if signed else Signedness.Unsigned,
        Domain.Extended if extended else Domain.Finite,
    )
    expected = decode_ndarray(info, np.arange(1 << width)).astype(np.float64)
    ours = p3109(width, precision, signed=signed, extended=extended)
    assert ours.bias == info.bias
    assert_same_values(ours.values(), expected)


def test_p3109_formats_fit_float64_or_are_refused() -> None:
    # E exponent bits with bias 2**(E-1) span exponents below -(2**(E-1)) to 2**(E-1) - 1, so
    # float64 has the values if E <= 11
    for width, precision, signed, extended in EVERY_P3109:
        exponent_bits = width - precision + (not signed)
        name = f"binary{width}p{precision}{'s' if signed else 'u'}{'e' if extended else 'f'}"
        if exponent_bits <= 11:
            f = fmt(name)
            assert (f.bits, f.precision, f.signed) == (width, precision, signed)
            assert f.has_nan
            assert f.has_inf == extended
        else:
            with pytest.raises(ValueError, match="every value must be a float64 value"):
                fmt(name)


def test_the_four_formats_called_e2m2_are_one_grid() -> None:
    grid = np.array([0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 10, 12, 14])
    assert_same_values(fmt("fpe2m2").values()[:16], grid)
    assert_same_values(fmt("e2m2").values()[:16], grid / 2)
    assert_same_values(fmt("e2m2b2").values()[:16], grid / 4)
    assert_same_values(fmt("binary5p3sf").values()[:16], grid / 4)
    assert_same_values(fmt("e2m2ieee").values()[:12], grid[:12] / 2)


def test_e1m3_is_int5_times_a_quarter() -> None:
    assert_same_values(fmt("e1m3").values()[:16], Integer(5).values()[:16] / 4)


@pytest.mark.parametrize("name", CATALOGUE)
def test_table(name: str) -> None:
    f = parse(name)
    if f.bits > 8:
        return
    rows = f.table()
    assert [row.code for row in rows] == list(range(f.code_count))
    assert_same_values(np.array([row.value for row in rows]), f.values())
    for row in rows:
        assert int(row.bits.replace(" ", ""), 2) == row.code
        assert (row.kind == "zero") == (row.value == 0)
        assert (row.kind == "inf") == math.isinf(row.value)
        assert (row.kind in ("nan", "unused")) == math.isnan(row.value)
        if isinstance(f, Format) and row.kind in ("normal", "subnormal"):
            assert (row.kind == "normal") == (abs(row.value) >= f.min_normal)


def test_table_splits_the_fields() -> None:
    assert fmt("e2m2").table()[0b1_01_10] == CodeRow(22, "1 01 10", -1.5, "normal")
    assert fmt("e8m0").table()[1].bits == "00000001"
    assert fmt("ue4m3").table()[9].bits == "0001 001"
    assert parse("int4").table()[9] == CodeRow(9, "1001", -7.0, "normal")
    assert fmt("e2m1").table()[0b1_00_1].kind == "subnormal"


def test_table_prints_as_text_and_html() -> None:
    text = str(fmt("e2m1").table())
    assert len(text.splitlines()) == 17
    assert text.splitlines()[0].split() == ["code", "bits", "value", "kind"]
    assert text.splitlines()[8].split() == ["7", "0", "11", "1", "6", "normal"]
    html = fmt("e2m1").table()._repr_html_()
    assert html.count("<tr>") == 17
    assert "<td><code>0 11 1</code></td><td>6</td><td>normal</td>" in html


def test_repr_is_complete() -> None:
    assert repr(fmt("e2m2")) == (
        "<Format e2m2: bits 5, bias 1, max 7, min_normal 1, smallest 0.25, specials none>"
    )
    assert "bias 0, max 14" in repr(fmt("fpe2m2"))
    assert repr(fmt("e2m1_nosub")).endswith("specials none, subnormals off>")
    assert repr(parse("int5")) == "<Integer int5: bits 5, max 15, min -15, smallest 1>"
    assert repr(parse("nf4")).startswith("<Codebook nf4: bits 4, values 16, max 1, min -1, ")
    assert str(fmt("e2m2")) == (
        "e2m2 (bits 5, bias 1, max 7, min_normal 1, smallest 0.25, specials none)"
    )
    assert f"{fmt('e2m2')}" == fmt("e2m2").name == "e2m2"


@pytest.mark.parametrize("name", ["e4m3fn", "int4", "nf4"])
def test_html_shows_the_facts_of_repr(name: str) -> None:
    f = parse(name)
    html = f._repr_html_()
    assert f"<caption>{type(f).__name__} {name}</caption>" in html
    for key, value in f.describe().items():
        assert f"<tr><th>{key}</th><td>{value}</td></tr>" in html
        assert f"{key} {value}" in repr(f)


@pytest.mark.parametrize("name", [*CATALOGUE, "binary5p2se", "e3m3b-4", "e2m2_nosub"])
def test_formats_are_values(name: str) -> None:
    f = parse(name)
    for other in (pickle.loads(pickle.dumps(f)), copy.copy(f), copy.deepcopy(f)):
        assert other == f
        assert hash(other) == hash(f)
        assert other.name == name
    assert f != name
    with pytest.raises(dataclasses.FrozenInstanceError):
        f.bits = 3


def test_catalogue_formats_differ() -> None:
    assert len(set(CATALOGUE.values())) == len(CATALOGUE)


@pytest.mark.parametrize("name", ["e2m2", "int4", "nf4"])
def test_a_pickle_is_equal_in_another_process(name: str) -> None:
    f = parse(name)
    hash(f)
    program = (
        "import pickle, sys; from minifloat.formats.names import parse;"
        f"f = pickle.load(sys.stdin.buffer); g = parse({name!r});"
        "assert f == g and hash(f) == hash(g) and {f: 1}[g] == 1"
    )
    env = {**os.environ, "PYTHONHASHSEED": "7"}  # strings hash differently there
    subprocess.run([sys.executable, "-c", program], input=pickle.dumps(f), env=env, check=True)


def test_values_are_fresh_arrays() -> None:
    first = fmt("e2m1").values()
    first[:] = 9
    assert fmt("e2m1").values()[1] == 0.5


def test_specials_are_accepted_by_name() -> None:
    assert Format(4, 3, specials="fn") == Format(4, 3, specials=Specials.FN) == fmt("e4m3fn")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Format(0, 3), ValueError, r"exponent_bits must be in 1\.\.16, got 0"),
        (lambda: Format(17, 3), ValueError, r"exponent_bits must be in 1\.\.16, got 17"),
        (lambda: Format(4, -1), ValueError, r"mantissa_bits must be in 0\.\.15, got -1"),
        (lambda: Format(4, 16), ValueError, r"mantissa_bits must be in 0\.\.15, got 16"),
        (lambda: Format(8, 8), ValueError, "must be at most 16 bits together .* got 17 bits"),
        (lambda: Format(8, 10, signed=False), ValueError, "at most 16 bits together"),
        (lambda: Format(2, 2, bias=2000), ValueError, "every value must be a float64 value"),
        (lambda: Format(2, 2, bias=-2000), ValueError, "every value must be a float64 value"),
        (lambda: Format(11, 2), ValueError, "exponents -1024 to 1024; choose fewer exponent bits"),
        (lambda: Format(2, 2, signed=False, specials="fnuz"), ValueError, "use specials='fn'"),
        (lambda: Format(1, 0, specials="ieee"), ValueError, "must have a positive value"),
        (lambda: Format(2, 2, specials="nan"), ValueError, "specials must be one of none, ieee"),
        (lambda: Format(2.0, 2), TypeError, "exponent_bits must be an int, got 2.0"),
        (lambda: Format(2, True), TypeError, "mantissa_bits must be an int, got True"),
        (lambda: Format(2, 2, bias="1"), TypeError, "bias must be an int, got '1'"),
        (lambda: Format(2, 2, signed=1), TypeError, "signed must be a bool, got 1"),
        (lambda: Format(2, 2, subnormals=None), TypeError, "subnormals must be a bool, got None"),
        (lambda: Integer(1), ValueError, r"bits must be in 2\.\.16, got 1"),
        (lambda: Integer(0, signed=False), ValueError, r"bits must be in 1\.\.16, got 0"),
        (lambda: Integer(17), ValueError, r"bits must be in 2\.\.16, got 17"),
        (lambda: Integer(4, symmetric="no"), TypeError, "symmetric must be a bool, got 'no'"),
        (lambda: Codebook([1.0]), ValueError, "codebook must have 2 to 65536 values, got 1"),
        (lambda: Codebook([0, NAN]), ValueError, "codebook must be finite, got nan at code 1"),
        (lambda: Codebook([0, 10**400]), ValueError, "codebook must be finite as float64"),
        (
            lambda: Format(2, 2, bias=-(10**5000)),
            ValueError,
            "got exponents an integer of 500[01] ",
        ),
        (lambda: Format(4, 3, specials=10**5000), ValueError, "got an integer of 5001 digits"),
        (lambda: Format(4, 3, signed=10**5000), TypeError, "got an integer of 5001 digits"),
        (lambda: Codebook(10**5000), TypeError, "numbers, got an integer of 5001 digits"),
        (lambda: Integer(10**5000), ValueError, "got an integer of 5001 digits"),
        (lambda: Integer(-(10**5000) + 1), ValueError, "got an integer of 5000 digits"),
        (lambda: Codebook([0, INF]), ValueError, "codebook must be finite, got inf at code 1"),
        (lambda: Codebook([1, 2, 1]), ValueError, "no value twice, got 1.0 at code 2"),
        (lambda: Codebook([0, 1], name=4), TypeError, "name must be a str, got 4"),
        (lambda: Format(2, 2).value(32), ValueError, r"code must be in 0\.\.31 for e2m2, got 32"),
        (lambda: Format(2, 2).value(-1), ValueError, r"code must be in 0\.\.31 for e2m2, got -1"),
        (lambda: Format(2, 2).kind(32), ValueError, r"code must be in 0\.\.31"),
        (lambda: Integer(4).value(16), ValueError, r"code must be in 0\.\.15 for int4, got 16"),
        (lambda: Codebook([0, 1, 2], "x").value(3), ValueError, r"code must be in 0\.\.2 for x"),
        (lambda: p3109(2, 1, signed=True, extended=True), ValueError, r"K must be in 3\.\.16"),
        (lambda: p3109(8, 8, signed=True, extended=True), ValueError, r"P must be in 1\.\.7"),
        (lambda: p3109(8, 9, signed=False, extended=True), ValueError, r"P must be in 1\.\.8"),
        (lambda: p3109(8, 0, signed=False, extended=True), ValueError, r"P must be in 1\.\.8"),
    ],
)
def test_errors(make: Callable[[], NumberFormat], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_codes_may_be_numpy_integers() -> None:
    f = fmt("e4m3fn")
    assert f.value(np.uint8(0b1_0111_000)) == -1.0
    assert f.kind(np.uint8(255)) == "nan"
    assert Integer(8).value(np.uint8(255)) == -1.0
    assert parse("nf4").value(np.uint8(15)) == 1.0


@pytest.mark.parametrize("name", [*CATALOGUE, "ue1m0", "uint1", "e5m0_nosub", "int16full"])
def test_facts_follow_from_the_values(name: str) -> None:
    f = fmt(name)
    values = f.values()
    finite = np.flatnonzero(np.isfinite(values))
    assert values[f.max_code] == f.max == values[finite].max()
    assert values[f.min_code] == f.min == values[finite].min()
    assert f.smallest == values[values > 0].min()
    zeros = [c for c in np.flatnonzero(values == 0) if not np.signbit(values[c])]
    assert f.zero_code == (zeros[0] if zeros else None)
    assert f.max_abs == (f.max if f.min >= 0 else min(f.max, -f.min))
    assert (f.unused_code is None) or np.isnan(values[f.unused_code])
    for code in finite[:: max(1, finite.size // 500)]:
        assert f.exact_value(int(code)) == values[code]


def test_precision_is_the_width_of_the_significand() -> None:
    assert [fmt(n).precision for n in ("e2m2", "e8m0", "int8", "uint8", "nf4")] == [
        3,
        1,
        7,
        8,
        None,
    ]


def test_infinity_has_no_fraction_and_negative_codebooks_no_max_abs() -> None:
    with pytest.raises(ValueError, match="code must have a finite value"):
        fmt("e5m2").exact_value(0x7C)
    with pytest.raises(ValueError, match="fmt must have a value above zero"):
        _ = Codebook([-1.0, 0.0]).max_abs


def test_the_grid_continues_above_the_largest_value() -> None:
    for name in ("e2m2", "e4m3fn", "e8m0", "e5m2fnuz", "e3m2_nosub"):
        f = fmt(name)
        grid = [f.grid_value(m) for m in range(f.max_magnitude + 2)]
        assert grid == sorted(set(grid))
        assert grid[-1] == 2 * grid[-2] - grid[-3] or not f.mantissa_bits


@pytest.mark.parametrize("name", ["e2m2", "e4m3fnuz", "ue5m3", "e3m0", "int4", "int4full", "uint5"])
def test_codes_lie_on_the_binary_grid(name: str) -> None:
    f = fmt(name)
    grid = f.binary_grid
    assert grid is not None
    quantum = Fraction(2) ** (grid.emin - grid.mantissa_bits)
    assert f.exact_value(f.max_code) + quantum <= f.next_above_max
    for k in range(grid.limit + 1):
        field, mantissa = divmod(k, 1 << grid.mantissa_bits)
        leading = (1 << grid.mantissa_bits) if field else 0
        value = (leading + mantissa) * quantum * 2 ** max(field - 1, 0)
        assert f.exact_value(k) == value
        if 0 < k <= grid.negative_limit:
            sign = 1 << (f.bits - 1)
            assert f.exact_value((1 << f.bits) - k if grid.twos_complement else sign | k) == -value
    assert f.exact_value(f.min_code) in (0, -max(abs(Fraction(f.min)), 0))


def test_formats_without_a_binary_grid() -> None:
    assert (
        fmt("nf4").binary_grid is fmt("e8m0").binary_grid is fmt("e3m2_nosub").binary_grid is None
    )


def test_the_value_beyond_the_largest() -> None:
    beyond = {"e2m2": 8, "e4m3fn": 480, "e8m0": 2**128, "int4": 8, "uint5": 32, "nf4": None}
    assert {name: fmt(name).next_above_max for name in beyond} == beyond


def test_what_the_values_follow_from() -> None:
    names = ("e2m2", "int4", "uint4", "nf4")
    assert [fmt(n).is_integer for n in names] == [False, True, True, False]
    assert [fmt(n).is_table for n in names] == [False, False, False, True]


@pytest.mark.parametrize(
    "call",
    [
        lambda: p3109(10**5000, 3, signed=True, extended=True),
        lambda: p3109(8, 10**5000, signed=True, extended=True),
        lambda: parse("e2m2").grid_value(10**5000),
        lambda: planes(10**5000, [Plane(0, 1, pairs=True)], "one"),
    ],
)
def test_huge_integers_are_told_by_their_length(call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="an integer of 5001 digits"):
        call()
