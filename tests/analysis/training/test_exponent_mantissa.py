"""Exponent against mantissa: its grid, known laws fitted again, verdicts on known rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("torch", reason='PyTorch is not installed: extra "training"')

import minifloat as mf
from analysis.published.scaling_law import training_loss
from analysis.records import Rows
from analysis.training import exponent_mantissa as study
from analysis.training import exponent_mantissa_losses as results
from analysis.training import run as runs
from analysis.training.data import Bytes
from analysis.training.exponent_mantissa_losses import CELLS, Cell
from analysis.training.model import SHAPES, Shape
from analysis.training.recipe import TrainingRecipe

Excess = Callable[[list[Cell]], np.ndarray]


def synthetic(excess: Excess, noise: float = 0.0, seeds: int = 5) -> Rows:
    """Return rows of which each cell has this excess, and each seed its own loss."""
    draw = np.random.default_rng(0)
    rows: Rows = []
    for seed in range(seeds):
        start = 3 + draw.normal(0, 0.3)
        losses = {results.PLAIN: 0.0} | {cell.recipe: float(excess([cell])[0]) for cell in CELLS}
        rows += [
            {"seed": seed, "recipe": recipe, "validation": start + more + draw.normal(0, noise)}
            for recipe, more in losses.items()
        ]
    return rows


def published(cells: list[Cell]) -> np.ndarray:
    return results.law(cells, 1.0, results.PUBLISHED["delta"], results.PUBLISHED["nu"])


def test_the_grid_has_each_split_once_and_seeds_in_turn() -> None:
    setups = study.setups()
    assert len(setups) == len(set(setups)) == 5 * (1 + 27 + 9)
    assert [setup.seed for setup in setups] == sorted(setup.seed for setup in setups)
    for bits in results.WIDTHS:
        assert all(mf.parse(cell.name).bits == cell.bits == bits for cell in results.splits(bits))
    for setup in setups[:38]:
        recipe = TrainingRecipe.parse(setup.recipe)
        assert recipe.backward is None
        assert recipe.forward == recipe.weights


def test_the_law_has_the_terms_of_the_published_one() -> None:
    def term(cell: Cell) -> float:
        widths = (1e9, 1e13, cell.exponent_bits, cell.mantissa_bits)
        exact = training_loss(*widths, block_size=1)
        return training_loss(*widths, block_size=cell.block) - exact

    cells = [Cell.of("e2m2"), Cell.of("e1m1", 4), Cell.of("e4m0", 64)]
    terms = np.array([term(cell) for cell in cells])
    np.testing.assert_allclose(published(cells) / terms, published(cells)[0] / terms[0], rtol=1e-9)


def test_a_known_law_is_fitted_again_with_intervals_that_hold_it() -> None:
    rows = synthetic(published, noise=1e-4)
    law, ours = results.fits(rows).values()
    for name, value in results.PUBLISHED.items():
        found, half = law.parameters[name]
        assert found == pytest.approx(value, abs=0.05)
        assert 0 < half < 0.2
        assert results.agrees(law, name)
    assert law.misfit < 0.05 < 1 < ours.misfit


def test_another_law_disagrees() -> None:
    rows = synthetic(lambda cells: results.law(cells, 1.0, 0.5, 2.0), noise=1e-4)
    law = results.fits(rows)["law"]
    assert not results.agrees(law, "delta")
    assert not results.agrees(law, "nu")


def test_a_power_of_the_exact_error_is_found_again() -> None:
    rows = synthetic(lambda cells: results.ours(cells, 1.5, 0.8), noise=1e-5)
    law, ours = results.fits(rows).values()
    assert ours.parameters["p"][0] == pytest.approx(0.8, abs=0.01)
    assert ours.misfit < law.misfit


def test_the_exact_error_is_that_of_drawn_numbers() -> None:
    x = np.random.default_rng(1).standard_normal((2000, 32)).astype(np.float32)
    for name in ("e1m1", "e2m2", "e6m1", "e7m0"):
        q = mf.quantize(x, f"{name}/32/float32").dequantize()
        drawn = float(np.square(q - x).mean())
        assert results.gaussian_error(Cell.of(name)) == pytest.approx(drawn, rel=0.02), name


def test_the_best_split_is_found_and_ties_are_named() -> None:
    def uneven(cells: list[Cell]) -> np.ndarray:
        return np.array([0.1 * abs(c.exponent_bits - 2) + 1 / c.bits for c in cells])

    verdicts = {v.bits: v for v in results.verdicts(synthetic(uneven, noise=1e-3))}
    assert list(verdicts) == list(results.WIDTHS)
    assert all(v.lowest.startswith("e2") and v.tied == () for v in verdicts.values())
    assert verdicts[5].published == "e2m2"
    assert verdicts[8].behind.mean == pytest.approx(0.2, abs=0.01)  # E4M3 is published
    tied = results.verdicts(synthetic(lambda cells: np.ones(len(cells)), noise=1e-3))
    assert all(len(v.tied) >= 1 for v in tied)


def test_incomplete_records_say_what_they_can() -> None:
    rows = synthetic(published, noise=1e-4, seeds=1)
    assert results.fits(rows) == {}
    assert results.verdicts(rows) == []
    lines = results.table(rows)
    assert len(lines) == len(CELLS)
    assert {line["runs"] for line in lines} == {1}
    assert {line["law"] for line in lines} == {None}
    rows = synthetic(published, noise=1e-4, seeds=2)[:-20]  # the second seed is not at its end
    assert {line["runs"] for line in results.table(rows)} == {1, 2}
    assert 0 < len(results.verdicts(rows)) < len(results.WIDTHS)
    rows[5] |= {"validation": None}  # diverged
    assert results.table(rows)[4]["runs"] == 1


def test_the_slice_runs_and_goes_on(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    data = Bytes.of(text, 32)
    monkeypatch.setattr(runs, "texts", lambda window: data)
    monkeypatch.setitem(SHAPES, study.MODEL, Shape(width=32, layers=1, heads=2, window=32))
    rows = list(study.growing([], quick=True))[-1]
    assert [row["recipe"] for row in rows] == [
        results.PLAIN, CELLS[0].recipe, Cell.of("e2m2").recipe,
    ]  # fmt: skip
    assert list(study.growing(rows, quick=True)) == [rows]
    assert [line["runs"] for line in results.table(rows)] == [1, 1]
