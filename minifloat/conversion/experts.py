"""Experts that are one tensor of three dimensions, and the axis along which their inputs run.

gpt-oss has (experts, inputs, outputs), other models (experts, outputs, inputs). config.json's
``hidden_size`` tells which: it is the inputs of the gate and of the up projection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minifloat.comparison.selection import matches
from minifloat.files.checkpoints.model import Model

EXPERTS = ("*experts.gate_up_proj", "*experts.gate_proj", "*experts.up_proj", "*experts.down_proj")
ALL = (*EXPERTS, *(f"{name}.weight" for name in EXPERTS))
FROM_HIDDEN = tuple(name for name in ALL if "down" not in name)


def is_expert(name: str) -> bool:
    """Return whether a tensor of three dimensions is that of experts, by its name."""
    return matches(name, ALL)


def axis_of_inputs(model: Model) -> int | None:
    """Return the axis of the inputs of a model's experts, or None where nothing tells it."""
    hidden = _hidden_size(model.config)
    for name, each in model.weights.items():
        shape = each.description.shape
        if len(shape) == 3 and matches(name, FROM_HIDDEN) and shape[1] != shape[2]:
            return {shape[1]: 1, shape[2]: 2}.get(hidden or -1)
    return None


def _hidden_size(config: Mapping[str, Any]) -> int | None:
    """Return the size, of a model of texts and images that of its texts."""
    text = config.get("text_config")
    for part in (config, text if isinstance(text, dict) else {}):
        if type(size := part.get("hidden_size")) is int:
            return size
    return None
