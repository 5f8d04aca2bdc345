"""The study of equalization: what methods see, what gains mean, and the stored records."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import minifloat as mf
from analysis.methods import equalization
from analysis.methods.layer_inputs import Layer
from analysis.records import from_csv
from analysis.statistics import Estimate
from minifloat import composites

DATA = Path(__file__).parents[3] / "docs" / "data" / "methods"
RNG = np.random.default_rng(8)


def test_methods_do_not_see_what_measures() -> None:
    for count in (60, 500, 5000):
        rows = np.arange(count, dtype=np.float32)[:, np.newaxis]
        seen, measured = equalization.halves(rows)
        assert not set(seen[:, 0]) & set(measured[:, 0])
        assert 0 < len(seen) <= equalization.TOKENS
        assert 0 < len(measured) <= equalization.TOKENS
        runs = (measured[:, 0] // equalization.RUN).astype(int)
        assert set(runs % 2) == {1}


@pytest.mark.parametrize("recipe", ["int4/32/float16", "int4/32/float16/hadamard32"])
def test_errors_are_those_of_the_outputs(recipe: str) -> None:
    w, x = RNG.standard_normal((2, 40, 64)).astype(np.float32)
    x[:, 5] *= 30
    smooth = composites.correct_bias(w, composites.smooth(w, x, recipe), x)
    exact = x @ w.T
    y = mf.linear(x, smooth)
    found = equalization.output_error(w, smooth, x, None)
    assert found == pytest.approx(np.linalg.norm(y - exact) / np.linalg.norm(exact), rel=1e-4)
    activations = mf.Recipe.parse("int8/32/float32")
    y = mf.linear(x, smooth, activations=str(activations))
    found = equalization.output_error(w, smooth, x, activations)
    assert found == pytest.approx(np.linalg.norm(y - exact) / np.linalg.norm(exact), rel=1e-3)


def test_rows_of_a_layer() -> None:
    w, x = RNG.standard_normal((2, 32, 64)).astype(np.float32)
    x[:, 5] *= 50
    made = Layer("made", "m", w, np.concatenate([x] * 4))
    rows = list(equalization._rows(made, w.T.copy() @ w, ["int4/64/float16"]))
    gains = {(row["quantized"], row["method"]): row["gain"] for row in rows}
    assert gains["weights", "smooth"] > 3
    assert gains["both", "smooth"] > 3
    assert gains["both", "shifted biases"] > gains["both", "biases"] + 3
    bits = {row["method"]: row["bits"] for row in rows}
    assert (bits["smooth"], bits["bias"], bits["hadamard"]) == (16 / 32, 32 / 64, 0)
    ranges = np.abs(w.T @ w).max(axis=1) / np.abs(w).max(axis=0)
    factors = np.sqrt(ranges).astype(np.float16).astype(np.float32)
    q = composites.Composite(mf.quantize(w * factors, "int4/64/float16"), input_factors=factors)
    _, measured = equalization.halves(made.inputs)
    m1 = mf.quantize(w, "e2m1/128/float32:up")
    for method, recipe, other in (
        ("cross-layer", "int4/64/float16", q),
        ("M1", "e2m1/128/float32", m1),
    ):
        plain = mf.quantize(w, recipe)
        errors = [equalization.output_error(w, each, measured, None) for each in (plain, other)]
        wanted = 20 * np.log10(errors[0] / errors[1])
        assert gains["weights", method] == pytest.approx(wanted, abs=0.01)


@pytest.mark.parametrize(
    ("estimate", "verdict"),
    [((0.3, 0.1), "helps"), ((-0.3, 0.1), "hurts"), ((0.09, 0.01), ""), ((0.3, 0.2), "")],
)
def test_verdicts(estimate: tuple[float, float], verdict: str) -> None:
    assert equalization.verdict(Estimate(*estimate)) == verdict


def test_records_are_complete() -> None:
    rows = from_csv((DATA / "equalization.csv").read_text(encoding="utf-8"))
    matrices = Counter((row["model"], row["matrix"]) for row in rows)
    per_model = Counter(model for model, _ in matrices)
    assert per_model == {"MiniLM-L6-v2": 12, "SmolLM2-135M": 14}
    methods = len(equalization.METHODS)
    plain = len(equalization.RECIPES) * 2 * methods + len(equalization.GPTQ_METHODS) + 2 + 4
    pairs = len(equalization.RECIPES) * 2
    for (_, name), count in matrices.items():
        assert count == plain + pairs * name.endswith(tuple(equalization.SECONDS))
    assert all(np.isfinite(row["gain"]) for row in rows)
