"""`ordered_gptq` against the algorithm of GPTQ's code, and its promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.composites import ordered, ordered_gptq
from tests.quantization.test_gptq import correlated, weights
from tests.quantization.test_gptq_options import RECIPES, by_the_code, with_dead_inputs

Array = np.ndarray


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("panel", [8, 44])
def test_against_the_code(recipe: str, panel: int) -> None:
    """Act order without static groups: blocks of neighbours in the order."""
    w, hessian = weights((6, 44)), correlated(44)
    codes, values, order = by_the_code(w, hessian, recipe, 8, act_order=True, panel=panel)
    c = ordered_gptq(w, recipe, hessian)
    np.testing.assert_array_equal(c.dense.codes, codes)
    np.testing.assert_array_equal(c.order, order)
    np.testing.assert_array_equal(c.dequantize()[:, order], values.astype(np.float32))
    assert c.bits_per_weight == c.dense.bits_per_weight + 6 * 44 / (6 * 44)


def increasing(hessian: Any, inputs: int) -> Array:
    return np.argsort(np.diag(hessian), kind="stable")


def inverse(hessian: Any, inputs: int) -> Array:
    return np.argsort(np.argsort(-np.diag(hessian), kind="stable"))


@pytest.mark.parametrize("mistake", [increasing, inverse])
def test_the_code_rejects_other_orders(mistake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    w, hessian = weights((6, 44)), correlated(44)
    codes, _, _ = by_the_code(w, hessian, "e2m2/8", 8, act_order=True)
    monkeypatch.setattr(ordered, "act_order", mistake)
    assert (ordered_gptq(w, "e2m2/8", hessian).dense.codes != codes).any()


def test_dead_inputs_and_importance() -> None:
    w, hessian = weights((6, 40)), with_dead_inputs(40, [3, 8])
    c = ordered_gptq(w, "e2m2/8", hessian, zero_dead=True)
    assert c.order is not None
    assert set(c.order[-2:]) == {3, 8}
    assert not c.dequantize()[:, [3, 8]].any()
    for factors in (np.arange(40.0), np.arange(240.0).reshape(6, 40), np.ones((6, 1)), 2.0):
        c = ordered_gptq(w, "int4/8/float16/mse", hessian, importance=factors)
        by_hand = mf.gptq(
            w[:, c.order], "int4/8/float16/mse", hessian[np.ix_(c.order, c.order)],
            importance=np.broadcast_to(factors, w.shape)[:, c.order],
        )  # fmt: skip
        assert c.dense == by_hand


def test_products_and_files(tmp_path: Path) -> None:
    w, hessian = weights((16, 64)), correlated(64)
    x = weights((3, 64), 5)
    for recipe in ("e2m2/16/float16", "nvfp4", "int4/16/float16/hadamard16"):
        c = ordered_gptq(w, recipe, hessian)
        y = mf.linear(x, c)
        np.testing.assert_allclose(y, x @ c.dequantize().T, rtol=1e-4, atol=1e-3)
        mf.save(c, tmp_path / "w.npz")
        assert mf.load(tmp_path / "w.npz") == c


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match=r"w must be of shape \(outputs, inputs\), got"):
        ordered_gptq(np.ones(4), "int4", np.eye(4))
    for bad in (np.eye(3), None, [["a"] * 4] * 4, -np.eye(4)):
        with pytest.raises((TypeError, ValueError), match="hessian must "):
            ordered_gptq(np.ones((2, 4)), "int4", bad)
    with pytest.raises(ValueError, match="importance must "):
        ordered_gptq(np.ones((2, 4)), "int4/4/float16/mse", np.eye(4), importance=np.ones(3))
    with pytest.raises(ValueError, match="act_order must come with static_groups"):
        ordered_gptq(np.ones((2, 4)), "int4", np.eye(4), act_order=True)  # type: ignore[call-arg]
