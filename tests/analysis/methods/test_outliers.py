"""The study of outliers: equal bits, errors of held-out tokens, verdicts, stored records."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.methods import outliers
from analysis.methods.layer_inputs import Layer
from analysis.records import from_csv
from analysis.statistics import Estimate

DATA = Path(__file__).parents[3] / "docs" / "data" / "methods" / "outliers.csv"
RNG = np.random.default_rng(3)


def made(name: str = "m") -> Layer:
    w = RNG.standard_normal((64, 192)) * np.where(RNG.random((64, 192)) < 0.004, 8, 1)
    x = RNG.standard_normal((160, 192)).astype(np.float32)
    return Layer("made", name, w.astype(np.float32), x)


def test_methods_have_at_most_the_bits_and_outliers_pay() -> None:
    rows = list(outliers.matrix_rows(made()))
    assert {row["method"] for row in rows} == set(outliers.METHODS) - {"tables, largest weights"}
    assert all(row["budget"] - 0.2 < row["bits"] <= row["budget"] for row in rows)
    for budget in outliers.BUDGETS:
        [gain] = outliers.gains(rows, "made", budget, "largest weights", "nearest")
        assert gain > 2
    errors = {(row["budget"], row["method"]): row["error"] for row in rows}
    assert errors[4.5, "nearest"] < errors[3.5, "nearest"]


def test_errors_are_those_of_tokens_that_the_hessian_has_not_seen() -> None:
    layer = made()
    [row] = [r for r in outliers.matrix_rows(layer) if (r["budget"], r["method"]) == (4.5, "GPTQ")]
    w, x = layer.weights.astype(float), layer.inputs.astype(float)
    q = np.asarray(outliers.gptq(w, x[::2].T @ x[::2], 4.5), float)
    held_out = np.linalg.norm(x[1::2] @ (q - w).T) / np.linalg.norm(x[1::2] @ w.T)
    seen = np.linalg.norm(x[::2] @ (q - w).T) / np.linalg.norm(x[::2] @ w.T)
    assert row["error"] == pytest.approx(held_out)
    assert abs(seen / held_out - 1) > 0.01


def test_keys_of_unlike_channels_gain_by_their_order() -> None:
    x = RNG.standard_normal((60, 32)).astype(np.float32)
    w = RNG.standard_normal((64, 32)) * np.where(np.arange(64) % 8, 0.3, 2)[:, np.newaxis]
    key, query = (Layer("m", name, a.astype("f4"), x) for name, a in (("k", w), ("q", w[::-1])))
    rows = {row["method"]: row["error"] for row in outliers.key_rows(key, query)}
    for recipe in outliers.KEYS[:2]:
        assert rows[f"{recipe}, sorted"] < 0.9 * rows[recipe]


def test_verdicts() -> None:
    assert outliers.verdict(Estimate(0.3, 0.1)) == "helps"
    assert outliers.verdict(Estimate(-0.3, 0.1)) == "hurts"
    assert outliers.verdict(Estimate(0.3, 0.2)) == ""
    assert outliers.verdict(Estimate(0.05, 0.0)) == ""


def test_the_records_are_whole() -> None:
    rows = from_csv(DATA.read_text(encoding="utf-8"))
    matrices = {row["matrix"] for row in rows}
    assert len(matrices) == 8
    for method in set(outliers.METHODS) - {"tables, largest weights"}:
        for budget in outliers.BUDGETS:
            own = [r for r in rows if (r["method"], r["budget"]) == (method, budget)]
            assert {row["matrix"] for row in own} == matrices, method
            assert all(row["bits"] <= budget for row in own)
