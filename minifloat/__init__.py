"""minifloat: the workbench for tiny number formats.

>>> import minifloat as mf
>>> mf.round_to([0.3, -1.7, 100.0], "e2m2")
array([ 0.25, -1.75,  7.  ])

Formats are described and named in `minifloat.formats`. `encode`, `decode` and `round_to` work on
arrays; `quantize` adds scales, and `linear` multiplies by weights that stay packed; `pack` and
`pack_words` put codes side by side; `minifloat.registers` shows how a GPU converts them, and
`minifloat.arithmetic` how its matrix units add; `minifloat.hardware` writes circuits;
`minifloat.composites` corrects weights by more parts; `minifloat.caches` packs keys and values.
Everything is loaded when it is first used, so importing the package is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.2.0"

_HOME = {
    "Codebook": "formats",
    "Format": "formats",
    "Integer": "formats",
    "NumberFormat": "formats",
    "Specials": "formats",
    "ALIASES": "formats.catalogue",
    "CATALOGUE": "formats.catalogue",
    "parse": "formats.names",
    "NaNPolicy": "formats.rounding",
    "Overflow": "formats.rounding",
    "Rounding": "formats.rounding",
    "encode": "codec",
    "decode": "codec",
    "round_to": "codec",
    "Layout": "packing.layouts",
    "parse_layout": "packing.layouts",
    "pack": "packing",
    "unpack": "packing",
    "pack_words": "packing",
    "unpack_words": "packing",
    "ScaleRounding": "quantization.scales",
    "ScaleSearch": "quantization.scales",
    "Quantized": "quantization.quantized",
    "quantize": "quantization",
    "search_format": "quantization",
    "fit_codebook": "quantization.fitting",
    "refine": "quantization.refining",
    "learn_rounding": "quantization.learning",
    "narrow": "quantization.nested",
    "quantize_nested": "quantization.nested",
    "Lookup": "formats",
    "linear": "layers",
    "RECIPES": "quantization.recipes",
    "Recipe": "quantization.recipes",
    "Rotation": "quantization.rotations",
    "gptq": "quantization",
    "joint_tensor_scale": "quantization",
    "save": "files.saved",
    "load": "files.saved",
    "Composite": "quantization.composite",
    "Comparison": "comparison.result",
    "compare": "comparison",
    "allocate": "allocation",
}
_MODULES = ("arithmetic", "caches", "composites", "hardware", "registers", "testing", "typing")

if TYPE_CHECKING:
    from minifloat import (  # attributes, kept out of __all__
        arithmetic,  # noqa: F401
        caches,  # noqa: F401
        composites,  # noqa: F401
        hardware,  # noqa: F401
        registers,  # noqa: F401
        testing,  # noqa: F401
        typing,  # noqa: F401
    )
    from minifloat.allocation import allocate
    from minifloat.codec import decode, encode, round_to
    from minifloat.comparison import compare
    from minifloat.comparison.result import Comparison
    from minifloat.files.saved import load, save
    from minifloat.formats import Codebook, Format, Integer, Lookup, NumberFormat, Specials
    from minifloat.formats.catalogue import ALIASES, CATALOGUE
    from minifloat.formats.names import parse
    from minifloat.formats.rounding import NaNPolicy, Overflow, Rounding
    from minifloat.layers import linear
    from minifloat.packing import pack, pack_words, unpack, unpack_words
    from minifloat.packing.layouts import Layout, parse_layout
    from minifloat.quantization import gptq, joint_tensor_scale, quantize, search_format
    from minifloat.quantization.composite import Composite
    from minifloat.quantization.fitting import fit_codebook
    from minifloat.quantization.learning import learn_rounding
    from minifloat.quantization.nested import narrow, quantize_nested
    from minifloat.quantization.quantized import Quantized
    from minifloat.quantization.recipes import RECIPES, Recipe
    from minifloat.quantization.refining import refine
    from minifloat.quantization.rotations import Rotation
    from minifloat.quantization.scales import ScaleRounding, ScaleSearch

__all__ = [
    "ALIASES",
    "CATALOGUE",
    "Codebook",
    "Comparison",
    "Composite",
    "Format",
    "Integer",
    "Layout",
    "Lookup",
    "NaNPolicy",
    "NumberFormat",
    "Overflow",
    "Quantized",
    "RECIPES",
    "Recipe",
    "Rotation",
    "Rounding",
    "ScaleRounding",
    "ScaleSearch",
    "Specials",
    "allocate",
    "compare",
    "decode",
    "encode",
    "fit_codebook",
    "gptq",
    "joint_tensor_scale",
    "learn_rounding",
    "linear",
    "load",
    "narrow",
    "pack",
    "pack_words",
    "parse",
    "parse_layout",
    "quantize",
    "quantize_nested",
    "refine",
    "round_to",
    "save",
    "search_format",
    "unpack",
    "unpack_words",
]


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return import_module(f"minifloat.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'minifloat' has no attribute {name!r}")
    value = getattr(import_module(f"minifloat.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, without what the code above needs."""
    own = [name for name in globals() if name.startswith("__")]
    return sorted({*own, *__all__, *_MODULES})
