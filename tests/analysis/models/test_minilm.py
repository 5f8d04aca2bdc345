"""MiniLM's published cosines; skipped where its package is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from analysis.models import minilm
from analysis.models.evaluation import difference
from analysis.models.matrices import dense

SENTENCES = (
    "The weather is lovely today.",
    "It's so sunny outside!",
    "He drove to the stadium.",
)


@pytest.mark.long
def test_minilm_gives_the_published_cosines(encoder: minilm.Encoder) -> None:
    """Those of its model card at Hugging Face's sentence-transformers."""
    a, b, c = (encoder.embed(sentence) for sentence in SENTENCES)
    assert [round(float(x), 4) for x in (a @ b, a @ c, b @ c)] == [0.6660, 0.1046, 0.1411]


@pytest.mark.long
@pytest.mark.parametrize(
    "mistake",
    ["pads", "token types", "another activation"],
)
def test_the_cosines_see_mistakes(
    encoder: minilm.Encoder, mistake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = encoder
    if mistake == "pads":
        from tokenizers import Tokenizer

        wrong = replace(encoder, words=Tokenizer.from_file(str(minilm.TOKENIZER.find())))
    elif mistake == "token types":
        name = "embeddings.token_type_embeddings.weight"
        wrong = replace(
            encoder, matrices={**encoder.matrices, name: 0 * dense(encoder.matrices[name])}
        )
    else:
        monkeypatch.setattr(minilm, "gelu", lambda x: np.maximum(x, 0))
    a, b, c = (wrong.embed(sentence) for sentence in SENTENCES)
    assert [round(float(x), 4) for x in (a @ b, a @ c, b @ c)] != [0.6660, 0.1046, 0.1411]


@pytest.mark.long
def test_minilm_changes_less_in_five_bits_than_in_four(
    skip_without: Callable[[ModuleType], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    skip_without(minilm)
    monkeypatch.setattr(minilm, "SENTENCES", 12)
    results = minilm.evaluate(["e2m2", "int4"])
    for fp32, e2m2, int4 in (results[0::2], results[1::2]):
        assert set(fp32.items) == {0}
        lead = difference(e2m2, int4)
        assert lead.mean + 4 * lead.standard_error < 0
        assert 0 < e2m2.value < 0.03
