"""`reveal`: the order, the bits and the rounding of sums that are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minifloat import arithmetic
from minifloat.arithmetic import UNITS, reveal
from minifloat.arithmetic.orders import additions

ALIGNED = [
    name
    for name, unit in UNITS.items()
    if unit.output == "float32" and unit.accumulator.bits is not None
    and unit.accumulator.late is None and unit.inputs[0].emin <= -14
]  # fmt: skip
WITH_FLOOR = [name for name in ALIGNED if name.startswith(("volta", "ampere", "hopper", "ada"))]


@pytest.mark.parametrize("name", WITH_FLOOR)
def test_units_are_revealed(name: str) -> None:
    own = UNITS[name].accumulator
    found = reveal(lambda a, b: arithmetic.dot(a, b, unit=name), 36, products=True)
    assert found.accumulator is not None
    assert str(found.accumulator) == str(own).partition("+floor")[0]
    assert (found.terms, found.bits) == (own.terms, own.bits)
    assert found.mantissa_bits == own.fmt.mantissa_bits


@pytest.mark.parametrize(
    "text",
    [
        "float32", "bfloat16", "bfloat16:toward_zero", "e8m13:toward_zero", "e8m9:nearest_away",
        "tf32", "e8m4ieee", "float32/order=reversed", "float32/order=pairwise",
        "bfloat16/order=pairwise:4", "float32/order=strided:4", "float32/order=blocks:5",
        "float32/terms=all", "float32/terms=4",
        "float32:toward_zero/terms=4+bits=26+cut=nearest_even", "float32/terms=8+bits=24",
    ],
)  # fmt: skip
def test_accumulators_are_revealed(text: str) -> None:
    found = reveal(lambda x: arithmetic.sum(x, accumulator=text), 18)
    assert str(found.accumulator) == text


def test_the_tree_of_a_sum_is_what_its_order_says() -> None:
    tree = ((0, (1, 2)), ((3, 4), (5, (6, 7))))
    found = reveal(lambda x: arithmetic.sum(x, accumulator=f"float32/order={tree}"), 8)
    assert found.tree == tree
    assert found.order is None
    assert found.accumulator is None
    for order in ("pairwise", "strided:3", "blocks:4", "pairwise:2"):
        name = f"float32/order={order}"
        found = reveal(lambda x, name=name: arithmetic.sum(x, accumulator=name), 11)
        assert found.order is not None
        assert np.array_equal(additions(found.order, 11), additions(order, 11))


def test_amd_units() -> None:
    for name, order in (("cdna2/float16", "pairwise:4"), ("cdna2/bfloat16", "pairwise:2")):
        unit = f"{name}/float32"
        found = reveal(lambda a, b, u=unit: arithmetic.dot(a, b, unit=u), 20, products=True)
        assert found.order == order
    late = reveal(
        lambda a, b: arithmetic.dot(a, b, unit="cdna3/float16/float32"), 20, products=True
    )
    assert (late.terms, late.bits, late.accumulator) == (8, 24, None)  # C enters late


def test_other_peoples_sums() -> None:
    assert reveal(lambda x: np.cumsum(x)[-1], 9).order == "sequential"
    halves = reveal(
        lambda x: x[::2].sum(dtype=np.float64) + x[1::2].sum(dtype=np.float64), 8, large=2.0**90
    )
    assert halves.mantissa_bits >= 40


def test_small_blocks_do_not_pass_for_larger_ones() -> None:
    """A planted mistake: a unit whose second block has a term less."""

    def wrong(a: Any, b: Any) -> Any:
        first = arithmetic.dot(a[:8], b[:8], unit="ampere/float16/float32")
        second = arithmetic.dot(a[8:15], b[8:15], first, unit="ampere/float16/float32")
        return arithmetic.dot(a[15:], b[15:], second, unit="ampere/float16/float32")

    found = reveal(wrong, 23, products=True)
    assert found.order is None
    assert found.accumulator is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: reveal(np.sum, 3), "length must be in 4..256"),
        (lambda: reveal(np.sum, 8, large=3.0), "large must be a power of two"),
        (lambda: reveal(np.sum, 8, small=0.0), "small must be a power of two"),
        (lambda: reveal(np.max, 8), "f must count the terms"),
        (
            lambda: reveal(lambda x: arithmetic.sum(x, accumulator="bfloat16:upward"), 8),
            "f must count",
        ),
        (lambda: reveal(np.sum, 8, products=1), "products must be a bool"),  # type: ignore[arg-type]
    ],
)
def test_errors(call: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        call()
