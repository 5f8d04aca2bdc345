"""The studies of SmolLM2: designs, stored records, quick runs; the small model in its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from analysis.claims import activations, measures, text
from analysis.claims.recipes import NAMES, PAIR
from analysis.claims.text import DIVERGENCE, NATS
from analysis.models import smollm2
from analysis.models.evaluation import REFERENCE
from analysis.models.groupings import regrouped
from analysis.models.llama import Llama
from analysis.models.packages import MissingPackage
from analysis.models.predictions import log_probabilities
from analysis.records import Rows, from_csv, to_csv
from tests.analysis.conftest import WORDS

DATA = Path(__file__).parents[3] / "docs" / "data" / "claims"


@pytest.fixture
def small(llama: Llama, monkeypatch: pytest.MonkeyPatch) -> Llama:
    """The small model, and two texts of random tokens, in SmolLM2's place."""

    def encode(seed: str) -> SimpleNamespace:
        return SimpleNamespace(ids=np.random.default_rng(int(seed)).integers(0, WORDS, 9000))

    texts = {"one": lambda: "1", "two": lambda: "2"}
    monkeypatch.setattr(smollm2, "load", lambda: llama)
    monkeypatch.setattr(smollm2, "tokenizer", lambda: SimpleNamespace(encode=encode))
    monkeypatch.setattr(smollm2, "CHUNK", 40)
    for module in (text, measures):
        monkeypatch.setattr(module, "TEXTS", texts)
    monkeypatch.setattr(text, "cases", lambda quick: text_cases())
    text.tokens_of_texts.cache_clear()
    return llama


def text_cases() -> list[text.Case]:
    return [(name, g) for g in range(2) for name in (REFERENCE, *PAIR)]


def test_every_recipe_has_eight_groupings_and_two_hundred_chunks() -> None:
    cases = text.cases()
    assert len(set(cases)) == len(cases)
    for name in NAMES:
        draws = sorted(grouping for recipe, grouping in cases if recipe == name)
        assert draws == list(range(text.ALL_ROUNDS if name in PAIR else text.ROUNDS))
    assert text.ENOUGH >= 8
    assert text.ROUNDS * 2 * text.EACH >= 200


@pytest.mark.usefixtures("small")
def test_no_two_rounds_share_tokens() -> None:
    rounds = [text.chunks(grouping) for grouping in range(text.ALL_ROUNDS)]
    names = [name for each in rounds for name in each.names]
    assert len(set(names)) == len(names) == text.ALL_ROUNDS * 2 * text.EACH
    for which in ("one", "two"):
        starts = sorted(int(name.split()[1]) for name in names if name.startswith(which))
        assert starts == list(range(text.ALL_ROUNDS * text.EACH))
    assert 9000 // len(starts) >= smollm2.CHUNK


def test_an_interrupted_run_goes_on_where_its_file_ends(small: Llama) -> None:
    *_, whole = text.growing([])
    assert [(r["recipe"], r["grouping"]) for r in whole[:: 2 * text.EACH]] == text_cases()
    steps = text.growing([])
    part = list([next(steps) for _ in range(4)][-1])
    *_, continued = text.growing(from_csv(to_csv(part, "made")))
    assert continued == whole


def test_the_scores_are_those_of_the_model_alone(small: Llama) -> None:
    *_, rows = text.growing([])
    row = next(row for row in rows if (row["recipe"], row["grouping"]) == (PAIR[1], 1))
    tokens = text.chunks(1).tokens[0]
    model = regrouped(small, PAIR[1], 1)
    assert row["item"] == text.chunks(1).names[0] == "one 1"
    assert row[NATS] == pytest.approx(smollm2.nats(model, tokens), abs=1e-5)
    p, q = (
        np.exp(log_probabilities(m.logits(tokens[:-1])).astype(np.float64)) for m in (small, model)
    )
    assert row[DIVERGENCE] == pytest.approx((p * np.log(p / q)).sum(axis=1).mean(), rel=1e-3)
    assert all(row[DIVERGENCE] == 0 for row in rows if row["recipe"] == REFERENCE)


def test_a_setting_changes_what_it_says(small: Llama) -> None:
    *_, rows = activations.growing([], quick=True)
    by_case: dict[str, Rows] = {}
    for row in rows:
        by_case.setdefault(row["recipe"], []).append(row)
    assert list(by_case) == [REFERENCE, PAIR[0], f"{REFERENCE} + activations {activations.INT8}"]
    for name, found in by_case.items():
        assert len(found) == 2
        assert all((row[DIVERGENCE] > 0) == (name != REFERENCE) for row in found)
    names = [case.name for case in activations.CASES]
    assert len(set(names)) == len(names)
    for case in activations.CASES:
        assert any(other.name == case.weights for other in activations.CASES)


