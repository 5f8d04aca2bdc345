"""Figures of studies: drawn from the records of the docs, and legible."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.methods import STUDIES as METHODS
from analysis.numerics import STUDIES
from paper_figures import studies
from paper_figures.rows import NotAvailable, Rows
from tests.paper_figures.figures import assert_agree, assert_legible, in_docs

FIGURES = (
    "reproducibility", "masked_bits", "linear_systems", "time_steps", "roots_and_clusters",
    "methods",
)  # fmt: skip


@pytest.mark.parametrize("name", FIGURES)
def test_figures_of_the_docs_are_those_of_the_records(name: str, computed: dict[str, Rows]) -> None:
    assert_agree(in_docs(name), computed[name])


@pytest.mark.parametrize("name", FIGURES)
def test_all_texts_are_legible(name: str, computed: dict[str, Rows]) -> None:
    assert_legible(name, computed[name])


@pytest.mark.parametrize(
    ("package", "study"),
    [*(("numerics", study) for study in STUDIES), *(("methods", study) for study in METHODS)],
)
def test_every_study_has_its_records(package: str, study: str) -> None:
    assert studies.saved(study, package)
    text = (studies.FOLDER / package / f"{study}.csv").read_text(encoding="utf-8")
    assert text.splitlines()[0] == f"# python -m analysis.{package} {study}"


def test_missing_records_name_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studies, "FOLDER", tmp_path)
    with pytest.raises(NotAvailable, match=r"python -m analysis.numerics k_means --csv"):
        studies.saved("k_means")
