"""The study of images: its cases, its records, a run that goes on, one quick run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from analysis.claims import images, images_speed
from analysis.models.groupings import regrouped
from analysis.models.images import CHANGES, DIVERGENCE, METRICS, figures, seen
from analysis.models.packages import MissingPackage
from analysis.models.photos import CROPS, photos
from analysis.records import Rows, from_csv, to_csv
from minifloat import Recipe
from tests.analysis.models import tiny_efficientnet as tiny

DATA = Path(__file__).parents[3] / "docs" / "data" / "claims"
PIXELS = np.random.default_rng(6).integers(0, 256, (2, CROPS, 9, 8, 3), np.uint8)


def test_every_recipe_has_every_grouping() -> None:
    cases = images.cases()
    assert len(set(cases)) == len(cases)
    every = (*images.PAIR, *images.OTHERS, *images.BY_ROW, *images.EQUAL)
    for recipe in map(str, map(Recipe.parse, every)):
        assert [grouping for name, grouping in cases if name == recipe] == list(range(8))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Made-up photos and network, and a few cases."""
    pictures = [
        SimpleNamespace(name=name, crops=lambda p=p: p)
        for name, p in zip("ab", PIXELS, strict=True)
    ]
    cases = [("int3/4/float16", 0), ("int3/4/float16", 3), ("int3/channel/float16", 0)]
    cases += [("int3/channel/float16", 2), ("int3/4/float16 + depthwise", 0)]
    monkeypatch.setattr(images, "photos", lambda: pictures)
    monkeypatch.setattr(images, "load", tiny.model)
    monkeypatch.setattr(images, "cases", lambda: cases)
    return cases


def test_rows_are_of_the_rounded_network(made: list[tuple[str, int]]) -> None:
    *_, rows = images.growing([])
    assert [(row["recipe"], row["grouping"], row["photo"]) for row in rows] == [
        (recipe, grouping, photo) for recipe, grouping in (("fp32", 0), *made) for photo in "ab"
    ]
    for recipe, grouping in made:
        exact = tiny.model(depthwise=recipe.endswith("depthwise"))
        model = regrouped(exact, recipe.removesuffix(" + depthwise"), grouping)
        got = [row for row in rows if (row["recipe"], row["grouping"]) == (recipe, grouping)]
        for row, crops in zip(got, PIXELS, strict=True):
            wanted = figures(seen(model, crops), seen(exact, crops))
            assert [row[m] for m in METRICS] == pytest.approx(wanted, rel=1e-2, abs=1e-4)


@pytest.mark.usefixtures("made")
def test_a_run_goes_on_where_it_was_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    *_, whole = images.growing([])
    steps = images.growing([])
    part = [next(steps) for _ in range(2)][-1]
    measured: list[int] = []

    def count(model: Any, recipe: str, grouping: int) -> Any:
        measured.append(grouping)
        return regrouped(model, recipe, grouping)

    monkeypatch.setattr(images, "regrouped", count)
    *_, continued = images.growing(from_csv(to_csv(part, "made")))
    assert measured == [0, 0]  # one for both groupings of a scale for a row, and the last
    assert continued == whole


def stored() -> Rows:
    return from_csv((DATA / "images.csv").read_text(encoding="utf-8"))


def test_the_stored_records_are_of_the_study() -> None:
    rows = stored()
    names = [photo.name for photo in photos()]
    assert [row["photo"] for row in rows] == names * (len(rows) // len(names))
    found = [(row["recipe"], row["grouping"]) for row in rows[:: len(names)]]
    cases = [("fp32", 0), *images.cases()]
    assert found == [case for case in cases if case in found]
    missing = {recipe for recipe, _ in set(cases) - set(found)}
    assert all(recipe.endswith(images.DEPTHWISE) for recipe in missing)
    for row in rows:
        assert (row[DIVERGENCE] == 0) == (row["recipe"] == "fp32")
        assert row[CHANGES] * CROPS == pytest.approx(round(row[CHANGES] * CROPS))


@pytest.mark.long
def test_a_quick_run_has_rows_for_every_case() -> None:
    try:
        *_, rows = images.growing([], quick=True)
    except MissingPackage as error:
        pytest.skip(str(error))
    assert [row["recipe"] for row in rows[:: images.QUICK]] == ["fp32", *images.PAIR]
    known = {(r["recipe"], r["grouping"], r["photo"]): r[DIVERGENCE] for r in stored()}
    for row in rows:
        key = row["recipe"], row["grouping"], row["photo"]
        assert row[DIVERGENCE] == pytest.approx(known[key], rel=0.05, abs=1e-6)


@pytest.mark.long
def test_speed_and_memory_have_the_right_size() -> None:
    try:
        rows = images_speed.records(quick=True)
    except MissingPackage as error:
        pytest.skip(str(error))
    fp32, e2m2, theirs, eight = rows
    assert [row["weights"] for row in rows] == ["fp32", images.PAIR[0], "fp32", images_speed.INT8]
    assert 4.5 < fp32["stored"] / e2m2["stored"] < 32 / 5.125
    assert theirs[METRICS[0]] < 1e-5 < eight[METRICS[0]] < e2m2[METRICS[0]] < 0.5
    for row in rows:
        assert 1 < row["images_per_second"] < 1000
        assert row["stored"] is None or row["stored"] < row["peak"] < row["stored"] + 30e6
