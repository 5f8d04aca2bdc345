"""`refine` against exact arithmetic, brute force, and its own promises."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat._kernels import refining as kernels
from minifloat.quantization import refining
from tests.quantization.test_gptq import correlated, weights

Array = np.ndarray


def loss(w: Array, q: mf.Quantized, hessian: Array, damp: float = 0.01) -> float:
    damped = hessian + damp * np.diag(hessian).mean() * np.eye(len(hessian))
    d = w.astype(np.float64) - q.dequantize()
    return float(np.sum((d @ damped) * d))


def small(outputs: int, inputs: int, seed: int) -> tuple[Array, Array]:
    """Return dyadic weights and a Hessian of integers, so that float64 is exact."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-3, 4, (inputs + 2, inputs)) + 2 * rng.integers(-1, 2, (inputs + 2, 1))
    return rng.integers(-48, 49, (outputs, inputs)) / 16, (x.T @ x).astype(np.float64)


def slowly(w: Array, q: mf.Quantized, hessian: Array, rounds: int) -> Array:
    """Return the values of codes after exact coordinate descent, one candidate at a time."""
    every = [
        [[Fraction(float(v)) for v in row] for row in rows] for rows in (w, q.dequantize(), hessian)
    ]
    wanted, values, h = every
    grid = sorted({Fraction(float(v)) for v in q.fmt.values() if np.isfinite(v)})
    scales = [[Fraction(float(s)) for s in row] for row in q.scales]
    n, width = len(h), q.blocks.width

    def row_loss(row: int) -> Fraction:
        d = [values[row][k] - wanted[row][k] for k in range(n)]
        return sum((d[i] * h[i][j] * d[j] for i in range(n) for j in range(n)), Fraction(0))

    for row in range(len(wanted)):
        for _ in range(rounds):
            moved = False
            for k in range(n):
                best, least = values[row][k], row_loss(row)
                for unit in grid:
                    values[row][k] = unit * scales[row][k // width]
                    if (now := row_loss(row)) < least:
                        best, least, moved = values[row][k], now, True
                values[row][k] = best
            if not moved:
                break
    return np.array([[float(v) for v in row] for row in values])


@pytest.mark.parametrize("recipe", ["int3/3/e8m0", "e2m1/6/e8m0:up", "int2/channel/e8m0"])
@pytest.mark.parametrize("rounds", [1, 50])
def test_codes_are_those_of_exact_descent(recipe: str, rounds: int) -> None:
    changed = 0
    for seed in range(5):
        w, hessian = small(2, 6, seed)
        q = mf.quantize(w, recipe)
        refined = mf.refine(w, q, hessian, damp=0, rounds=rounds, scales=False)
        np.testing.assert_array_equal(refined.dequantize(), slowly(w, q, hessian, rounds))
        np.testing.assert_array_equal(refined.scales, q.scales)
        changed += int((refined.codes != q.codes).sum())
    assert changed > 3


def test_all_codes_by_brute_force() -> None:
    """Never better than the best of all codes, and it more often than GPTQ, which is its start."""
    values = np.array([-1.0, 0.0, 1.0])
    every = np.array(list(itertools.product(values, repeat=6)))
    best: dict[str, int] = {"gptq": 0, "refined": 0}
    for seed in range(80):
        hessian, w = correlated(6, seed), weights((1, 6), seed)
        start = mf.gptq(w, "int2/channel/float32", hessian, damp=0)
        refined = mf.refine(w, start, hessian, damp=0, scales=False)
        d = every * float(start.scales[0, 0]) - w
        least = float(np.sum((d @ hessian) * d, axis=1).min())
        assert (
            least * (1 - 1e-6)
            <= loss(w, refined, hessian, 0)
            <= (1 + 1e-6) * loss(w, start, hessian, 0)
        )
        for name, q in (("gptq", start), ("refined", refined)):
            best[name] += loss(w, q, hessian, 0) <= least * (1 + 1e-6)
    assert best["refined"] > 1.3 * best["gptq"]


@pytest.mark.parametrize(
    "recipe",
    ["int4/8/e8m0", "e2m1/8/float16/tensor-scale", "e2m1/3x8/float16", "if4/8",
     "uint3/8/float16/zero-point", "nvfp4"],
)  # fmt: skip
def test_no_single_move_is_left(recipe: str) -> None:
    """Neither another code nor the next scale in its format lowers the loss."""
    if recipe == "if4/8":
        recipe = str(mf.RECIPES["if4"].replace(block=8))
    w, hessian = weights((3, 16)), correlated(16)
    q = mf.refine(w, mf.gptq(w, recipe, hessian), hessian, rounds=1000)
    damped = hessian + 0.01 * np.diag(hessian).mean() * np.eye(16)

    def row_loss(row: int, values: Array) -> float:
        d = values.astype(np.float64) - w[row]
        return float(d @ damped @ d)

    now = q.dequantize()
    least = [row_loss(row, values) * (1 - 1e-6) for row, values in enumerate(now)]
    every_code = set(range(q.fmt.code_count))
    for candidate in q.recipe.candidates:
        every_code -= {candidate.fmt.unused_code}
    for code in every_code:
        alike = replace(q, packed=mf.pack(np.full(q.size, code), q.fmt.bits)).dequantize()
        for row, k in np.ndindex(now.shape):
            assert row_loss(row, np.where(np.arange(16) == k, alike[row], now[row])) > least[row]
    words = mf.encode(q.scales, q.recipe.scale.name)
    for index in np.ndindex(q.scales.shape):
        for step in (-1, 1):
            scales = q.scales.copy()
            scales[index] = mf.decode(int(words[index]) + step, q.recipe.scale.name)
            if np.isfinite(scales[index]):
                assert loss(w, replace(q, scales=scales), hessian) > sum(least)


STARTS: list[tuple[str, dict[str, Any]]] = [
    ("e2m2/16/float16", {}), ("int4/8x16/float16", {}), ("nvfp4", {}), ("mxfp4", {}),
    ("if4", {}), ("four_over_six", {}), ("uint4/16/float16/zero-point", {}),
    ("e2m1/16/float16/hadamard16", {}), ("e2m2/channel/bfloat16/authors", {}),
    ("nf4/16/float32/double", {"scales": False}), ("bipolar_int3/16/float16", {}),
    ("e4m3fn/16/float16:up", {}),
]  # fmt: skip


@pytest.mark.parametrize(("recipe", "options"), STARTS)
def test_never_worse_than_its_start(recipe: str, options: dict[str, Any]) -> None:
    for seed in range(3):
        w, hessian = weights((9, 48), seed), correlated(48, seed)
        for start in (
            mf.quantize(w, recipe),
            mf.gptq(w, recipe, hessian, static_groups=True, act_order=True),
        ):
            q = mf.refine(w, start, hessian, **options)
            codes_alone = mf.refine(w, start, hessian, scales=False)
            assert q.recipe == start.recipe
            for part in ("zero_points", "choices", "tensor_scale", "double"):
                np.testing.assert_equal(getattr(q, part), getattr(start, part))
            least = 0.5 if start == mf.quantize(w, recipe) else 1
            assert loss(w, q, hessian) <= least * loss(w, start, hessian)
            assert loss(w, codes_alone, hessian) <= least * loss(w, start, hessian)
            np.testing.assert_array_equal(codes_alone.scales, start.scales)
            assert q.recipe.scale.holds(q.scales).all()
            if options == {} and q.recipe.scale.name == "float16" and ":up" not in recipe:
                assert (q.scales != start.scales).any() or least == 1
    if recipe == "e4m3fn/16/float16:up":
        assert (np.frexp(q.scales)[0] == 0.5).all()  # powers of two, as the recipe has them


def test_scales_are_those_of_least_squares() -> None:
    """Each weight is beyond all values but that of its own sign: only the scale can move."""
    w, hessian = np.sign(weights((4, 12))) * 5, np.eye(12) + 0.3
    start = mf.quantize(np.sign(w) * 4, "int2/6/float16")
    refined = mf.refine(w * np.linspace(0.9, 1.1, 12), start, hessian, damp=0)
    np.testing.assert_array_equal(refined.codes, start.codes)
    # both scales of a row at the best of each given the other, rounded to float16
    u, wanted = np.sign(w), w * np.linspace(0.9, 1.1, 12)
    for row, half in itertools.product(range(4), (0, 1)):
        own = slice(6 * half, 6 * half + 6)
        rest = refined.dequantize()[row].astype(np.float64)
        rest[own] = 0
        v = u[row] * (np.arange(12) // 6 == half)
        best = v @ hessian @ (wanted[row] - rest) / (v @ hessian @ v)
        assert refined.scales[row, half] == mf.round_to(best, "float16")
    assert (refined.scales != start.scales).all()


def greedy_sign(*args: Any) -> None:
    """Move with the gradient, not against it."""
    _, _, _, gradient, *_ = args
    gradient *= -1
    KERNEL(*args)


def no_gradient(*args: Any) -> None:
    _, _, _, gradient, *_ = args
    gradient[...] = 0
    KERNEL(*args)


def of_the_diagonal(*args: Any) -> None:
    hessian = args[5]
    KERNEL(*args[:5], np.diag(np.diag(hessian)), *args[6:])


def nothing(*args: Any) -> None:
    return None


KERNEL = kernels.refine


@pytest.mark.parametrize("mistake", [greedy_sign, no_gradient, of_the_diagonal, nothing])
def test_exact_descent_rejects_mistakes(mistake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refining.kernels, "refine", mistake)
    found = 0
    for seed in range(4):
        w, hessian = small(2, 6, seed)
        q = mf.quantize(w, "int3/3/e8m0")
        refined = mf.refine(w, q, hessian, damp=0, scales=False)
        assert loss(w, refined, hessian, 0) <= loss(w, q, hessian, 0)  # the last guard holds
        found += (refined.dequantize() != slowly(w, q, hessian, 50)).any()
    assert found > 1


def test_rows_that_get_worse_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refining.kernels, "refine", greedy_sign)
    w, hessian = weights((5, 16)), correlated(16)
    start = mf.gptq(w, "int4/8/float16", hessian)
    assert loss(w, mf.refine(w, start, hessian), hessian) <= loss(w, start, hessian)


def test_groups_of_rows_are_apart() -> None:
    """The first has no error and stays; the second is refined as if it were alone."""
    hessian, recipe = correlated(16), "int4/3x8/float16"
    exact = mf.quantize(weights((3, 16)), recipe)
    w = np.concatenate([exact.dequantize(), weights((3, 16), 1)])
    whole = mf.refine(w, mf.quantize(w, recipe), hessian)
    alone = mf.refine(w[3:], mf.quantize(w[3:], recipe), hessian)
    np.testing.assert_array_equal(whole.codes, np.concatenate([exact.codes, alone.codes]))
    np.testing.assert_array_equal(whole.scales, np.concatenate([exact.scales, alone.scales]))
    assert alone != mf.quantize(w[3:], recipe)


def test_bits_do_not_depend_on_threads_or_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    w, hessian = weights((50, 40)), correlated(40)
    for recipe in ("e2m2/16/float16", "int4/4x16/float16"):
        start = mf.quantize(w, recipe)
        whole = mf.refine(w, start, hessian)
        with monkeypatch.context() as context:
            context.setattr(refining, "CHUNK", 320)
            some = [mf.refine(w, start, hessian, threads=n) for n in (1, 3)]
        assert some[0] == some[1]
        assert loss(w, some[0], hessian) == pytest.approx(loss(w, whole, hessian), rel=1e-6)


def test_dead_inputs_keep_their_codes() -> None:
    w, hessian = weights((4, 16)), correlated(16)
    hessian[3], hessian[:, 3] = 0, 0
    start = mf.gptq(w, "int4/8/float16", hessian, zero_dead=True)
    assert not mf.refine(w, start, hessian, scales=False).dequantize()[:, 3].any()
    blank = mf.quantize(w, "int4/8/float16")
    assert mf.refine(w, blank, np.zeros((16, 16))) == blank


def test_awkward_blocks() -> None:
    w, hessian = weights((4, 24)), correlated(24)
    w[0, :8], w[1] = 0, 0
    for recipe in ("int4/8/float16", "int4/8/e8m0", "nf4/7/float16"):
        q = mf.refine(w, mf.quantize(w, recipe), hessian)
        assert np.isfinite(q.dequantize()).all()
        assert not q.dequantize()[1].any()
    empty = mf.quantize(np.zeros((0, 5)), "int4")
    assert mf.refine(np.zeros((0, 5)), empty, np.eye(5)).shape == (0, 5)
    empty = mf.quantize(np.zeros((3, 0)), "int4")
    assert mf.refine(np.zeros((3, 0)), empty, np.zeros((0, 0))).shape == (3, 0)
    single = mf.refine([[1.0]], mf.quantize([[1.0]], "int4"), [[2.0]])
    assert single.shape == (1, 1)


Q = mf.quantize(np.ones((2, 4)), "int4")
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"q": np.ones((2, 4))}, "q must be Quantized, got ndarray; use quantize or gptq"),
    ({"q": mf.quantize(np.ones(4), "int4"), "w": np.ones(4)}, r"q must be of shape \(outputs, inp"),
    ({"q": mf.quantize(np.ones((2, 4)), "int4", axis=0)}, r"q must be of shape .* axis 0"),
    ({"q": mf.quantize(np.ones((2, 4)), "int4", block="tensor")}, r"q must be .* axis None"),
    ({"q": mf.quantize(np.ones((2, 4)), "lut2/4/float16")}, "q must have a format with values of"),
    (
        {"q": mf.quantize(np.ones((2, 4)), "nf4/4/float32/double")},
        "scales must be False for scales",
    ),
    ({"w": np.ones((4, 2))}, r"w must have the shape of q, \(2, 4\), got \(4, 2\)"),
    ({"w": np.full((2, 4), np.nan)}, "w must be finite"),
    ({"w": [["a"] * 4] * 2}, "w must be float"),
    ({"w": np.ones((2, 4)) * 1j}, "w must be float"),
    ({"hessian": np.eye(3)}, "hessian must have a row and a column for each input"),
    ({"hessian": -np.eye(4)}, "hessian must be positive semidefinite"),
    ({"hessian": np.eye(4) * 1j}, "hessian must be "),
    ({"hessian": np.full((4, 4), np.inf)}, "hessian must be finite"),
    ({"damp": -1}, "damp must be a finite number of at least 0"),
    ({"damp": "0"}, "damp must be a finite number of at least 0"),
    ({"rounds": 0}, "rounds must be in 1"),
    ({"rounds": 1.5}, "rounds must be an int"),
    ({"scales": 1}, "scales must be a bool"),
    ({"threads": 0}, "threads must be a positive integer"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_bad_arguments(changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"w": np.ones((2, 4)), "q": Q, "hessian": np.eye(4)} | changes
    with pytest.raises((TypeError, ValueError), match=message):
        mf.refine(**arguments)
    if set(changes) <= {"w", "q", "hessian", "damp", "threads"} and "scales" not in message:
        with pytest.raises((TypeError, ValueError), match=message):
            mf.learn_rounding(**arguments)


def test_weights_that_are_not_finite_are_refused() -> None:
    scales = np.full((2, 1), np.nan, np.float32)
    q = mf.Quantized(Q.packed, scales, Q.recipe.replace(scale="float16"), (2, 4), 1)
    for verb in (mf.refine, mf.learn_rounding):
        with pytest.raises(ValueError, match="q must be of finite weights, got infinite ones or"):
            verb(np.ones((2, 4)), q, np.eye(4))
