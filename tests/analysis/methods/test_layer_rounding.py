"""The study of rounding that knows the layer: on layers made by hand, and its stored records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from analysis.methods import layer_rounding
from analysis.methods.layer_inputs import Layer
from analysis.records import from_csv
from analysis.statistics import Estimate
from tests.quantization.test_gptq import correlated

FILE = Path(__file__).parents[3] / "docs" / "data" / "methods" / "layer_rounding.csv"
RNG = np.random.default_rng(4)


def made() -> tuple[Layer, np.ndarray]:
    """Return a layer whose inputs share directions, and other inputs of the kind."""
    root = np.linalg.cholesky(correlated(48, 2))
    x = (RNG.standard_normal((700, 48)) @ root.T).astype(np.float32)
    w = RNG.standard_normal((100, 48)).astype(np.float32)
    return Layer("made", "blk.0.m", w, x[:500]), x[500:]


def test_methods_gain_on_inputs_that_they_have_not_seen() -> None:
    layer, others = made()
    rows = layer_rounding.layer_rows(layer, others, mf.Recipe("int4", block=16))
    errors = {row["method"]: row["error"] for row in rows}
    assert all(row["bits"] == 5.0 for row in rows)
    assert max(errors.values()) == errors["nearest"]
    assert errors["act order, scales"] < 0.6 * errors["nearest"]
    w = layer.weights[::3][: layer_rounding.ROWS]
    q = mf.gptq(w, "int4/16", layer.inputs.astype(float).T @ layer.inputs.astype(float))
    for column, x in (("error", others), ("calibrated", layer.inputs)):
        by_hand = np.linalg.norm(x @ (w - q.dequantize()).T) / np.linalg.norm(x @ w.T)
        row = next(row for row in rows if row["method"] == "gptq")
        assert row[column] == pytest.approx(by_hand, rel=1e-4)


def test_errors_are_over_layers() -> None:
    """Two matrices of a layer count once."""
    rows: list[dict[str, Any]] = [
        {"model": "m", "recipe": "r", "method": method, "matrix": matrix, "error": error}
        for matrix, errors in {"l.0.a": (1, 0.1), "l.0.b": (1, 0.1), "l.7.a": (1, 1)}.items()
        for method, error in zip(("nearest", "new"), errors, strict=True)
    ]
    gain = layer_rounding.gains(rows, "nearest")["m", "r", "new"]
    assert (gain.mean, gain.standard_error) == (pytest.approx(10), pytest.approx(10))


@pytest.mark.parametrize(
    ("mean", "error", "verdict"),
    [(1, 0.4, "gains"), (1, 0.6, ""), (-1, 0.4, "loses"), (0.09, 0.0, ""), (-1, 0.6, "")],
)
def test_verdicts(mean: float, error: float, verdict: str) -> None:
    assert layer_rounding.verdict(Estimate(mean, error)) == verdict


def test_the_stored_records_are_whole() -> None:
    rows = from_csv(FILE.read_text(encoding="utf-8"))
    keys = {(row["matrix"], row["recipe"], row["method"]) for row in rows}
    matrices = {row["matrix"] for row in rows}
    recipes = {str(mf.Recipe.parse(recipe)) for recipe in layer_rounding.RECIPES}
    assert len(keys) == len(rows) == len(matrices) * len(recipes) * 16
    assert {row["recipe"] for row in rows} == recipes
    assert len({row["model"] for row in rows}) == 2
    layers = {(row["model"], layer_rounding.layer_of(row["matrix"])) for row in rows}
    assert len(layers) >= 6
    for row in rows:
        if row["method"] == "gptq, scales":
            start = next(
                other for other in rows
                if other["matrix"] == row["matrix"] and other["recipe"] == row["recipe"]
                and other["method"] == "gptq"
            )  # fmt: skip
            assert row["calibrated"] < 1.01 * start["calibrated"]  # up to the damp


def test_the_page_says_what_the_records_say() -> None:
    """The ranges over models and recipes that its words name."""
    rows = from_csv(FILE.read_text(encoding="utf-8"))

    def span(method: str, over: str) -> tuple[float, float]:
        gains = layer_rounding.gains(rows, over)
        means = [gain.mean for key, gain in gains.items() if key[2] == method]
        return round(min(means), 1), round(max(means), 1)

    assert span("gptq", "nearest") == (2.8, 4.5)
    assert span("act order", "gptq") == (0.4, 0.8)
    assert span("gptq, descent", "gptq") == (0.3, 0.6)
    assert span("gptq, scales", "gptq") == (0.4, 0.7)
    assert span("squares, act order, scales", "nearest") == (4.0, 5.8)
    assert span("squares, act order, scales", "gptq") == (1.0, 1.7)
    for method, limit in (("squares, learned, scales", 0.3), ("ordered blocks", 0.4)):
        base = "act order" if method == "ordered blocks" else "squares, act order, scales"
        assert max(map(abs, span(method, base))) <= limit
    assert max(map(abs, span("descent", "gptq"))) <= 0.3
