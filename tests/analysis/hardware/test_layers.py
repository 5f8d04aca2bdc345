"""Errors of layers against a quantizer of a few lines, and the models that record and round."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from analysis.hardware import __main__ as command
from analysis.hardware import layers
from analysis.hardware.circuits import ITSELF
from analysis.hardware.errors import (
    DATA,
    MODELS,
    activation_error,
    lead,
    loss,
    model_bias,
    product_error,
    recipe_of,
    weight_error,
)
from analysis.hardware.layers import (
    LOSSES_OF,
    LOSSY,
    NAMES,
    Rounded,
    channel_orders,
    regrouped,
)
from analysis.models.layers import Array
from analysis.models.matrices import MatrixModel
from analysis.models.recorder import Recorder
from analysis.records import from_csv

GRIDS = {
    "e2m2": (0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4, 5, 6, 7),
    "int5": tuple(range(16)),
    "int8": tuple(range(128)),
    "e4m3fn": tuple(
        [m / 512 for m in range(8)]
        + [(1 + m / 8) * 2.0**e for e in range(-6, 9) for m in range(8) if (e, m) != (8, 7)]
    ),
}


def slowly(x: Array, fmt: str) -> Array:
    """Round blocks of 128 with float16 scales to the nearest value of a grid; no ties in draws."""
    grid = np.array(GRIDS[fmt])
    blocks = x.astype(np.float64).reshape(*x.shape[:-1], -1, 128)
    scale = np.float16(np.abs(blocks).max(axis=-1, keepdims=True) / grid[-1]).astype(np.float64)
    place = np.searchsorted((grid[1:] + grid[:-1]) / 2, np.abs(blocks) / scale)
    return np.float32(np.sign(blocks) * grid[place] * scale).reshape(x.shape)


def in_decibels(exact: Array, approximate: Array) -> float:
    apart = (exact.astype(np.float64) - approximate).ravel()
    return 10 * math.log10(float(np.sum(exact.astype(np.float64) ** 2)) / float(apart @ apart))


@pytest.fixture
def layer(monkeypatch: pytest.MonkeyPatch) -> tuple[Array, Array]:
    """One layer in place of MiniLM's."""
    random = np.random.default_rng(4)
    w, x = (np.float32(random.standard_t(5, size=(rows, 256))) for rows in (5, 7))
    monkeypatch.setattr(layers, "minilm_layers", lambda quick: ({"m": w, "n": w}, {"m": x}))
    return w, x


def test_records_are_those_of_a_slow_quantizer(layer: tuple[Array, Array], tmp_path: Path) -> None:
    w, x = layer
    file = tmp_path / "layers.csv"
    assert command.main(["layers", "--quick", "--csv", str(file)]) == 0
    rows = from_csv(file.read_text("utf-8"))
    assert [(row["what"], row["activations"]) for row in rows] == [
        ("weights", None),
        ("activations", None),
        *(("products", name) for name in ("float", "int8", "e4m3fn", ITSELF)),
    ]
    for row in rows:
        for fmt in ("e2m2", "int5"):
            weights, other = slowly(w, fmt), row["activations"]
            if row["what"] == "weights":
                expected = in_decibels(w, weights)
            elif row["what"] == "activations":
                expected = in_decibels(x, slowly(x, fmt))
            else:
                factor = x if other == "float" else slowly(x, fmt if other == ITSELF else other)
                expected = in_decibels(x @ w.T, factor @ weights.T)
            assert row[fmt] == pytest.approx(expected, abs=0.02), row


def test_a_recorder_keeps_inputs_by_matrix() -> None:
    a, b = np.eye(2, dtype=np.float32), np.ones((1, 2), np.float32)
    recorder = Recorder(MatrixModel(matrices={"a": a, "b": b}, vectors={}))
    x = np.float32([[1, 2], [3, 4]])
    assert recorder(x, a).tolist() == x.tolist()
    assert recorder(x, b, np.float32([10])).tolist() == [[13], [17]]
    recorder(x + 4, a)
    kept = recorder.inputs(3)
    assert kept["a"].tolist() == [[1, 2], [3, 4], [5, 6]]
    assert kept["b"].tolist() == x.tolist()


