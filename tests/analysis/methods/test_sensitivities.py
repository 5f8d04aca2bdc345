"""Sensitivities of a small Llama, held against its loss computed in another way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.methods import sensitivities as study
from analysis.methods.sensitivities import PREDICTIONS, Scorer, rank_correlations
from analysis.models import smollm2
from analysis.models.llama import Llama
from analysis.records import Rows

pytest.importorskip("scipy")
CHUNKS = [np.array([3, 1, 4, 1, 5, 9, 2]), np.array([2, 7, 1, 8])]
NAME = "blk.1.attn_v.weight"


def test_changes_are_those_of_the_whole_model(llama: Llama) -> None:
    scorer = Scorer.of(llama, CHUNKS)
    assert scorer.loss() == pytest.approx(np.mean([smollm2.nats(llama, c) for c in CHUNKS]))
    matrix = np.asarray(llama.matrices[NAME]) * np.float32(1.5)
    other = replace(llama, matrices={**llama.matrices, NAME: matrix})
    divergence, loss = scorer.changed(NAME, matrix)
    assert loss == pytest.approx(
        np.mean([smollm2.nats(other, c) - smollm2.nats(llama, c) for c in CHUNKS]), abs=1e-6
    )
    expected = []
    for chunk in CHUNKS:
        said, now = (np.exp(m.logits(chunk[:-1]).astype(np.float64)) for m in (llama, other))
        said, now = (p / p.sum(axis=1, keepdims=True) for p in (said, now))
        expected.append((said * np.log(said / now)).sum(axis=1).mean())
    assert divergence == pytest.approx(np.mean(expected), rel=1e-3)
    assert divergence > 1e-4


def test_traces_are_those_of_second_derivatives(
    llama: Llama, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mean over all signs is the trace; here over many, against differences by each weight."""
    monkeypatch.setattr(study, "SIGNS", 60)
    scorer = Scorer.of(llama, CHUNKS)
    w = np.asarray(llama.matrices[NAME])
    traces = study.traces(scorer, NAME, w, lambda: None)
    step = np.float32(0.05)
    curvature = information = 0.0
    for at in np.ndindex(w.shape):
        for sign in (step, -step):
            changed = w.copy()
            changed[at] += sign
            divergence, loss = scorer.changed(NAME, changed)
            curvature += loss / step**2
            information += divergence / step**2
    assert traces["fisher trace"] == pytest.approx(information, rel=0.15)
    assert traces["hessian trace"] == pytest.approx(curvature, rel=0.4)


def test_rank_correlations_are_scipys() -> None:
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    measured = rng.gamma(1.0, size=40)
    rows: Rows = []
    for d, factor, noise in zip(measured, *rng.gamma(3.0, size=(2, 40)), strict=True):
        guesses = dict.fromkeys(PREDICTIONS, d * factor) | {PREDICTIONS[0]: noise}
        rows.append({"recipe": "r", "divergence": d, **guesses})
    found = rank_correlations(rows, "r")
    for row in found:
        expected = spearmanr([each[row["prediction"]] for each in rows], measured).statistic
        assert row["correlation"] == pytest.approx(expected)
        assert row["low"] <= row["correlation"] <= row["high"]
    assert found[0]["gain"] == found[0]["gain_high"] == 0
    assert found[1]["gain_low"] > 0, "a prediction beats noise"
