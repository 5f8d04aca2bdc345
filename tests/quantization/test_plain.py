"""What reads codes as those of one format refuses weights whose blocks are of several."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import minifloat as mf
from minifloat import arithmetic
from minifloat.arithmetic import p3109_blocks
from minifloat.conversion import convert
from minifloat.files.checkpoints import (
    awq,
    compressed_tensors,
    fpe2m2,
    gguf_blocks,
    gptq,
    modelopt,
    open_checkpoint,
)

W = np.random.default_rng(1).standard_normal((32, 256)).astype(np.float32)
NVFP4 = "e2m1|int4/16/e4m3fn/tensor-scale"
READERS: dict[str, tuple[str, Callable[[mf.Quantized], Any]]] = {
    "narrow": ("if6", lambda q: mf.narrow(q, "e2m1")),
    "a matrix unit": (
        "if4", lambda q: arithmetic.linear(q, q, unit="blackwell/nvfp4/float32"),
    ),
    "P3109": ("if4", lambda q: p3109_blocks.reduce_add(q, "binary8p4se")),
    "compressed-tensors' nvfp4": (NVFP4, lambda q: compressed_tensors.tensors("a.weight", q)),
    "compressed-tensors' mxfp4": (
        "e2m1|int4/32/e8m0", lambda q: compressed_tensors.tensors("a.weight", q),
    ),
    "compressed-tensors' int4": (
        "int4|nf4/128/bfloat16", lambda q: compressed_tensors.tensors("a.weight", q),
    ),
    "GPTQ": ("int4|e2m1/128", lambda q: gptq.tensors("a.weight", q, less_one=False)),
    "AWQ": ("int4|nf4/128", lambda q: awq.tensors("a.weight", q)),
    "ModelOpt": (NVFP4, lambda q: modelopt.tensors("a.weight", q)),
    "GGUF": ("e2m1|int4/32/e8m0", lambda q: gguf_blocks.tensors("a.weight", q)),
    "FPE2M2": ("e2m2b0|int5/channel/bfloat16", lambda q: fpe2m2.tensors("a.weight", q)),
}  # fmt: skip


@pytest.mark.parametrize("name", READERS)
def test_what_reads_codes_as_one_format_refuses_others(name: str) -> None:
    """Codes of the second candidate would be taken for those of the first."""
    recipe, read = READERS[name]
    q = mf.quantize(W, recipe)
    assert not q.recipe.is_plain
    with pytest.raises(ValueError, match=re.escape(q.recipe.formats)):
        read(q)
    first = q.recipe.candidates[0]
    assert first.is_plain
    read(mf.quantize(W, first))


def test_a_quantized_source_is_of_the_recipe_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    save_file({"a.weight": W[:, :64].copy()}, tmp_path / "w" / "model.safetensors")
    for recipe in ("nvfp4", "if4"):
        convert(tmp_path / "w", tmp_path / recipe, recipe=recipe, layout="minifloat")
    again = convert(tmp_path / "if4", tmp_path / "again", recipe="if4", layout="minifloat")
    assert again.layout == "minifloat"
    assert open_checkpoint(tmp_path / "again")["a.weight"] == mf.quantize(W[:, :64].copy(), "if4")
    for source, recipe in (("nvfp4", "if4"), ("if4", "nvfp4")):
        with pytest.raises(ValueError, match="is quantized"):
            convert(tmp_path / source, tmp_path / "other", recipe=recipe, layout="minifloat")
