"""Layers that loaders fuse into one, and that therefore need one tensor scale.

vLLM computes the query, key and value of a layer by one product, and the gate and the up projection
by another. Weights that it joins have one tensor scale there: where theirs differ, it takes the
largest for all, and the others come out wrong.
"""

from __future__ import annotations

from collections.abc import Container

FUSED = (  # last names of modules that lie side by side
    ("q_proj", "k_proj", "v_proj"),
    ("gate_proj", "up_proj"),
    ("w1", "w3"),  # Mixtral's experts
    ("query", "key", "value"),  # BERT
    ("q_a_proj", "kv_a_proj_with_mqa"),  # DeepSeek
)
WEIGHT = ".weight"


def partners(name: str, names: Container[str]) -> tuple[str, ...]:
    """Return those of some weights that are fused with one of them, itself included, or none.

    Examples
    --------
    >>> from minifloat.conversion.fused import partners
    >>> partners("l.0.up_proj.weight", ["l.0.up_proj.weight", "l.1.gate_proj.weight"])
    ()
    >>> partners("l.0.up_proj.weight", ["l.0.gate_proj.weight", "l.0.up_proj.weight"])
    ('l.0.gate_proj.weight', 'l.0.up_proj.weight')
    """
    module, dot, last = name.removesuffix(WEIGHT).rpartition(".")
    for group in FUSED:
        if last in group:
            every = (f"{module}{dot}{part}{WEIGHT}" for part in group)
            found = tuple(each for each in every if each in names)
            return found if len(found) > 1 else ()
    return ()
