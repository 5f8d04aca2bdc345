"""The study of speech: its cases, its records, one quick run."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.claims import speech, speech_speed
from analysis.claims.speech import CHANGES, NATS
from analysis.models.packages import MissingPackage
from analysis.records import from_csv
from minifloat import Recipe

DATA = Path(__file__).parents[3] / "docs" / "data" / "claims"


def test_every_recipe_has_every_grouping_but_rows_one() -> None:
    cases = speech.cases()
    assert len(set(cases)) == len(cases)
    assert cases[0] == ("fp32", 0)
    for recipe in map(Recipe.parse, (*speech.PAIR, *speech.OTHERS)):
        draws = sorted(grouping for name, grouping in cases if name == str(recipe))
        assert draws == list(range(1 if recipe.block == "channel" else speech.GROUPINGS))
    assert speech.GROUPINGS >= 8


def test_the_stored_records_are_of_the_study() -> None:
    rows = from_csv((DATA / "speech.csv").read_text(encoding="utf-8"))
    recordings = [row["recording"] for row in rows if row["recipe"] == "fp32"]
    assert len(set(recordings)) == len(recordings) == 9
    stored = [(row["recipe"], row["grouping"]) for row in rows[:: len(recordings)]]
    assert stored == [case for case in speech.cases() if case in stored]
    assert [row["recording"] for row in rows] == recordings * len(stored)
    for row in rows:
        assert (row[speech.DIVERGENCE] == 0) == (row["recipe"] == "fp32")
        assert 0 < row[NATS] < 8


@pytest.mark.long
def test_a_quick_run_has_rows_for_every_case_and_goes_on() -> None:
    try:
        first, *_, rows = map(list, speech.growing([], quick=True))
    except MissingPackage as error:
        pytest.skip(str(error))
    assert len(first) == speech.QUICK
    assert list(speech.growing(rows[: -1 * speech.QUICK], quick=True))[-1] == rows
    assert [row["recipe"] for row in rows[:: speech.QUICK]] == ["fp32", *speech.PAIR]
    assert all(row[speech.DIVERGENCE] == row[CHANGES] == 0 for row in rows[: speech.QUICK])
    for row in rows[speech.QUICK :]:
        assert 0 < row[speech.DIVERGENCE] < 1
        assert 0 < row[NATS] < 8


@pytest.mark.long
def test_speed_and_memory_have_the_right_size() -> None:
    try:
        rows = speech_speed.records(quick=True)
    except MissingPackage as error:
        pytest.skip(str(error))
    fp32, e2m2 = rows
    assert [row["weights"] for row in rows] == ["fp32", speech.PAIR[0]]
    assert fp32["stored"] == 4 * (71_504_384 + 1_098_752)
    assert 5 < fp32["stored"] / e2m2["stored"] < 32 / 5.125
    for row in rows:
        assert row["stored"] < row["peak"] < row["stored"] + 150e6
        assert 0.001 < row["real_time_factor"] < 5
