"""`reveal`: the order, the bits and the rounding of sums that are known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from minifloat import arithmetic
from minifloat.arithmetic import UNITS, reveal
from minifloat.arithmetic.orders import additions

# The numbers that a unit's formats have, large and small; three small ones have too few.
NUMBERS: dict[str, tuple[float, float]] = {
    "float32": (2.0**30, 2.0**-10), "float16": (2.0**10, 2.0**-24), "float64": (2.0**80, 2.0**-10),
    "e4m3fn": (2.0**15, 2.0**-18), "e4m3fnuz": (2.0**14, 2.0**-18),
}  # fmt: skip
PROBED = [
    name for name, unit in UNITS.items()
    if unit.scale is None and unit.inputs[0].name not in ("e2m1", "e2m3", "e3m2")
]  # fmt: skip
# what products of few bits do not show
HIDDEN = {
    **dict.fromkeys(["cdna2/bfloat16", "cdna2-1k/bfloat16", "cdna2/float16"], "+flush"),
    **dict.fromkeys(["cdna3/tf32", "cdna3/bfloat16", "cdna3/float16"], "late"),
    **dict.fromkeys(["cdna3/e4m3fnuz", "cdna3/e5m2fnuz"], "late"),
    **dict.fromkeys(["blackwell-mma/e4m3fn", "blackwell-mma/e5m2"], "+order"),
}


def revealed(name: str, length: int = 36) -> arithmetic.Revealed:
    unit = UNITS[name]
    fmt = unit.inputs[0].name
    large, small = NUMBERS[fmt if fmt.startswith("e4m3") else unit.output]
    return reveal(
        lambda a, b: arithmetic.dot(a, b, unit=name),
        length,
        products=True,
        large=large,
        small=small,
    )


# units that add alike are tried by the long tests
ALIKE = {str(UNITS[name].accumulator).partition("+floor")[0]: name for name in reversed(PROBED)}
TRIED = [
    pytest.param(name, marks=[] if name in ALIKE.values() else pytest.mark.long) for name in PROBED
]


@pytest.mark.parametrize("name", TRIED)
def test_units_are_revealed(name: str) -> None:
    own, found = UNITS[name].accumulator, revealed(name)
    kind = name.rpartition("/")[0]
    if kind not in HIDDEN:
        assert str(found.accumulator) == str(own).partition("+floor")[0]
    elif kind.startswith("cdna2"):  # products of 16 bits are exact in float32
        assert str(found.accumulator) == f"float32/order={own.order}"
    else:
        assert found.accumulator is None
    if own.bits is not None:
        assert found.terms == own.terms
    if own.promote is None and own.bits is not None:
        assert found.bits == own.bits
    assert found.mantissa_bits == own.fmt.mantissa_bits


def test_fp8_by_mma_takes_every_second_pair() -> None:
    tree = revealed("blackwell-mma/e5m2/float32", 64).tree
    assert isinstance(tree, tuple)
    assert [pair for pair in tree if isinstance(pair, tuple)]
    first = (0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29)
    assert str(first) in str(tree)


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
    assert found.accumulator == arithmetic.Accumulator("float32", order=tree)
    for order in ("pairwise", "strided:3", "blocks:4", "pairwise:2"):
        name = f"float32/order={order}"
        found = reveal(lambda x, name=name: arithmetic.sum(x, accumulator=name), 11)
        assert found.order is not None
        assert np.array_equal(additions(found.order, 11), additions(order, 11))


def row_by_column(a: Any, b: Any) -> Any:
    return np.matmul(np.stack([a] * 4), np.stack([b] * 4, axis=1))[1, 2]


SUMS = [np.sum, np.add.reduce, lambda x: np.cumsum(x)[-1]]
PRODUCTS = [np.dot, np.inner, row_by_column, lambda a, b: np.einsum("i,i", a, b)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("f", SUMS, ids=["sum", "reduce", "cumsum"])
def test_sums_of_numpy(f: Any, dtype: Any) -> None:
    rng = np.random.default_rng(1)
    for n in (64, 200):
        found = reveal(f, n, dtype=dtype).accumulator
        assert found is not None
        x = rng.standard_normal((200, n)) * 2.0 ** rng.integers(-20, 20, (200, n))
        x = x.astype(dtype)
        assert np.array_equal(arithmetic.sum(x, accumulator=found), [f(row) for row in x])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("f", PRODUCTS, ids=["dot", "inner", "matmul", "einsum"])
def test_products_of_numpy_and_openblas(f: Any, dtype: Any) -> None:
    """Whatever the CPU, and so the order: what is revealed gives the same bits."""
    rng, n = np.random.default_rng(2), 128
    found = reveal(f, n, products=True, dtype=dtype)
    assert found.accumulator is not None
    assert found.rounds is (found.accumulator.product is not None)
    x, y = rng.standard_normal((2, 200, n)) * 2.0 ** rng.integers(-20, 20, (2, 200, n))
    x, y = x.astype(dtype), y.astype(dtype)
    own = arithmetic.dot(x, y, accumulator=found.accumulator)
    assert np.array_equal(own, [f(*row) for row in zip(x, y, strict=True)])


def test_products_of_torch() -> None:
    torch = pytest.importorskip("torch")
    rng, n = np.random.default_rng(3), 64

    def f(a: Any, b: Any) -> float:
        rows, columns = torch.from_numpy(np.stack([a] * 4)), torch.from_numpy(np.stack([b] * 4, 1))
        return float(torch.matmul(rows, columns)[1, 2])

    found = reveal(f, n, products=True, dtype="float32").accumulator
    assert found is not None
    for x, y in rng.standard_normal((200, 2, n)).astype(np.float32):
        assert arithmetic.dot(x, y, accumulator=found) == f(x, y)


def test_rounded_products_are_told_from_fused_ones() -> None:
    for dtype in ("float32", "float64"):
        for product in (None, dtype):
            for order in ("sequential", "reversed", "strided:4", "blocks:5", "pairwise"):
                own = arithmetic.Accumulator(dtype, product=product, order=order)
                found = reveal(
                    lambda a, b, own=own: arithmetic.dot(a, b, accumulator=own),
                    18, products=True, dtype=dtype,  # type: ignore[arg-type]
                )  # fmt: skip
                assert found.accumulator == own


def test_exact_sums() -> None:
    found = reveal(math.fsum, 16, dtype="float64")
    assert (found.bits, found.mantissa_bits) == (60, 52)
    assert str(found.accumulator) == "float64/terms=all"
    two = reveal(lambda x: arithmetic.sum(x, accumulator="float32/terms=2"), 16)
    assert str(two.accumulator) == "float32/terms=2"


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
        (lambda: reveal(np.sum, 8, dtype="float16"), "dtype must be float32 or float64"),  # type: ignore[arg-type]
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
