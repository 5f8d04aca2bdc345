"""Each argument of what makes composites, in place of it what is none."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat import composites
from minifloat.composites import Sparse
from tests.composites.made import COMBINATIONS, composite
from tests.quantization.test_hostile_arguments import refusals

W = np.random.default_rng(0).standard_normal((4, 4))
MASK = np.abs(W) > 1
H = W.T @ W + np.eye(4)
C = composite(COMBINATIONS[-1], "e2m2/4/float16", 4, 4)
S = Sparse.of(W.astype(np.float16))


def fields_of(record: Any) -> list[Any]:
    return [getattr(record, field.name) for field in dataclasses.fields(record)]


VERBS: dict[str, tuple[Callable[..., Any], list[Any], dict[str, Any]]] = {
    "Composite": (mf.Composite, fields_of(C), {}),
    "Sparse": (Sparse, fields_of(S), {}),
    "Sparse.of": (Sparse.of, [W], {}),
    "linear": (mf.linear, [W, C], {"bias": W[0], "threads": 2}),
    "largest": (composites.largest, [W, 0.5], {}),
    "beyond_quartiles": (composites.beyond_quartiles, [W, 1.0], {}),
    "split_outliers": (composites.split_outliers, [W, "int4/2", MASK], {"threads": 2}),
    "split_outliers, mse": (
        composites.split_outliers, [W, "int4/2/float16/mse", MASK], {"importance": W**2}
    ),
    "split_outliers, gptq": (
        composites.split_outliers, [W, "int4/2", MASK], {"hessian": H, "damp": 0.1}
    ),
    "spqr": (composites.spqr, [W, "int4/2", H], {"threshold": 0.1, "damp": 0.1}),
    "sort_columns": (composites.sort_columns, [W, "int4/2", W[0]], {"threads": 2}),
    "sort_columns, gptq": (
        composites.sort_columns, [W, "int4/2"], {"hessian": H, "damp": 0.1}
    ),
    "sort_heads": (composites.sort_heads, [W, W, 2, W[0]], {"pairs": True}),
}  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
def test_what_is_no_argument_is_refused_in_plain_words(verb: str) -> None:
    call, arguments, options = VERBS[verb]
    call(*arguments, **options)
    assert refusals(call, arguments, options) > 20
