"""The layouts that are written, by the names that the caller uses."""

from __future__ import annotations

from collections.abc import Mapping

from minifloat.conversion.layouts import (
    awq,
    compressed_tensors,
    fpe2m2,
    gguf,
    gpt_oss,
    gptq,
    modelopt,
    own,
)
from minifloat.conversion.layouts.layout import Layout

LAYOUTS: Mapping[str, Layout] = {
    "compressed-tensors": compressed_tensors.LAYOUT,
    "modelopt": modelopt.LAYOUT,
    "gptq": gptq.VERSION_1,
    "gptq_v2": gptq.VERSION_2,
    "awq": awq.LAYOUT,
    "fpe2m2": fpe2m2.LAYOUT,
    "gpt-oss": gpt_oss.LAYOUT,
    "gguf": gguf.LAYOUT,
    "minifloat": own.LAYOUT,
}
