"""The table of methods: on a model made by hand, its bits, its statistics, its stored records."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import cycle, product
from pathlib import Path

import numpy as np
import pytest

import minifloat as mf
from analysis.methods import table
from analysis.methods.bit_budgets import block_within, counted
from analysis.methods.contenders import ALLOCATED, BEST, METHODS, REFERENCE, normal_book
from analysis.methods.mixed_precision import LEVELS, allocated
from analysis.methods.smollm2_subject import middles
from analysis.methods.subjects import Inputs
from analysis.methods.table import Run
from analysis.methods.table_losses import Table
from analysis.models import smollm2
from analysis.records import Rows, from_csv, to_csv

DATA = Path(__file__).parents[3] / "docs" / "data" / "methods" / "table.csv"
RNG = np.random.default_rng(7)


class Made:
    """A model of two matrices in a row, whose loss is the squared error of its outputs."""

    name = "MiniLM-L6-v2"

    def __init__(self) -> None:
        self.matrices = {
            f"blk.{k}.ffn_up.weight": RNG.standard_t(4, (128, 128)).astype(np.float32)
            for k in range(2)
        }
        mix = np.eye(128) + 0.5 * RNG.standard_normal((128, 128)) / 11
        self.x = (RNG.standard_normal((2, 400, 128)) @ mix).astype(np.float32)
        heard, tested = map(Inputs.of, self.x)
        self.calibration = dict.fromkeys(self.matrices, heard)
        self.test = dict.fromkeys(self.matrices, tested.gram)
        self.measured = 0

    def losses(self, matrices: Mapping[str, np.ndarray]) -> dict[str, list[float]]:
        self.measured += 1
        moved = sum(
            np.square(self.x[1] @ (matrices.get(name, own) - own).T).mean(axis=1)
            for name, own in self.matrices.items()
        )
        return {text: [float(each) for each in moved[part]] for text, part in
                (("one", slice(24)), ("two", slice(24, 48)))}  # fmt: skip

    def divergence(self, name: str, matrix: np.ndarray) -> float:
        factor = 100.0 if name.startswith("blk.1") else 1.0
        return factor * float(np.square(matrix - self.matrices[name]).mean())


@pytest.fixture(scope="module")
def made() -> Made:
    return Made()


@pytest.mark.parametrize(
    ("name", "bits"), list(zip(METHODS, cycle([3.25, 4.25, 5.25]), strict=False))
)
def test_no_method_takes_more_bits_than_its_budget(made: Made, name: str, bits: float) -> None:
    weights, inputs = made.matrices["blk.0.ffn_up.weight"], made.calibration["blk.0.ffn_up.weight"]
    packed = METHODS[name](weights, inputs, bits)
    assert bits - 0.13 < counted(packed) <= bits
    assert packed.bits_per_weight >= math.floor(bits)


def test_the_smallest_block_is_found() -> None:
    for inputs in (96, 384, 576, 1000):
        for of_block in (8, 16, 21):
            for bits in (0.25, 0.4):
                block = block_within(bits, inputs, of_block)
                taken = [
                    of_block * math.ceil(inputs / size) / inputs for size in (block, block - 1)
                ]
                assert taken[0] <= bits < taken[1]
    with pytest.raises(ValueError, match="bits must be at least"):
        block_within(0.01, 64, 16)


def test_codebooks_of_a_matrix_are_counted_and_shared_ones_are_not() -> None:
    w = RNG.standard_normal((64, 128)).astype(np.float32)
    own = mf.quantize(w, mf.Codebook([-1, -0.5, 0, 1]), block=64)
    assert counted(own) == 2 + 16 / 64 + 4 * 32 / w.size
    shared = mf.quantize(w, normal_book(4, 32), block=32, scale="ue5m3")
    assert counted(shared) == 4.25


def test_the_normal_codebook_is_better_than_nf4_on_normal_weights() -> None:
    w = RNG.standard_normal((512, 256)).astype(np.float32)
    ours = mf.quantize(w, normal_book(4, 32), block=32, scale="float32", search="mse").sqnr(w)
    assert ours > mf.quantize(w, "nf4/32/float32/mse").sqnr(w) + 0.1


def test_a_run_measures_what_it_says(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors of outputs and losses against products with the matrices themselves."""
    monkeypatch.setattr(table, "SUBJECTS", {made.name: lambda quick: made})
    run = Run(made.name, "E2My", 4.25, 0)
    monkeypatch.setattr(table, "plan", lambda quick: [Run(made.name, "fp32", 32.0, 0), run])
    *_, rows = table.growing([])
    errors = [row for row in rows if row["kind"] == "output error"]
    losses = {row["of"]: row for row in rows if row["kind"] == "loss" and row["method"] == "E2My"}
    assert [row["of"] for row in errors] == ["ffn_up"]
    x, moved = made.x[1], np.zeros(400)
    for layer, w in enumerate(made.matrices.values()):
        apart = x @ (mf.quantize(w, "e2m1/64/float16").dequantize() - w).T
        share = np.square(x @ w.T).sum() / np.square(apart).sum()
        assert errors[0][f"at_{layer}"] == pytest.approx(10 * math.log10(share), abs=1e-2)
        moved += np.square(apart).mean(axis=1)
    assert [losses["two"][f"at_{k}"] for k in range(24)] == pytest.approx(moved[24:48], rel=1e-3)
    assert all(row["bits"] == 4.25 for row in rows if row["method"] == "E2My")


