"""Texts under other orders of additions: a small Llama, and SmolLM2's records where it is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from types import ModuleType

import numpy as np
import pytest

import minifloat as mf
from analysis.models import smollm2
from analysis.models.llama import Llama
from analysis.numerics import reproducibility as study
from analysis.numerics.reproducibility import BFLOAT16, LAYERCAST, ORDERS, REFERENCE
from analysis.records import Rows, from_csv, to_csv

PROMPT = np.array([3, 1, 4, 1, 5])


def model_of(llama: Llama, scheme: str, order: str = REFERENCE) -> Llama:
    rounded = study.bfloat16_weights(llama)
    return replace(rounded, multiply=study.ordered(scheme, ORDERS[order]))


@pytest.mark.parametrize("scheme", [BFLOAT16, LAYERCAST])
def test_a_guessed_text_is_the_one_written_token_by_token(llama: Llama, scheme: str) -> None:
    model = model_of(llama, scheme)
    poor = replace(llama, multiply=lambda x, m, bias=None: -(x @ m.T))  # type: ignore[union-attr]
    text = study.write(model, poor, PROMPT, 6)
    tokens = PROMPT
    for _ in range(6):
        tokens = np.append(tokens, model.logits(tokens)[-1].argmax())
    assert text.tokens.tolist() == tokens.tolist()
    assert text.logits.argmax(axis=-1).tolist() == tokens[5:].tolist()


@pytest.mark.parametrize("order", list(ORDERS))
def test_a_row_depends_on_the_tokens_before_it_alone(llama: Llama, order: str) -> None:
    model = model_of(llama, BFLOAT16, order)
    tokens = np.array([3, 1, 4, 1, 5, 9, 2, 6])
    others = np.append(tokens[:4], [7, 7, 7, 7])
    np.testing.assert_array_equal(model.logits(tokens)[:4], model.logits(others)[:4])


def test_a_product_of_each_scheme_is_that_of_fractions() -> None:
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(3, 40)).astype(np.float32), rng.normal(size=(5, 40))
    w = mf.round_to(w.astype(np.float32), "bfloat16")
    for scheme in (BFLOAT16, LAYERCAST):
        operand = mf.round_to(x, "bfloat16") if scheme == BFLOAT16 else x
        found = study.ordered(scheme, ORDERS[REFERENCE])(x, w)
        for row, column in np.ndindex(found.shape):
            total = Fraction(0)
            for a, b in zip(operand[row], w[column], strict=True):
                total = Fraction(_float32(total + Fraction(float(a)) * Fraction(float(b))))
            expected = np.float32(float(total))
            if scheme == BFLOAT16:
                expected = mf.round_to(expected, "bfloat16")
            assert found[row, column] == expected


def _float32(x: Fraction) -> float:
    """Round to float32, to nearest even, from the definition."""
    if not x:
        return 0.0
    exponent = 0
    while abs(x) >= 2 ** (exponent + 1):
        exponent += 1
    while abs(x) < Fraction(2) ** exponent:
        exponent -= 1
    gap = Fraction(2) ** (exponent - 23)
    return float(round(x / gap) * gap)  # round() of a Fraction is to nearest even


def test_the_place_where_texts_part() -> None:
    logits = np.float32([[3, 1], [0, 0.5], [2, 1]])
    text = study.Text(np.array([7, 0, 1, 0]), logits)
    same = study.compared(text, logits)
    assert (same["same"], same["changed"], same["margin"], same["logit_rms"]) == (3, 0, None, 0)
    other = logits + np.float32([[0, 0], [1, 0], [0, 2]])
    parted = study.compared(text, other)
    assert (parted["same"], parted["changed"], parted["margin"]) == (1, 2, 0.5)
    assert parted["margin_median"] == 1
    assert parted["logit_rms"] == pytest.approx(np.sqrt(5 / 6))


def rows_of(parted: dict[tuple[str, str], list[int]]) -> Rows:
    return [
        {"scheme": scheme, "order": order, "prompt": n, "same": s, "tokens": 9, "logit_rms": 0.5}
        for (scheme, order), same in parted.items()
        for n, s in enumerate(same)
    ]


def test_a_summary_and_the_votes_of_texts() -> None:
    rows = rows_of(
        {
            (BFLOAT16, REFERENCE): [9, 9, 9, 9],
            (BFLOAT16, "reversed"): [2, 9, 4, 6],
            (BFLOAT16, "Ampere"): [0, 0, 0, 0],  # LayerCast has no such order
            (LAYERCAST, "reversed"): [9, 3, 9, 9],
        }
    )
    first, _, last = study.summary(rows)
    assert (first.order, first.texts, first.parted, first.tokens) == ("reversed", 4, 3, 7.0)
    assert (last.scheme, last.parted, last.tokens, last.error) == (LAYERCAST, 1, 30.0, 0)
    assert first.low < 0.75 < first.high
    assert study.votes(rows) == (3, 1, 0.625)


def test_wilsons_interval_and_the_sign_test_are_the_published_ones() -> None:
    low, high = study.wilson(15, 148)  # Newcombe, Statistics in Medicine 17, 1998: 81 of 263 ...
    assert (round(low, 4), round(high, 4)) == (0.0624, 0.1605)
    assert tuple(round(x, 4) for x in study.wilson(81, 263)) == (0.2553, 0.3662)
    assert study.sign_test(0, 0) == 1
    assert study.sign_test(9, 1) == pytest.approx(2 * 11 / 1024)


@pytest.mark.long
def test_the_quick_slice_runs(skip_without: Callable[[ModuleType], object]) -> None:
    skip_without(smollm2)
    rows = study.records(quick=True)
    assert from_csv(to_csv(rows, "command")) == rows
    assert {row["order"] for row in rows} == {REFERENCE, "reversed"}
    assert all((row["logit_rms"] > 0) == (row["order"] != REFERENCE) for row in rows)
