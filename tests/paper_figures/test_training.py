"""Figures and sections of studies of training that grow: right for some records or all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from analysis.records import from_csv, to_csv
from analysis.training import STUDIES
from docs.generators import training_noise, training_studies
from paper_figures import FIGURES, studies
from tests.analysis.training.synthetic import OF_SEED, records
from tests.paper_figures.figures import (
    IN_DOCS,
    assert_agree,
    assert_legible,
    in_docs,
    module_of,
    quiet,
)

FEWEST = {"exponent_mantissa": 3, "noise": 3, "many_widths": 5, "after_training": 4}  # records


@pytest.mark.parametrize("study", OF_SEED)
@pytest.mark.parametrize("count", [-5, -1, 0, 1])
def test_figures_and_sections_take_any_part_of_the_records(
    study: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of five seeds, without the last run, of one seed, and of its first runs."""
    rows = records(study, 5 if count < 0 else 1)
    one = len(rows) // 5 if count < 0 else len(rows)
    parts = {-5: rows, -1: rows[:-1], 0: rows, 1: rows[: max(FEWEST[study], one // 2)]}
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / f"{study}.csv").write_text(to_csv(parts[count], "command"))
    monkeypatch.setattr(studies, "FOLDER", tmp_path)
    drawn = module_of(study).data(quiet)
    assert_legible(study, from_csv(to_csv(drawn, "command")))
    text = training_studies.section(study)
    assert training_studies.NOT_YET not in text
    assert bool(re.search(r"[0-9] ± [0-9]", text)) == (count < 0)
    assert "nan" not in text


@pytest.mark.parametrize("study", OF_SEED)
def test_sections_without_records_say_so(
    study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studies, "FOLDER", tmp_path)
    text = training_studies.section(study)
    assert training_studies.NOT_YET in text
    assert "|" not in text


def test_verdicts_are_those_of_the_records() -> None:
    texts = {
        study: " ".join(training_studies.section(study, records(study, 5)).split())
        for study in training_studies.STUDIES
    }
    assert "**At five bits E2M2 is" in texts["exponent_mantissa"]
    assert "Our form fits better" in texts["exponent_mantissa"]
    assert "frozen (validation, rounded, e2m1/32/float32)" in texts["noise"]
    assert "gaussian (" not in texts["noise"]
    assert "E2M1: beats GPTQ" in texts["after_training"]
    assert "E2M2: not told apart" in texts["after_training"]
    assert texts["many_widths"].count("*") > 24
    assert "neither confirmed nor denied" in texts["noise"]
    assert "better than uniform: not told apart here" in texts["many_widths"]
    assert all("Seeds: 5." in text for text in texts.values())


def test_what_noise_prepares_for() -> None:
    def line(source: str, loss: float) -> dict[str, Any]:
        differs = abs(loss) > 0.01
        return {"recipe": "r", "source": source, "rounded": loss, "rounded_differs": differs}

    said = training_noise.prepares
    assert "no worse than rounding" in said([line("none", 0.03), line("pqt", 0.001)])
    assert "neither confirmed nor denied" in said([line("none", 0.002), line("pqt", 0.001)])
    assert "worse than rounding does: r." in said([line("none", 0.03), line("pqt", 0.02)])
    assert "not measured yet" in said([line("none", 0.03)])


@pytest.mark.parametrize("study", OF_SEED)
def test_figures_of_the_docs_are_those_of_the_records(study: str) -> None:
    assert study in FIGURES
    assert study in STUDIES
    if not (studies.FOLDER / "training" / f"{study}.csv").exists():
        assert not (IN_DOCS / f"{study}.png").exists()
        pytest.skip("the study has no records yet")
    assert_agree(in_docs(study), module_of(study).data(quiet))
