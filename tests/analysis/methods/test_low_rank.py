"""The studies of low rank and of few levels: their verdicts, and that the records are whole."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import minifloat as mf
from analysis.methods import few_levels, low_rank
from analysis.methods.layer_inputs import Layer
from analysis.records import from_csv

DATA = Path(__file__).parents[3] / "docs" / "data" / "methods"


def test_a_contest_counts_all_bits() -> None:
    rng = np.random.default_rng(0)
    spread = np.geomspace(0.1, 10, 64)
    layer = Layer("m", "m", *(rng.standard_normal((2, 64, 64)) * spread).astype("f4"))
    rows = low_rank.contest(layer, "int3/64/float16", "int4/64/float16", "gptq")
    assert [row["way"] for row in rows] == ["none", *low_rank.WAYS]
    limit = mf.quantize(layer.weights, "int4/64/float16").bits_per_weight
    assert all(row["bits"] <= limit for row in rows)
    assert rows[0]["bits"] == 3.25
    assert all(row["rank"] > 0 for row in rows[1:])


def test_verdicts() -> None:
    row = {"model": "m", "recipe": "r", "rounding": "gptq", "way": "w", "rank": 1}
    for gains, words in (([1.0, 1.2], "worth"), ([-1.0, -1.2], "not worth"), ([0.05, 0.06], ""),
                         ([3.0, -2.0], "")):  # fmt: skip
        found = low_rank.verdicts([row | {"gain": gain} for gain in gains])
        assert found["m", "r", "gptq", "w"].words == words


def test_the_stored_records_are_whole() -> None:
    rows = from_csv((DATA / "low_rank.csv").read_text(encoding="utf-8"))
    matrices = {(row["model"], row["matrix"]) for row in rows}
    count = len(low_rank.CONTESTS) * len(low_rank.ROUNDINGS) * (1 + len(low_rank.WAYS))
    assert len(rows) == len(matrices) * count
    assert Counter(model for model, _ in matrices) == {"MiniLM-L6-v2": 12, "SmolLM2-135M": 6}
    rows = from_csv((DATA / "few_levels.csv").read_text(encoding="utf-8"))
    matrices = {(row["model"], row["matrix"]) for row in rows}
    assert len(rows) == len(matrices) * len(few_levels.RULES)
    assert Counter(model for model, _ in matrices) == {"MiniLM-L6-v2": 36, "SmolLM2-135M": 21}
    by_key = {(row["matrix"], row["rule"]): row for row in rows}
    for matrix in {row["matrix"] for row in rows}:
        best = by_key[matrix, "dorefa"]["sqnr"]
        assert best == max(by_key[matrix, rule]["sqnr"] for rule in few_levels.OPERATORS)
        assert by_key[matrix, "twn"]["sqnr"] >= by_key[matrix, few_levels.TWN]["sqnr"] - 1e-6


def test_quantizers_of_rules() -> None:
    w = np.random.default_rng(1).standard_normal((4, 256)).astype(np.float32)
    for rule in few_levels.RULES:
        assert few_levels.quantizer(rule)(w).fmt.bits <= 2
    row = {"model": "m", "matrix": "a"}
    rows = [row | {"rule": "fda", "outputs": 4.0}, row | {"rule": "bnn", "outputs": 1.0}]
    assert few_levels.lead(rows, "m", ("fda", "bnn")).mean == pytest.approx(3.0)
