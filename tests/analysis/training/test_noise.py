"""Noise in place of rounding: its laws against exact ones, its runs, and its table."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='PyTorch is not installed: extra "training"')

import minifloat as mf  # noqa: E402
from analysis.records import Rows, from_csv, to_csv  # noqa: E402
from analysis.training import noise as study  # noqa: E402
from analysis.training import noise_laws as laws  # noqa: E402
from analysis.training import noise_losses as results  # noqa: E402
from analysis.training import run as runs  # noqa: E402
from analysis.training.data import Bytes  # noqa: E402
from analysis.training.model import SHAPES, Shape  # noqa: E402
from analysis.training.noise_losses import Case  # noqa: E402
from analysis.training.run import Run, Setup  # noqa: E402
from analysis.training.through import change_weights, finish, layers, validation  # noqa: E402

E2M1, E1M1 = (mf.Recipe.parse(recipe) for recipe in results.RECIPES)


@pytest.fixture(autouse=True)
def small(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    data = Bytes.of(text, 32)
    monkeypatch.setattr(runs, "texts", lambda window: data)
    monkeypatch.setitem(SHAPES, study.MODEL, Shape(width=32, layers=1, heads=2, window=32))


def weights(rows: int = 2000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, 64)).astype(np.float32)


@pytest.mark.parametrize("recipe", [E2M1, E1M1], ids=str)
@pytest.mark.parametrize("source", laws.SOURCES)
def test_every_source_has_the_variance_of_the_rounding_error(
    source: str, recipe: mf.Recipe
) -> None:
    w = 0.02 * weights()
    error = laws.SOURCES[source](w, recipe, np.random.default_rng(1))
    rounding = mf.quantize(w, recipe).dequantize() - w
    square = float(np.square(rounding, dtype=np.float64).mean())
    assert error.dtype == np.float32
    assert float(np.square(error, dtype=np.float64).mean()) == pytest.approx(square, rel=0.04)
    assert abs(float(error.mean())) < 4 * math.sqrt(square / error.size)


def test_the_law_is_that_of_the_error_but_independent_of_the_weight() -> None:
    w = weights(8000)
    error = laws.law(w, E1M1, np.random.default_rng(1))
    rounding = mf.quantize(w, E1M1).dequantize() - w
    points = np.linspace(0.05, 0.95, 19)
    found, exact = (np.quantile(side, points) for side in (error, rounding))
    np.testing.assert_allclose(found, exact, atol=0.012)
    assert abs(np.corrcoef(w.ravel(), error.ravel())[0, 1]) < 0.01
    gauss = laws.gaussian(w, E1M1, np.random.default_rng(1))
    assert np.abs(np.quantile(gauss, points) - exact).max() > 0.02


def test_noise_of_cells_stays_within_its_cell() -> None:
    w = weights(200)
    error = laws.cell(w, E2M1, np.random.default_rng(1))
    scales = np.repeat(np.abs(w).reshape(200, 2, 32).max(axis=2), 32, axis=1) / 6
    grid = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    cells = np.abs(w) / scales
    widths = np.diff(grid)[np.clip(np.searchsorted(grid, cells) - 1, 0, 6)]
    assert (np.abs(error) <= widths * scales / 2 * (1 + 1e-5)).all()
    assert (np.abs(error) > widths * scales * 0.49).any()


def test_the_bits_of_pqt_are_those_of_drawn_blocks() -> None:
    w = weights(20_000)
    largest = np.abs(w).reshape(-1, 32).max(axis=1)
    for recipe in (E2M1, E1M1):
        factor = 2.0 ** (1 - laws.noise_bits(recipe))
        variance = laws.R_VARIANCE * factor**2 * float(np.square(largest).mean())
        assert variance == pytest.approx(laws.noise_variance(recipe), rel=0.005)
    r = np.rint(np.random.default_rng(0).standard_normal(1_000_000) / 2)
    assert r.var() == pytest.approx(laws.R_VARIANCE, rel=0.005)


def test_noise_is_new_in_each_step_and_place_unless_it_is_frozen() -> None:
    run = Run(Setup(study.MODEL, items=4 * 512, batch=4), Setup(study.MODEL).data())
    w = torch.from_numpy(weights(4))
    for source in laws.SOURCES:
        change = study.changed(Case(3, results.RECIPES[0], source), run)
        assert change is not None
        values = []
        for step, place in ((0, 1), (0, 1), (0, 2), (1, 1)):
            run.model.set_step(step)
            values.append(change(w, place))
        assert torch.equal(values[0], values[1])
        assert not torch.equal(values[0], values[2])
        assert torch.equal(values[0], values[3]) == (source == laws.FROZEN)


def test_rounding_through_a_function_is_that_of_the_recipe_to_the_last_bit() -> None:
    text = f"weights={results.RECIPES[0]}"
    setup = Setup(study.MODEL, items=6 * 512, batch=4)
    plain = Run(setup, setup.data())
    change_weights(plain.model, study.rounded(E2M1))
    recipe = Run(Setup(study.MODEL, text, items=6 * 512, batch=4), setup.data())
    finish(plain)
    finish(recipe)
    assert plain.losses == recipe.losses
    assert validation(plain) == recipe.result().validation
    assert len(layers(plain.model)) == 4


def test_weights_of_a_grid_have_no_error_and_gaussian_ones_the_predicted() -> None:
    w = weights()
    assert laws.error_ratio([w], E2M1) == pytest.approx(1, abs=0.02)
    assert laws.error_ratio([mf.quantize(w, E2M1).dequantize()], E2M1) == 0


def test_the_slice_runs_and_goes_on() -> None:
    rows = list(study.growing([], quick=True))[-1]
    read = from_csv(to_csv(rows, "command"))
    assert read == rows
    assert list(study.growing(read, quick=True)) == [rows]
    by_source = {row["source"]: row for row in rows if row["recipe"] == results.RECIPES[0]}
    assert set(by_source) == {results.NONE, results.ROUNDED, *laws.SOURCES}
    assert by_source[results.NONE]["own"] == by_source[results.NONE]["plain"]
    assert by_source[results.ROUNDED]["own"] == by_source[results.ROUNDED]["rounded"]
    assert all(row["own"] != row["plain"] for row in rows if row["source"] in laws.SOURCES)
    lines = results.table(rows)
    assert [line["source"] for line in lines[:2]] == [results.ROUNDED, results.NONE]
    assert not any(line["own_differs"] for line in lines)  # one seed has no verdict


def synthetic() -> Rows:
    """Return rows in which Gaussian noise costs 0.05 more in training than rounding."""
    draw = np.random.default_rng(0)
    rows: Rows = []
    for seed in range(5):
        start = 3 + draw.normal(0, 0.3)
        for recipe in results.RECIPES:
            for source in (results.NONE, results.ROUNDED, *laws.SOURCES):
                losses = {name: start + draw.normal(0, 0.002) for name in results.LOSSES}
                losses["training"] += 0.05 * (source == "gaussian")
                row = {"seed": seed, "recipe": recipe, "source": source, "ratio": 1.0}
                rows.append(row | losses)
    return rows


def test_what_differs_is_said_and_nothing_else() -> None:
    lines = results.table(synthetic())
    differing = {
        (line["source"], name)
        for line in lines
        for name in results.LOSSES
        if line[f"{name}_differs"]
    }
    assert differing == {("gaussian", "training")}
    assert len(lines) == 2 * 7
    diverged = synthetic()
    diverged[1] |= dict.fromkeys((*results.LOSSES, "ratio"))  # a seed's rounded run
    assert {line["runs"] for line in results.table(diverged)} == {4, 5}


def test_all_cases_are_there_with_whole_seeds_in_turn() -> None:
    cases = study.cases()
    assert len(cases) == len(set(cases)) == 5 * (1 + 2 * 6)
    assert [case.seed for case in cases] == sorted(case.seed for case in cases)
