"""Studies of rotations: on layers made by hand, their verdicts, and their stored records."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import minifloat as mf
from analysis.methods import learned_rotations, rotation_theory, rotations
from analysis.methods.layer_inputs import Layer, layers_of
from analysis.models.matrices import MatrixModel
from analysis.records import from_csv

DATA = Path(__file__).parents[3] / "docs" / "data" / "methods"
RNG = np.random.default_rng(3)


def layer(weights: np.ndarray, inputs: np.ndarray) -> Layer:
    return Layer("made", "m", weights.astype(np.float32), inputs.astype(np.float32))


def test_inputs_are_those_of_each_product() -> None:
    model = MatrixModel(
        matrices={"a": np.eye(3, dtype="f4"), "b": 2 * np.eye(3, dtype="f4")}, vectors={}
    )
    x = np.arange(6, dtype=np.float32).reshape(2, 3)

    def read(m: MatrixModel) -> None:
        for _ in range(2):
            m.multiply(m.multiply(x, m.matrices["b"]), m.matrices["a"])

    first, second = layers_of("made", model, ["a", "b"], read)
    assert (first.name, second.name) == ("a", "b")
    assert np.array_equal(first.inputs, np.concatenate([2 * x, 2 * x]))
    assert np.array_equal(second.inputs, np.concatenate([x, x]))


def test_errors_are_those_of_the_outputs() -> None:
    w, x = RNG.standard_normal((20, 64)), RNG.standard_normal((30, 64))
    made = layer(w, x)
    recipe = mf.Recipe("int4", block=64, rotation="hadamard64")
    found = rotations.output_errors(made, recipe)
    wq, xq = (mf.quantize(a.astype("f4"), recipe).dequantize().astype(float) for a in (w, x))
    exact = x @ w.T
    assert found["weights"] == pytest.approx(
        np.linalg.norm(x @ wq.T - exact) / np.linalg.norm(exact), rel=1e-5
    )
    assert found["both"] == pytest.approx(
        np.linalg.norm(xq @ wq.T - exact) / np.linalg.norm(exact), rel=1e-5
    )


def test_rotations_help_integers_with_outliers() -> None:
    w = RNG.standard_normal((64, 128)) * np.where(np.arange(128) % 16, 1, 20)
    rows = list(rotations._rows(layer(w, RNG.standard_normal((50, 128))), mf.Recipe.parse("int4")))
    assert [row["size"] for row in rows] == ["64 inputs", "64 inputs", "whole rows", "whole rows"]
    assert all(row["gain_0"] > 3 for row in rows if row["quantized"] == "weights")
    effect = rotations.effects(rows + rows)["made", "int4/128/float16", "weights", "64 inputs"]
    assert effect.verdict == "helps"


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ([(1.0, 1.2), (1.4, 1.0)], "helps"),
        ([(-1.0, -1.2), (-1.4, -1.0)], "hurts"),
        ([(0.05, 0.06), (0.06, 0.05)], ""),  # less than matters
        ([(5.0, 5.0), (-1.0, -1.0)], ""),  # matrices do not agree
        ([(2.0, -0.5), (2.0, -0.5)], ""),  # draws do not agree
    ],
)
def test_verdicts(gains: list[tuple[float, float]], verdict: str) -> None:
    row = {"model": "m", "recipe": "r", "quantized": "both", "size": "64"}
    rows = [row | {"gain_0": a, "gain_1": b} for a, b in gains]
    assert rotations.effects(rows)["m", "r", "both", "64"].verdict == verdict


def test_the_stand_in_has_the_derivatives_that_it_states() -> None:
    w, x = RNG.standard_normal((30, 8)), RNG.standard_normal((20, 8))
    r, s = np.linalg.qr(RNG.standard_normal((8, 8)))[0], np.exp(0.3 * RNG.standard_normal(8))
    for both in (False, True):
        _, by_r, by_s = learned_rotations.stand_in(w, x, r, s, both)
        change, step = RNG.standard_normal((8, 8)), 1e-6
        ends = [learned_rotations.stand_in(w, x, r + h * change, s, both)[0] for h in (step, -step)]
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(np.sum(by_r * change), rel=1e-5)
        ends = [
            learned_rotations.stand_in(w, x, r, s + h * change[0], both)[0] for h in (step, -step)
        ]
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(by_s @ change[0], rel=1e-5)


def test_fits_find_what_is_there() -> None:
    """Channels of other sizes are evened out; an outlier along a direction is turned away."""
    sizes = np.where(np.arange(16) % 4, 1.0, 12.0)
    w, x = RNG.standard_normal((80, 16)) / sizes, RNG.standard_normal((90, 16)) * sizes
    scaling, turn = learned_rotations.fit(w, x, np.eye(16), scaled=True, rotated=False, both=True)
    assert np.array_equal(turn, np.eye(16))
    assert np.std(np.log(scaling / sizes)) < 0.2 * np.std(np.log(sizes))
    before = learned_rotations.output_error(w, x, "int4/16", np.ones(16), [np.eye(16)], both=True)
    after = learned_rotations.output_error(w, x, "int4/16", scaling, [turn], both=True)
    assert after < 0.8 * before
    w = RNG.standard_normal((80, 16)) * sizes
    scaling, turn = learned_rotations.fit(w, x, np.eye(16), scaled=False, rotated=True, both=False)
    assert np.array_equal(scaling, np.ones(16))
    assert np.abs(turn @ turn.T - np.eye(16)).max() < 1e-12
    before = learned_rotations.output_error(w, x, "int4/16", scaling, [np.eye(16)], both=False)
    after = learned_rotations.output_error(w, x, "int4/16", scaling, [turn], both=False)
    assert after < 0.8 * before


def test_transforms_do_not_change_the_product() -> None:
    w, x = RNG.standard_normal((20, 128)), RNG.standard_normal((30, 128))
    blocks = learned_rotations._blocks_of(mf.Rotation(64, 3), 128)
    assert np.allclose(learned_rotations._transformed(w, blocks), mf.Rotation(64, 3).rotate(w))
    error = learned_rotations.output_error(
        w, x, "e5m10/64/float32", np.exp(RNG.standard_normal(128)), blocks, both=True
    )
    assert error < 2e-3


def test_the_stored_records_are_whole() -> None:
    rows = from_csv((DATA / "rotations.csv").read_text(encoding="utf-8"))
    matrices = {(row["model"], row["matrix"]) for row in rows}
    assert len(rows) == len(matrices) * len(rotations.RECIPES) * 2 * len(rotations.SIZES)
    assert Counter(model for model, _ in matrices) == {"MiniLM-L6-v2": 36, "SmolLM2-135M": 21}
    learned = from_csv((DATA / "learned_rotations.csv").read_text(encoding="utf-8"))
    assert {row["method"] for row in learned} >= set(learned_rotations.METHODS)
    theory = from_csv((DATA / "rotation_theory.csv").read_text(encoding="utf-8"))
    assert len(theory) == 6 * len(rotation_theory.RECIPES) * 2


def test_theory_is_that_of_the_code() -> None:
    rows = from_csv((DATA / "rotation_theory.csv").read_text(encoding="utf-8"))
    by_key = {(row["law"], row["recipe"], row["rotated"]): row for row in rows}
    for law, (plain, after, _) in rotation_theory._laws().items():
        for rotated, density in (("no", plain), ("yes", after)):
            row = by_key[law, "int5/128/float16", rotated]
            if density is None:
                assert row["theory"] is None
            else:
                wanted = rotation_theory.absmax_mse("int5/128/float16", density)
                assert row["theory"] == pytest.approx(wanted, rel=1e-6)
            if law == "normal" or (rotated == "no" and density is not None):
                assert row["measured"] == pytest.approx(
                    row["theory"], abs=4 * row["standard_error"]
                )
