"""`reveal`: the order, the bits and the rounding of sums that are known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat import RECIPES, arithmetic
from minifloat.arithmetic import UNITS, reveal
from minifloat.arithmetic.orders import additions
from minifloat.quantization.quantized import Quantized

# formats whose largest and smallest numbers are so near that sums of products lose nothing
NARROW = ("e2m1", "e2m3", "e3m2")


def revealed(name: str, length: int = 36) -> arithmetic.Revealed:
    return reveal(lambda a, b: arithmetic.dot(a, b, unit=name), length, products=True)


def seen(unit: arithmetic.Unit) -> str:
    """Return what products of powers of two show of a unit's accumulator."""
    hidden = {"floor", "limit", "flush", "product"}
    head, slash, options = str(unit.accumulator).partition("/")
    shown = [option for option in options.split("+") if option.partition("=")[0] not in hidden]
    return head + slash * bool(shown) + "+".join(shown)


# those that differ in names alone are tried by the long tests
FIRST = {(seen(unit), unit.inputs[0].name in NARROW): name for name, unit in UNITS.items()}
TRIED = [
    pytest.param(name, marks=[] if name in FIRST.values() else pytest.mark.long) for name in UNITS
]


@pytest.mark.parametrize("name", TRIED)
def test_units_are_revealed(name: str) -> None:
    unit, found = UNITS[name], revealed(name)
    if unit.inputs[0].name in NARROW:
        assert (found.tree, found.bits) == (tuple(range(36)), 6)
        assert str(found.accumulator) == "float32/terms=all"
        return
    own = unit.accumulator
    assert str(found.accumulator) == seen(unit)
    assert found.mantissa_bits == own.fmt.mantissa_bits
    assert found.promote == own.promote
    if own.bits is not None:
        assert (found.terms, found.bits) == (own.terms, own.bits)


def test_scales_are_revealed() -> None:
    """Terms that are blocks, each with one number and a scale, lose what the numbers do not."""
    unit = UNITS["blackwell/mxfp4/float32"]
    recipe, width = RECIPES["mxfp4"], unit.scale_block
    assert width is not None

    def packed(x: Any) -> Quantized:
        values = np.zeros((1, len(x) * width), np.float32)
        values[0, ::width] = np.sign(x)
        scales = np.where(x == 0, 1, np.abs(x))[None].astype(np.float32)
        codes = mf.encode(values.reshape(-1), recipe.fmt)
        return Quantized(mf.pack(codes, recipe.fmt.bits), scales, recipe, values.shape, 1)

    def f(a: Any, b: Any) -> float:
        return float(arithmetic.dot(packed(a), packed(b), unit=unit)[0])

    found = reveal(f, 12, products=True)
    assert (found.terms, found.bits) == (2, 35)


@pytest.mark.parametrize("promote", [8, 16, 20])
def test_promotion_is_revealed(promote: int) -> None:
    text = f"e8m13:toward_zero/terms=4+bits=13+promote={promote}"
    found = reveal(lambda x: arithmetic.sum(x, accumulator=text), 50)
    assert str(found.accumulator) == text


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
        "float32:toward_zero/terms=4+bits=26+cut=downward", "e8m13/terms=8+bits=20+late=27",
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


def test_sums_in_float16_of_numpy() -> None:
    """They overflow for the first numbers that are tried."""
    found = reveal(lambda x: np.cumsum(x.astype(np.float16))[-1], 16)
    assert str(found.accumulator) == "float16"


def test_rounded_products_are_told_from_fused_ones() -> None:
    for dtype in ("float32", "float64"):
        for product in (None, dtype):
            for order in ("sequential", "strided:4", "pairwise"):
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
        (lambda: reveal(3), "f must be a function of one or two arrays, got 3"),  # type: ignore[arg-type]
        (lambda: reveal(lambda x: None, 8), "f must return a number, got None"),
        (lambda: reveal(lambda x: x, 8), "f must return a number, got array"),
        (lambda: reveal(lambda x: 0.0, 8), "f must return .* alone, got 0"),
        (lambda: reveal(np.sum, 8, large=np.inf), "large must be a power of two, got inf"),
        (lambda: reveal(np.dot, 8), "missing"),
        (lambda: reveal(np.sum, 8, large=10**400), "large must be a power of two"),
        (lambda: reveal(np.sum, 8, large=1.0, small=2.0), "large must be more than small, got 1"),
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
