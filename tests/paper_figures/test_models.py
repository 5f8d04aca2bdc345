"""Means and intervals of the models' figure, computed once more from the records."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import sem, t

from analysis.records import from_csv
from paper_figures import models, style
from paper_figures.rows import Rows
from tests.paper_figures.figures import (
    assert_legible,
    assert_seen,
    changed,
    drawn_texts,
    mistakes,
    module_of,
)

DATA = Path(__file__).parents[2] / "docs" / "data" / "claims"


def check(rows: Rows) -> None:
    """Check Whisper's recipes by usual t intervals: over recordings, or over groupings if wider."""
    records = from_csv((DATA / "speech.csv").read_text(encoding="utf-8"))
    seen = 0
    for row in rows:
        if row["model"] != "Whisper: speech":
            continue
        metric = {"nats per token": models.speech.NATS}.get(row["metric"], models.speech.DIVERGENCE)
        names = {row["recipe"], *(o for o, n in models.SHORT_NAMES.items() if n == row["recipe"])}
        exact = [r[metric] for r in records if r["recipe"] == "fp32"]
        ours = np.array([r[metric] for r in records if r["recipe"] in names])
        worse = ours.reshape(-1, len(exact)) - exact
        over_items, draws = worse.mean(axis=0), worse.mean(axis=1)
        assert row["worse_by"] == pytest.approx(worse.mean())
        error, freedom = sem(over_items), len(exact) - 1
        if len(draws) > 1 and draws.std(ddof=1) > error:
            error, freedom = draws.std(ddof=1), len(draws) - 1
        assert row["half"] == pytest.approx(t.ppf(0.975, freedom) * error)
        seen += 1
    assert seen >= 20


def test_differences_are_paired(computed: dict[str, Rows]) -> None:
    check(computed["models"])


def test_the_check_has_teeth(computed: dict[str, Rows]) -> None:
    assert_seen(check, changed(computed["models"], "half", lambda x: 1.0001 * x))
    assert_seen(check, changed(computed["models"], "worse_by", lambda x: x + 1e-5))


def test_all_texts_are_legible(computed: dict[str, Rows]) -> None:
    assert_legible("models", computed["models"])


def test_only_models_that_have_records_are_drawn(computed: dict[str, Rows]) -> None:
    rows = [row for row in computed["models"] if row["model"] == "Whisper: speech"][:-2]
    with style.house_style():
        figure = module_of("models").draw(rows)
        assert len(figure.findobj(lambda a: hasattr(a, "get_xscale"))) == 2
        assert mistakes(figure) == []
        words = drawn_texts(figure)
    assert "Whisper: speech" in words
    assert not any("MiniLM" in word for word in words)
