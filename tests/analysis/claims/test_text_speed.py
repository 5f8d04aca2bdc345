"""What the study of writing speed measures: other programs compute the same products and tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.claims import text_speed
from analysis.models import smollm2
from analysis.models.llama import MATRICES, Llama, Shape
from analysis.models.packages import MissingPackage
from analysis.records import from_csv

DATA = Path(__file__).parents[3] / "docs" / "data" / "claims"


def layer() -> Llama:
    """One layer of 64 and 96 channels."""
    draw = np.random.default_rng(2)
    shapes = [(64, 64), (32, 64), (32, 64), (64, 64), (96, 64), (96, 64), (64, 96)]
    matrices = {
        f"blk.0.{name}.weight": draw.standard_normal(shape, np.float32)
        for name, shape in zip(MATRICES, shapes, strict=True)
    }
    return Llama(shape=Shape(1, 4, 2, 1e4, 1e-5), matrices=matrices, vectors={})


@pytest.mark.parametrize("bits", text_speed.NBITS)
def test_blocks_are_those_of_symmetric_integers(bits: int) -> None:
    w = np.random.default_rng(3).standard_normal((6, 64), np.float32)
    codes, scales = text_speed.blocks_of_integers(w, bits)
    if bits == 4:
        codes = np.stack([codes & 15, codes >> 4], axis=-1)
    middle = 1 << (bits - 1)
    held = (codes.reshape(6, 2, 32).astype(int) - middle) * scales.reshape(6, 2, 1)
    error = np.abs(held - w.reshape(6, 2, 32)) / scales.reshape(6, 2, 1)
    assert error.max() <= 0.5 + 1e-4
    assert codes.min() >= 1


@pytest.mark.parametrize(("bits", "error"), [(4, 0.2), (8, 0.02)])
def test_onnxruntime_multiplies_the_layer(bits: int, error: float) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    model = layer()
    x, inner = text_speed.vectors_of(model)
    session = text_speed.session_of(text_speed.layer_graph(model, bits), threads=1)
    products = session.run(None, {"x": x, "inner": inner})
    for name, found in zip(MATRICES, products, strict=True):
        wanted = (inner if name == "ffn_down" else x) @ model.matrices[f"blk.0.{name}.weight"].T
        assert np.linalg.norm(found - wanted) < error * np.linalg.norm(wanted), name
        assert np.linalg.norm(found - wanted) > error / 30 * np.linalg.norm(wanted), name


@pytest.mark.long
def test_a_quick_run_has_a_row_for_float32_and_e2m2() -> None:
    try:
        fp32, e2m2 = text_speed.records(quick=True)
    except MissingPackage as error:
        pytest.skip(str(error))
    assert (fp32["weights"], fp32["bits per weight"]) == ("fp32", 32)
    assert e2m2["weights"] == "e2m2/128/float16"
    assert 5.125 < e2m2["bits per weight"] < 5.15  # the last block of a row may be shorter
    for row in (fp32, e2m2):
        assert 1 < row["cpu in ms per token"] < 1e4
        assert row["cpu of a layer in us"] < 1e3 * row["cpu in ms per token"] / 20


@pytest.mark.long
def test_llama_cpp_writes_as_many_tokens() -> None:
    pytest.importorskip("xllamacpp")
    try:
        smollm2.WEIGHTS.find()
    except MissingPackage as error:
        pytest.skip(str(error))
    [program] = text_speed.llama_cpp_programs((1,))
    program.measure()
    assert program.row["threads"] == 1
    assert 5 < program.row["bits per weight"] < 6
    assert program.row["tokens per second"] > 0


def test_the_stored_records_are_of_the_study() -> None:
    rows = from_csv((DATA / "text_speed.csv").read_text(encoding="utf-8"))
    ours = [row for row in rows if row["program"] == "minifloat"]
    assert [(row["weights"], row["vectors"]) for row in ours if row["threads"] == 1] == [
        *text_speed.CASES
    ]
    assert {row["program"].split(",")[0].split(" ")[0] for row in rows} == {
        "minifloat", "llama.cpp", "onnxruntime",
    }  # fmt: skip
    assert all((row["nats"] is not None) == (row["program"] == "minifloat") for row in rows)
