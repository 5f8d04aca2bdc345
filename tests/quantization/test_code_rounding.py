"""`minifloat.quantize` in other modes than to nearest: as `round_to` rounds the quotients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.formats.rounding import Rounding

STOCHASTIC = [mode for mode in Rounding if mode.is_stochastic]


def normal(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def over_weights(q: mf.Quantized, held: np.ndarray) -> np.ndarray:
    """Return what blocks hold, such as scales, in the shape of the weights."""
    if q.axis is None:
        return np.broadcast_to(held, q.shape)
    block = q.recipe.block
    sizes = {q.axis: q.shape[q.axis] if block == "channel" else block}
    if isinstance(block, tuple):
        sizes = {len(q.shape) - 2: block[0], len(q.shape) - 1: block[1]}
    for axis, size in sizes.items():
        places = np.arange(q.shape[axis]) // size
        held = np.take(held, places, axis)
    return held


def quotients(w: np.ndarray, q: mf.Quantized) -> np.ndarray:
    scales = q.scales.astype(np.float64)
    steps = over_weights(q, np.where(scales == 0, 1, scales)) * (q.tensor_scale or 1.0)
    return w / steps


CASES: dict[str, tuple[str, tuple[int, ...], int]] = {
    "rows": ("e2m1/16/e4m3fn", (5, 70), -1),
    "odd rows": ("e2m2/8/float16", (3, 7, 11), -1),
    "columns": ("e2m1/4/e8m0", (9, 6), 0),
    "middle axis": ("int4/3/float32", (3, 10, 5), 1),
    "channel": ("e3m2/channel/bfloat16", (4, 33), -1),
    "tensor": ("int5/tensor/float32", (4, 9), -1),
    "tiles": ("e4m3fn/4x8/float32", (10, 20), -1),
    "tensor scale": ("nvfp4", (6, 50), -1),
    "codebook": ("nf4/16/float32", (4, 40), -1),
    "searched": ("int3/16/float16/mse", (4, 40), -1),
    "wide codes": ("e5m8/16/float32", (4, 40), -1),
    "no weights": ("e2m1/16/e8m0", (0, 5), -1),
}


@pytest.mark.parametrize("mode", Rounding)
@pytest.mark.parametrize("case", CASES)
def test_codes_are_those_of_the_quotients(case: str, mode: Rounding) -> None:
    """A weight has the random word of its place in the array, whatever blocks it lies in."""
    recipe, shape, axis = CASES[case]
    w = normal(shape)
    options: dict[str, Any] = {"rounding": mode}
    if mode.is_stochastic:
        options["seed"] = 2**63 + 5
    q = mf.quantize(w, recipe, axis=axis, **options)
    nearest = mf.quantize(w, recipe, axis=axis)
    np.testing.assert_array_equal(q.scales, nearest.scales)
    assert q.tensor_scale == nearest.tensor_scale
    np.testing.assert_array_equal(q.codes, mf.encode(quotients(w, q), q.fmt, **options))


def test_rows_beyond_a_chunk_and_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    w = normal((64, 40))
    options: dict[str, Any] = {"rounding": "stochastic", "seed": 3}
    whole = mf.quantize(w, "e2m1/16/e8m0", **options)
    monkeypatch.setattr("minifloat.quantization.tasks.CHUNK", 160)
    for axis in (-1, 0):
        one = mf.quantize(w, "e2m1/16/e8m0", axis=axis, **options)
        assert one == mf.quantize(w, "e2m1/16/e8m0", axis=axis, threads=3, **options)
        np.testing.assert_array_equal(one.codes, mf.encode(quotients(w, one), "e2m1", **options))
    assert mf.quantize(w, "e2m1/16/e8m0", **options) == whole


def test_float64_and_integers() -> None:
    options: dict[str, Any] = {"rounding": "stochastic", "seed": 1}
    for w in (normal((3, 32)).astype(np.float64), np.arange(-48, 48).reshape(3, 32)):
        q = mf.quantize(w, "e2m1/8/float32", **options)
        np.testing.assert_array_equal(q.codes, mf.encode(quotients(w, q), "e2m1", **options))


@pytest.mark.parametrize("mode", ["stochastic", "toward_zero", "to_odd"])
def test_zero_points(mode: str) -> None:
    options: dict[str, Any] = {"rounding": mode}
    if mode == "stochastic":
        options["seed"] = 7
    w = normal((4, 50))
    q = mf.quantize(w, "uint4/16/float16/zero-point", **options)
    assert q.zero_points is not None
    places = over_weights(q, q.zero_points.astype(int))
    whole = mf.round_to(quotients(w, q), "int16", **options)
    np.testing.assert_array_equal(q.codes, np.clip(whole + places, 0, 15))


@pytest.mark.parametrize("recipe", ["if4", "four_over_six", "e2m1|int4|e3m0/16/e4m3fn"])
def test_alternatives(recipe: str) -> None:
    """Each block has the candidate that it has when weights are rounded to nearest."""
    options: dict[str, Any] = {"rounding": "stochastic", "seed": 9}
    w = normal((6, 64))
    w[0] = np.sign(w[0]) * 2.0 ** (np.arange(64) % 6)  # e3m0 has powers of two
    q, nearest = mf.quantize(w, recipe, **options), mf.quantize(w, recipe)
    if q.choices is None:
        np.testing.assert_array_equal(q.codes, mf.encode(quotients(w, q), q.fmt, **options))
        return
    assert nearest.choices is not None
    np.testing.assert_array_equal(q.choices, nearest.choices)
    assert len(np.unique(q.choices)) == len(q.recipe.candidates)
    factors = np.array(q.recipe.factors(q.tensor_scale))[q.choices]
    steps = over_weights(q, q.scales * factors)
    for k, candidate in enumerate(q.recipe.candidates):
        here = over_weights(q, q.choices) == k
        codes = mf.encode(w / steps, candidate.fmt, **options)
        np.testing.assert_array_equal(q.codes[here], codes[here])


def test_double_scales_and_rotations() -> None:
    w = normal((8, 128))
    for recipe in ("qlora", "e2m1/32/e8m0:ceil/hadamard32"):
        q = mf.quantize(w, recipe, rounding="stochastic", seed=4)
        assert np.array_equal(q.scales, mf.quantize(w, recipe).scales)
        assert q != mf.quantize(w, recipe)
        mean = np.mean(
            [mf.quantize(w, recipe, rounding="stochastic", seed=k).dequantize() for k in range(99)],
            axis=0,
        )
        noise = np.abs(q.dequantize() - w).mean()
        assert np.abs(mean - w).mean() < noise / 5, "a tenth of it, but for what saturates"


@pytest.mark.parametrize("recipe", ["e2m1/32/e8m0:ceil", "int4/16/e8m0:ceil", "nf4/8/e8m0:ceil"])
def test_the_mean_of_draws_is_the_weight(recipe: str) -> None:
    """To five standard deviations of a mean, for each weight and for the sum of each block."""
    w, draws = normal((4, 64)), 400
    q = mf.quantize(w, recipe, rounding="stochastic", seed=0)
    steps = over_weights(q, q.scales.astype(np.float64))
    values = np.sort(q.fmt.values())
    above = np.clip(np.searchsorted(values, w / steps, side="right"), 1, len(values) - 1)
    low, high = values[above - 1] * steps, values[above] * steps
    assert (low <= w).all()
    assert (w <= high).all()
    found = np.array(
        [
            mf.quantize(w, recipe, rounding="stochastic", seed=seed).dequantize()
            for seed in range(draws)
        ],
        np.float64,
    )
    assert np.all((found == low) | (found == high))
    variance = (w - low) * (high - w) / draws
    mean = found.mean(0)
    assert np.all(np.abs(mean - w) <= 5 * np.sqrt(variance) + 2**-24 * (high - low))
    sums, variances = (a.reshape(-1, q.recipe.block).sum(1) for a in (mean - w, variance))
    assert np.all(np.abs(sums) <= 5 * np.sqrt(variances) + 2**-20)
    nearest = mf.quantize(w, recipe).dequantize()
    assert np.any(np.abs(nearest - w) > 6 * np.sqrt(variance)), "rounding to nearest is biased"


def test_a_tensor_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    w = normal((4, 32))
    options: dict[str, Any] = {"rounding": "stochastic", "seed": 2}
    assert mf.quantize(torch.from_numpy(w), "mxfp4", **options) == mf.quantize(
        w, "mxfp4", **options
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rounding": "stochastic"}, 'seed must be given for rounding="stochastic", got None; pa'),
        ({"seed": 1}, "rounding must be stochastic to use seed, got nearest_even; leave seed out"),
        ({"rounding": "up", "seed": 1}, "rounding must be one of nearest_even"),
        ({"rounding": "stochastic", "seed": -1}, r"seed must be in 0..2\*\*64 - 1, got"),
        ({"recipe": "lut2", "rounding": "toward_zero"}, "rounding must be nearest_even for lut2/"),
        (
            {"recipe": "fpe2m2", "arithmetic": "authors", "rounding": "toward_zero"},
            "rounding must be nearest_even for e2m2b0/channel/bfloat16/authors, got toward_zero",
        ),
        (
            {"recipe": "uint16/32/float32/zero-point", "rounding": "toward_zero"},
            "zero points of over 15 bits have no other",
        ),
    ],
)
def test_faults(options: dict[str, Any], message: str) -> None:
    given = {"recipe": "e2m1", **options}
    with pytest.raises(ValueError, match=message):
        mf.quantize(normal((2, 32)), **given)
    with pytest.raises(TypeError, match=r"seed must be an int, got 1\.5"):
        mf.quantize(normal((2, 32)), "e2m1", rounding="stochastic", seed=1.5)  # type: ignore[arg-type]
