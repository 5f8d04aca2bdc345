"""A saved `Composite` among checkpoints: one tensor, its bits and its weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import minifloat as mf
from minifloat import composites
from minifloat.auditing import inspect
from minifloat.files.checkpoints import open_checkpoint
from minifloat.files.checkpoints.weights import Dequantizable

W = np.random.default_rng(3).standard_normal((16, 64)).astype(np.float32)
CASES = {
    "sparse": composites.split_outliers(W, "e2m2/32/float16", composites.largest(W, 0.02)),
    "codebook": composites.split_outliers(W, "nf4/32/float16", composites.largest(W, 0.01)),
    "low rank": composites.correct_by_low_rank(W, "int3/32/float16", rank=2),
}


@pytest.mark.parametrize("case", CASES)
def test_a_saved_composite_is_one_tensor(case: str, tmp_path: Path) -> None:
    path = tmp_path / "layer.safetensors"
    mf.save(CASES[case], path)
    checkpoint = open_checkpoint(path)
    assert list(checkpoint) == ["weights"]
    about = checkpoint.describe("weights")
    assert (about.shape, about.layout, about.skipped) == (W.shape, "minifloat composite", "")
    assert about.note.startswith(f"dense part: {CASES[case].dense.recipe}; ")
    assert about.bits == 8 * sum(part.nbytes for part in arrays(CASES[case]))
    found = checkpoint["weights"]
    assert isinstance(found, Dequantizable)
    assert np.array_equal(found.dequantize(), CASES[case].dequantize())
    (row,) = inspect(path).tensors
    assert (row.layout, row.shape) == ("minifloat composite", W.shape)


def arrays(c: mf.Composite) -> list[np.ndarray]:
    from minifloat.files.composites import to_arrays

    return list(to_arrays(c)[0].values())


def test_a_damaged_description_is_the_reason_why_it_is_skipped(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    path = tmp_path / "layer.safetensors"
    mf.save(CASES["sparse"], path)
    save_file(load_file(path), path, metadata={"minifloat": '{"composite": 1}'})
    about = open_checkpoint(path).describe("weights")
    assert "must have" in about.skipped
