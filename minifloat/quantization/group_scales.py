"""The scales of all blocks of some rows."""

from __future__ import annotations

import numpy as np

from minifloat.quantization.blocks import Array
from minifloat.quantization.choosing import chosen_scales
from minifloat.quantization.scale_search import ScaleRangeError, block_scales
from minifloat.quantization.tasks import Task, block_rows


def group_scales(
    task: Task, groups: slice, *, saturate: bool = False
) -> tuple[Array, Array | None]:
    """Return a row of scales for each of some groups of rows, and of zero points, or of choices."""
    tall = task.blocks.height > 1
    find = chosen_scales if task.recipe.alternatives else block_scales
    parts, code_parts = [], []
    for place, weights, importance in block_rows(task, groups):
        width = weights.shape[1] if tall else task.blocks.width
        try:
            scales, codes = find(
                task.recipe, weights, width, task.tensor_scale or 1.0, importance,
                saturate=saturate,
            )  # fmt: skip
        except ScaleRangeError as error:
            group, block = error.row, error.block
            if tall:
                group, block = 0, place + error.row
            raise ScaleRangeError(groups.start + group, block, error.wanted) from None
        parts.append(scales.T if tall else scales)
        if codes is not None:
            code_parts.append(codes.T if tall else codes)
    return np.concatenate(parts, axis=1), np.concatenate(code_parts, axis=1) if code_parts else None
