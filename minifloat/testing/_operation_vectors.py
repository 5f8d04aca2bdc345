"""Vectors of a unit that computes with codes: `operation_vectors`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat.formats import NumberFormat
from minifloat.formats.rounding import NaNPolicy, Overflow, Rounding
from minifloat.testing._inputs import inputs_of
from minifloat.testing._meaning import exact_decode
from minifloat.testing._operations import NO_CODE, PORTS, Operation, rounded
from minifloat.testing._vectors import Port, Vectors

WORD = 64


def operation_vectors(
    operation: Operation,
    rounding: Rounding,
    overflow: Overflow,
    nan: NaNPolicy,
    progress: Callable[[int, int], object],
) -> Vectors:
    """Return inputs of a unit with the right outputs, from the oracle."""
    output = operation.output
    if rounding.is_stochastic:
        raise ValueError(f"rounding must be a mode without random bits for vectors, got {rounding}")
    if output is None:
        for name, given, default in (
            ("rounding", rounding, Rounding.NEAREST_EVEN),
            ("overflow", overflow, Overflow.SATURATE),
            ("nan", nan, NaNPolicy.RAISE),
        ):
            if given != default:
                raise ValueError(f"{name} must be left out for exact results, got {given}")
    inputs = inputs_of(operation)
    results = operation.results(inputs, downward=rounding is Rounding.DOWNWARD)
    *names, name = PORTS[operation.unit]
    if output is None:
        right = np.arange(len(results.amounts))
        values = (results.amounts * results.unit).astype(np.float64)
        port = _port(name, operation.width, results.amounts % (1 << operation.width), values)
        end = f"to {operation.width} bits, exact, in units of {results.unit}"
    else:
        codes = rounded(results, output, rounding, overflow, nan)
        right = np.flatnonzero(codes != NO_CODE)
        port = _code_port(name, output, codes[right])
        end = f"to {output}, {rounding}, overflow {overflow}, nan {nan}"
    progress(len(right), len(right))
    ports = [_code_port(name, fmt, x[right])
             for name, fmt, x in zip(names, operation.formats, inputs, strict=True)]  # fmt: skip
    lanes = f" of {operation.lanes} lanes" if operation.unit == "dot" else ""
    by = f" by {operation.other}" * (operation.other != operation.fmt)
    return Vectors(f"{operation.unit}{lanes}: {operation.fmt}{by} {end}", (*ports, port))


def _code_port(name: str, fmt: NumberFormat, codes: NDArray[np.int64]) -> Port:
    """Return a port of codes, lane 0 at the lowest bits."""
    values = np.array([exact_decode(code, fmt) for code in codes.ravel().tolist()])
    words, lanes = codes, 1
    if codes.ndim > 1:
        lanes = codes.shape[1]
        places = np.array([1 << (fmt.bits * lane) for lane in range(lanes)], object)
        words = (codes.astype(object) * places).sum(axis=1)
    return _port(name, fmt.bits * lanes, words, values.reshape(codes.shape))


def _port(name: str, bits: int, words: NDArray[Any], values: NDArray[np.float64]) -> Port:
    return Port(name, bits, words.astype(np.uint64 if bits <= WORD else object), values)
