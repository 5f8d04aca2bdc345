"""Binary and ternary weights by the rules of papers: as their code has them, and on fractions."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

import minifloat as mf
from analysis.errors.few_levels import MEAN_MAGNITUDE, binary_error, ternary_error
from minifloat.quantization.few_levels import OPERATORS, binarize, ternarize

W = np.random.default_rng(0).standard_normal((12, 40)) + 0.2


def bibench(operator: str, w: np.ndarray) -> np.ndarray:
    """Return the weights of BiBench's linear layers in the forward pass, after its code.

    Its learned scales begin at 1 or at random; here they are fitted to the weights.
    """
    if operator == "bnn":
        return np.sign(w)
    if operator == "xnor":
        bw = w - w.mean(-1, keepdims=True)
        sw = np.abs(bw).mean(-1, keepdims=True)
        return np.sign(bw) * sw
    if operator in ("dorefa", "bireal", "react", "fda"):
        return np.abs(w).mean(axis=1, keepdims=True) * np.sign(w)
    if operator == "xnor++":
        signs = np.sign(w)
    else:
        assert operator == "recu"
        w0 = w - w.mean(1, keepdims=True)
        w1 = w0 / (np.sqrt(w0.var(1, keepdims=True) + 1e-5) / 2 / np.sqrt(2))
        limit = -np.abs(w1).mean() * np.log(2 - 2 * 0.99)
        signs = np.sign(np.clip(w1, -limit, limit))
    fitted = [
        np.linalg.lstsq(b[:, None], row, rcond=None)[0] for b, row in zip(signs, w, strict=True)
    ]
    return signs * np.array(fitted)


@pytest.mark.parametrize("operator", OPERATORS)
def test_operators_are_those_of_bibench(operator: str) -> None:
    q = binarize(W, operator)
    np.testing.assert_allclose(q.dequantize(), bibench(operator, W), rtol=1e-6)
    down = binarize(W.T, operator, axis=0)
    np.testing.assert_array_equal(down.dequantize().T, q.dequantize())
    assert q.fmt.bits == 1
    x = np.random.default_rng(1).standard_normal(40).astype("f4")
    np.testing.assert_allclose(mf.linear(x, q), q.dequantize() @ x, rtol=1e-4, atol=1e-4)


def test_the_mean_without_a_center_is_the_optimum() -> None:
    """Among all signs and scales, on fractions; and no operator is better."""
    rng = np.random.default_rng(2)
    for _ in range(20):
        w = rng.integers(-9, 10, 7)
        if not w.any():
            continue
        exact = [Fraction(int(x)) for x in w]
        total = sum(x * x for x in exact)
        best = min(
            total - sum(b * x for b, x in zip(signs, exact, strict=True)) ** 2 / 7
            for signs in ([1 if code >> k & 1 else -1 for k in range(7)] for code in range(128))
        )
        errors = {
            name: float(np.square(w - binarize(w, name).dequantize().astype(float)).sum())
            for name in OPERATORS
        }
        assert errors["dorefa"] == pytest.approx(float(best), rel=1e-6)
        assert min(errors.values()) >= errors["dorefa"] * (1 - 1e-6)


def test_the_recipe_bwn_is_xnor_net() -> None:
    w = W.astype(np.float32)
    np.testing.assert_array_equal(
        mf.quantize(w, "bwn").dequantize(), binarize(w, "dorefa").dequantize()
    )


def test_the_recipe_bitnet_is_b158() -> None:
    """The code of Fairy2i: clip(round(W / mean|W|), -1, 1) * mean|W|."""
    w = W.astype(np.float32)
    mean = np.abs(w).mean(dtype=np.float64)
    wanted = np.clip(np.rint(w / mean), -1, 1) * mean
    np.testing.assert_allclose(mf.quantize(w, "bitnet_b158").dequantize(), wanted, rtol=1e-6)


@pytest.mark.parametrize("block", ["tensor", "channel"])
def test_ternary_weights_are_those_of_twn(block: Any) -> None:
    w = np.random.default_rng(3).integers(-20, 21, (5, 9))
    back = ternarize(w, block=block).dequantize()
    for rows, got in (
        [(w, back)] if block == "tensor" else zip(w[:, None], back[:, None], strict=True)
    ):
        exact = [Fraction(int(x)) for x in rows.ravel()]
        delta = Fraction(7, 10) * sum(map(abs, exact)) / len(exact)
        large = [abs(x) for x in exact if abs(x) > delta]
        scale = sum(large) / len(large)
        wanted = [(0 if abs(x) <= delta else scale if x > 0 else -scale) for x in exact]
        np.testing.assert_allclose(got.ravel(), [float(x) for x in wanted], rtol=1e-6)


def test_the_recipe_twn_is_never_worse_than_the_paper() -> None:
    rng = np.random.default_rng(4)
    for law in (rng.standard_normal, rng.standard_exponential, lambda n: rng.standard_t(3, n)):
        for size in (5, 40, 1000):
            w = law(size).astype(np.float32)
            assert mf.quantize(w, "twn").sqnr(w) >= ternarize(w).sqnr(w) - 1e-4


def test_weights_of_zeros_and_empty_ones() -> None:
    zeros = np.zeros((2, 3))
    assert not ternarize(zeros).dequantize().any()
    for name in OPERATORS:
        assert np.abs(binarize(zeros, name).dequantize()).max() == (name == "bnn")
        assert binarize(np.zeros((0, 3)), name).dequantize().shape == (0, 3)
    assert ternarize(np.zeros((2, 0))).dequantize().shape == (2, 0)


def integral(function: Any) -> float:
    return float(sum(quad(function, a, b)[0] for a, b in ((-9, 0), (0, 0.7), (0.7, 9))))


@pytest.mark.parametrize("operator", OPERATORS)
def test_exact_binary_errors(operator: str) -> None:
    """By numerical integration, and on a million weights."""
    mean, deviation = 0.7, 1.1
    rule = OPERATORS[operator]
    center = mean if rule.center else 0.0
    law = norm(mean, deviation).pdf
    if rule.scale == "mean":
        scale = integral(lambda w: abs(w - center) * law(w))
    else:
        scale = (
            1.0
            if rule.scale == "one"
            else integral(lambda w: w * math.copysign(1, w - center) * law(w))
        )
    wanted = integral(lambda w: (w - scale * math.copysign(1, w - center)) ** 2 * law(w))
    assert binary_error(operator, mean, deviation) == pytest.approx(wanted, rel=1e-7)
    w = np.random.default_rng(5).normal(mean, deviation, 1 << 18)
    measured = np.square(w - binarize(w, operator).dequantize()).mean()
    assert measured == pytest.approx(wanted, rel=0.01)


def test_exact_ternary_errors() -> None:
    assert ternary_error(0.612003) == pytest.approx(0.190174, abs=1e-6)  # Lloyd's, published
    law = norm.pdf
    for threshold, scale in ((0.5, 1.0), (MEAN_MAGNITUDE / 2, MEAN_MAGNITUDE)):
        inner = quad(lambda w: w**2 * law(w), 0, threshold)[0]
        outer = quad(lambda w, s=scale: (w - s) ** 2 * law(w), threshold, 12)[0]
        assert ternary_error(threshold, scale) == pytest.approx(2 * (inner + outer), rel=1e-8)
    w = np.random.default_rng(6).standard_normal(1 << 20).astype(np.float32)
    for got, wanted in (
        (ternarize(w), ternary_error(0.7 * MEAN_MAGNITUDE)),
        (mf.quantize(w, "bitnet_b158"), ternary_error(MEAN_MAGNITUDE / 2, MEAN_MAGNITUDE)),
        (mf.quantize(w, "twn"), 0.190174),
    ):
        assert np.square(w - got.dequantize()).mean() == pytest.approx(wanted, rel=5e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: binarize(W, "net"), "operator must be one of"),
        (lambda: binarize(W, 3), "operator must be one of"),  # type: ignore[arg-type]
        (lambda: binarize(W, "bnn", axis=2), "axis must be in"),
        (lambda: binarize([1.0, math.nan], "bnn"), r"w must be finite, got nan at index \(1,\)"),
        (lambda: ternarize([1.0, math.inf]), "w must be finite"),
        (lambda: ternarize(W, threshold=-1), "threshold must be"),
        (lambda: ternarize(W, threshold=math.nan), "threshold must be"),
        (lambda: ternarize(W, threshold="1"), "threshold must be a number"),  # type: ignore[arg-type]
        (lambda: ternarize(W, block=128), "block must be"),  # type: ignore[arg-type]
        (
            lambda: mf.Recipe.parse("uint4/128/float16/absmean+zero-point"),
            "absmean with zero_point",
        ),
        (lambda: mf.Recipe.parse("e2m1@4/128/float16/absmean"), "absmean with absmax_at"),
        (lambda: mf.Recipe.parse("e2m1|int4/128/float16/absmean"), "absmean with alternatives"),
    ],
)
def test_bad_arguments(call: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        call()
