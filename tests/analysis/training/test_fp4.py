"""The FP4 study: its grid, its effects on rows with known ones, and its slice."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason='PyTorch is not installed: extra "training"')

from analysis.records import Rows, from_csv, to_csv
from analysis.training import fp4, grid
from analysis.training import fp4_losses as losses
from analysis.training import run as runs
from analysis.training.data import Bytes
from analysis.training.model import SHAPES, Shape
from analysis.training.recipe import TrainingRecipe


def test_the_grid_has_each_recipe_once() -> None:
    setups = fp4.setups()
    assert len(setups) == len(set(setups)) == 5 * (3 + 40 + 2)
    assert [setup.seed for setup in setups] == sorted(setup.seed for setup in setups)
    texts = {str(setup.recipe) for setup in setups}
    assert all(str(TrainingRecipe.parse(text)) == text for text in texts)
    assert len(texts) == 45


def synthetic() -> Rows:
    """Return rows in which Hadamard is worth 0.05, blocks of 16 harm by 0.02 and more noise."""
    draw = np.random.default_rng(0)
    rows: Rows = []
    for seed in range(5):
        start = 2 + draw.normal(0, 0.3)  # the seed's own
        rows.append({"seed": seed, "recipe": "float32", "validation": start, "diverged": 0})
        for parts in losses.GRID + losses.UNIFORM:
            loss = start + 0.1 - 0.05 * parts.hadamard + 0.02 * (parts.block == 16)
            loss += draw.normal(0, 0.002)
            row = {"seed": seed, "recipe": str(parts.recipe), "validation": loss, "diverged": 0}
            rows.append(row)
    return rows


def test_effects_are_those_that_the_rows_have() -> None:
    found = losses.effects(synthetic())
    assert set(found) == set(losses.EFFECTS)
    assert found["Hadamard"].difference.mean == pytest.approx(-0.05, abs=0.002)
    assert found["blocks of 16, not 32"].difference.mean == pytest.approx(0.02, abs=0.002)
    words = {name: effect.words for name, effect in found.items() if effect.words}
    assert words == {"Hadamard": "helps", "blocks of 16, not 32": "harms"}
    assert all(effect.difference.standard_error < 0.003 for effect in found.values())


def test_pairs_of_a_diverged_run_are_left_out() -> None:
    rows = synthetic()
    gone = next(row for row in rows if row["recipe"] == str(losses.GRID[1].recipe))
    gone |= {"validation": None, "diverged": 1}
    found = losses.effects(rows)
    assert found["stochastic rounding"].left_out == 1
    assert found["tensor scale, UE5M3"].left_out == 0
    line = next(line for line in losses.table(rows) if line["recipe"] == gone["recipe"])
    assert (line["runs"], line["diverged"]) == (5, 1)


def test_one_seed_has_no_verdict() -> None:
    rows = [row for row in synthetic() if row["seed"] == 0]
    assert not any(effect.words for effect in losses.effects(rows).values())


def test_the_table_compares_with_float32_of_the_same_seed() -> None:
    lines = losses.table(synthetic())
    assert lines[0]["excess"] == 0
    assert lines[0]["standard_error"] > 0.05
    assert lines[1]["excess"] == pytest.approx(0.12, abs=0.005)
    assert lines[1]["excess_error"] < 0.003


def test_the_slice_runs_and_goes_on(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    data = Bytes.of(text, 32)
    monkeypatch.setattr(runs, "texts", lambda window: data)
    monkeypatch.setitem(SHAPES, fp4.MODEL, Shape(width=32, layers=1, heads=2, window=32))
    steps = list(fp4.growing([], quick=True))
    assert [len(rows) for rows in steps] == [1, 2, 3, 4]
    read = from_csv(to_csv(steps[-1], "command"))
    assert read == steps[-1]

    def refuse(_: object) -> None:
        raise AssertionError("a known run must not be done again")

    monkeypatch.setattr(grid, "record", refuse)
    assert list(fp4.growing(read, quick=True))[-1] == read
    assert {row["recipe"] for row in read} >= {"float32", str(losses.GRID[0].recipe)}
    assert all(row["validation"] < 7.9 for row in read)
