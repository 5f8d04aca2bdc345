"""`gptq` against its paper's formulas, brute force and plain rounding."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minifloat as mf
from minifloat.quantization import feedback, tasks
from minifloat.testing import exact_encode

MINE = mf.Codebook([-2.0, -0.75, 0.5, 3.0], "mine")  # neither symmetric nor with a zero
FORMATS = ("e2m2", "int5", "nf4", "e2m1fnuz", "e3m0", "int4full", "bipolar_int3", "mine")


def parse(fmt: str) -> mf.NumberFormat:
    return MINE if fmt == "mine" else mf.parse(fmt)


def weights(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def correlated(inputs: int, seed: int = 1, rank: int | None = None) -> np.ndarray:
    """Return X^T X of samples that share a few directions, each input with a size of its own."""
    rng = np.random.default_rng(seed)
    samples = 3 * inputs
    x = rng.standard_normal((samples, inputs))
    x += 2 * rng.standard_normal((samples, 3)) @ rng.standard_normal((3, inputs))
    if rank is not None:
        x = x[:rank]
    x *= rng.exponential(size=inputs) + 0.1
    return x.T @ x


def output_error(w: np.ndarray, q: mf.Quantized, hessian: np.ndarray) -> float:
    d = w.astype(np.float64) - q.dequantize()
    return float(np.sum((d @ hessian) * d))


def by_the_paper(
    w: np.ndarray, hessian: np.ndarray, fmt: mf.NumberFormat, size: int, damp: float = 0.01,
    **options: Any,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Return codes and scales by equation (2) of arXiv 2210.17323, a weight at a time.

    After each weight the Hessian of those left is inverted anew. A block's scale is that of
    plain `quantize`, of the updated weights.
    """
    hessian = hessian + damp * np.diag(hessian).mean() * np.eye(len(hessian))
    codes, scales = np.zeros(w.shape, int), np.zeros((w.shape[0], -(-w.shape[1] // size)))
    for i, row in enumerate(w.astype(np.float64)):
        for q in range(row.size):
            if q % size == 0:
                plain = mf.quantize(row[q : q + size], fmt, block="channel", **options)
                scale = float(plain.scales[0])
                scales[i, q // size] = scale
            code = int(mf.encode(row[q] / scale, fmt))
            codes[i, q] = code
            inverse = np.linalg.inv(hessian[q:, q:])
            row[q:] -= (row[q] - fmt.value(code) * scale) / inverse[0, 0] * inverse[0]
    return codes, scales


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(("size", "panel"), [(10, 4), (4, 8), (7, 128), (40, 16), (3, 128)])
def test_against_the_paper(
    name: str, size: int, panel: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feedback, "PANEL", panel)
    w, hessian, fmt = weights((5, 40)), correlated(40), parse(name)
    q = mf.gptq(w, fmt, hessian, block=size)
    codes, scales = by_the_paper(w, hessian, fmt, size)
    np.testing.assert_array_equal(q.codes, codes)
    np.testing.assert_array_equal(q.scales, scales)
    assert (q.codes != mf.quantize(w, fmt, block=size).codes).any()


@pytest.mark.parametrize(
    "options",
    [
        {"search": "mse", "scale": "float32"},
        {"search": "shrink"},
        {"search": "percentile", "percentile": 90.0},
        {"scale": "e8m0", "scale_rounding": "floor"},
    ],
)
def test_scales_are_found_as_without_a_hessian(options: dict[str, Any]) -> None:
    w, hessian = weights((4, 30)), correlated(30)
    for fmt in map(mf.parse, ("e2m1", "nf4")):
        q = mf.gptq(w, fmt, hessian, block=8, **options)
        codes, scales = by_the_paper(w, hessian, fmt, 8, **options)
        np.testing.assert_array_equal(q.codes, codes)
        np.testing.assert_array_equal(q.scales, scales)


def test_damp() -> None:
    w, hessian = weights((4, 30)), correlated(30)
    results = set()
    for damp in (0, 0.01, 0.3, np.float32(2)):
        q = mf.gptq(w, "e2m2", hessian, block=10, damp=damp)
        codes, _ = by_the_paper(w, hessian, mf.parse("e2m2"), 10, damp=float(damp))
        np.testing.assert_array_equal(q.codes, codes)
        results.add(codes.tobytes())
    assert len(results) == 4
    default = mf.gptq(w, "e2m2", hessian, block=10)
    the_same = mf.gptq(w, "e2m2", hessian, block=10, damp=0.01)
    np.testing.assert_array_equal(default.codes, the_same.codes)


Feedback = Callable[[Any, int, float], np.ndarray]


def lower_for_upper(hessian: Any, inputs: int, damp: float) -> np.ndarray:
    """Factor H = L L^T instead of R R^T."""
    damped = hessian + damp * np.diag(hessian).mean() * np.eye(inputs)
    inverse = np.linalg.inv(np.linalg.cholesky(damped)).T
    return np.ascontiguousarray(inverse / np.diag(inverse)[:, np.newaxis])


def scaled_by_column(hessian: Any, inputs: int, damp: float) -> np.ndarray:
    """Divide U_jk of the paper by U_kk instead of U_jj."""
    damped = hessian + damp * np.diag(hessian).mean() * np.eye(inputs)
    upper = np.linalg.cholesky(np.linalg.inv(damped)).T
    return np.ascontiguousarray(upper / np.diag(upper))


def not_inverted(hessian: Any, inputs: int, damp: float) -> np.ndarray:
    return np.linalg.inv(FEEDBACK(hessian, inputs, damp))


def no_updates(hessian: Any, inputs: int, damp: float) -> np.ndarray:
    return np.eye(inputs)


def wrong_sign(hessian: Any, inputs: int, damp: float) -> np.ndarray:
    return 2 * np.eye(inputs) - FEEDBACK(hessian, inputs, damp)


def twice_the_damp(hessian: Any, inputs: int, damp: float) -> np.ndarray:
    return FEEDBACK(hessian, inputs, 2 * damp)


def damp_of_the_trace(hessian: Any, inputs: int, damp: float) -> np.ndarray:
    return FEEDBACK(hessian, inputs, damp * inputs)


FEEDBACK: Feedback = feedback.feedback
MISTAKES = [
    lower_for_upper, scaled_by_column, not_inverted, no_updates, wrong_sign, twice_the_damp,
    damp_of_the_trace,
]  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_paper_rejects_mistakes(mistake: Feedback, monkeypatch: pytest.MonkeyPatch) -> None:
    w, hessian = weights((5, 40)), correlated(40)
    codes, _ = by_the_paper(w, hessian, mf.parse("e2m2"), 10)
    monkeypatch.setattr(feedback, "feedback", mistake)
    wrong = mf.gptq(w, "e2m2", hessian, block=10)
    assert (wrong.codes != codes).any()


def test_the_paper_rejects_scales_of_the_weights_as_they_were() -> None:
    w, hessian = weights((5, 40)), correlated(40)
    _, scales = by_the_paper(w, hessian, mf.parse("e2m2"), 10)
    plain = mf.quantize(w, "e2m2", block=10)
    np.testing.assert_array_equal(plain.scales[:, 0], scales[:, 0])
    assert (plain.scales[:, 1:] != scales[:, 1:]).all(1).any()


def test_the_feedback_is_the_papers() -> None:
    """Row j of the Cholesky factor U of the inverse, over U_jj; and it splits the error."""
    for n in (5, 40, 300):
        hessian = correlated(n)
        damped = hessian + 0.01 * np.diag(hessian).mean() * np.eye(n)
        upper = np.linalg.cholesky(np.linalg.inv(damped)).T
        expected = upper / np.diag(upper)[:, np.newaxis]
        factors = feedback.feedback(hessian, n, 0.01)
        np.testing.assert_allclose(factors, expected, rtol=1e-8, atol=1e-9 * np.abs(expected).max())
        assert not np.tril(factors, -1).any()
        e = np.random.default_rng(n).standard_normal(n)
        d = e @ factors
        assert np.sum((e / np.diag(upper)) ** 2) == pytest.approx(d @ damped @ d, rel=1e-9, abs=0)


def test_brute_force_on_tiny_layers() -> None:
    """Of all codes at one scale GPTQ finds the best far more often than plain rounding does."""
    values = np.unique(mf.parse("int2").values()[[0, 1, 3]])
    every = np.array(list(itertools.product(values, repeat=5)))
    best, plain_best, better, worse = 0, 0, 0, 0
    for seed in range(300):
        hessian, w = correlated(5, seed), weights((1, 5), seed)
        q = mf.gptq(w, "int2", hessian, block="channel", scale="float32", damp=0)
        plain = mf.quantize(w, "int2", block="channel", scale="float32")
        assert q.scales == plain.scales, (
            "the scale of a first block is found before anything is rounded"
        )
        d = every * float(q.scales[0, 0]) - w
        least = float(np.sum((d @ hessian) * d, axis=1).min())
        error, plain_error = output_error(w, q, hessian), output_error(w, plain, hessian)
        assert least * (1 - 1e-6) <= min(error, plain_error)
        best += error <= least * (1 + 1e-6)
        plain_best += plain_error <= least * (1 + 1e-6)
        better += error < plain_error * (1 - 1e-6)
        worse += error > plain_error * (1 + 1e-6)
    assert best > 1.5 * plain_best  # 123 and 63
    assert better > 5 * worse  # 162 and 24


@pytest.mark.parametrize("fmt", ["e2m2", "e2m1", "int5", "int4", "nf4", "e4m3fn"])
@pytest.mark.parametrize("size", [32, "channel"])
def test_correlated_layers_have_smaller_errors(fmt: str, size: int | str) -> None:
    for seed in range(5):
        w, hessian = weights((32, 96), seed), correlated(96, seed)
        q = mf.gptq(w, mf.parse(fmt), hessian, block=size)
        plain = mf.quantize(w, mf.parse(fmt), block=size)
        assert output_error(w, q, hessian) < 0.5 * output_error(w, plain, hessian)


def awkward() -> np.ndarray:
    """Return weights with ties, zeros of both signs, a zero block, and huge and tiny ones."""
    w = weights((6, 50), 3)
    w[1] = np.round(w[1] * 4) / 4
    w[2, :20], w[2, 20:] = 0.0, -0.0
    w[3, ::3] = -0.0
    w[4] *= np.float32(1e-6)
    w[5, 7] = 300
    return w


OPTIONS: list[dict[str, Any]] = [
    {},
    {"scale": "float32", "search": "mse"},
    {"search": "mse", "importance": np.arange(50.0)},
    {"search": "shrink"},
    {"search": "percentile", "percentile": 80.0},
    {"scale": "e8m0", "scale_rounding": "up"},
    {"scale": "e4m3fn", "tensor_scale": True},
    {"scale": "e8m0", "scale_rounding": "down", "tensor_scale": True, "search": "mse"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("fmt", FORMATS)
def test_a_diagonal_hessian_changes_nothing(fmt: str, options: dict[str, Any]) -> None:
    hessian = np.diag(np.random.default_rng(4).exponential(size=50))
    hessian[7, 7] = 0
    for size in (16, 1, "channel", (2, 7)):
        for w in (awkward(), awkward().astype(np.float64) / 3, awkward().astype(np.float16)):
            plain = mf.quantize(w, parse(fmt), block=size, **options)
            q = mf.gptq(w, parse(fmt), hessian, block=size, **options)
            assert q == plain


def test_zero_points() -> None:
    w, hessian = awkward() + np.float32(0.3), correlated(50)
    options: dict[str, Any] = {"block": 16, "zero_point": True}
    plain = mf.quantize(w, "uint4", **options)
    q = mf.gptq(w, "uint4", np.eye(50), **options)
    assert q == plain
    q = mf.gptq(w, "uint4", hessian, **options)
    assert output_error(w, q, hessian) < 0.5 * output_error(w, plain, hessian)
    # each updated weight by hand, from the errors that came back
    factors = feedback.feedback(hessian, 50, 0.01)
    assert q.zero_points is not None
    scales = np.repeat(q.scales.astype(np.float64), 16, axis=1)[:, :50]
    zeros = np.repeat(q.zero_points.astype(np.float64), 16, axis=1)[:, :50]
    back = (q.codes - zeros) * scales
    updated = back - (back - w) @ np.linalg.inv(factors)
    nearest = np.clip(np.rint(updated / np.where(scales, scales, 1)) + zeros, 0, 15)
    np.testing.assert_array_equal(q.codes, nearest)


@pytest.mark.parametrize("options", [
    {"fmt": "e2m2"}, {"fmt": "nf4", "search": "mse"}, {"fmt": "uint4", "zero_point": True},
    {"fmt": "uint3", "zero_point": True, "search": "mse"}, {"fmt": "int4", "search": "shrink"},
], ids=str)  # fmt: skip
def test_tiles(options: dict[str, Any]) -> None:
    """A tile's scale and zero point are those of its weights when the columns before are rounded.

    The updated weights are computed from the dequantized ones.
    """
    w, hessian = weights((7, 40)), correlated(40)
    q = mf.gptq(w, "e2m2", hessian, block=(3, 16), **options)
    back = q.dequantize().astype(np.float64)
    factors = feedback.feedback(hessian, 40, 0.01)
    errors = (back - w) @ np.linalg.inv(factors)
    for i, k in np.ndindex(3, 3):
        rows, columns, before = slice(3 * i, 3 * i + 3), slice(16 * k, 16 * k + 16), slice(16 * k)
        at_start = w[rows, columns] + errors[rows, before] @ factors[before, columns]
        plain = mf.quantize(at_start.reshape(-1), "e2m2", block="channel", **options)
        assert q.scales[i, k] == plain.scales[0]
        updated = (back - errors)[rows, columns]
        if q.zero_points is not None and plain.zero_points is not None:
            zero = int(q.zero_points[i, k])
            assert zero == plain.zero_points[0]
            codes = np.clip(np.rint(updated / q.scales[i, k]) + zero, 0, q.fmt.max)
        else:
            codes = mf.encode(updated / q.scales[i, k].astype(np.float64), q.fmt)
        np.testing.assert_array_equal(q.codes[rows, columns], codes)
    assert output_error(w, q, hessian) < 0.5 * output_error(
        w, mf.quantize(w, "e2m2", block=(3, 16), **options), hessian
    )


def test_inputs_that_are_always_zero() -> None:
    """They are rounded to nearest, and the others as if they were not there."""
    w, hessian = weights((6, 20)), correlated(19)
    w[:, 7] /= 64  # does not make a scale
    others = np.delete(np.arange(20), 7)
    whole = np.zeros((20, 20))
    whole[np.ix_(others, others)] = hessian
    for damp in (0.0, 0.01):
        q = mf.gptq(w, "e2m2", whole, block="channel", damp=damp)
        plain = mf.quantize(w, "e2m2", block="channel")
        np.testing.assert_array_equal(q.codes[:, 7], plain.codes[:, 7])
        less = damp * 19 / 20  # the mean of the diagonal counts the zero
        rest = mf.gptq(w[:, others], "e2m2", hessian, block="channel", damp=less)
        np.testing.assert_array_equal(q.codes[:, others], rest.codes)
        assert (rest.codes != plain.codes[:, others]).any()
    q = mf.gptq(w, "e2m2", np.zeros((20, 20)))
    np.testing.assert_array_equal(q.codes, mf.quantize(w, "e2m2").codes)


def test_fewer_samples_than_inputs() -> None:
    w, hessian = weights((8, 40)), correlated(40, rank=12)
    q = mf.gptq(w, "e2m2", hessian, block=8)
    codes, _ = by_the_paper(w, hessian, mf.parse("e2m2"), 8)
    np.testing.assert_array_equal(q.codes, codes)
    plain = mf.quantize(w, "e2m2", block=8)
    assert output_error(w, q, hessian) < 0.2 * output_error(w, plain, hessian)


def test_only_values_matter() -> None:
    """Not a factor of the Hessian, nor its dtype, nor strides, nor threads; inputs stay as is."""
    w, hessian = weights((300, 200)), correlated(200).astype(np.float32).astype(np.float64)
    w.flags.writeable = hessian.flags.writeable = False
    before = w.copy(), hessian.copy()
    expected = mf.gptq(w, "e2m2", hessian, block=32)
    for threads in (2, 3):
        q = mf.gptq(w, "e2m2", hessian, block=32, threads=threads)
        np.testing.assert_array_equal(q.codes, expected.codes)
    for other in (2.0**300 * hessian, 1e-300 * hessian, hessian / 3, hessian.astype(np.float32)):
        q = mf.gptq(w, "e2m2", other, block=32)
        np.testing.assert_array_equal(q.codes, expected.codes)
        np.testing.assert_array_equal(q.scales, expected.scales)
    q = mf.gptq(np.asfortranarray(w), "e2m2", np.asfortranarray(hessian), block=32)
    np.testing.assert_array_equal(q.codes, expected.codes)
    np.testing.assert_array_equal(w, before[0])
    np.testing.assert_array_equal(hessian, before[1])


def test_threads_share_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    w, hessian = weights((37, 60)), correlated(60)
    whole = mf.gptq(w, "e2m2", hessian, block=16)
    monkeypatch.setattr(tasks, "CHUNK", 240)
    one, three = (mf.gptq(w, "e2m2", hessian, block=16, threads=n) for n in (1, 3))
    np.testing.assert_array_equal(one.codes, three.codes)
    np.testing.assert_array_equal(one.codes, whole.codes)


def test_a_scale_that_updates_push_beyond_its_format_is_the_largest() -> None:
    hessian = np.array([[1.0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 1]])
    w = [[1.0, 0.45, 0.9, 0.0]]
    options: dict[str, Any] = {"block": 2, "scale": "e4m3fn", "damp": 1e-9}
    q = mf.gptq(w, "int2", hessian, tensor_scale=True, **options)
    assert q.scales.tolist() == [[448.0, 448.0]]
    assert q.dequantize().tolist() == [[1.0, 0.0, 1.0, 0.0]]
    with pytest.raises(ValueError, match=r"scale must hold every block's scale, got 500 for"):
        mf.gptq([[0.0, 0.0, 1.0, 500.0]], "int2", hessian, **options)


def test_empty_layers() -> None:
    assert mf.gptq(np.zeros((0, 5)), "e2m2", np.eye(5)).codes.shape == (0, 5)
    assert mf.gptq(np.zeros((3, 0)), "e2m2", np.zeros((0, 0))).codes.shape == (3, 0)


NOT_NUMBERS = np.array([["a", "b"], ["c", "d"]])
REFUSED: list[tuple[Any, str]] = [
    (
        np.eye(3),
        r"hessian must have a row and a column for each input of w, \(2, 2\), got \(3, 3\)",
    ),
    (np.ones(2), r"hessian must have a row .* got \(2,\)"),
    (1.0, r"hessian must have a row .* got \(\)"),
    ([[1.0, 0.0], [1.0]], "hessian must be an array"),
    (np.eye(2) * 1j, "hessian must be float16, .* or integers, got complex128"),
    (NOT_NUMBERS, "hessian must be float16, .* or integers, got str"),
    (np.diag([1.0, math.nan]), "hessian must be finite"),
    (np.diag([1.0, math.inf]), "hessian must be finite"),
    (np.array([[1.0, 0.5], [0.4, 1.0]]), "hessian must be symmetric, got elements that differ by"),
    (np.array([[1.0, 2.0], [2.0, 1.0]]), "hessian must be positive semidefinite"),
    (np.diag([1.0, -1e-6]), "hessian must be positive semidefinite"),
    (np.array([[0.0, 1.0], [1.0, 1.0]]), "hessian must be positive semidefinite"),
    (np.array([[1.0, 1.0], [1.0, 1.0]]), "hessian must be positive semidefinite.*more damp"),
]


@pytest.mark.parametrize(("hessian", "message"), REFUSED)
def test_hessians_are_checked(hessian: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        mf.gptq(np.ones((3, 2)), "e2m2", hessian, damp=0)


def test_bad_arguments() -> None:
    eye = np.eye(4)
    for w, block in ((np.ones(4), 128), (np.ones((4, 4)), "tensor"), (np.ones((2, 4, 4)), 128),
                     (np.ones((2, 4, 4)), (2, 2)), (np.float64(1), 128)):  # fmt: skip
        with pytest.raises(ValueError, match=r"w must be of shape \(outputs, inputs\), in blocks"):
            mf.gptq(w, "e2m2", eye, block=block)
    with pytest.raises(ValueError, match="recipe must not be double for gptq, which needs all"):
        mf.gptq(np.ones((4, 4)), "nf4/128/float32/double", eye)
    for fmt in ("uint4", "ue4m3"):
        with pytest.raises(ValueError, match="recipe must have a format with negative values, or"):
            mf.gptq(np.ones((4, 4)), fmt, eye)
    for damp in (-0.1, math.nan, math.inf, 10**400, -(10**400), True, "0.01", None, [0.1]):
        with pytest.raises((TypeError, ValueError), match="damp must be a finite number of at l"):
            mf.gptq(np.ones((4, 4)), "e2m2", eye, damp=damp)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"w must be finite, got nan at index \(1, 2\)"):
        mf.gptq(np.where(np.arange(16).reshape(4, 4) == 6, math.nan, 1), "e2m2", eye)
    for size in (1, 2):
        with pytest.raises(ValueError, match="hessian must be far enough from singular"):
            mf.gptq([[1.1e190, 1.0]], "e10m3", [[1, 9e-151], [9e-151, 1e-300]], block=size,
                    scale="float32", damp=0)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_hessian_is_refused_or_does_its_work(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 4))
    numbers = st.one_of(st.integers(-3, 3).map(float), st.floats())
    matrix = np.array(data.draw(st.lists(numbers, min_size=n * n, max_size=n * n))).reshape(n, n)
    with np.errstate(all="ignore"):
        kind = data.draw(st.sampled_from(["as drawn", "symmetric", "product"]))
        hessian = {"as drawn": matrix, "symmetric": matrix + matrix.T, "product": matrix.T @ matrix}
    damp = data.draw(st.sampled_from([0.0, 1e-300, 0.01, 1e300]))
    w = np.linspace(-2, 1, 3 * n).reshape(3, n)
    try:
        q = mf.gptq(w, "e2m2", hessian[kind], block=2, damp=damp)
    except ValueError as error:
        assert str(error).startswith("hessian must")  # noqa: PT017
        return
    assert np.isfinite(q.dequantize()).all()
    assert np.isfinite(hessian[kind]).all()


def float_of(key: int) -> float:
    """Return the float64 at a place in their order."""
    return float(np.int64(key if key >= 0 else key ^ 0x7FFFFFFFFFFFFFFF).view(np.float64))


@pytest.mark.parametrize("fmt", [*FORMATS, "e4m3fn", "int8", "e5m2ieee", "uint4", "e8m0", "e5m10"])
def test_steps_are_where_rounding_steps(fmt: str) -> None:
    """At the first float64 of each value and at the last before it, in exact arithmetic."""
    number_format = parse(fmt)
    steps = feedback.steps(number_format)
    values = number_format.values()
    assert steps["value"].tolist() == sorted(values[np.isfinite(values)].tolist())
    for i in range(1, steps.size, max(1, steps.size // 300)):
        key = int(steps["key"][i])
        assert exact_encode(float_of(key), number_format) == steps["code"][i]
        assert exact_encode(float_of(key - 1), number_format) == steps["code"][i - 1]


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.int64, np.uint8])
def test_a_hessian_and_importance_may_have_any_dtype_that_weights_may(dtype: Any) -> None:
    """And the result is that of their values in float64."""
    x = np.random.default_rng(1).integers(0, 4, (9, 6))
    w, hessian = weights((3, 6)), (x.T @ x).astype(dtype)
    importance = np.random.default_rng(2).integers(0, 9, (3, 6)).astype(dtype)
    options: dict[str, Any] = {"block": 3, "search": "mse"}
    q = mf.gptq(w, "int4", hessian, importance=importance, **options)
    exact = mf.gptq(
        w, "int4", hessian.astype(float), importance=importance.astype(float), **options
    )
    assert q == exact
    assert q == mf.gptq(w, "int4", hessian.tolist(), importance=importance.tolist(), **options)


@pytest.mark.parametrize("bad", [
    np.eye(4) * 1j, np.eye(4, dtype=np.longdouble), np.full((4, 4), "1"), np.eye(4, dtype=object),
    np.ma.masked_array(np.eye(4)), np.eye(4, dtype="M8[s]"), None,
])  # fmt: skip
def test_other_arrays_are_refused_by_their_own_names(bad: Any) -> None:
    w = weights((4, 4))
    with pytest.raises(TypeError, match=r"^hessian must be "):
        mf.gptq(w, "int4", bad)
    with pytest.raises(TypeError, match=r"^w must be "):
        mf.gptq(bad, "int4", np.eye(4))
    if bad is not None:
        with pytest.raises(TypeError, match=r"^importance must be "):
            mf.quantize(w, "int4", search="mse", importance=bad)


def test_fpe2m2_has_one_scale_for_each_output() -> None:
    """As in the authors' calibrated path, whose 128 is GPTQ's panel."""
    w = weights((5, 300))
    q = mf.gptq(w, "fpe2m2", correlated(300))
    assert (q.scales.shape, q.recipe.scale.name, q.fmt.max) == ((5, 1), "bfloat16", 14.0)
