"""Inputs of a unit that computes with codes, those that find mistakes first: `inputs_of`.

1. Results on or beside a decision point of the output: a value, a midpoint, the ends of its range.
   For each of these points the nearest results are taken, with one input each.
2. Edges: NaN, infinities, zeros, and the codes around 0, 1, the smallest normal and the ends, each
   with each.
3. Cancellation: numbers with their negatives and the neighbours of these; a product that is a tie
   and the smallest addends; lanes one at a time, and all alike.
4. All other inputs where there are few, otherwise a seeded selection.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from minifloat.formats import Format, NumberFormat
from minifloat.formats.rounding import NaNPolicy, Overflow, Rounding
from minifloat.testing._decoders import used_codes
from minifloat.testing._exact import Numbers, all_values
from minifloat.testing._meaning import exact_decode
from minifloat.testing._operations import Operation, rounded
from minifloat.testing._points import landmarks, middles

Inputs = tuple[NDArray[np.int64], ...]

FEW = 4096  # inputs that are all taken; a selection has as many
MAX_TRIED = 1 << 16  # inputs whose results are all compared with the decision points
SAMPLE = 1 << 14
MAX_NEAR = 2048
SEED = 2026


@lru_cache(maxsize=8)
def inputs_of(operation: Operation) -> Inputs:
    """Return the codes at each input, of shape (n, lanes) for a dot product."""
    rng = np.random.default_rng(SEED)
    chosen = _chosen_lanes(operation, rng) if operation.unit == "dot" else _chosen(operation)
    codes = [used_codes(fmt) for fmt in operation.formats]
    count = math.prod(map(len, codes))
    if operation.unit != "dot" and count <= MAX_TRIED:
        every = np.array(list(product(*codes)))
        others = tuple(rng.permutation(every).T)
    else:
        shape = (SAMPLE, operation.lanes) if operation.unit == "dot" else (SAMPLE,)
        others = tuple(rng.choice(c, shape) for c in codes)
    tried = _joined(others, chosen)
    near = _near_points(operation, operation.results(tried))
    first = _joined(tuple(x[near] for x in tried), chosen)
    some = max(0, FEW - len(first[0]))
    if operation.unit == "dot" or count > FEW:
        others = tuple(x[:some] for x in others)
    return _different(_joined(first, others))


def _joined(*parts: Inputs) -> Inputs:
    return tuple(np.concatenate(port) for port in zip(*parts, strict=True))


def _different(inputs: Inputs) -> Inputs:
    """Return each input once, where it is first."""
    rows = np.concatenate([x.reshape(len(x), -1) for x in inputs], axis=1)
    _, places = np.unique(rows, axis=0, return_index=True)
    places.sort()
    return tuple(x[places] for x in inputs)


def _near_points(operation: Operation, results: Numbers) -> NDArray[np.intp]:
    """Return a place for each result on or beside a decision point, the nearest to one first."""
    fmt = operation.output
    if fmt is None:
        return np.zeros(0, np.intp)
    finite = np.flatnonzero(abs(results.signs) == 1)
    amounts, places = np.unique(results.amounts[finite], return_index=True)
    if not len(amounts):
        return np.zeros(0, np.intp)
    exact = [*landmarks(fmt), *middles(fmt)]
    fine = max(results.unit.denominator, *(point.denominator for point in exact))
    whole = [point.numerator * (fine // point.denominator) for point in exact]
    ties = set(whole[len(landmarks(fmt)) :])
    points = np.array(sorted(set(whole)), object)
    amounts = amounts * int(results.unit * fine)
    at = np.searchsorted(amounts, points)
    beside = np.unique(np.concatenate([at - 1, at, at + 1]).clip(0, len(amounts) - 1))
    right = np.searchsorted(points, amounts[beside]).clip(1, len(points) - 1)
    low, high = points[right - 1], points[right]
    nearer_left = amounts[beside] - low < high - amounts[beside]
    distance = np.minimum(abs(amounts[beside] - low), abs(high - amounts[beside])) / (high - low)
    is_value = [point not in ties for point in points[right - nearer_left]]
    order = np.lexsort([is_value, distance.astype(np.float64)])
    nearest: NDArray[np.intp] = finite[places[beside[order[:MAX_NEAR]]]]
    return nearest


def _edges(fmt: NumberFormat, reach: int) -> list[int]:
    """Return special codes, zeros, and the turns of the values, each with its neighbours."""
    ordered = _ordered(fmt)
    values = [exact_decode(code, fmt) for code in ordered]
    turns = [values[0], 0.0, 1.0, -1.0, values[-1]]
    if isinstance(fmt, Format):
        turns += [fmt.min_normal, -fmt.min_normal]
    edges: dict[int, None] = {}
    for kind in ("nan", "inf", "zero"):
        codes = [code for code in used_codes(fmt) if _kind(code, fmt) == kind]
        edges |= dict.fromkeys(codes[:1] + codes[-1:])
    for turn in turns:
        steps = reach if turn else max(1, reach)  # the smallest numbers are always there
        start, stop = bisect_left(values, turn) - steps, bisect_right(values, turn) + steps
        edges |= dict.fromkeys(ordered[max(0, start) : stop])
    return list(edges)


def _kind(code: int, fmt: NumberFormat) -> str:
    value = exact_decode(code, fmt)
    return "nan" if math.isnan(value) else "inf" if math.isinf(value) else "zero" * (value == 0)


def _ordered(fmt: NumberFormat) -> list[int]:
    """Return the codes of finite numbers in the order of their values."""
    codes = [c for c in used_codes(fmt) if math.isfinite(exact_decode(c, fmt))]
    return sorted(codes, key=lambda code: exact_decode(code, fmt))


def _smallest(fmt: NumberFormat) -> int:
    """Return the code of the smallest magnitude."""
    return min(_ordered(fmt), key=lambda code: abs(exact_decode(code, fmt)))


def _nearest(numbers: Numbers, fmt: NumberFormat) -> NDArray[np.int64]:
    """Return the codes nearest to finite numbers."""
    return rounded(numbers, fmt, Rounding.NEAREST_EVEN, Overflow.SATURATE, NaNPolicy.MAX)


def _negative(numbers: Numbers) -> Numbers:
    return Numbers(-numbers.amounts, -numbers.signs, numbers.unit)


def _beside(codes: NDArray[np.int64], fmt: NumberFormat) -> list[NDArray[np.int64]]:
    """Return codes, and their neighbours on both sides in the order of values."""
    ordered = np.array(_ordered(fmt))
    place = np.zeros(fmt.code_count, np.int64)
    place[ordered] = np.arange(len(ordered))
    return [ordered[(place[codes] + step).clip(0, len(ordered) - 1)] for step in (0, 1, -1)]


def _spread(codes: Sequence[int], most: int) -> NDArray[np.int64]:
    """Return at most so many codes, spread over all."""
    return np.array(codes)[:: max(1, -(-len(codes) // most))]


def _chosen(operation: Operation) -> Inputs:
    """Return edges, and cancellations, of a unit without lanes."""
    reach = 1 if len(operation.formats) == 2 else 0
    edges = [_edges(fmt, reach) for fmt in operation.formats]
    chosen: Inputs = tuple(np.array(list(product(*edges))).T)
    if operation.unit == "multiplier":
        return chosen
    fmt, last = operation.fmt, operation.formats[-1]
    if operation.unit == "add":
        first: Inputs = (_spread(_ordered(fmt), 256),)
        numbers = all_values(fmt).at(first[0])
    else:
        first = _products(operation)
        numbers = all_values(fmt).at(first[0]).times(all_values(operation.other).at(first[1]))
    opposite = _beside(_nearest(_negative(numbers), last), last)
    parts = [(*first, code) for code in opposite]
    if operation.unit == "fma":
        ordered = _ordered(last)
        zero = bisect_left([exact_decode(code, last) for code in ordered], 0.0)
        smallest = ordered[max(0, zero - 1) : zero + 3]
        parts += [(*first, np.full(len(first[0]), code)) for code in smallest]
    return _joined(chosen, *parts)


def _products(operation: Operation) -> Inputs:
    """Return pairs of finite numbers whose products are on or beside a decision point."""
    formats = operation.fmt, operation.other
    pairs = inputs_of(Operation("multiplier", *formats, operation.output or operation.fmt, 1))
    signs = [all_values(fmt).signs[x] for fmt, x in zip(formats, pairs, strict=True)]
    finite = np.all(np.isfinite(signs), axis=0)
    return tuple(x[finite][:256] for x in pairs)


def _chosen_lanes(operation: Operation, rng: np.random.Generator) -> Inputs:
    """Return edges, and cancellations, of a dot product."""
    fmt, lanes = operation.fmt, operation.lanes
    ordered = [_ordered(each) for each in operation.formats]
    least = [[_smallest(each)] for each in operation.formats]
    edges: Inputs = tuple(np.array(list(product(*(_edges(f, 1) for f in operation.formats)))).T)
    pairs = _products(operation)
    minus = _nearest(_negative(all_values(fmt).at(pairs[0])), fmt), pairs[1]
    small = [np.unique(_beside(np.array([_smallest(f)]), f)).tolist() for f in operation.formats]

    def random(codes: Sequence[Sequence[int]], *shape: int) -> Inputs:
        return tuple(rng.choice(each, shape) for each in codes)

    def in_lanes(*neighbours: Inputs, background: Sequence[Sequence[int]] = least) -> Inputs:
        """Return pairs in neighbouring lanes, which move from row to row."""
        row = np.arange(len(neighbours[0][0]))
        ports = random(background, len(row), lanes)
        for step, lane in enumerate(neighbours):
            for port, codes in zip(ports, lane, strict=True):
                port[row, (row + step) % lanes] = codes
        return ports

    count = len(pairs[0])
    return _joined(
        in_lanes(pairs),
        in_lanes(pairs, random(small, count)),
        in_lanes(pairs, minus),
        in_lanes(pairs, minus, random(small, count)),
        in_lanes(pairs, minus, random(ordered, count)),
        in_lanes(edges, background=ordered),
        tuple(np.repeat(x[:, None], lanes, axis=1) for x in edges),
    )
