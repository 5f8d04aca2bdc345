"""Quantization-aware training beside GPTQ: Hessians, what is validated, and known differences."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='PyTorch is not installed: extra "training"')

import minifloat as mf  # noqa: E402
from analysis.records import Rows, from_csv, to_csv  # noqa: E402
from analysis.training import after_training as study  # noqa: E402
from analysis.training import after_training_losses as results  # noqa: E402
from analysis.training import run as runs  # noqa: E402
from analysis.training.data import Bytes  # noqa: E402
from analysis.training.model import SHAPES, Shape  # noqa: E402
from analysis.training.run import Run, Setup, train  # noqa: E402
from analysis.training.through import finish, layers, validation  # noqa: E402

E2M2, _, E2M0 = results.RECIPES


@pytest.fixture(autouse=True)
def small(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    data = Bytes.of(text, 32)
    monkeypatch.setattr(runs, "texts", lambda window: data)
    monkeypatch.setitem(SHAPES, study.MODEL, Shape(width=32, layers=1, heads=2, window=32))


def trained(recipe: str = "", steps: int = 30) -> Run:
    setup = Setup(study.MODEL, recipe, items=steps * 128, batch=4)
    run = Run(setup, setup.data())
    finish(run)
    return run


def test_hessians_are_those_of_the_inputs() -> None:
    run = trained(steps=2)
    found = study.hessians(run)
    inputs, _ = run.data.batch(0, 2, study.CALIBRATION)
    seen: list[np.ndarray] = []
    hooks = [
        layer.register_forward_pre_hook(lambda _, x: seen.append(x[0].detach().double().numpy()))
        for layer in layers(run.model)
    ]
    with torch.no_grad():
        run.model(inputs)
    for hook in hooks:
        hook.remove()
    assert len(found) == 4
    for hessian, x in zip(found, seen, strict=True):
        rows = x.reshape(-1, x.shape[-1])
        np.testing.assert_allclose(hessian, rows.T @ rows, rtol=1e-9, atol=1e-9)


def test_gptq_changes_outputs_less_than_rounding_to_nearest() -> None:
    run = trained()
    given = study.hessians(run)
    errors = []
    for rounded in (study.nearest(run, E2M0), study.by_gptq(run, E2M0, given)):
        layers_of = zip(layers(run.model), rounded, given, strict=True)
        parts = [(w - layer.weight.detach().numpy(), hessian) for layer, w, hessian in layers_of]
        errors.append(sum(float(np.trace(d @ hessian @ d.T)) for d, hessian in parts))
    assert 0 < errors[1] < 0.8 * errors[0]


def test_what_is_validated_are_the_weights_of_the_method() -> None:
    setup = Setup(study.MODEL, items=30 * 128, batch=4)
    rows = study.measured(study.Case(0, results.PLAIN), setup)
    assert [(row["recipe"], row["method"]) for row in rows] == [
        (results.PLAIN, results.PLAIN),
        *(
            (recipe, method)
            for recipe in results.RECIPES
            for method in (results.NEAREST, results.GPTQ)
        ),
    ]
    run = trained()
    assert rows[0]["validation"] == train(setup).validation == validation(run)
    for layer in layers(run.model):
        exact = mf.quantize(layer.weight.detach().numpy(), E2M2).dequantize()
        layer.weight.data = torch.from_numpy(exact)
    nearest = next(row for row in rows if row["method"] == results.NEAREST)
    assert nearest["validation"] == validation(run)
    (aware,) = study.measured(study.Case(0, E2M2), setup)
    assert aware["validation"] == validation(trained(f"weights={E2M2}"))


def test_a_diverged_run_has_no_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = Setup(study.MODEL, items=6 * 128, batch=4, rate=1e30)
    rows = study.measured(study.Case(0, results.PLAIN), setup)
    assert [row["validation"] for row in rows] == [None] * 7
    assert results.table(rows) == []


def test_the_slice_runs_and_goes_on() -> None:
    rows = list(study.growing([], quick=True))[-1]
    read = from_csv(to_csv(rows, "command"))
    assert read == rows
    assert list(study.growing(read, quick=True)) == [rows]
    (found,) = results.table(rows)
    assert (found.recipe, found.runs, found.words) == (E2M2, 1, "")
    assert found.recovered(results.GPTQ) is None


def synthetic(seeds: int = 8) -> Rows:
    """Return rows in which GPTQ takes back half of 0.2, and aware training nine tenths."""
    draw = np.random.default_rng(0)
    rows: Rows = []
    for seed in range(seeds):
        start = 3 + draw.normal(0, 0.05)
        rows.append(row(seed, results.PLAIN, results.PLAIN, start))
        for recipe in results.RECIPES:
            cost = 0.2 if recipe == E2M0 else 0.0
            for method, part in ((results.NEAREST, 1.0), (results.GPTQ, 0.5), (results.AWARE, 0.1)):
                loss = start + cost * part + draw.normal(0, 0.001)
                rows.append(row(seed, recipe, method, loss))
    return rows


def row(seed: int, recipe: str, method: str, loss: float) -> dict[str, object]:
    return {"seed": seed, "recipe": recipe, "method": method, "validation": loss}


def test_known_differences_are_found_again() -> None:
    found = {line.recipe: line for line in results.table(synthetic())}
    assert {recipe: line.words for recipe, line in found.items()} == {
        E2M2: "not told apart", results.RECIPES[1]: "not told apart", E2M0: "beats GPTQ",
    }  # fmt: skip
    last = found[E2M0]
    assert last.difference.mean == pytest.approx(-0.08, abs=0.002)
    assert last.recovered(results.GPTQ) == pytest.approx(0.5, abs=0.01)
    assert last.recovered(results.AWARE) == pytest.approx(0.9, abs=0.01)
    assert found[E2M2].recovered(results.AWARE) is None
    assert 0.02 < last.between_seeds < 0.1


def test_a_seed_without_all_losses_does_not_count() -> None:
    rows = synthetic()
    rows[-1] |= {"validation": None}
    assert [line.runs for line in results.table(rows)] == [8, 8, 7]
    assert results.table(rows[:3]) == []


def test_all_cases_are_there_with_whole_seeds_in_turn() -> None:
    cases = study.cases()
    assert len(cases) == len(set(cases)) == 8 * 4
    assert [case.seed for case in cases] == sorted(case.seed for case in cases)
