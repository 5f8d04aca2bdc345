"""Weights of any size are refused, or written so that they are read back and found right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.auditing import audit
from minifloat.conversion import convert
from minifloat.files.checkpoints import open_checkpoint
from tests.conversion.models import one_shard
from tests.files.checkpoints.by_hand import stored

WAYS = {
    "compressed-tensors": (
        "nvfp4", "mxfp4", "mxfp6e2m3", "mxfp8e4m3", "int4/128/bfloat16", "int8/channel/float32",
        "uint4/128/float16/zero-point", "int2/tensor/float32", "e4m3fn/channel/float16",
    ),
    "modelopt": ("nvfp4",),
    "gptq": ("int4/128/float16",),
    "gptq_v2": ("uint4/128/float16/zero-point",),
    "awq": ("uint4/128/float16/zero-point",),
    "fpe2m2": ("fpe2m2",),
    "gguf": ("int8full/32/float16", "mxfp4", "nvfp4", "e2m1/16/e4m3fn", "int2/256/float16"),
    "minifloat": ("nvfp4", "qlora", "deepseek_fp8"),
}  # fmt: skip
EVERY = [(layout, recipe) for layout, recipes in WAYS.items() for recipe in recipes]
NORMAL = np.random.default_rng(0).standard_normal((8, 256)).astype(np.float32)
ROWS = np.arange(8)[:, None]
KINDS: dict[str, Any] = {
    "zeros": NORMAL * 0,
    "no normal number of float32": NORMAL * np.float32(1e-42),
    "scales that are no normal number": NORMAL * np.float32(1e-37),
    "next to the largest float32": NORMAL / abs(NORMAL).max() * np.finfo(np.float32).max,
    "beyond float32": NORMAL.astype(np.float64) * 1e300,
    "below float32": NORMAL.astype(np.float64) * 1e-300,
    "of one sign": abs(NORMAL) + 1,
    "one large among small": np.where(np.arange(256) == 3, np.float32(1e30), NORMAL),
    "large rows and small ones": np.where(ROWS % 2, NORMAL * 1e-30, NORMAL * 1e30),
}


@pytest.mark.parametrize(("layout", "recipe"), EVERY)
def test_they_are_refused_or_come_back(tmp_path: Path, layout: str, recipe: str) -> None:
    written = 0
    for place, (kind, w) in enumerate(KINDS.items()):
        source = one_shard(tmp_path / f"{place}", {"a.weight": stored(w)})
        new = tmp_path / f"new{place}"
        refused = ""
        try:
            convert(source, new, recipe, layout=layout)
        except ValueError as error:
            refused = str(error)
        if refused:
            assert "'a.weight' cannot be quantized: " in refused, kind
            continue
        written += 1
        back = open_checkpoint(new)
        assert [*back] == ["a.weight"], (kind, back.skipped)
        expected = mf.quantize(w, recipe).dequantize()
        np.testing.assert_allclose(
            back.dequantize("a.weight"), expected, rtol=2**-20, atol=0, err_msg=kind
        )
        if layout != "gguf":  # whose names are others
            assert not audit(new, source).wrong, kind
    assert written >= 3


def test_a_tensor_scale_whose_inverse_is_no_float32_is_refused(tmp_path: Path) -> None:
    w = KINDS["no normal number of float32"]
    source = one_shard(tmp_path / "source", {"a.weight": stored(w)})
    with pytest.raises(ValueError, match=r"'a\.weight' cannot be quantized: q must have a ten"):
        convert(source, tmp_path / "new", "nvfp4")
    convert(source, tmp_path / "modelopt", "nvfp4", layout="modelopt")
