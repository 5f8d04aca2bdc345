"""Codes of rows by GPTQ: in the order of their blocks, or in another one by scales given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from minifloat.quantization.blocks import Array
from minifloat.quantization.feedback import GptqRows
from minifloat.quantization.group_scales import group_scales
from minifloat.quantization.scales import ScaleSearch
from minifloat.quantization.tasks import Task, single_groups


def encode_by_gptq(
    task: Task,
    feedback: Array,
    rows: slice,
    scales: Array,
    held: Array | None,
    codes: Array,
) -> None:
    """Write the scales and codes of some rows by GPTQ, block after block.

    ``held`` receives the zero points of blocks, or which candidate each is.
    """
    blocks = task.blocks
    groups = slice(rows.start // blocks.height, -(-rows.stop // blocks.height))
    group_of_rows = blocks.group_of(rows)
    units = [groups] if blocks.height == 1 else single_groups(blocks)[groups]
    recipe, as_rotated = task.recipe, task.recipe.replace(rotation=None)
    as_given = replace(
        task, recipe=recipe.candidates[0].replace(search=ScaleSearch.ABSMAX), importance=None
    )
    for unit in units:
        group_scales(as_given, unit)  # raises the errors of the weights as given
    weights = task.rows(rows).astype(np.float64)
    gptq_rows = GptqRows(weights, feedback, [each.fmt for each in recipe.candidates], codes)
    importance = task.importance_of(rows)
    for k in range(blocks.per_row):
        columns = slice(k * blocks.width, min((k + 1) * blocks.width, blocks.length))
        updated = gptq_rows.updated(columns)
        part = replace(
            task,
            recipe=as_rotated,
            weights=updated,
            blocks=replace(blocks, shape=updated.shape, width=updated.shape[1]),
            dtype=updated.dtype,
            importance=None if importance is None else importance[:, columns],
        )
        every = [slice(0, len(updated))] if blocks.height == 1 else single_groups(part.blocks)
        found = [group_scales(part, unit, saturate=True) for unit in every]
        scales[groups, k] = np.concatenate([unit_scales[:, 0] for unit_scales, _ in found])
        if held is not None:
            held[groups, k] = np.concatenate([row[:, 0] for _, row in found if row is not None])
        row_scales = scales[group_of_rows, k : k + 1]
        row_held = None if held is None else held[group_of_rows, k : k + 1]
        _round(task, gptq_rows, columns, row_scales, row_held)


def encode_in_order(
    task: Task, feedback: Array, order: Array, rows: slice, scales: Array, held: Array | None,
    codes: Array,
) -> None:  # fmt: skip
    """Write the codes of some rows by GPTQ, column by column in an order, by scales given.

    ``scales`` and ``held``, the zero points of blocks or which candidate each is, have a row for
    each of the rows.
    """
    weights = np.ascontiguousarray(task.rows(rows)[:, order], np.float64)
    ordered = np.empty_like(codes)
    gptq_rows = GptqRows(weights, feedback, [each.fmt for each in task.recipe.candidates], ordered)
    every = slice(0, len(order))
    _round(task, gptq_rows, every, scales, held, order // task.blocks.width)
    codes[:, order] = ordered


def _round(
    task: Task, gptq_rows: GptqRows, columns: slice, scales: Array, held: Array | None,
    blocks: Array | None = None,
) -> None:  # fmt: skip
    """Round the next columns, by scales and zero points, or choices, of each row's blocks."""
    factors, wide = np.array(task.recipe.factors(task.tensor_scale)), scales.astype(np.float64)
    if task.recipe.flag:
        assert held is not None
        gptq_rows.round(columns, wide * factors[held], choices=held, blocks=blocks)
    else:
        gptq_rows.round(columns, wide * factors[0], zeros=held, blocks=blocks)
