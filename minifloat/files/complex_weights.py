"""Complex codes as arrays and a text, which files hold: `to_arrays`, `from_arrays`."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat.files.arrays import description
from minifloat.formats.complex_codebook import ComplexCodebook
from minifloat.quantization.complex_weights import ComplexQuantized
from minifloat.quantization.widely_linear import MOST_STAGES, WidelyLinear

Array = NDArray[Any]

VERSION = 1
MARK = "complex"  # the name of the version
VALUES = "complex.values"
FIELDS = {MARK, "format", "shape"}
STAGES = [(f"u{k}", f"w{k}") for k in range(MOST_STAGES)]


def to_arrays(q: ComplexQuantized | WidelyLinear) -> tuple[dict[str, Array], str]:
    """Return the arrays and the JSON text that `minifloat.save` writes.

    Parameters
    ----------
    q : ComplexQuantized or WidelyLinear

    Returns
    -------
    dict of str to ndarray
    str

    Examples
    --------
    >>> from minifloat.files.complex_weights import from_arrays, to_arrays
    >>> from minifloat.quantization.widely_linear import fairy2i
    >>> arrays, text = to_arrays(fairy2i([[1.0, 2.0], [3.0, 4.0]], 1))
    >>> list(arrays)
    ['complex.values', 'u0.codes', 'u0.scales', 'w0.codes', 'w0.scales']
    >>> from_arrays(arrays, text)
    <WidelyLinear fairy (2, 2): 33 bits per weight, 1 stage>
    """
    matrices = {"z": q} if isinstance(q, ComplexQuantized) else _matrices(q)
    first = next(iter(matrices.values()))
    arrays: dict[str, Array] = {VALUES: first.fmt.values().view(np.float64).reshape(-1, 2)}
    for name, part in matrices.items():
        arrays |= {f"{name}.codes": part.packed.copy(), f"{name}.scales": part.scales.copy()}
    described = {MARK: VERSION, "format": first.fmt.name, "shape": list(first.shape)}
    return arrays, json.dumps(described)


def _matrices(q: WidelyLinear) -> dict[str, ComplexQuantized]:
    return {
        name: part
        for names, stage in zip(STAGES, q.stages, strict=False)
        for name, part in zip(names, stage, strict=True)
    }


def check_names(names: list[str]) -> None:
    """Raise a ValueError unless these are the names of the arrays of complex codes."""
    matrices = _names_of_matrices(names)
    wanted = {VALUES, *(f"{name}.{part}" for name in matrices for part in ("codes", "scales"))}
    if set(names) != wanted or len(names) > len(wanted):
        raise ValueError(f"it must hold {', '.join(sorted(wanted))}, got {sorted(names)}")


def _names_of_matrices(names: list[str]) -> list[str]:
    """Return the names of the matrices that arrays of these names must be of."""
    if "z.codes" in names:
        return ["z"]
    count = max(1, sum(f"{u}.codes" in names for u, _ in STAGES))
    return [name for stage in STAGES[:count] for name in stage]


def from_arrays(arrays: dict[str, Array], text: str) -> ComplexQuantized | WidelyLinear:
    """Return the weights that `to_arrays` made arrays and a text of, each field checked.

    Parameters
    ----------
    arrays : dict of str to ndarray
    text : str

    Returns
    -------
    ComplexQuantized or WidelyLinear

    Raises
    ------
    ValueError, TypeError, KeyError
        If the text is no such description, or an array contradicts it.
    """
    described = description(text, FIELDS, VERSION, MARK, " of complex codes")
    check_names(list(arrays))
    values = arrays[VALUES]
    if values.dtype != np.float64 or values.ndim != 2 or values.shape[1] != 2:
        raise ValueError(f"{VALUES} must be float64 of shape (n, 2), got {values.shape}")
    fmt = ComplexCodebook([complex(*pair) for pair in values.tolist()], described["format"])
    parts = [
        ComplexQuantized(arrays[f"{name}.codes"], arrays[f"{name}.scales"], fmt, described["shape"])
        for name in _names_of_matrices(list(arrays))
    ]
    if len(parts) == 1:
        return parts[0]
    return WidelyLinear(tuple(zip(parts[::2], parts[1::2], strict=True)))
