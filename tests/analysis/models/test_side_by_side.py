"""Texts side by side are what they are alone."""

from __future__ import annotations

import numpy as np

from analysis.models import side_by_side
from analysis.models.llama import Llama
from tests.analysis.conftest import WORDS
from tests.analysis.models.slow_llama import distance


def test_no_text_sees_another(llama: Llama) -> None:
    texts = np.random.default_rng(3).integers(0, WORDS, (3, 7))
    together = side_by_side.hidden(llama, texts)
    for text, ours in zip(texts, together, strict=True):
        assert distance(llama.hidden(text), ours) < 1e-5
