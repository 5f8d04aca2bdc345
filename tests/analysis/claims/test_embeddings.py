"""The study of embeddings: its design, its records, one quick run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.claims import embeddings
from analysis.claims.embeddings import CHANGES, TURNED
from analysis.claims.recipes import NAMES, PAIR
from analysis.models.evaluation import REFERENCE
from analysis.models.packages import MissingPackage
from analysis.records import from_csv

DATA = Path(__file__).parents[3] / "docs" / "data" / "claims"


def test_every_recipe_has_eight_groupings_of_two_hundred_passages() -> None:
    cases = embeddings.cases()
    assert sorted(cases) == sorted(
        [(REFERENCE, 0), *((name, g) for name in NAMES for g in range(embeddings.GROUPINGS))]
    )
    assert embeddings.GROUPINGS >= 8
    assert 2 * embeddings.PASSAGES >= 200


def test_metrics_are_those_of_pairs_written_out() -> None:
    rng = np.random.default_rng(5)
    exact = rng.standard_normal((12, 4))
    ours = exact + 0.5 * rng.standard_normal((12, 4))
    exact, ours = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (exact, ours))
    rows = embeddings.rows(("e2m2", 3), {"t": ours}, {"t": exact})
    again = embeddings.rows(("e2m2", 3), {"t": ours, "u": ours}, {"t": exact, "u": exact})
    assert again[:12] == rows
    assert [row["item"] for row in again] == list(range(24))
    changed = 0
    for i, row in enumerate(rows):
        assert (row["recipe"], row["grouping"], row["item"]) == ("e2m2", 3, i)
        assert row[TURNED] == pytest.approx(1 - float(ours[i] @ exact[i]), abs=1e-7)
        nearest = [
            max((float(x[i] @ x[j]), j) for j in range(12) if j != i)[1] for x in (ours, exact)
        ]
        assert row[CHANGES] == float(nearest[0] != nearest[1])
        changed += nearest[0] != nearest[1]
    assert 0 < changed < 12


def test_the_stored_records_are_of_the_study() -> None:
    file = DATA / "embeddings.csv"
    if not file.exists():
        pytest.skip("it is not measured")
    rows = from_csv(file.read_text(encoding="utf-8"))
    passages = 2 * embeddings.PASSAGES
    stored = [(row["recipe"], row["grouping"]) for row in rows[::passages]]
    assert stored[0] == (REFERENCE, 0)
    assert len(set(stored)) == len(stored)
    assert set(stored) <= set(embeddings.cases())
    assert [row["item"] for row in rows] == [row["item"] for row in rows[:passages]] * len(stored)
    for row in rows:
        assert (row[TURNED] > 0) == (row["recipe"] != REFERENCE)
        assert row[CHANGES] in (0.0, 1.0)


@pytest.mark.long
def test_a_quick_run_has_rows_for_every_case() -> None:
    try:
        *_, rows = embeddings.growing([], quick=True)
    except MissingPackage as error:
        pytest.skip(str(error))
    each = 2 * embeddings.QUICK
    assert [row["recipe"] for row in rows[::each]] == [REFERENCE, *PAIR]
    assert all(0 < row[TURNED] < 0.1 for row in rows[each:])
