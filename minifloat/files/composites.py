"""Weights of several parts as arrays and a text, which files hold: `to_arrays`, `from_arrays`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat.files import quantized as plain
from minifloat.files.arrays import description
from minifloat.formats.base import check_int
from minifloat.packing import byte_count, pack, unpack
from minifloat.quantization.composite import Composite, order_bits
from minifloat.quantization.recipes import Recipe
from minifloat.quantization.sparse import MOST_GAP_BITS, Sparse, length_bits

Array = NDArray[Any]

VERSION = 1
MARK = "composite"  # the name of the version
MATRICES = ("dense", "left", "right")
FIELDS = {MARK, "gap_bits", *MATRICES}
SPARSE = {"sparse.values", "sparse.gaps", "sparse.row_lengths"}
ARRAYS = {"order", "input_factors", "bias"} | SPARSE
ARRAYS |= {f"{part}.{name}" for part in MATRICES for name in plain.ARRAYS}


def to_arrays(c: Composite) -> tuple[dict[str, Array], str]:
    """Return the arrays and the JSON text that `minifloat.save` writes.

    Parameters
    ----------
    c : Composite

    Returns
    -------
    dict of str to ndarray
    str

    Examples
    --------
    >>> import minifloat as mf
    >>> from minifloat.files.composites import from_arrays, to_arrays
    >>> one = mf.composites.Sparse.of([[0, 1]])
    >>> c = mf.Composite(mf.quantize([[1.0, 2.0]], "e2m2"), sparse=one)
    >>> arrays, text = to_arrays(c)
    >>> list(arrays)
    ['dense.codes', 'dense.scales', 'sparse.values', 'sparse.gaps', 'sparse.row_lengths']
    >>> from_arrays(arrays, text) == c
    True
    """
    arrays: dict[str, Array] = {}
    described: dict[str, Any] = {MARK: VERSION, **dict.fromkeys(MATRICES), "gap_bits": None}
    for part, q in zip(MATRICES, (c.dense, *(c.low_rank or ())), strict=False):
        described[part] = plain.put(part, q, arrays)
    if c.sparse is not None:
        sparse = c.sparse
        described["gap_bits"] = sparse.gap_bits
        arrays["sparse.values"] = sparse.values.astype(np.float16)
        arrays["sparse.gaps"] = pack(sparse.gaps, sparse.gap_bits)
        arrays["sparse.row_lengths"] = pack(sparse.row_lengths, length_bits(c.shape[1]))
    if c.order is not None:
        arrays["order"] = pack(c.order, max(1, order_bits(c.shape[1])))
    if c.input_factors is not None:
        arrays["input_factors"] = c.input_factors.astype(np.float16)
    if c.bias is not None:
        arrays["bias"] = c.bias.copy()
    return arrays, json.dumps(described)


def check_names(names: list[str]) -> None:
    """Raise a ValueError unless these may be the names of the arrays of a `Composite`."""
    if not set(names) <= ARRAYS or len(set(names)) < len(names):
        unknown = sorted(set(names) - ARRAYS)
        raise ValueError(f"it must hold the arrays of a Composite, each once, got {unknown}")


def from_arrays(arrays: dict[str, Array], text: str) -> Composite:
    """Return the weights that `to_arrays` made arrays and a text of, each field checked.

    Parameters
    ----------
    arrays : dict of str to ndarray
    text : str

    Returns
    -------
    Composite

    Raises
    ------
    ValueError, TypeError, KeyError
        If the text is no such description, or an array contradicts it.
    """
    described = description(text, FIELDS, VERSION, MARK, " of composites")
    rest = dict(arrays)
    given = {part for part in MATRICES if described[part] is not None}
    if given not in ({"dense"}, set(MATRICES)):
        raise ValueError("it must describe the dense part, and left and right both or not at all")
    dense, *thin = (plain.take(part, described[part], rest) for part in MATRICES if part in given)
    outputs, inputs = dense.shape
    c = Composite(
        dense,
        order=_integers(rest, "order", order_bits(inputs), inputs) if "order" in rest else None,
        sparse=_sparse(rest, described["gap_bits"], (outputs, inputs)),
        low_rank=(thin[0], thin[1]) if thin else None,
        input_factors=_halves(rest, "input_factors") if "input_factors" in rest else None,
        bias=rest.pop("bias", None),
    )
    if rest:
        raise ValueError(f"it must hold the arrays that it describes alone, got {sorted(rest)}")
    return c


def facts_of(text: str, codebooks: Mapping[str, Array]) -> tuple[Recipe, tuple[int, ...]]:
    """Return the recipe of the dense part and the shape, from their text alone.

    Parameters
    ----------
    text : str
        As `to_arrays` returns it.
    codebooks : mapping of str to ndarray
        The arrays of the dense part that are a codebook's.

    Raises
    ------
    ValueError, TypeError, KeyError
        If the text is no such description.
    """
    described = description(text, FIELDS, VERSION, MARK, " of composites")
    books = {name.removeprefix("dense."): book for name, book in codebooks.items()}
    recipe, shape, _ = plain.facts_of(json.dumps(described["dense"]), books)
    return recipe, shape


def _sparse(rest: dict[str, Array], bits: object, shape: tuple[int, int]) -> Sparse | None:
    """Take the arrays of a sparse matrix out of the rest, if there is one."""
    if bits is None:
        return None
    gap_bits = check_int("gap_bits", bits, 1, MOST_GAP_BITS)
    values = _halves(rest, "sparse.values")
    gaps = _integers(rest, "sparse.gaps", gap_bits, values.size)
    lengths = _integers(rest, "sparse.row_lengths", length_bits(shape[1]), shape[0])
    return Sparse(values, gaps, lengths.astype(np.uint32), gap_bits, shape)


def _halves(rest: dict[str, Array], name: str) -> NDArray[np.float32]:
    """Take an array of float16 out of the rest."""
    stored = rest.pop(name)
    if stored.dtype != np.float16 or stored.ndim != 1:
        raise ValueError(f"{name} must be float16 and 1-d, got {stored.dtype}")
    return stored.astype(np.float32)


def _integers(rest: dict[str, Array], name: str, bits: int, count: int) -> Array:
    """Take packed integers out of the rest."""
    packed, width = rest.pop(name), max(1, bits)
    if packed.dtype != np.uint8 or packed.shape != (byte_count(count, width),):
        raise ValueError(
            f"{name} must be {byte_count(count, width)} bytes for {count} integers of {width} "
            f"bits, got {packed.dtype} of shape {packed.shape}"
        )
    return unpack(packed, width, count)
