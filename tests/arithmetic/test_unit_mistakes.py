"""Planted mistakes: each part of each unit, changed by one, is found by the slow model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat import arithmetic
from minifloat.arithmetic import UNITS, Accumulator, Unit
from tests.arithmetic.slow_sums import slow_dot

ROWS = 400
# Sums of these lose nothing, and float64 is a chain of fused multiply-adds.
ALIGNED = [
    name for name, unit in UNITS.items()
    if unit.accumulator.bits is not None and unit.inputs[0].name not in ("e2m1", "e2m3", "e3m2")
]  # fmt: skip
# units that add alike, of operands with equal exponents
FIRST = {(str(UNITS[name].accumulator), UNITS[name].inputs[0].name): name for name in ALIGNED}


def numbers(unit: Unit, n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows whose large products cancel, beside small ones near the last bit that is kept."""
    rng = np.random.default_rng(seed)
    fmt, bits = unit.inputs[0], unit.accumulator.bits
    assert bits is not None
    least = np.log2(fmt.smallest) if isinstance(fmt, mf.Format) else -100
    high = 7 if unit.output == "float32" else 5
    drop = rng.integers(bits - 4, bits + 3, (ROWS, n)) * (rng.random((ROWS, n)) < 0.7)
    exponents = 2 * high - drop
    e = np.clip(exponents // 2 + rng.integers(-1, 2, (ROWS, n)), least, high)
    significands = 1 + np.where(rng.random((2, ROWS, n)) < 0.5, 0, rng.random((2, ROWS, n)))
    signs = rng.choice([-1.0, 1.0], (ROWS, n))
    a = mf.round_to(signs * significands[0] * 2.0**e, _format(fmt), nan="zero")
    b = significands[1] * 2.0 ** np.clip(exponents - e, least, high)
    b = mf.round_to(b, _format(fmt), nan="zero")
    where = np.argsort(rng.random((ROWS, n)), axis=1)[:, :2]
    rows = np.arange(ROWS)[:, None]
    a[rows, where], b[rows, where] = 2.0**high * np.array([1.0, -1.0]), 2.0**high
    c = significands[0, :, 0] * signs[:, 0] * 2.0 ** (2 * high - drop[:, 0])
    return a, b, c.astype(unit.output) * (rng.random(ROWS) < 0.8)


def ties(unit: Unit, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows of a start, half of its last bit, and a term that breaks the tie if seen."""
    late = unit.accumulator.late
    assert late is not None
    a, b = np.zeros((2, 2, n))
    a[:, 0], b[:, 0] = 2.0**-5, 2.0**-5
    a[:, 1], b[:, 1] = 2.0**-8, 2.0 ** (22 - np.array([late, late + 1]))
    return a, b, np.full(2, 2.0**14, np.float32)


def _format(fmt: Any) -> Any:
    return fmt if isinstance(fmt, mf.Format) else "tf32"


def mistakes(accumulator: Accumulator) -> Iterator[tuple[str, Accumulator]]:
    """Yield names of mistakes, and what they make of an accumulator."""
    text = str(accumulator)
    bits, terms, late = accumulator.bits, accumulator.terms, accumulator.late
    assert bits is not None
    assert isinstance(terms, int)
    changes = {
        "a bit less": (f"bits={bits}", f"bits={bits - 1}"),
        "a bit more": (f"bits={bits}", f"bits={bits + 1}"),
        "half a block": (f"terms={terms}", f"terms={terms // 2}"),
        "two blocks": (f"terms={terms}", f"terms={2 * terms}"),
        "sums rounded otherwise": (":toward_zero", ""),
        "sums cut": (f"{accumulator.fmt}/", f"{accumulator.fmt}:toward_zero/"),
        "one lane": ("+lanes=2", ""),
        "small sums kept": ("+drops", ""),
        "another order": (f"+order={accumulator.order}", ""),
        "late bits less": (f"+late={late}", f"+late={(late or 0) - 1}"),
        "late bits more": (f"+late={late}", f"+late={(late or 0) + 1}"),
        "not late": (f"+late={late}", ""),
    }
    for name, (old, new) in changes.items():
        if old in text and not (name == "not late" and accumulator.lanes == 2):
            changed = text.replace(old, new, 1)
            if name == "not late":
                changed = changed.replace("+drops", "")
            yield name, Accumulator.parse(changed)
    if late is None:
        yield "terms to nearest", Accumulator.parse(f"{text}+cut=nearest_even")
        yield "terms downward", Accumulator.parse(f"{text}+cut=downward")


def emins(unit: Unit) -> tuple[int, int]:
    return unit.inputs[0].emin, unit.inputs[0].emin


@pytest.mark.parametrize("name", FIRST.values())
def test_every_mistake_shows(name: str) -> None:
    unit = UNITS[name]
    terms = unit.accumulator.terms
    assert isinstance(terms, int)
    data = [numbers(unit, 2 * terms, seed) for seed in range(4)]
    if unit.accumulator.late is not None:
        data.append(ties(unit, 2 * terms))
    right = [arithmetic.dot(*rows, unit=unit) for rows in data]
    hidden = []
    for mistake, changed in mistakes(unit.accumulator):
        for rows, sums in zip(reversed(data), reversed(right), strict=True):
            wrong = arithmetic.dot(*rows, unit=replace(unit, accumulator=changed))
            places = np.flatnonzero(wrong != sums)
            if len(places):
                k = places[0]
                row = [x[k] for x in rows]
                assert slow_dot(*row, unit.accumulator, emins(unit)) == sums[k]
                assert slow_dot(*row, changed, emins(unit)) == wrong[k]
                break
        else:
            hidden.append(mistake)
    a, b, c = data[0]
    with np.errstate(all="ignore"):
        late = arithmetic.dot(a, b, unit=unit).astype(c.dtype) + c
    if unit.accumulator.promote is None and (late == right[0]).all():
        hidden.append("C added afterwards")
    assert not hidden


# Other operands have no products so small that the floor shows.
FLOORED = [
    name
    for name in FIRST.values()
    if (floor := UNITS[name].accumulator.floor) is not None
    and UNITS[name].inputs[0].name in ("tf32", "bfloat16", *["float16"] * (floor > -40))
]


@pytest.mark.parametrize("name", FLOORED)
def test_a_wrong_floor_shows(name: str) -> None:
    """Terms at the last bit that the floor leaves, and one below it, change a tiny result."""
    unit = UNITS[name]
    own = unit.accumulator
    floor, bits, terms = own.floor, own.bits, own.terms
    assert floor is not None
    assert bits is not None
    assert isinstance(terms, int)
    for k, seen in ((floor - bits, True), (floor - bits - 1, False)):
        e = k // 2
        if unit.output == "float32":  # a little less than 2**-149, and what fills it up
            a, b = np.full(terms, 2.0**e), np.full(terms, 2.0 ** (k - e))
            a[0], b[0] = 255 / 256 * 2.0**-75, 2.0**-74
            result = 2.0**-149 if seen else 0.0
        else:  # half of 2**-24, and what breaks the tie
            a, b = np.zeros((2, terms))
            a[:2], b[:2] = [2.0**-11, 2.0**e], [2.0**-14, 2.0 ** (k - e)]
            result = 2.0**-24 if seen else 0.0
        assert arithmetic.dot(a, b, unit=unit) == result
        assert slow_dot(a, b, 0, own, emins(unit)) == result
        changed = replace(own, floor=floor + 1 if seen else floor - 1)
        wrong = replace(unit, accumulator=changed)
        assert arithmetic.dot(a, b, unit=wrong) != result
