"""Rotations: their matrices and signs, and rotated weights against exact arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from scipy.linalg import hadamard

import minifloat as mf
from minifloat.quantization.rotations import core_size

SIZES = [n for n in range(2, 301) if core_size(n)]
RNG = np.random.default_rng(19)
W = RNG.standard_t(3, (12, 96)).astype(np.float32)


def split_mix(seed: int, count: int) -> list[int]:
    """Return numbers of SplitMix64 as its authors' C program has it."""
    mask, numbers = (1 << 64) - 1, []
    for _ in range(count):
        seed = (seed + 0x9E3779B97F4A7C15) & mask
        z = ((seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        numbers.append(z ^ (z >> 31))
    return numbers


def rotated(row: list[Fraction], rotation: mf.Rotation, *, back: bool = False) -> list[Fraction]:
    """Rotate a row in exact arithmetic, by the matrix; the root of the size must be rational."""
    n, root = rotation.size, math.isqrt(rotation.size)
    assert root * root == n
    h, signs = rotation.matrix().tolist(), rotation.signs(len(row)).tolist()
    out = [Fraction(0)] * len(row)
    for start in range(0, len(row), n):
        for i in range(n):
            for j in range(n):
                if back:
                    out[start + j] += h[i][j] * row[start + i] * signs[start + j] / root
                else:
                    out[start + i] += h[i][j] * row[start + j] * signs[start + j] / root
    return out


def test_the_sizes() -> None:
    assert [n for n in SIZES if n <= 64] == [2, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 56,
                                             60, 64]  # fmt: skip
    assert core_size(576) == 36  # SmolLM2's width: Paley's second construction, from 17
    assert core_size(1 << 20) == 1


@pytest.mark.parametrize("size", SIZES)
def test_rows_are_orthogonal(size: int) -> None:
    h = mf.Rotation(size).matrix().astype(np.int64)
    assert set(np.unique(h)) == {-1, 1}
    assert np.array_equal(h @ h.T, size * np.eye(size, dtype=np.int64))


def test_powers_of_two_are_sylvesters() -> None:
    for size in (2, 4, 64, 256):
        assert np.array_equal(mf.Rotation(size).matrix(), hadamard(size))


def test_signs_are_those_of_split_mix() -> None:
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert split_mix(1234567, 4) == known  # published test values
    for seed in (0, 1, 1234567, (1 << 64) - 1):
        wanted = [-1 if number >> 63 else 1 for number in split_mix(seed, 300)]
        assert mf.Rotation(4, seed).signs(300).tolist() == wanted
    assert abs(mf.Rotation(4).signs(10_000).sum()) < 400


def stated(rotation: mf.Rotation, x: Any, *, back: bool) -> Any:
    """Rotate rows as `Rotation.rotate` states it: NumPy adds in that order, each number at once."""
    size = rotation.size
    m = core_size(size)
    assert m is not None
    factors = (rotation.signs(x.shape[-1]) * (1 / math.sqrt(size))).astype(x.dtype)
    core = rotation.matrix()[:m, :m].astype(x.dtype)
    y = x if back else x * factors
    runs = y.reshape(-1, m)
    columns = core if back else core.T
    total = columns[0] * runs[:, :1]
    for k in range(1, m):
        total = total + columns[k] * runs[:, k : k + 1]
    distance = m
    while distance < size:
        a, b = np.moveaxis(total.reshape(-1, 2, distance), 1, 0)
        total = np.stack([a + b, a - b], 1)
        distance *= 2
    return total.reshape(x.shape) * (factors if back else x.dtype.type(1))


@pytest.mark.parametrize("blocks", [3, 16])
@pytest.mark.parametrize("size", [2, 4, 8, 12, 16, 20, 24, 28, 36, 64, 96, 128, 144, 252, 384])
def test_every_operation_is_the_stated_one(size: int, blocks: int) -> None:
    """Rows of a multiple of sixteen numbers are rotated in vectors."""
    for dtype in (np.float32, np.float64):
        rotation = mf.Rotation(size, 3)
        x = RNG.standard_normal((5, blocks * size)).astype(dtype)
        for back in (False, True):
            got = rotation.rotate_back(x) if back else rotation.rotate(x)
            assert got.dtype == dtype
            assert np.array_equal(got, stated(rotation, x, back=back))


@pytest.mark.parametrize("size", [12, 20, 24, 28, 36, 60, 80])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_values_stay_in_their_block(size: int, dtype: Any) -> None:
    """Vectors go beyond their block: what they write there must not stay. A sum of -0 is -0."""
    rotation = mf.Rotation(size, 5)
    h = rotation.matrix()
    for blocks in range(1, 10):
        for back in (False, True):
            x = RNG.standard_normal((3, blocks * size)).astype(dtype)
            x[0] = -0.0 * np.tile(h[:, 0] if back else h[0], blocks)
            x[0] *= 1 if back else rotation.signs(blocks * size)
            x[1, :: 2 * size + 1] = np.inf
            x[2, RNG.integers(x.shape[1])] = np.nan
            with np.errstate(invalid="ignore"):
                want = stated(rotation, x, back=back)
            assert np.signbit(want[0, ::size]).any()
            out, copy = np.full_like(x, 7), x.copy()
            rotation.transform(x, back=back, out=out)
            rotation.transform(copy, back=back)
            for got in (out, copy):
                np.testing.assert_array_equal(got, want)
                assert np.array_equal(np.signbit(got[0]), np.signbit(want[0]))


@pytest.mark.parametrize("size", [4, 12, 36, 64, 96])
def test_rotating_is_the_matrix_and_is_undone(size: int) -> None:
    rotation = mf.Rotation(size, 7)
    x = RNG.standard_normal((3, 2 * size, 2))
    blocks = (np.moveaxis(x, 1, 2) * rotation.signs(2 * size)).reshape(3, 2, 2, size)
    wanted = (blocks @ rotation.matrix().T / math.sqrt(size)).reshape(3, 2, 2 * size)
    got = rotation.rotate(x, axis=1)
    assert np.abs(got - np.moveaxis(wanted, 2, 1)).max() < 1e-14 * size
    assert np.abs(rotation.rotate_back(got, axis=-2) - x).max() < 1e-14
    assert np.linalg.norm(got) == pytest.approx(np.linalg.norm(x), rel=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize(
    ("recipe", "axis"),
    [("int4/8/float16/hadamard16:5", 1), ("e2m2/16/e8m0/hadamard64", 1),
     ("uint4/16/e8m0/zero-point+hadamard4", 1), ("e2m1/16/e4m3fn/hadamard36:9", 1),
     ("e3m1/2x8/e8m0/hadamard16", 1), ("int3/3/float16/hadamard4:2", 0)],
)  # fmt: skip
def test_dequantize_rotates_the_exact_values_back(recipe: str, axis: int, dtype: Any) -> None:
    """The exact value of each code, times its scale, times the exact matrix, rounded once."""
    parsed = mf.Recipe.parse(recipe)
    assert parsed.rotation is not None
    length = 2 * parsed.rotation.size
    shape = (4, length) if axis else (length, 4)
    w = RNG.standard_normal(shape).astype(np.float32)
    q = mf.quantize(w, recipe, axis=axis)
    values = [parsed.fmt.value(code) for code in range(parsed.fmt.code_count)]
    codes = np.moveaxis(q.codes, axis, -1)
    width = parsed.block[1] if isinstance(parsed.block, tuple) else int(parsed.block)  # type: ignore[arg-type]
    scales, zeros = q.row_scales(), q.row_zero_points()
    wanted = np.empty(codes.shape, np.float64)
    for r, row in enumerate(codes.tolist()):
        exact = []
        for i, code in enumerate(row):
            zero = 0 if zeros is None else int(zeros[r, i // width])
            exact.append((Fraction(values[code]) - zero) * Fraction(float(scales[r, i // width])))
        wanted[r] = [float(value) for value in rotated(exact, parsed.rotation, back=True)]
    if parsed.rotation.size == 36:  # 1 / 6 is rounded, so only nearly
        assert np.abs(np.moveaxis(q.dequantize(), axis, -1) - wanted).max() < 1e-6
        return
    assert np.array_equal(np.moveaxis(q.dequantize(dtype), axis, -1), wanted.astype(dtype))


@pytest.mark.parametrize(
    "recipe",
    ["e2m2/32/float16", "nvfp4", "mxfp4", "uint4/32/float16/zero-point", "nf4/32/float32/double",
     "int4/channel/float32", "e4m3fn/2x32/float32", "int4/32/e4m3fn/mse", "e5m4/32/float16",
     "int4/32/float16/percentile90"],
)  # fmt: skip
@pytest.mark.parametrize("rotation", ["hadamard32:4", "hadamard96"])
def test_quantizing_is_that_of_the_rotated_weights(recipe: str, rotation: str) -> None:
    q = mf.quantize(W, recipe, rotation=rotation)
    turned = mf.Rotation.parse(rotation).rotate(W.astype(np.float64)).astype(np.float32)
    plain = mf.quantize(turned, recipe)
    wide = mf.quantize(W.astype(np.float64), recipe, rotation=rotation).stored
    assert wide == mf.quantize(mf.Rotation.parse(rotation).rotate(W.astype(np.float64)), recipe)
    assert q.stored == plain
    assert q.stored.rotation is None
    assert q.bits_per_weight == plain.bits_per_weight
    assert q.recipe.bits_per_weight == plain.recipe.bits_per_weight
    error = np.linalg.norm(plain.dequantize() - turned)
    assert np.linalg.norm(q.dequantize() - W) == pytest.approx(error, rel=1e-5)
    assert np.array_equal(q.dequantize(threads=3), q.dequantize())
    assert mf.quantize(W, recipe, rotation=rotation, threads=2) == q
    for rows in (slice(3, 7), 5, [1, 9]):
        if isinstance(rows, int) and "x" in recipe:
            continue  # a scale for each row then
        assert np.array_equal(q[rows].dequantize(), q.dequantize()[rows])


@pytest.mark.parametrize("mistake", ["no signs", "not normalised", "other axis", "other seed"])
def test_mistakes_are_seen(mistake: str) -> None:
    """Weights that are rotated by mistake are not those that come back."""
    rotation = mf.Rotation(16, 1)
    w = RNG.standard_normal((16, 16)).astype(np.float32) if mistake == "other axis" else W
    turned = {
        "no signs": lambda: rotation.rotate(w * rotation.signs(w.shape[1])),
        "not normalised": lambda: 4 * rotation.rotate(w),
        "other axis": lambda: rotation.rotate(w, axis=0),
        "other seed": lambda: mf.Rotation(16, 2).rotate(w),
    }[mistake]()
    recipe = mf.Recipe("e4m6", block=16, scale="float32")
    stored = mf.quantize(turned, recipe)
    q = replace(stored, recipe=recipe.replace(rotation=rotation))
    assert np.abs(q.dequantize() - w).max() > 0.5
    right = replace(mf.quantize(rotation.rotate(w), recipe), recipe=q.recipe)
    assert np.abs(right.dequantize() - w).max() < 0.02 * np.abs(w).max()


def test_gptq_rounds_rotated_weights_for_rotated_inputs() -> None:
    x = RNG.standard_normal((400, 96)) @ RNG.standard_normal((96, 96))
    rotation = mf.Rotation(32, 4)
    q = mf.gptq(W, "int3/16/float32", x.T @ x, rotation=rotation)
    turned, inputs = rotation.rotate(W.astype(np.float64)), rotation.rotate(x)
    plain = mf.gptq(turned, "int3/16/float32", inputs.T @ inputs)
    assert (q.codes == plain.codes).mean() > 0.99  # the Hessians differ by their rounding
    losses = [
        np.linalg.norm(x @ (each.dequantize() - W).T)
        for each in (q, mf.quantize(W, q.recipe), mf.gptq(W, q.recipe, np.eye(96)))
    ]
    assert losses[0] < 0.7 * min(losses[1:])
    wrong = mf.gptq(turned, "int3/16/float32", x.T @ x)  # a Hessian that is not rotated
    assert np.linalg.norm(inputs @ (wrong.dequantize() - turned).T) > 1.3 * losses[0]


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_files_hold_the_rotation(suffix: str, tmp_path: Path) -> None:
    for axis in (0, 1):
        q = mf.quantize(W, "nvfp4", rotation=mf.Rotation(4, (1 << 64) - 1), axis=axis)
        mf.save(q, tmp_path / f"q{suffix}")
        again = mf.load(tmp_path / f"q{suffix}")
        assert again == q
        assert again.rotation == q.rotation
        assert np.array_equal(again.dequantize(), q.dequantize())


def test_texts() -> None:
    for text in ("hadamard128", "hadamard36:7", f"hadamard2:{(1 << 64) - 1}"):
        rotation = mf.Rotation.parse(text.upper())
        assert str(rotation) == text
        assert mf.Rotation.parse(rotation) == rotation
        recipe = mf.Recipe("int4", rotation=text)
        assert str(recipe) == f"int4/128/float16/{text}"
        assert mf.Recipe.parse(str(recipe)) == recipe
    assert mf.Recipe.parse("nvfp4").replace(rotation="hadamard16").scaling == (
        "16/e4m3fn/tensor-scale+hadamard16"
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mf.Rotation(1), "size must be in 2..1048576, got 1"),
        (lambda: mf.Rotation(100), "size must be a power .*, got 100; the next .* is 96"),
        (lambda: mf.Rotation(4, -1), r"seed must be in 0..2\*\*64 - 1, got -1"),
        (lambda: mf.Rotation.parse("hadamard"), "rotation must be text as hadamard128 or .*, got"),
        (lambda: mf.Rotation.parse("hadamard4:"), "rotation must be text as hadamard128 or .*"),
        (lambda: mf.Recipe.parse("int4/8/float16/hadamard8+hadamard4"), "options must be .*once"),
        (lambda: mf.Recipe("int4", block="tensor", rotation="hadamard8"), "block must .*; use ch"),
        (lambda: mf.Recipe("uint4", rotation="hadamard8"), "fmt must have negative .*; use zero_p"),
        (lambda: mf.Recipe("e2m2", arithmetic="authors", rotation="hadamard8"), "arithmetic must"),
        (lambda: mf.quantize(W, "int4", rotation="hadamard64"), "rotation must .*96, got hadamard64"
                                                                "; use hadamard48"),
        (lambda: mf.quantize(W[:, :7], "int4", rotation="hadamard4"), "rotation.*; leave it out"),
        (lambda: mf.quantize(1.0, "int4", rotation="hadamard4"), "rotation .*axis, 1, got"),
        (lambda: mf.quantize(W, "int4", rotation="hadamard8", axis=0), "rotation .*axis, 12, got"),
        (lambda: mf.gptq(W, "int4", np.eye(96), rotation="hadamard64"), "rotation .*axis, 96, got"),
        (lambda: mf.quantize(W, "int4", search="mse", importance=W**2, rotation="hadamard8"),
         "importance must come without a rotation"),
        (lambda: mf.quantize(np.where(W > 3, np.inf, W), "int4", rotation="hadamard8"),
         "w must be finite, got inf at index"),
        (lambda: mf.quantize(np.full(8, 1e308), "int4", rotation="hadamard8"), "w must be f.* wh"),
        (lambda: mf.quantize(np.full(8, 3e38), "int4/8/float32", rotation="hadamard8"),
         "w must become numbers within float32"),
        (lambda: mf.quantize(W, "int4", rotation="hadamard4", axis=0)[1:], "rows must not be"),
        (lambda: replace(mf.quantize(W, "int4"), recipe=mf.Recipe("int4", rotation="hadamard64")),
         "rotation must have a size that divides"),
        (lambda: mf.Rotation(8).rotate(W, axis=2), r"axis must be in -2..1 for shape \(12, 96\)"),
        (lambda: mf.Rotation(8).rotate(1.0), "x must have an axis to rotate along, got a number"),
        (lambda: mf.Rotation(8).rotate(W[:, :9]), r"x must have a multiple of 8 numbers along axis "
         r"-1, got shape \(12, 9\); append zeros, or use"),
    ],
)  # fmt: skip
def test_errors(make: Callable[[], object], message: str) -> None:
    with pytest.raises((ValueError, IndexError), match=message):
        make()


@pytest.mark.parametrize("wrong", [None, 1.5, "8", True, b"8"])
def test_wrong_types(wrong: Any) -> None:
    with pytest.raises(TypeError):
        mf.Rotation(wrong)
    with pytest.raises((TypeError, ValueError)):
        mf.Rotation.parse(wrong)


@pytest.mark.parametrize(("shape", "axis"), [((0,), 0), ((3, 0), -1), ((0, 3), 0), ((16, 0), 0)])
@pytest.mark.parametrize("size", [16, 12])
def test_rotating_no_numbers(shape: tuple[int, ...], axis: int, size: int) -> None:
    if shape[axis] % size:
        return
    x = np.zeros(shape, np.float32)
    for rotate in (mf.Rotation(size).rotate, mf.Rotation(size).rotate_back):
        assert rotate(x, axis=axis).shape == shape


def test_products_and_gptq_of_no_inputs() -> None:
    w = np.zeros((3, 0), np.float32)
    q = mf.quantize(w, "int4", rotation="hadamard16")
    assert not mf.linear(np.zeros((2, 0), np.float32), q).any()
    assert (q @ np.zeros((0, 2), np.float32)).shape == (3, 2)
    assert mf.gptq(w, "int4", np.zeros((0, 0)), rotation="hadamard16") == q


def test_empty_weights() -> None:
    for shape in ((0, 16), (3, 0), (2, 0, 16)):
        assert (
            mf.quantize(np.zeros(shape), "int4", rotation="hadamard16").dequantize().shape == shape
        )


@pytest.mark.parametrize("size", [2, 4, 16, 32, 12, 24])
@pytest.mark.parametrize("back", [False, True])
def test_down_columns_it_is_the_rotation_of_the_transposed_matrix(size: int, back: bool) -> None:
    rotation = mf.Rotation(size, 3)
    for shape in ((2 * size, 5), (3, size, 7), (size, 300), (16 * size, 3)):
        for dtype in (np.float32, np.float64):
            x = RNG.standard_normal(shape).astype(dtype)
            wanted = np.ascontiguousarray(x.swapaxes(-1, -2))
            given, apart = x.copy(), np.empty_like(x)
            rotation.transform(wanted, back=back)
            rotation.transform_down(x, back=back, out=apart)
            assert np.array_equal(x, given)
            rotation.transform_down(x, back=back)
            assert np.array_equal(x, wanted.swapaxes(-1, -2))
            assert np.array_equal(apart, x)
            rotation.transform(np.ascontiguousarray(given.swapaxes(-1, -2)), back=back, out=wanted)
            assert np.array_equal(apart, wanted.swapaxes(-1, -2))
