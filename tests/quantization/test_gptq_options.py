"""The options of `gptq` against the algorithm of GPTQ's code, written slowly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.quantization import feedback
from tests.quantization.test_gptq import correlated, output_error, weights

Array = np.ndarray


def by_the_code(
    w: Array, hessian: Array, recipe: str, width: int, *, act_order: bool = False,
    static_groups: bool = False, zero_dead: bool = True, damp: float = 0.01, panel: int = 8,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """Return codes, dequantized weights and the order, by IST-DASLab's gptq.py in float64.

    Line by line, but for torch, and for the scale of a block, which is found from weights that all
    columns before it have updated: there W lags behind within a panel.
    """
    W, H, n = w.astype(np.float64).copy(), hessian.astype(np.float64).copy(), w.shape[1]
    dead = np.diag(H) == 0
    H[dead, dead] = 1
    if zero_dead:
        W[:, dead] = 0
    groups = [find_params(W[:, i : i + width], recipe) for i in range(0, n, width)]
    perm = np.arange(n)
    if act_order:
        perm = np.array(sorted(range(n), key=lambda k: -H[k, k]))
        W, H = W[:, perm], H[perm][:, perm]
    H[np.arange(n), np.arange(n)] += damp * np.mean(np.diag(H))
    Hinv = np.linalg.cholesky(np.linalg.inv(H)).T
    codes, Q = np.zeros(W.shape, int), np.zeros_like(W)
    for i1 in range(0, n, panel):
        i2 = min(i1 + panel, n)
        err = np.zeros((len(W), i2 - i1))
        for i in range(i1, i2):
            if static_groups:
                q = groups[perm[i] // width]
            elif i % width == 0:
                late = W[:, i : i + width].copy()
                late[:, max(i2 - i, 0) :] -= (err @ Hinv[i1:i2, i2:])[:, : max(i + width - i2, 0)]
                q = find_params(late, recipe)
            for row in range(len(W)):
                codes[row, i], Q[row, i] = q[row](W[row, i])
            err[:, i - i1] = (W[:, i] - Q[:, i]) / Hinv[i, i]
            W[:, i:i2] -= err[:, i - i1 : i - i1 + 1] * Hinv[i, i:i2]
        W[:, i2:] -= err @ Hinv[i1:i2, i2:]
    if static_groups:
        inverse = np.argsort(perm)
        codes, Q = codes[:, inverse], Q[:, inverse]
    return codes, Q, perm


def find_params(block: Array, recipe: str) -> list[Any]:
    """Return for each row a function from a number to its code and value, by the row's scale."""
    q = mf.quantize(block, recipe, block="channel")
    rows = []
    for row in range(len(block)):
        scale = float(q.scales[row, 0])
        zero = None if q.zero_points is None else int(q.zero_points[row, 0])
        rows.append(lambda x, s=scale, z=zero: nearest(x, q.fmt, s, z))
    return rows


def nearest(x: float, fmt: mf.NumberFormat, scale: float, zero: int | None) -> tuple[int, float]:
    divisor = scale or 1.0
    if zero is None:
        code = int(mf.encode(x / divisor, fmt))
        return code, float(fmt.value(code)) * scale
    code = int(np.clip(np.rint(x / divisor) + zero, 0, fmt.max))
    return code, (code - zero) * scale


RECIPES = ("e2m2/8/float16", "int4/8/float32", "uint4/8/float16/zero-point", "nf4/8/float32/mse")


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("act_order", [False, True])
def test_static_groups_are_those_of_the_code(
    recipe: str, act_order: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feedback, "PANEL", 16)
    w, hessian = weights((6, 44)), correlated(44)
    codes, values, order = by_the_code(
        w, hessian, recipe, 8, act_order=act_order, static_groups=True
    )
    q = mf.gptq(w, recipe, hessian, act_order=act_order, static_groups=True)
    np.testing.assert_array_equal(q.codes, codes)
    np.testing.assert_array_equal(q.dequantize(), values.astype(np.float32))
    np.testing.assert_array_equal(q.scales, mf.quantize(w, recipe).scales)
    assert (q.codes != mf.gptq(w, recipe, hessian).codes).any()
    assert (order == np.arange(44)).all() == (not act_order)


def test_whole_rows_have_static_groups_anyway() -> None:
    w, hessian = weights((6, 40)), correlated(40)
    for recipe in ("e2m2/channel/bfloat16", "e2m2/channel/bfloat16/authors"):
        plain = mf.gptq(w, recipe, hessian)
        assert mf.gptq(w, recipe, hessian, static_groups=True) == plain
        codes, _, _ = by_the_code(w, hessian, "e2m2/channel/bfloat16", 40, act_order=True,
                                  static_groups=True)  # fmt: skip
        ordered = mf.gptq(w, recipe, hessian, act_order=True, static_groups=True)
        if "authors" not in recipe:
            np.testing.assert_array_equal(ordered.codes, codes)
        assert ordered != plain


def decreasing(hessian: Any, inputs: int) -> Array:
    return np.argsort(np.diag(hessian), kind="stable")


def inverted(hessian: Any, inputs: int) -> Array:
    return np.argsort(np.argsort(-np.diag(hessian), kind="stable"))


def of_row_sums(hessian: Any, inputs: int) -> Array:
    return np.argsort(-np.abs(hessian).sum(axis=1), kind="stable")


