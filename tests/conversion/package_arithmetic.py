"""Weights as the package compressed-tensors computes them, from codes and scales that we read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

import minifloat as mf
from minifloat.files.checkpoints import open_checkpoint

ROUNDING = 2.0**-24  # the largest relative error of rounding to float32


def as_package_computes(folder: Path) -> dict[str, Any]:
    """Return all weights of a checkpoint; float32 where they are quantized.

    They are ours, but for NVFP4: the package has code * (scale / global), with two roundings to
    float32, and we code * scale * (1 / global), where the inverse and the product are rounded.
    """
    checkpoint = open_checkpoint(folder)
    weights = {name: np.asarray(checkpoint.dequantize(name)) for name in checkpoint}
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "np") as file:
            for key in file.keys():  # noqa: SIM118
                name, is_global = key.removesuffix("_global_scale"), key.endswith("_global_scale")
                if is_global:
                    held = checkpoint[name]
                    assert isinstance(held, mf.Quantized)
                    scales = held.scales / file.get_tensor(key)
                    values = np.asarray(mf.decode(held.codes, held.fmt))
                    theirs = values * np.repeat(scales, 16, axis=-1)
                    assert theirs.dtype == np.float32
                    furthest = np.abs(theirs.astype(np.float64) - weights[name])
                    assert (furthest <= (4 + 1e-6) * ROUNDING * np.abs(weights[name])).all()
                    weights[name] = theirs
    return weights
