"""Instability: its grid, sharpness against exact curvatures, shares and verdicts on known rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

torch = pytest.importorskip("torch", reason='PyTorch is not installed: extra "training"')

from analysis.records import Rows, from_csv, to_csv  # noqa: E402
from analysis.training import instability as study  # noqa: E402
from analysis.training import instability_losses as losses  # noqa: E402
from analysis.training import run as runs  # noqa: E402
from analysis.training.data import Bytes  # noqa: E402
from analysis.training.model import SHAPES, Shape  # noqa: E402
from analysis.training.run import Run, Setup  # noqa: E402


@pytest.fixture
def data(text: bytes, monkeypatch: pytest.MonkeyPatch) -> Bytes:
    data = Bytes.of(text, 32)
    monkeypatch.setattr(runs, "texts", lambda window: data)
    monkeypatch.setitem(SHAPES, study.MODEL, Shape(width=32, layers=1, heads=2, window=32))
    return data


def test_the_grid_has_each_case_once_and_seeds_in_turn() -> None:
    cases = losses.cases()
    assert len(cases) == len(set(cases)) == 12 * 3 * 5
    assert [case.seed for case in cases] == sorted(case.seed for case in cases)
    assert [losses.removed(name) for name in losses.FORMATS[1:]] == [0, *range(1, 7), 1, 2, 3, 4]
    assert str(losses.recipe_of("float32")) == ""


def test_sharpness_is_the_curvature_along_the_gradient() -> None:
    draw = np.random.default_rng(0)
    root = torch.from_numpy(draw.standard_normal((6, 6)))
    hessian = root @ root.T
    w = torch.nn.Parameter(torch.from_numpy(draw.standard_normal(6)))
    parts = [torch.nn.Parameter(half.detach().clone()) for half in w.split(3)]

    def loss() -> Any:
        x = torch.cat(parts)
        return x @ hessian @ x / 2

    g = hessian @ w.detach()
    assert study.sharpness(loss, parts) == pytest.approx(float(g @ hessian @ g / (g @ g)), rel=1e-8)
    assert torch.equal(torch.cat(parts), w)
    assert np.isnan(study.sharpness((parts[0] * 0).sum, parts[:1]))


def test_sharpness_of_a_model_is_that_of_exact_second_derivatives(data: Bytes) -> None:
    run = Run(Setup(study.MODEL, "", items=640, batch=4), data)
    for _ in range(3):
        run.advance()
    parameters = list(run.model.parameters())
    before = [p.detach().clone() for p in parameters]
    # a second derivative of the loss along the gradient, by differences of losses in float64
    loss = run.loss(data.validation())[0]
    gradient = torch.autograd.grad(loss, parameters)
    norm = float(sum(g.square().sum() for g in gradient)) ** 0.5
    run.model.double()
    values = []
    for step in (-0.02, 0.0, 0.02):
        with torch.no_grad():
            for p, at, g in zip(parameters, before, gradient, strict=True):
                p.copy_(at.double() + step * g.double() / norm)
            values.append(run.loss(data.validation())[0].item())
    run.model.float()
    with torch.no_grad():
        for p, at in zip(parameters, before, strict=True):
            p.copy_(at)
    wanted = (values[0] - 2 * values[1] + values[2]) / 0.02**2
    assert study.run_sharpness(run) == pytest.approx(wanted, rel=0.02)


def test_measuring_sharpness_does_not_change_the_run(data: Bytes) -> None:
    results = []
    for measures in (False, True):
        run = Run(Setup(study.MODEL, losses.recipe_of("e5m7"), items=640, batch=4), data)
        for step in range(5):
            if measures and step == 2:
                assert study.run_sharpness(run) is not None
            run.advance()
        results.append(run.losses)
    assert results[0] == results[1]


def test_the_slice_runs_and_goes_on(data: Bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    found = list(study.growing([], quick=True))[-1]
    assert [row["format"] for row in found] == ["float32", "e8m7", "e4m7"]
    assert all(row["sharpness"] is not None and row["not_finite"] == 0 for row in found)
    read = from_csv(to_csv(found, "command"))
    assert read == found
    monkeypatch.setattr(study, "record", None)  # a known run must not be done again
    assert list(study.growing(read, quick=True))[-1] == read


def test_what_is_not_finite_has_no_losses(data: Bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "RATE", 1e30)
    row = study.record(losses.Case("float32", 1, 0), 40 * 128)
    assert (row["not_finite"], row["training"], row["validation"]) == (1, None, None)
    assert losses.has_diverged(row)


def row(name: str, factor: int, seed: int, **values: Any) -> dict[str, Any]:
    found = {"format": name, "factor": factor, "seed": seed, "steps": 100, "training": 2.0,
             "lowest": 2.0, "validation": 2.5, "not_finite": 0, "sharpness": 10.0}  # fmt: skip
    return found | values


def synthetic() -> Rows:
    """Return rows in which all runs of E5M7 and E4M7 diverge, E8M1 costs 0.3 and is sharper."""
    rows: Rows = []
    for case in losses.cases():
        mine = row(*case, validation=2.5 + 0.1 * case.seed)
        if case.format in ("e5m7", "e4m7"):
            mine |= {"training": 2.6} if case.seed % 2 else {"not_finite": 1, "training": None}
        if case.format == "e8m1":
            mine |= {"validation": mine["validation"] + 0.3, "sharpness": 25.0}
        rows.append(mine)
    return rows


def test_shares_have_wilsons_interval() -> None:
    for some, every in ((0, 5), (2, 5), (15, 15), (7, 60)):
        theirs = binomtest(some, every).proportion_ci(method="wilson")
        assert losses.Share(some, every).interval == pytest.approx((theirs.low, theirs.high))


def test_verdicts_are_those_that_the_rows_have() -> None:
    rows = synthetic()
    said = {name: losses.verdict(rows, name) for name in losses.FORMATS}
    assert {name for name, words in said.items() if words} == {"e5m7", "e4m7"}
    assert said["e4m7"] == "less stable"
    assert losses.by_kind(rows) == {"mantissa": (0, 60), "exponent": (30, 60)}
    loss = losses.mean(rows, "validation", "e8m1", 4, excess=True)
    assert loss is not None
    assert loss.mean == pytest.approx(0.3)
    assert loss.standard_error == pytest.approx(0, abs=1e-12)  # the seed's own part is left out
    assert losses.mean(rows, "validation", "e4m7", 4, excess=False) is None
    assert losses.share([], format="e4m7") is None


def test_exponent_beside_mantissa_by_the_loss() -> None:
    rows = [
        row(case.format, case.factor, case.seed, validation=2.5 + 0.1 * case.seed
            + 0.02 * (case.format == "e6m7") + 0.01 * case.seed * (case.format == "e7m7"))
        for case in losses.cases()
    ]  # fmt: skip
    found = losses.exponent_over_mantissa(rows)
    assert list(found) == [(factor, bits) for factor in (1, 4, 16) for bits in (1, 2, 3, 4)]
    assert found[4, 2].mean == pytest.approx(0.02)
    assert found[4, 2].standard_error == pytest.approx(0, abs=1e-12)
    assert found[1, 1].mean == pytest.approx(0.02)
    assert found[1, 1].standard_error == pytest.approx(0.01 * np.std(range(5), ddof=1) / 5**0.5)
    assert (1, 4) not in losses.exponent_over_mantissa(synthetic())  # they diverged


def test_a_run_that_lost_half_a_bit_again_has_diverged() -> None:
    assert losses.has_diverged(row("e8m7", 1, 0, training=2.5, lowest=2.0))
    assert not losses.has_diverged(row("e8m7", 1, 0, training=2.49, lowest=2.0))
    assert losses.part_means([3.0] * 244)[-1] == 3.0
    assert len(losses.part_means(range(244))) == 20
