"""Operands with scales: where the unit takes them, and the slow model."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat import arithmetic
from minifloat.arithmetic import UNITS
from minifloat.quantization.quantized import Quantized
from tests.arithmetic.slow_sums import NOTHING, field, same, slow_dot

PAIRS = [
    ("blackwell/mxfp8e4m3/float32", "mxfp8e4m3", "mxfp8e4m3"),
    ("blackwell/mxfp8e4m3/float32", "mxfp8e5m2", "mxfp4"),
    ("blackwell/mxfp6e3m2/float32", "mxfp6e2m3", "mxfp6e3m2"),
    ("blackwell/mxfp4/float32", "mxfp4", "mxfp4"),
    ("blackwell-rtx/nvfp4/float32", "nvfp4", "nvfp4"),
]


def numbers(seed: int, rows: int, n: int) -> np.ndarray:
    """Return normal numbers whose blocks of 16 have scales of very different sizes, or are 0."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, n // 16, 16)) * 2.0 ** rng.integers(-14, 14, (rows, n // 16, 1))
    x[rng.random((rows, n // 16)) < 0.1] = 0
    return x.reshape(rows, n).astype(np.float32)


def without_tensor_scale(q: Quantized) -> Quantized:
    recipe = q.recipe.replace(tensor_scale=False)
    return Quantized(q.packed, q.scales, recipe, q.shape, q.axis)


def slow(x: Quantized, w: Quantized, c: Any, unit: arithmetic.Unit) -> list[list[float]]:
    """The products of rows, scales and exponents taken apart by hand."""
    assert unit.scale is not None
    values = [mf.decode(q.codes, q.fmt).astype(float) for q in (x, w)]
    scales = [
        np.repeat(q.scales, q.blocks.width, axis=1)[:, : q.shape[1]].astype(float) for q in (x, w)
    ]
    found = []
    for i in range(x.shape[0]):
        row = []
        for j in range(w.shape[0]):
            fields = []
            for k in range(x.shape[1]):
                total = 0
                for q, v, s, r in zip((x, w), values, scales, (i, j), strict=True):
                    own = field(Fraction(v[r, k]), q.fmt.emin)
                    total += field(Fraction(s[r, k]), unit.scale.emin)
                    total += own if unit.accumulator.group == 1 or own == NOTHING else 0
                fields.append(max(total, NOTHING))
            a, b = values[0][i] * scales[0][i], values[1][j] * scales[1][j]
            row.append(slow_dot(a, b, c[i, j], unit.accumulator, fields=fields))
        found.append(row)
    return found


@pytest.mark.parametrize(("name", "left", "right"), PAIRS)
def test_scaled_units_are_the_slow_model(name: str, left: str, right: str) -> None:
    for n in (32, 64, 80, 160):
        x, w = mf.quantize(numbers(n, 3, n), left), mf.quantize(numbers(n + 1, 4, n), right)
        x, w = without_tensor_scale(x), without_tensor_scale(w)
        c = np.random.default_rng(n).standard_normal((3, 4), np.float32) * np.float32(8.0)
        c[0] = 0
        fast = arithmetic.linear(x, w, c, unit=name)
        assert same(fast, slow(x, w, c, UNITS[name])).all()


MX = ("mxfp8e4m3", "mxfp8e5m2", "mxfp6e2m3", "mxfp6e3m2", "mxfp4")
UNITS_OF = {
    **{(left, right): "mxfp8e4m3" for left in MX for right in MX},
    ("mxfp4", "mxfp4"): "mxfp4",
    ("nvfp4", "nvfp4"): "nvfp4",
}


@pytest.mark.parametrize("architecture", ["blackwell", "blackwell-rtx"])
@pytest.mark.parametrize(("left", "right"), UNITS_OF)
def test_every_pair_of_packed_formats(left: str, right: str, architecture: str) -> None:
    """Weights of one format, activations of another: the unit of either gives the slow model's."""
    x, w = mf.quantize(numbers(11, 2, 96), left), mf.quantize(numbers(12, 2, 96), right)
    x, w = without_tensor_scale(x), without_tensor_scale(w)
    c = np.random.default_rng(13).standard_normal((2, 2), np.float32)
    name = f"{architecture}/{UNITS_OF[left, right]}/float32"
    fast = arithmetic.linear(x, w, c, unit=name)
    assert same(fast, slow(x, w, c, UNITS[name])).all()
    if UNITS_OF[left, right] == "mxfp8e4m3":
        for own in {left, right, "mxfp6e2m3"} - {"mxfp4"}:
            other = arithmetic.linear(x, w, c, unit=f"{architecture}/{own}/float32")
            assert np.array_equal(fast, other)


def test_scales_do_not_enter_after_the_alignment() -> None:
    """A planted mistake: products of codes are added first, and each block's sum scaled."""
    x, w = mf.quantize(numbers(1, 4, 256), "mxfp8e4m3"), mf.quantize(numbers(2, 4, 256), "mxfp4")
    name = "blackwell/mxfp8e4m3/float32"
    values = [mf.decode(q.codes, q.fmt).reshape(4, 8, 32) for q in (x, w)]
    wrong = np.zeros((4, 4), np.float32)
    for k in range(8):
        a, b = values[0][:, k], values[1][:, k]
        wrong += (a @ b.T) * (x.scales[:, k, None] * w.scales[:, k])
    assert not np.array_equal(arithmetic.linear(x, w, unit=name), wrong)


def test_all_verbs_take_packed_operands() -> None:
    name = "blackwell/mxfp4/float32"
    x, w = numbers(1, 4, 96), numbers(2, 4, 96)
    qx, qw = mf.quantize(x, "mxfp4"), mf.quantize(w, "mxfp4")
    expected = arithmetic.linear(qx, qw, unit=name)
    columns = mf.quantize(w.T.copy(), "mxfp4", axis=0)
    assert np.array_equal(arithmetic.matmul(qx, columns, unit=name), expected)
    assert np.array_equal(arithmetic.dot(qx, qw, unit=name), expected.diagonal())
    assert np.array_equal(arithmetic.linear(qx, qw, threads=2, unit=name), expected)


def test_tensor_scales_multiply_the_result() -> None:
    name = "blackwell/nvfp4/float32"
    x, w = mf.quantize(numbers(3, 3, 64), "nvfp4"), mf.quantize(numbers(4, 5, 64), "nvfp4")
    assert x.tensor_scale is not None
    assert w.tensor_scale is not None
    c = np.full((3, 5), 0.5, np.float32)
    plain = arithmetic.linear(without_tensor_scale(x), without_tensor_scale(w), unit=name)
    scaled = (plain * (x.tensor_scale * w.tensor_scale)).astype(np.float32)
    assert np.array_equal(arithmetic.linear(x, w, c, unit=name), scaled + c)


def test_a_tensor_scale_of_1_is_one_too() -> None:
    name, n = "blackwell/nvfp4/float32", 64
    q = mf.quantize(numbers(8, 2, n), "nvfp4")
    one = Quantized(q.packed, q.scales, q.recipe, q.shape, q.axis, 1.0)
    c = np.full((2, 2), 1 / 3, np.float32)
    plain = arithmetic.linear(without_tensor_scale(q), without_tensor_scale(q), unit=name)
    assert np.array_equal(arithmetic.linear(one, one, c, unit=name), plain + c)


def test_plain_operands_have_scales_of_1() -> None:
    x = np.array([[1.0, -6.0, 0.5, 0.0] * 16], np.float32)
    packed = mf.pack(mf.encode(x.reshape(-1), "e2m1"), 4)
    for kind, recipe in (("mxfp4", "e2m1/32/e8m0"), ("nvfp4", "e2m1/16/e4m3fn")):
        own = mf.Recipe.parse(recipe)
        blocks = 2 if kind == "mxfp4" else 4
        q = Quantized(packed, np.ones((1, blocks), np.float32), own, x.shape, 1)
        unit = f"blackwell/{kind}/float32"
        expected = arithmetic.linear(q, q, 3.0, unit=unit)
        assert np.array_equal(arithmetic.linear(x, x, 3.0, unit=unit), expected)


@pytest.mark.parametrize(
    ("kind", "recipe", "large"), [("mxfp4", "e2m1/32/e8m0", 13), ("nvfp4", "e2m1/16/e4m3fn", 10)]
)
def test_the_published_example_spread_over_blocks(kind: str, recipe: str, large: int) -> None:
    """-2**23 and 2**23 (or 2**20, for NVFP4's scales) and -0.875 beside them: nothing is lost."""
    own = mf.Recipe.parse(recipe)
    blocks = 2 if kind == "mxfp4" else 4
    x, y = np.zeros((2, 1, 64), np.float32)
    x[0, 0], y[0, 0] = -4.0, 4.0
    x[0, 32:35], y[0, 32:35] = [-2.0, -1.0, -0.5], 1.0
    scales = np.ones((2, 1, blocks), np.float32)
    scales[:, 0, 0] = 2.0 ** (large - 2), 256.0
    scales[0, 0, blocks // 2] = 0.25
    a, b = (
        Quantized(mf.pack(mf.encode(v.reshape(-1), "e2m1"), 4), scale, own, v.shape, 1)
        for v, scale in zip((x, y), scales, strict=True)
    )
    found = arithmetic.dot(a, b, 2.0 ** (large + 10), unit=f"blackwell/{kind}/float32")
    assert found == -0.875


def test_nan_scales_make_nan() -> None:
    q = mf.quantize(numbers(5, 2, 64), "mxfp4")
    scales = q.scales.copy()
    scales[0, 1] = np.nan
    q = Quantized(q.packed, scales, q.recipe, q.shape, q.axis)
    result = arithmetic.linear(q, q, unit="blackwell/mxfp4/float32")
    assert np.isnan(result).tolist() == [[True, True], [True, False]]


def test_other_units_read_the_numbers_themselves() -> None:
    q = mf.quantize([[1.0, -6.0] * 16], "mxfp4")
    assert arithmetic.dot(q, q, unit="hopper/e4m3fn/float32") == [16 * 37]
    assert arithmetic.dot(q, q, accumulator="float32") == [16 * 37]


@pytest.mark.parametrize(
    ("recipe", "options", "message"),
    [
        ("e3m1/32/e8m0", {}, "x must be in one of e2m1"),
        ("e2m1/16/e8m0", {}, "x must have blocks of 32 along axis 1"),
        ("e2m1/32/e8m0", {"axis": 0}, "x must have blocks of 32 along axis 1"),
        ("e2m1/2x32/e8m0", {}, "got 2x32 along axis 1"),
        ("e2m1/32/float16", {}, "scales that are values of e8m0"),
    ],
)
def test_what_a_unit_does_not_take(recipe: str, options: dict[str, Any], message: str) -> None:
    q = mf.quantize(numbers(6, 32, 32), recipe, **options)
    w = mf.quantize(numbers(7, 2, 32), "mxfp4")
    with pytest.raises(ValueError, match=message):
        arithmetic.linear(q, w, unit="blackwell/mxfp4/float32")
    with pytest.raises(ValueError, match=r"w must have shape \(out, in\)"):
        arithmetic.linear(w, np.ones(32), unit="blackwell/mxfp4/float32")
