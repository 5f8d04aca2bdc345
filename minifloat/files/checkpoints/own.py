"""minifloat's own layout: what `minifloat.save` writes of each tensor, side by side in one file.

    X.codes, X.scales, perhaps X.zero_points, X.scales_of_scales, X.choices, X.codebook
    X.minifloat U8: the JSON text, padded with spaces

What `minifloat.save` itself writes to a .safetensors file are the weights "weights": there the
names have no X, and the text is in the header's metadata. `minifloat.save` describes the arrays and
the text. Every recipe has a place here, and each tensor is read without the others.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import numpy as np

from minifloat.files._safe import quoted
from minifloat.files.arrays import MARK
from minifloat.files.checkpoints.config import Config
from minifloat.files.checkpoints.stored import (
    Stored,
    Tensors,
    check_dimensions,
    check_dtype,
    check_shape,
    in_memory,
)
from minifloat.files.checkpoints.weights import Facts, Group, Value, suffixed
from minifloat.files.quantized import ARRAYS, CODEBOOKS, facts_of, from_arrays, to_arrays
from minifloat.packing import byte_count
from minifloat.quantization.quantized import Quantized

NAME = "minifloat"
TEXT = f".{MARK}"
SAVED = "weights"  # the name of weights alone in a file
DTYPES = {"uint8": "U8", "uint16": "U16", "float16": "F16", "float32": "F32", "float64": "F64"}
LONGEST_TEXT = 1 << 16  # bytes
LONGEST_BOOK = 1 << 16  # values
LONGEST_NUMBER = 24  # characters of a float in JSON


def find(tensors: Tensors, config: Config) -> Iterator[Group]:
    """Yield codes that have a description beside them."""
    others = {name: f".{name}" for name in sorted(ARRAYS - {"codes"})}
    for group in suffixed(tensors, ".codes", text=TEXT, **others):
        if {"text", "scales"} <= group.parts.keys():
            yield group
    if MARK in config.metadata and {"codes", "scales"} <= tensors.keys():
        yield Group(SAVED, {name: tensors[name] for name in sorted(ARRAYS & tensors.keys())})


def facts(group: Group, config: Config) -> Facts:
    """Return what the description tells, which is read for that."""
    codes = group.parts["codes"]
    books = {name: group.parts[name] for name in CODEBOOKS if name in group.parts}
    for book in books.values():
        check_codebook(book)
    text = _text(group) if "text" in group.parts else config.metadata[MARK]
    try:
        held = {name: book.numbers() for name, book in books.items()}
        recipe, shape, axis = facts_of(text, held)
    except (KeyError, TypeError) as error:
        raise ValueError(f"its description is damaged ({error})") from None
    size = byte_count(math.prod(shape), recipe.fmt.bits)
    check_dtype(codes, "U8")
    check_shape(codes, (size,))
    return Facts(shape, recipe, axis, NAME, {"text": text})


def value(group: Group, facts: Facts) -> Value:
    """Read all arrays."""
    arrays = {name: part.numbers() for name, part in group.parts.items() if name != "text"}
    return from_arrays(arrays, facts.options["text"])


def check_codebook(book: Stored) -> None:
    """Raise a ValueError unless a tensor may be a codebook's values, before it is read."""
    check_dtype(book, "F64")
    check_dimensions(book, 1)
    if book.size > LONGEST_BOOK:
        raise ValueError(f"{quoted(book.name)} must have at most {LONGEST_BOOK} values")


def _text(group: Group) -> str:
    text = group.parts["text"]
    check_dtype(text, "U8")
    if text.size > LONGEST_TEXT:
        raise ValueError(f"{quoted(text.name)} must be at most {LONGEST_TEXT} bytes of JSON")
    return text.read().tobytes().decode()


def tensors(name: str, q: Quantized) -> list[Stored]:
    """Return the tensors that store weights, the inverse of reading them.

    The text is padded so that its length does not depend on the weights: a file's header is written
    before they are quantized.

    Parameters
    ----------
    name : str
        Of the weights.
    q : Quantized
        Of any recipe.
    """
    arrays, text = to_arrays(q)
    numbers = [q.tensor_scale, None if q.double is None else q.double.mean]
    padding = sum(LONGEST_NUMBER - len(json.dumps(number)) for number in numbers)
    data = np.frombuffer(text.encode() + b" " * padding, np.uint8)
    stored = [
        in_memory(f"{name}.{part}", DTYPES[array.dtype.name], array)
        for part, array in arrays.items()
    ]
    return [*stored, in_memory(f"{name}{TEXT}", "U8", data)]