@pytest.mark.parametrize("mistake", [decreasing, inverted, of_row_sums])
def test_the_code_rejects_other_orders(mistake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    w, hessian = weights((6, 44)), correlated(44)
    codes, _, _ = by_the_code(w, hessian, "e2m2/8", 8, act_order=True, static_groups=True)
    monkeypatch.setattr(feedback, "act_order", mistake)
    wrong = mf.gptq(w, "e2m2/8", hessian, act_order=True, static_groups=True)
    assert (wrong.codes != codes).any()


def with_dead_inputs(n: int, dead: list[int]) -> Array:
    hessian = 100 * correlated(n)  # above the 1 that a dead input has in the code
    hessian[dead], hessian[:, dead] = 0, 0
    return hessian


@pytest.mark.parametrize("act_order", [False, True])
def test_dead_inputs_become_zero(act_order: bool) -> None:
    w, dead = weights((6, 40)), [3, 8, 31]
    w[0, 3], w[2, 31] = 50, -40  # these would make scales
    hessian = with_dead_inputs(40, dead)
    diagonal = np.diag(hessian)
    of_code = 0.01 * diagonal.sum() / (diagonal.sum() + len(dead))  # where they count as 1
    for recipe in RECIPES[:3]:
        codes, values, _ = by_the_code(
            w, hessian, recipe, 8, act_order=act_order, static_groups=True, damp=of_code
        )
        q = mf.gptq(w, recipe, hessian, act_order=act_order, static_groups=True, zero_dead=True)
        np.testing.assert_array_equal(q.codes, codes)
        np.testing.assert_array_equal(q.dequantize(), values.astype(np.float32))
        assert not q.dequantize()[:, dead].any()
    q = mf.gptq(w, "e2m2/8", hessian, zero_dead=True)
    codes, _, _ = by_the_code(w, hessian, "e2m2/8", 8, damp=of_code, panel=40)
    np.testing.assert_array_equal(q.codes, codes)
    kept = mf.gptq(w, "e2m2/8", hessian)
    assert kept.dequantize()[0, 3] > 49
    assert output_error(w, q, hessian) < 0.5 * output_error(w, kept, hessian)
    assert mf.gptq(w, "e2m2/8", correlated(40), zero_dead=True) == mf.gptq(
        w, "e2m2/8", correlated(40)
    )


def test_dead_inputs_of_rotated_weights() -> None:
    """They are those of the inputs as they come, before the rotation."""
    w, hessian = weights((4, 16)), with_dead_inputs(16, [5])
    recipe = "int4/8/float16/hadamard16"
    less = w.copy()
    less[:, 5] = 0
    q = mf.gptq(w, recipe, hessian, zero_dead=True)
    assert q == mf.gptq(less, recipe, hessian)
    assert q != mf.gptq(w, recipe, hessian)


@pytest.mark.parametrize(
    "recipe",
    ["e2m2/16", "nvfp4", "if4", "four_over_six", "uint4/16/float16/zero-point+mse", "e2m2/3x8",
     "nf4/16/float32/double", "e2m2/16/float16/hadamard2", "int4full/50/float16"],
)  # fmt: skip
def test_every_kind_of_recipe_has_static_groups(recipe: str) -> None:
    """With a diagonal Hessian they change nothing; else the scales are those of `quantize`."""
    w, hessian = weights((7, 50)), correlated(50)
    plain = mf.quantize(w, recipe)
    for act_order in (False, True):
        options: dict[str, Any] = {"static_groups": True, "act_order": act_order}
        assert mf.gptq(w, recipe, np.eye(50), **options) == plain
        q = mf.gptq(w, recipe, hessian, **options)
        for part in ("scales", "zero_points", "choices", "tensor_scale", "double"):
            np.testing.assert_equal(getattr(q, part), getattr(plain, part))
        assert output_error(w, q, hessian) < 0.6 * output_error(w, plain, hessian)


def test_act_order_gains_on_average() -> None:
    gains = []
    for seed in range(12):
        w, hessian = weights((16, 64), seed), correlated(64, seed)
        errors = [
            output_error(w, mf.gptq(w, "int3/16", hessian, static_groups=True, act_order=order),
                         hessian)
            for order in (False, True)
        ]  # fmt: skip
        gains.append(np.log(errors[0] / errors[1]))
    assert np.mean(gains) > 2 * np.std(gains, ddof=1) / np.sqrt(len(gains)) > 0


def test_threads_do_not_matter() -> None:
    w, hessian = weights((300, 96)), correlated(96)
    for recipe in ("e2m2/32", "if4"):
        every = [
            mf.gptq(w, recipe, hessian, act_order=True, static_groups=True, threads=n)
            for n in (1, 3)
        ]
        assert every[0] == every[1]


def test_bad_options() -> None:
    w, hessian = np.ones((2, 4)), np.eye(4)
    with pytest.raises(ValueError, match="act_order must come with static_groups, got static_gr"):
        mf.gptq(w, "int4", hessian, act_order=True)
    for name in ("act_order", "static_groups", "zero_dead"):
        for value in (1, None, "yes", np.True_):
            with pytest.raises(TypeError, match=f"{name} must be a bool, got"):
                mf.gptq(w, "int4", hessian, **{name: value})  # type: ignore[arg-type]
    for bad in (np.eye(3), np.ones(4), [[np.nan] * 4] * 4):
        with pytest.raises(ValueError, match="hessian must "):
            mf.gptq(w, "int4", bad, static_groups=True, act_order=True, zero_dead=True)
