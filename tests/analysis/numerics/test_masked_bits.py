"""Masks of bfloat16 numbers against the formats they make, and models of the same function."""

from __future__ import annotations

import numpy as np
import pytest

import minifloat as mf
from analysis.models.llama import Llama
from analysis.numerics import masked_bits as study
from analysis.numerics.masked_bits import MASKS

TOKENS = np.array([3, 1, 4, 1, 5, 9, 2, 6])


def every_bfloat16() -> study.Array:
    words = np.arange(1 << 16, dtype=np.uint32) << 16
    values = words.view(np.float32)
    return values[np.isfinite(values)]


@pytest.mark.parametrize("bits", range(1, 7))
def test_masked_mantissas_are_those_of_a_shorter_format(bits: int) -> None:
    x = every_bfloat16()
    x = x[(np.abs(x) < 2.0**127) & (np.abs(x) > 2.0**-126)].astype(np.float64)
    for mask, rounding in (
        (study.clear(bits, 0), "toward_zero"),
        (study.nearest(bits), "nearest_even"),
    ):
        expected = mf.round_to(x, f"e8m{7 - bits}", rounding=rounding)
        np.testing.assert_array_equal(mask(x.astype(np.float32)), expected, rounding)


def test_masked_exponents_by_hand() -> None:
    x = np.float32([1.5, -5.0, 0.75, 6.0, 2.0**-9])
    fields = x.view(np.uint32) >> 23 & 255
    low = MASKS["exponent, low", 1](x)
    np.testing.assert_array_equal(low, np.where(fields % 2, x / 2, x))
    high = MASKS["exponent, high", 1](x)
    np.testing.assert_array_equal(high, np.where(np.abs(x) < 2, x, x * 2.0**-128))
    narrow = MASKS["range", 5](np.float32([100.0, -0.2, 2.0**-10, 0.0299]))  # e3m7
    assert narrow.tolist() == [31.875, -0.19921875, 0.0, 0.029296875]


def test_a_rescaled_model_has_the_same_function(llama: Llama) -> None:
    other = study.rescaled(llama, np.random.default_rng(1))
    logits = llama.logits(TOKENS)
    np.testing.assert_allclose(other.logits(TOKENS), logits, rtol=1e-3, atol=1e-4)
    for name, matrix in llama.matrices.items():
        changed = not np.array_equal(other.matrices[name], matrix)
        assert changed == (name != "token_embd.weight"), name
    masked = study.with_mask(other, MASKS["mantissa", 5]).logits(TOKENS)
    plain = study.with_mask(llama, MASKS["mantissa", 5]).logits(TOKENS)
    assert np.abs(masked - plain).max() > 0.01  # another draw of rounding errors


def test_a_mask_meets_both_operands(llama: Llama) -> None:
    seen = []

    def mask(x: study.Array) -> study.Array:
        seen.append(x)
        return 0 * x

    model = study.with_mask(llama, mask)
    assert len(seen) == len(llama.matrices)
    assert not model.logits(TOKENS).any()
    assert len(seen) == 2 * len(llama.matrices)


def test_losses_are_paired_and_have_the_larger_error() -> None:
    rows = [
        {"draw": d, "kind": kind, "bits": bits, "text": "t", "chunk": c, "nats": 3.0 + c + loss}
        for d in range(2)
        for kind, bits, losses in (
            ("none", 0, np.zeros((2, 3))),
            ("mantissa", 1, np.array([[0.001, 0.002, 0.003], [0.001, 0.002, 0.003]])),
            ("range", 6, np.array([[3.0, 3.0, 3.0], [5.0, 5.0, 5.0]])),
        )
        for c, loss in enumerate(losses[d])
    ]
    mild, hard = study.losses(rows)
    assert mild.mean == pytest.approx(0.002)
    assert mild.chunk_error == pytest.approx(0.001 / 3**0.5)
    assert mild.draw_error == pytest.approx(0, abs=1e-12)
    assert (mild.verdict, hard.verdict) == ("harmless", "destructive")
    assert (hard.mean, hard.error) == (pytest.approx(4), pytest.approx(1))
