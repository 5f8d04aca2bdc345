"""Texts that a small Llama writes, held against its own predictions."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.methods import calibration_texts as study
from analysis.models.llama import Llama
from minifloat import Quantized


def test_a_text_begins_greedily_and_goes_on_as_predicted(llama: Llama) -> None:
    texts = study.written(llama, 400, 7)
    assert texts.shape == (400, 7)
    assert len(np.unique(texts[:, 0])) == 30  # the whole vocabulary
    pairs = set(map(tuple, texts[:, :6].tolist()))
    surprise = 0.0
    expected = 0.0
    for text in texts[:60]:
        logits = llama.logits(text[:-1]).astype(np.float64)
        likeliest = logits.argmax(axis=1)
        assert (text[1 : study.GREEDY + 1] == likeliest[: study.GREEDY]).all()
        for row, token in zip(logits[study.GREEDY :], text[study.GREEDY + 1 :], strict=True):
            shares = np.exp(row - row.max())
            shares /= shares.sum()
            surprise -= np.log(shares[token])
            expected -= (shares * np.log(shares)).sum()
    assert len(pairs) > 30
    assert abs(surprise - expected) < 0.25 * expected  # entropy, as of a draw
    assert (study.written(llama, 400, 7) == texts).all()
    assert (study.written(llama, 400, 7, seed=1) != texts).any()


def test_the_first_layers_alone_are_rounded(llama: Llama, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "LAYERS", 1)
    changed = study.rounded(llama)
    packed = {name for name, matrix in changed.matrices.items() if isinstance(matrix, Quantized)}
    assert packed == {name for name in llama.matrices if name.startswith("blk.0.")}
