"""One training, many widths: codes read again, parts of each width, samplings, and verdicts."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='PyTorch is not installed: extra "training"')

import minifloat as mf  # noqa: E402
from analysis.records import Rows, from_csv, to_csv  # noqa: E402
from analysis.training import many_widths as study  # noqa: E402
from analysis.training import many_widths_losses as results  # noqa: E402
from analysis.training import run as runs  # noqa: E402
from analysis.training import samplings  # noqa: E402
from analysis.training import widths as parts  # noqa: E402
from analysis.training.data import Bytes  # noqa: E402
from analysis.training.model import SHAPES, Shape  # noqa: E402
from analysis.training.run import Run, Setup  # noqa: E402
from analysis.training.samplings import WIDTHS  # noqa: E402
from analysis.training.through import finish, layers, validation  # noqa: E402
from analysis.training.widths import DECOUPLED, FAMILIES, LOW_RANK, SHARED  # noqa: E402


@pytest.fixture(autouse=True)
def small(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    data = Bytes.of(text, 32)
    monkeypatch.setattr(runs, "texts", lambda window: data)
    monkeypatch.setitem(SHAPES, study.MODEL, Shape(width=32, layers=1, heads=2, window=32))


def new_run(recipe: str = "", steps: int = 4) -> Run:
    setup = Setup(study.MODEL, recipe, items=steps * 128, batch=4)
    return Run(setup, setup.data())


def test_integers_are_those_of_double_rounding() -> None:
    w = np.random.default_rng(0).standard_normal((50, 64)).astype(np.float32)
    scales = np.abs(w).reshape(-1, 32).max(axis=1, keepdims=True) / 31
    codes = np.clip(np.rint(w.reshape(-1, 32) / scales), -32, 31)
    for width in WIDTHS:
        shift = 6 - width
        narrow = np.clip(np.rint(codes / 2**shift), -(2 ** (width - 1)), 2 ** (width - 1) - 1)
        wanted = (narrow * scales * 2**shift).reshape(w.shape)
        found = FAMILIES["integers"].read(torch.from_numpy(w), width).numpy()
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-7)


def test_floats_are_read_by_rounding_their_values_again() -> None:
    w = np.random.default_rng(0).standard_normal((50, 64)).astype(np.float32)
    wide = mf.quantize(w, "e2m3/32/float32")
    scales = np.repeat(wide.row_scales(), 32, axis=1)
    values = wide.dequantize() / scales
    for width in (3, 4, 5):
        wanted = mf.round_to(np.rint(values * 8) / 8, f"e2m{width - 3}") * scales
        found = FAMILIES["exmy"].read(torch.from_numpy(w), width).numpy()
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert np.array_equal(FAMILIES["exmy"].read(torch.from_numpy(w), 6).numpy(), wide.dequantize())


def test_shared_weights_at_the_widest_are_the_dedicated_run_to_the_last_bit() -> None:
    for family in FAMILIES.values():
        alone = new_run(f"weights={family.at_once(6)}")
        finish(alone)
        run = new_run()
        found = parts.give_widths(run, family, SHARED)
        assert {layer.width for layer in found} == {6}
        finish(run)
        assert run.losses == alone.losses


@pytest.mark.parametrize("sharing", [LOW_RANK, DECOUPLED])
def test_only_the_parts_of_a_width_learn(sharing: str) -> None:
    run = new_run()
    found = parts.give_widths(run, FAMILIES["exmy"], sharing)
    start = {name: part.detach().clone() for name, part in run.model.named_parameters()}
    parts.set_widths(found, [4] * len(found))
    first = validation(run)
    finish(run)
    changed = {
        name for name, part in run.model.named_parameters() if not torch.equal(part, start[name])
    }
    own = {name for name in start if "parts" in name}
    assert {name for name in own if name.endswith("4")} == own & changed
    shared = {
        f"{name}.weight" for name, layer in run.model.named_modules() if layer in layers(run.model)
    }
    assert shared & changed == (set() if sharing == DECOUPLED else shared)
    dedicated = new_run("weights=e2m1/32/float32")
    assert first == validation(dedicated)  # at the start the thin product is zero
    count = sum(part.numel() for part in found[0].parameters())
    outputs, inputs = layers(run.model)[0].weight.shape
    rank = parts.RANK * (inputs + outputs)
    assert count == 4 * (outputs * inputs if sharing == DECOUPLED else rank)


def drawn(sampling: str) -> list[list[int]]:
    return [
        samplings.SAMPLINGS[sampling](np.random.default_rng((7, step)), step / 4000, 16)
        for step in range(4000)
    ]


@pytest.mark.parametrize("sampling", samplings.SAMPLINGS)
def test_every_width_is_drawn_about_as_often(sampling: str) -> None:
    counts = Counter(width for step in drawn(sampling) for width in step)
    assert set(counts) == set(WIDTHS)
    assert all(0.18 < counts[width] / 64_000 < 0.32 for width in WIDTHS)


def test_means_are_balanced_only_where_they_are_said_to_be() -> None:
    low = {
        sampling: np.mean([np.mean(step) < 3.5 for step in drawn(sampling)])
        for sampling in samplings.SAMPLINGS
    }
    assert low["uniform"] < 0.002
    assert low["whole"] == pytest.approx(0.25, abs=0.03)
    assert 0.1 < low["balanced"] < 0.25
    assert all(len(set(step)) == 1 for step in drawn("whole"))


def test_all_cases_are_there_with_whole_seeds_in_turn() -> None:
    cases = study.cases()
    assert len(cases) == len(set(cases)) == 5 * (8 + 6 + 2)
    assert [case.seed for case in cases] == sorted(case.seed for case in cases)


def test_the_slice_runs_and_goes_on() -> None:
    rows = list(study.growing([], quick=True))[-1]
    read = from_csv(to_csv(rows, "command"))
    assert read == rows
    assert list(study.growing(read, quick=True)) == [rows]
    assert [row["width"] for row in rows] == [3] + 3 * list(WIDTHS)
    assert all(row["validation"] < 8.2 for row in rows)
    lines = results.table(rows)
    assert [line.width for line in lines] == [3, 3, 3]
    assert {line.words for line in lines} == {""}


def synthetic() -> Rows:
    """Return rows in which sharing costs 0.2 at 3 bits, of integers alone."""
    draw = np.random.default_rng(0)
    rows: Rows = []
    for case in study.cases():
        widths = [int(case.sampling[0])] if case.sharing == results.DEDICATED else list(WIDTHS)
        for width in widths:
            loss = 3 + 0.3 * case.seed + 0.01 * (6 - width) + draw.normal(0, 0.001)
            loss += 0.2 * (width == 3 and (case.family, case.sharing) == ("integers", SHARED))
            row: dict[str, Any] = case._asdict() | {"width": width, "training": loss}
            rows.append(row | {"validation": loss})
    return rows


def test_what_a_width_loses_is_found_and_nothing_else() -> None:
    lines = results.table(synthetic())
    assert len(lines) == 4 * 8
    losing = {(line.family, line.width) for line in lines if line.words == "loses"}
    assert losing == {("integers", 3)}
    assert {line.words for line in lines} == {"loses", "lossless here"}
    assert all(line.loss.standard_error < 0.002 for line in lines)
    kinds = [("integers", SHARED, "whole"), ("exmy", SHARED, "whole")]
    found = results.difference(synthetic(), *kinds, WIDTHS)
    assert found is not None
    assert found.mean == pytest.approx(0.05, abs=0.002)


def test_incomplete_and_diverged_runs_are_left_out() -> None:
    rows = [row for row in synthetic() if row["seed"] < 2][:-1]
    rows[0] |= {"validation": None}  # the first dedicated run
    lines = results.table(rows)
    assert {line.runs for line in lines} == {1, 2}
    nothing = [("integers", SHARED, "whole"), ("integers", DECOUPLED, "whole")]
    assert results.difference(rows, *nothing, WIDTHS) is None