def test_a_run_goes_on_where_it_was_stopped(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "SUBJECTS", {made.name: lambda quick: made})
    names = ("E2My", "INT", "E2My, mse", "allocated E2My, mse")
    runs = [Run(made.name, "fp32", 32.0, 0), Run(made.name, "divergence", 4.25, 0)]
    runs += [Run(made.name, name, 4.25, 0) for name in names]
    monkeypatch.setattr(table, "plan", lambda quick: runs)
    *_, whole = table.growing([])
    made.measured = 0
    steps = table.growing([])
    part = [next(steps) for _ in range(4)][-1]
    assert made.measured == 3  # the divergences are no losses of the model
    *_, continued = table.growing(from_csv(to_csv(part, "made")))
    assert continued == whole
    assert made.measured == 5


def test_draws_differ_and_errors_stay_in_the_inputs_own_order(made: Made) -> None:
    name = "blk.0.ffn_up.weight"
    weights, gram = made.matrices[name], made.test[name]
    found = [
        table.quantized(Run(made.name, "GPTQ, E2My, mse", 4.25, draw), made, name, 4.25)[1]
        for draw in range(2)
    ]
    assert not np.array_equal(*found)
    first, second = (table.decibels(weights, values, gram) for values in found)
    assert first == pytest.approx(second, abs=1.0)


def test_a_method_above_its_budget_is_an_error(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "SUBJECTS", {made.name: lambda quick: made})
    monkeypatch.setattr(table, "plan", lambda quick: [Run(made.name, "E2My", 4.25, 0)])
    monkeypatch.setitem(METHODS, "E2My", lambda w, inputs, bits: mf.quantize(w, "e2m1/63/float16"))
    with pytest.raises(ValueError, match=r"bits must be at most 4\.25"):
        list(table.growing([]))


def test_budgets_go_where_they_matter() -> None:
    """Against every choice of levels."""
    sizes = {"a": 300, "b": 100, "c": 200, "d": 50}
    every = [dict(zip(sizes, each, strict=True)) for each in product(LEVELS, repeat=4)]
    within = [
        levels
        for levels in every
        if sum(sizes[name] * levels[name] for name in sizes) <= 650 * 4.25
    ]
    for _ in range(10):
        moved = dict(zip(sizes, 10.0 ** RNG.uniform(-2, 2, 4), strict=True))

        def loss(levels: Mapping[str, float], moved: Mapping[str, float] = moved) -> float:
            return sum(moved[name] * 4.0 ** -levels[name] for name in sizes)

        found = allocated(sizes, moved, 4.25)
        assert found in within
        assert loss(found) == pytest.approx(min(map(loss, within)))
    with pytest.raises(ValueError, match=r"at least 2\.25"):
        allocated(sizes, dict.fromkeys(sizes, 1.0), 2.0)


def test_calibration_and_test_are_apart() -> None:
    tokens = np.arange(24 * 1000)
    tested = set(smollm2.chunks(tokens)[0].ravel().tolist())
    heard = middles(tokens, 2)
    assert all(len(chunk) == smollm2.CHUNK for chunk in heard)
    assert not tested & {int(token) for chunk in heard for token in chunk}
    assert len(heard) == 48


def losses(method: str, budget: float, draws: list[list[float]]) -> Rows:
    """Return records of a method whose loss on each of two texts has these parts in each draw."""
    found = []
    for draw, parts in enumerate(draws):
        run = Run("m", method, budget, draw)
        for text in ("one", "two"):
            numbers = dict(enumerate(parts))
            found.append(table._row(run, budget, "loss", text, numbers, 9))
    return found


def test_errors_of_losses_are_of_parts_and_of_draws() -> None:
    rows = losses("fp32", 32.0, [[3.0, 4.0]])
    rows += losses("a", 4.25, [[3.1, 4.3], [3.3, 4.5]])
    rows += losses("b", 4.25, [[3.2, 4.2]])
    found = Table(rows, "m")
    assert found.loss("a", 4.25).mean == pytest.approx(0.3)  # 0.2 and 0.4 in the two draws
    within = 0.02 / 2 / 2  # variance of 0.2 and 0.4 over parts, over the texts
    assert found.loss("a", 4.25).standard_error == pytest.approx(math.sqrt(within + 0.02 / 2))
    assert found.loss("b", 4.25).mean == pytest.approx(0.2)
    share = 0.02 / 0.3**2  # of a, taken for b, too
    assert found.loss("b", 4.25).standard_error == pytest.approx(math.sqrt(share * 0.2**2))
    lead = found.lead("b", "a", 4.25)
    assert lead.mean == pytest.approx(0.1)
    expected = within + 0.02 / 2 + share * 0.2**2
    assert lead.standard_error == pytest.approx(math.sqrt(expected))


@pytest.mark.parametrize(
    ("few", "many", "aims"),
    [
        (0.1, 0.01, ("reached", "reached")),
        (0.3, 0.04, ("missed", "missed")),
        (0.2, math.log(1.03), ("open", "open")),
    ],
)
def test_aims(few: float, many: float, aims: tuple[str, str]) -> None:
    noise = np.array([-0.02, 0.02])
    rows = losses("fp32", 32.0, [[3.0, 3.0]])
    rows += losses(REFERENCE, 5.25, [list(3.2 + 0 * noise)])
    rows += losses("a", 4.25, [list(3 + few + noise)])
    rows += losses("a", 5.25, [list(3 + many + 0.1 * noise)])
    assert Table(rows, "m").aims("a") == aims


def test_every_method_that_is_repeated_or_allocated_is_known() -> None:
    assert {*table.REPEATED} <= {*METHODS, *ALLOCATED}
    assert BEST in METHODS
    assert len(set(table.plan())) == len(table.plan())
