"""Paired differences of models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats

from paper_figures import style
from paper_figures.rows import Rows
from tests.paper_figures.figures import (
    assert_legible,
    assert_seen,
    changed,
    mistakes,
    module_of,
)


def label(result: dict[str, Any]) -> str:
    """Return the name by which the figure calls a recipe."""
    method = f" + {result['method']}" if result["method"] else ""
    return str(result["recipe"]).partition("/")[0] + method


def check(rows: Rows, results: list[dict[str, Any]]) -> None:
    assert len(rows) == 14
    for row in rows:
        ours, theirs = (
            np.array(result["items"])
            for name in (row["format"], "fp32")
            for result in results
            if (result["model"], label(result)) == (row["model"], name)
        )
        assert row["worse_by"] == pytest.approx(np.mean(ours - theirs), rel=1e-12)
        assert row["standard_error"] == pytest.approx(scipy.stats.sem(ours - theirs), rel=1e-12)
        test = scipy.stats.ttest_rel(ours, theirs)
        assert row["worse_by"] / row["standard_error"] == pytest.approx(test.statistic, rel=1e-9)


def test_differences_are_paired(computed: dict[str, Rows], measured_models: dict[str, Any]) -> None:
    check(computed["models"], measured_models["results"])


def test_the_check_has_teeth(computed: dict[str, Rows], measured_models: dict[str, Any]) -> None:
    wrong = changed(computed["models"], "standard_error", lambda x: 1.0001 * x)
    assert_seen(lambda rows: check(rows, measured_models["results"]), wrong)


def test_all_texts_are_legible(computed: dict[str, Rows]) -> None:
    assert_legible("models", computed["models"])


def test_models_may_be_better_than_the_reference(computed: dict[str, Rows]) -> None:
    rows = [{**row, "worse_by": row["worse_by"] - 0.02} for row in computed["models"]]
    with style.house_style():
        figure = module_of("models").draw(rows)
        assert [axes.get_xscale() for axes in figure.axes] == ["linear", "linear"]
        assert mistakes(figure) == []
