"""encode and decode against ml_dtypes, gfloat and NumPy, where they are right."""

import numpy as np
import pytest

import minifloat as mf
from minifloat.testing import assert_same_codes, decision_points, random_formats
from tests.codec.peers import GFLOAT_MODES, ML_DTYPES

P3109 = ["binary8p4se", "binary8p3se", "binary6p3sf", "binary5p1uf", "binary8p1se", "binary11p5ue"]


def random_floats(rng, count):
    """Floats of all magnitudes, most of them where small formats live."""
    exponents = np.concatenate([rng.normal(0, 6, count), rng.uniform(-120, 120, count // 8)])
    return (rng.choice([-1, 1], exponents.shape) * np.exp2(exponents)).astype(np.float32)


@pytest.mark.parametrize("source", ["float16", "float32"])
@pytest.mark.parametrize(("name", "theirs", "policy"), ML_DTYPES)
def test_encode_like_ml_dtypes(name, theirs, policy, source):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    fmt, dtype = mf.parse(name), getattr(ml_dtypes, theirs)
    with np.errstate(over="ignore"):
        x = random_floats(np.random.default_rng(21), 50_000).astype(source)
    x = np.concatenate([x, decision_points(fmt, source)[:-1]])
    with np.errstate(invalid="ignore", over="ignore"):
        want = x.astype(dtype).view(np.uint8)
    if fmt.has_nan:  # ml_dtypes keeps the sign of NaN
        want[np.isnan(fmt.values())[want]] = fmt.nan_code
    assert_same_codes(mf.encode(x, fmt, overflow=policy), want, x, fmt, about=theirs)


@pytest.mark.parametrize(("name", "theirs", "policy"), ML_DTYPES)
def test_decode_like_ml_dtypes(name, theirs, policy):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    codes = np.arange(mf.parse(name).code_count).astype(np.uint8)
    with np.errstate(invalid="ignore"):
        want = codes.view(getattr(ml_dtypes, theirs)).astype(np.float32)
    got = mf.decode(codes, name)
    numbers = ~np.isnan(want)
    np.testing.assert_array_equal(np.isnan(got), ~numbers)
    np.testing.assert_array_equal(got.view(np.uint32)[numbers], want.view(np.uint32)[numbers])


@pytest.mark.parametrize("source", ["float32", "float64"])
def test_float16_like_numpy(source):
    x = random_floats(np.random.default_rng(22), 100_000).astype(source)
    if source == "float64":
        x *= 1 + np.random.default_rng(23).uniform(-1e-9, 1e-9, x.shape)
    with np.errstate(over="ignore"):
        want = x.astype(np.float16).view(np.uint16)
    assert_same_codes(mf.encode(x, "float16", overflow="ieee"), want, x, "float16")


def test_bfloat16_like_ml_dtypes():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = random_floats(np.random.default_rng(24), 100_000)
    want = x.astype(ml_dtypes.bfloat16).view(np.uint16)
    assert_same_codes(mf.encode(x, "bfloat16", overflow="ieee"), want, x, "bfloat16")


def gfloat_format(name):
    gfloat = pytest.importorskip("gfloat")
    formats = pytest.importorskip("gfloat.formats")
    width, rest = name.removeprefix("binary").split("p")
    signedness = gfloat.Signedness.Signed if rest[-2] == "s" else gfloat.Signedness.Unsigned
    domain = gfloat.Domain.Extended if rest[-1] == "e" else gfloat.Domain.Finite
    return formats.format_info_p3109(int(width), int(rest[:-2]), signedness, domain)


@pytest.mark.parametrize("name", P3109)
@pytest.mark.parametrize("mode", GFLOAT_MODES)
def test_p3109_like_gfloat(name, mode):
    gfloat = pytest.importorskip("gfloat")
    fmt, info = mf.parse(name), gfloat_format(name)
    x = random_floats(np.random.default_rng(25), 500).astype(np.float64)
    # of float32: gfloat 0.5.2 takes 0.5 - 2**-54 of a gap for a tie
    points = decision_points(fmt, np.float32)[:-1].astype(np.float64)
    x = np.concatenate([x, points[:: max(1, len(points) // 500)]])
    if not fmt.signed:
        x = x[x >= 0]  # gfloat 0.5.2 is wrong below zero
    for saturate, policy in ((True, "saturate"), (False, "ieee")):
        rounding = gfloat.RoundMode[GFLOAT_MODES[mode]]
        want = np.array([gfloat.round_float(info, float(v), rounding, saturate) for v in x])
        got = mf.decode(mf.encode(x, fmt, rounding=mode, overflow=policy), fmt, dtype=np.float64)
        np.testing.assert_array_equal(got, want)
        numbers = ~np.isnan(want)
        np.testing.assert_array_equal(np.signbit(got)[numbers], np.signbit(want)[numbers])


@pytest.mark.parametrize("width", [3, 5, 8])
def test_p3109_values_like_gfloat(width):
    gfloat = pytest.importorskip("gfloat")
    for precision in range(1, width):
        for end in ("se", "sf", "ue", "uf"):
            name = f"binary{width}p{precision}{end}"
            info, codes = gfloat_format(name), np.arange(2**width).astype(np.uint8)
            want = [gfloat.decode_float(info, int(code)).fval for code in codes]
            np.testing.assert_array_equal(mf.decode(codes, name, dtype=np.float64), want)


def test_order_is_kept():
    """With the decision points this covers all numbers between them: a rounding is monotone."""
    rng = np.random.default_rng(26)
    for fmt in random_formats(rng, 20):
        x = np.sort(random_floats(rng, 20_000))
        for mode in ("nearest_even", "downward", "to_odd"):
            values = fmt.values()[mf.encode(x, fmt, rounding=mode)]
            assert np.all(np.diff(values) >= 0), (fmt, mode)