def test_measures_are_those_of_the_weights_and_products(small: Llama) -> None:
    rounded = regrouped(small, "int4/8/float32", 1)
    chunks = [text.chunks(0).tokens[0]]
    inputs = measures.inputs_of(small, chunks)
    informations = {("attn_q", 0): 2.0, ("attn_q", 1): 3.0, ("ffn_up", 0): 5.0}
    found = measures.errors(small, rounded, inputs, informations)
    errors = {n: m - rounded.matrices[n] for n, m in small.matrices.items()}
    squares = {n: np.square(e, dtype=np.float64).sum() for n, e in errors.items()}
    whole = sum(np.square(m, dtype=np.float64).sum() for m in small.matrices.values())
    assert found[measures.RMS] == pytest.approx((sum(squares.values()) / whole) ** 0.5)
    ups = squares["blk.0.ffn_up.weight"] + squares["blk.1.ffn_up.weight"]
    queries = 2 * squares["blk.0.attn_q.weight"] + 3 * squares["blk.1.attn_q.weight"]
    assert found[measures.FISHER] == pytest.approx(5 * ups + queries)
    ratios = []
    for name, x in inputs.items():
        lost = np.square(x.astype(np.float64) @ errors[name].T).sum()
        ratios.append(lost / np.square(x.astype(np.float64) @ small.matrices[name].T).sum())
    assert len(ratios) == len(small.matrices)
    assert found[measures.OUTPUT] == pytest.approx(np.mean(ratios), rel=1e-4)


def test_a_measure_that_ranks_the_damage_has_a_correlation_of_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measures, "RESAMPLED", 50)
    rng, rows, measured = np.random.default_rng(4), [], []
    rows.append({"recipe": REFERENCE, "grouping": 0, "item": "a", NATS: 3.0, DIVERGENCE: 0.0})
    for k, name in enumerate(NAMES):
        rows.append({"recipe": name, "grouping": 0, "item": "a", NATS: 3 + k, DIVERGENCE: k**2})
        about = dict.fromkeys(measures.MEASURES, float(rng.normal()))
        measured.append({"recipe": name, "grouping": 0} | about | {measures.FISHER: k**3})
    found = {row["measure"]: row for row in measures.correlations(measured, rows)}
    best = found[measures.FISHER]
    assert best["cases"] == len(NAMES)
    for kind in ("loss", "divergence"):
        assert best[kind] == pytest.approx(1)
        assert best[f"{kind} low"] > 0.99
        assert best[f"{kind} lead low"] > 0
        assert abs(found[measures.RMS][kind]) < 0.8
    fives = measures.correlations(measured, rows, bits=5)
    assert fives[0]["cases"] == sum("5" in n or "e2m2" in n or "e3m1" in n for n in NAMES)


@pytest.mark.parametrize("name", ["text", "activations", "measures"])
def test_the_stored_records_are_of_the_study(name: str) -> None:
    file = DATA / f"{name}.csv"
    if not file.exists():
        pytest.skip("it is not measured")
    rows = from_csv(file.read_text(encoding="utf-8"))
    assert file.read_text(encoding="utf-8").startswith(f"# python -m analysis.claims {name}\n")
    stored = list(dict.fromkeys((row["recipe"], row["grouping"]) for row in rows))
    if name == "text":
        assert set(stored) <= set(text.cases())
        assert all((row[DIVERGENCE] > 0) == (row["recipe"] != REFERENCE) for row in rows)
        cells = {(row["recipe"], row["grouping"], row["item"]) for row in rows}
        assert len(cells) == len(rows) == len(stored) * 2 * text.EACH


@pytest.mark.long
@pytest.mark.parametrize("study", [text, activations, measures])
def test_a_quick_run_of_the_real_model(study: SimpleNamespace) -> None:
    run: Callable[..., object] = study.growing
    try:
        *_, rows = run([], quick=True)  # type: ignore[misc]
    except MissingPackage as error:
        pytest.skip(str(error))
    assert len({row["recipe"] for row in rows}) >= 2
    for row in rows:
        if NATS in row:
            assert 1 < row[NATS] < 8
            assert (row[DIVERGENCE] > 0) == (row["recipe"] != REFERENCE)
        else:
            assert all(0 < row[measure] < 1 for measure in measures.MEASURES)
