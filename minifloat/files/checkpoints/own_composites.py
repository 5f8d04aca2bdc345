"""What `minifloat.save` writes of a `Composite`, alone in a .safetensors file.

The arrays and the text are described there. The weights are read as numbers: a checkpoint's tensor
is a `Quantized` or plain, and `minifloat.load` returns the `Composite` itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from minifloat.files.arrays import MARK
from minifloat.files.checkpoints.config import Config
from minifloat.files.checkpoints.own import SAVED, check_codebook
from minifloat.files.checkpoints.stored import Array, Tensors, check_dtype
from minifloat.files.checkpoints.weights import Dequantizable, Facts, Group, Value
from minifloat.files.composites import ARRAYS, facts_of, from_arrays

NAME = "minifloat composite"
CODES = "dense.codes"
REASON = "it has more parts than codes and scales; minifloat.load returns it whole"


def find(tensors: Tensors, config: Config) -> Iterator[Group]:
    """Yield the weights of a file that holds nothing else."""
    if MARK in config.metadata and CODES in tensors and tensors.keys() <= ARRAYS:
        yield Group(SAVED, {"codes" if name == CODES else name: tensors[name] for name in tensors})


def facts(group: Group, config: Config) -> Facts:
    """Return what the text tells."""
    check_dtype(group.parts["codes"], "U8")
    text = config.metadata[MARK]
    books = [name for name in group.parts if name.startswith("dense.codebook")]
    for name in books:
        check_codebook(group.parts[name])
    try:
        recipe, shape = facts_of(text, {name: group.parts[name].numbers() for name in books})
    except (KeyError, TypeError) as error:
        raise ValueError(f"its description is damaged ({error})") from None
    return Facts(shape, None, None, NAME, {"text": text}, f"dense part: {recipe}; {REASON}")


def value(group: Group, facts: Facts) -> Value:
    """Return the weights as numbers, which all parts are read for."""

    def read() -> Array:
        arrays = {part.name: part.numbers() for part in group.parts.values()}
        return from_arrays(arrays, facts.options["text"]).dequantize()

    return Dequantizable(facts.shape, facts.layout, REASON, read)