def test_blocks_follow_the_order_of_channels() -> None:
    model = MatrixModel(matrices={"m": np.zeros((1, 256), np.float32)}, vectors={})
    assert channel_orders(model, 0)[256].tolist() == list(range(256))
    order = channel_orders(model, 1)[256]
    assert sorted(order) == list(range(256))
    assert order.tolist() != list(range(256))
    x = np.float32(np.random.default_rng(2).normal(size=(3, 256)))
    found = regrouped(x, recipe_of("e2m2"), order)
    assert found[:, order].tolist() == slowly(x[:, order], "e2m2").tolist()
    m = np.ones((2, 256), np.float32)
    assert Rounded(recipe_of("e2m2"), {256: order})(x, m).tolist() == (found @ m.T).tolist()
    assert Rounded(None, {256: order})(x, m).tolist() == (x @ m.T).tolist()


def test_saved_records_are_whole() -> None:
    rows = from_csv((DATA / "layers.csv").read_text("utf-8"))
    for model in MODELS.values():
        mine = [row for row in rows if row["model"] == model]
        assert len(mine) == 6 * len({row["matrix"] for row in mine}) >= 6 * 36
        assert all(row[fmt] > 0 for row in mine for fmt in NAMES)
        assert all(row["int8"] == row["e1m6"] and row["int5"] == row["e1m3"] for row in mine)
    losses = from_csv((DATA / "losses.csv").read_text("utf-8"))
    wanted = {(fmt, other, draw) for fmt in LOSSY for other in LOSSES_OF for draw in range(3)}
    assert {(row["fmt"], row["activations"], row["draw"]) for row in losses} == wanted


@pytest.mark.parametrize("source", MODELS)
def test_errors_of_models_are_those_of_the_file(source: str) -> None:
    rows = [
        row
        for row in from_csv((DATA / "layers.csv").read_text("utf-8"))
        if row["model"] == MODELS[source]
    ]

    def mean(what: str, fmt: str) -> float:
        return float(np.mean([row[fmt] for row in rows if row["what"] == what]))

    assert -10 * math.log10(weight_error("e2m2", source)) == pytest.approx(mean("weights", "e2m2"))
    assert -10 * math.log10(activation_error("e4m3fn", source)) == pytest.approx(
        mean("activations", "e4m3fn")
    )
    assert product_error("e2m2", "e4m3fn", source) == pytest.approx(
        weight_error("e2m2", source) + activation_error("e4m3fn", source)
    )
    apart = [row["e2m2"] - row["int5"] for row in rows if row["activations"] == "int8"]
    found = lead("e2m2", "int5", source, "e1m6")
    assert found.mean == pytest.approx(np.mean(apart))
    assert found.standard_error == pytest.approx(np.std(apart, ddof=1) / math.sqrt(len(apart)))


def test_losses_are_means_over_draws_in_either_encoding() -> None:
    losses = from_csv((DATA / "losses.csv").read_text("utf-8"))
    draws = [r["loss"] for r in losses if (r["fmt"], r["activations"]) == ("int5", "int8")]
    found = loss("e1m3", "e1m6")
    assert found.mean == pytest.approx(np.mean(draws))
    assert found.standard_error == pytest.approx(np.std(draws, ddof=1) / math.sqrt(3))
    assert loss("e2m2", "int8").mean < found.mean < loss("int4", "int8").mean
    with pytest.raises(ValueError, match="fmt must be one that was measured"):
        loss("e2m5", "int8")


def test_the_model_of_products_holds_where_factors_are_independent() -> None:
    """On draws it is right within 0.1 dB; on real layers all formats gain about as much."""
    x = np.float32(np.random.default_rng(6).normal(size=(2, 400, 256)))
    rounded = [layers.rounded(each, recipe_of("e2m2")) for each in x]
    measured = layers.decibels(x[0] @ x[1].T, rounded[0] @ rounded[1].T)
    assert measured == pytest.approx(
        -10 * math.log10(product_error("e2m2", ITSELF, "normal")), abs=0.1
    )
    for source in MODELS:
        bias = model_bias(source, "int8")
        assert 0.5 < bias.mean < 3
        assert bias.standard_error < 0.6
