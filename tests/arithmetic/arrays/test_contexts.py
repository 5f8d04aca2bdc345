"""What an array of a format is: its context, its memory, its seeds, its errors."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat import arithmetic
from minifloat.arithmetic import Context, FormatArray, array

FMT = "e4m3fn"


@pytest.fixture
def x() -> FormatArray:
    return array([[0.3, 1.7, 100.0], [-2.0, 0.0, 448.0]], FMT)


def values(x: Any) -> Any:
    assert isinstance(x, FormatArray)
    return np.asarray(x).tolist()


# values and codes


def test_values_codes_and_bits(x: FormatArray) -> None:
    assert x.fmt == mf.parse(FMT)
    np.testing.assert_array_equal(x.values, mf.round_to([[0.3, 1.7, 100], [-2, 0, 448]], FMT))
    np.testing.assert_array_equal(x.codes, mf.encode(x.values, FMT))
    assert x.codes.dtype == np.uint8
    assert x[1].bits.tolist() == ["1 1000 000", "0 0000 000", "0 1111 110"]
    assert (x.shape, x.ndim, x.size, len(x)) == ((2, 3), 2, 6, 2)
    assert repr(x[0]) == "FormatArray([ 0.3125,  1.75  , 96.    ], 'e4m3fn')"
    assert str(x[0, 1]) == "1.75"
    assert f"{x[0, 1]:.3f}" == "1.750"
    assert eval(repr(x[0]).replace("FormatArray", "array")).tolist() == x[0].tolist()


def test_asarray_gives_values_that_cannot_be_written(x: FormatArray) -> None:
    plain = np.asarray(x)
    assert plain.dtype == np.float64
    with pytest.raises(ValueError, match="read-only"):
        plain[0, 0] = 0.1
    mine = np.array(x)
    mine[0, 0] = 0.1
    assert x[0, 0] == 0.3125
    assert np.asarray(x, np.float32).dtype == np.float32
    with pytest.raises(ValueError, match="dtype must be float64 without a copy"):
        np.array(x, np.float32, copy=False)


def test_a_context_without_array_is_its_options() -> None:
    context = Context("bfloat16", rounding="stochastic", seed=3, random_bits=8, overflow="ieee")
    assert repr(context) == (
        "Context('bfloat16', rounding='stochastic', overflow='ieee', random_bits=8, seed=3)"
    )
    assert context == eval(repr(context))
    assert hash(context) == hash(context.replaced(seed=4))
    assert context.replaced(rounding="upward", random_bits=24) == Context(
        "bfloat16", rounding="upward", overflow="ieee"
    )
    assert array([1.0], context).context is context
    assert Context(FMT, accumulator="float32").accumulator == arithmetic.Accumulator("float32")


# contexts that meet


def test_arrays_of_two_contexts_do_not_meet(x: FormatArray) -> None:
    others = [
        array(1.0, "e5m2"),
        array(1.0, FMT, rounding="upward"),
        array(1.0, FMT, overflow="ieee"),
        array(1.0, FMT, accumulator="float32"),
    ]
    calls: list[Callable[[FormatArray], Any]] = [
        lambda y: x + y,
        lambda y: y * x,
        lambda y: x @ array(np.ones((3, 1)), y.context),
        lambda y: np.where(x > 0, x, y),
        lambda y: np.stack([x, np.broadcast_to(y, x.shape)]),
        lambda y: np.add(x, 1, out=array(np.zeros((2, 3)), y.context)),
    ]
    for y in others:
        for call in calls:
            with pytest.raises(TypeError, match=r"to meet|out must be a FormatArray"):
                call(y)
        assert values(x + y.astype(x.context)) == values(x + 1)


def test_comparisons_are_exact(x: FormatArray) -> None:
    assert (x < 448.5).all()  # which would round to 448
    assert (x < math.inf).all()
    assert not (x == 0.3).any()
    assert (x == array([[0.3125, 1.75, 96], [-2, 0, 448]], "bfloat16")).all()
    assert (x[0] > [0.3, 1.8, 95]).tolist() == [True, False, True]
    assert 0.3125 in x
    assert 0.3 not in x
    assert not np.isnan(x).any()


def test_astype_rounds_once_and_keeps_the_rest() -> None:
    x = array([0.3, 1.7], "bfloat16", rounding="upward", accumulator="float32")
    y = x.astype("e2m1")
    assert (values(y), y.context) == (
        [0.5, 2.0],
        Context("e2m1", rounding="upward", accumulator="float32"),
    )
    assert values(y.astype(Context("int4"))) == [0.0, 2.0]
    for dtype in (float, np.float64, "float32", None):
        with pytest.raises((TypeError, ValueError), match="fmt must be"):
            x.astype(dtype)  # type: ignore[arg-type]
    # the policies of a format with infinities, in one that has none
    z = array([math.inf], "float16", overflow="ieee").astype("e4m3fn")
    assert math.isnan(z.item(0))


def test_an_option_is_of_operations(x: FormatArray) -> None:
    up = array([1.0], FMT, rounding="upward")
    assert values(up / 3) == [mf.round_to(1 / 3, FMT, rounding="upward")]
    assert values(up + 0.01) == [1.125]
    infinite = array([448.0, 1.0], "e5m2", overflow="ieee") / 0.0
    assert values(infinite) == [math.inf, math.inf]
    with pytest.raises(ValueError, match="overflow"):
        array([1000.0], FMT, overflow="raise") * 1000
    with pytest.raises(ValueError, match="NaN"):
        array([0.0], "e2m1") / 0.0
    assert values(array([0.0], "e2m1", nan="max") / 0.0) == [6.0]


# accumulators


@pytest.mark.parametrize(
    "accumulator",
    [
        "float32",
        "float32/order=pairwise",
        "e8m13:toward_zero/terms=4+bits=13",
        "bfloat16/terms=all",
    ],
)
def test_sums_and_products_follow_the_accumulator(accumulator: str) -> None:
    rng = np.random.default_rng(1)
    a = array(rng.standard_normal((5, 40)), FMT, accumulator=accumulator)
    b = array(rng.standard_normal((40, 3)), a.context)

    def rounded(sums: Any) -> Any:
        return mf.round_to(np.asarray(sums, float), FMT).tolist()

    whole = arithmetic.sum(a.values, accumulator=accumulator)
    assert values(a.sum(axis=1)) == rounded(whole)
    assert values(a.sum()) == rounded(arithmetic.sum(a.values.ravel(), accumulator=accumulator))
    products = arithmetic.matmul(a.values, b.values, accumulator=accumulator)
    assert values(a @ b) == rounded(products)
    assert values(np.einsum("ij,jk->ik", a, b)) == rounded(products)
    assert values(a[0].dot(b[:, 0])) == rounded(
        arithmetic.dot(a.values[0], b.values[:, 0], accumulator=accumulator)
    )
    partial = [arithmetic.sum(a.values[0, : k + 1], accumulator=accumulator) for k in range(40)]
    assert values(a[0].cumsum()) == rounded(partial)
    # the sum is rounded to the format, and divided
    np.testing.assert_array_equal(
        a.mean(axis=1).values, arithmetic.divide(np.asarray(a.sum(axis=1)), 40, FMT)
    )


def test_the_default_stagnates_and_a_wider_accumulator_does_not() -> None:
    ones = np.full(1000, 0.125)
    assert values(array(ones, FMT).sum()) == 2.0  # 2 + 0.125 is a tie, and rounds back to 2
    assert values(array(ones, FMT, accumulator="float32").sum()) == 128.0  # 125 rounds to it


def test_an_accumulator_needs_values_that_float32_holds() -> None:
    fmt = mf.Codebook([0.1, 0.2, 1 / 3, -0.7], name="thirds")
    with pytest.raises(ValueError, match="accumulator must be None"):
        array([0.1], fmt, accumulator="float32")
    assert values(array([0.1, 0.3], fmt).sum()) == 1 / 3


# seeds


def program(seed: int) -> list[Any]:
    x = array([0.3, 1.7, -0.9, 40.0], "e4m3fn", rounding="stochastic", seed=seed)
    return [values(y) for y in (x, x + 0.1, x + 0.1, x / 3, x.sum(), x @ x, np.exp(x), x.cumsum())]


def test_stochastic_programs_are_reproducible() -> None:
    assert program(1) == program(1)
    assert program(1) != program(2)
    x = array(np.full(50, 1.03), "e4m3fn", rounding="stochastic", seed=5)
    assert values(x + 0.1) != values(x + 0.1)  # each operation draws anew
    assert x.context.seeds is (x * 2).context.seeds is x[3:].context.seeds


def test_stochastic_operations_are_unbiased() -> None:
    x = array(np.full(20_000, 1.0), "e4m3fn", rounding="stochastic", seed=0)
    y = x * (1 + 2**-5)  # the number is rounded, to 1 or 1.125
    # 5 standard errors; the product of values is exact
    assert abs(np.asarray(x + y).mean() - (2 + 2**-5)) < 5 * 0.25 / math.sqrt(20_000) + 0.125
    thirds = np.asarray(x / 3)
    gap = 0.34375 - 0.3125
    assert abs(thirds.mean() - 1 / 3) < 5 * gap / 2 / math.sqrt(thirds.size)
    assert set(thirds.tolist()) == {0.3125, 0.34375}


def test_copies_and_pickles_of_a_stochastic_array() -> None:
    x = array([1.03, 2.7], "e4m3fn", rounding="stochastic", seed=9)
    x + x  # takes a seed
    saved = pickle.loads(pickle.dumps(x))
    assert values(saved / 7) == values(x / 7)  # it goes on where it was
    assert copy.deepcopy(x).context.seeds is x.context.seeds  # a copy shares the seeds


# memory


def test_views_share_memory_and_assignment_rounds(x: FormatArray) -> None:
    row, column, turned = x[0], x[:, 1], x.T
    row[1] = 0.1
    assert column[0] == x[0, 1] == turned[1, 0] == mf.round_to(0.1, FMT)
    turned[2] = [3.3, array(5.1, "bfloat16").item()]
    assert values(x[:, 2]) == [3.25, 5.0]
    x[x < 0] = 1e9
    assert x[1, 0] == 448
    x[...] = array(np.full((2, 3), 1.3), "bfloat16")
    assert values(x) == [[1.25] * 3] * 2
    reshaped = x.reshape(3, 2)
    reshaped += 1
    assert (x == 2.25).all()
    assert not np.shares_memory(x, x.copy())
    assert np.shares_memory(x, np.atleast_2d(x))
    with pytest.raises(ValueError, match="read-only"):
        np.broadcast_to(x[0], (2, 3))[0] = 1


def test_numbers_do_not_change(x: FormatArray) -> None:
    first, second = x[0, 0], x[0, 1]
    x[0, 0], x[0, 1] = x[0, 1], x[0, 0]  # a swap, as of NumPy's scalars
    assert (x[0, 0], x[0, 1]) == (1.75, 0.3125)
    other = first
    other += 1
    other *= 2
    other **= 2
    assert (first, other) == (0.3125, 6.0)
    with pytest.raises(TypeError, match="must have an axis to be assigned to"):
        second[()] = 1
    with pytest.raises(ValueError, match="read-only"):
        np.add(second, 1, out=second)


def test_in_place_operators_write_to_the_array(x: FormatArray) -> None:
    before = x.copy()
    alias = x[:]
    x += 0.3
    x *= array(2.0, FMT)
    x /= [1, 2, 3]
    x -= 0.5
    x %= 7
    x **= 2
    assert values(alias) == values(x)
    assert values(x) == values(((((before + 0.3) * 2) / [1, 2, 3] - 0.5) % 7) ** 2)
    y = array(np.eye(3), FMT)
    y @= y
    assert values(y) == np.eye(3).tolist()
    plain = np.ones((2, 3))
    with pytest.raises(TypeError, match="out must be a FormatArray"):
        plain += x


@pytest.mark.parametrize("accumulator", [None, "float32"])
@pytest.mark.parametrize("rounding", ["nearest_even", "downward"])
def test_reductions_where(accumulator: str | None, rounding: str) -> None:
    """They are those of the rows without the numbers that are left out."""
    rng = np.random.default_rng(3)
    x = arithmetic.array(
        rng.normal(size=(3, 40)), "e4m3fn", accumulator=accumulator, rounding=rounding
    )
    mask = rng.random(x.shape) < 0.4
    mask[1] = False
    for initial in (None, 1.25):
        options = {} if initial is None else {"initial": initial}
        for function, empty in [(np.sum, 0.0), (np.prod, 1.0)]:
            got = function(x, axis=1, where=mask, keepdims=True, **options)
            want = [
                function(row[chosen], **options).values if chosen.any() else (initial or empty)
                for row, chosen in zip(x, mask, strict=True)
            ]
            assert got.shape == (3, 1)
            assert values(got) == np.reshape(want, (3, 1)).tolist(), (function, options)
    assert values(np.add.reduce(x, 1, where=mask)) == values(x.sum(1, where=mask))
    assert values(x.sum(where=x > 0)) == values(x[x > 0].sum())
    assert values(x[::2].mean(1, where=mask[::2])) == [
        values(row[chosen].mean()) for row, chosen in zip(x[::2], mask[::2], strict=True)
    ]
    largest = np.maximum.reduce(x, axis=1, where=mask, initial=-1)
    assert values(largest) == values(np.max(x, axis=1, where=mask, initial=-1))
    with pytest.raises(ValueError, match="initial must be given with where for maximum"):
        np.maximum.reduce(x, where=mask)


def test_out_and_where(x: FormatArray) -> None:
    out = np.zeros_like(x)
    assert np.multiply(x, 2, out=out) is out
    assert values(out) == values(x * 2)
    assert np.cumsum(x, axis=1, out=out) is out
    assert values(out) == values(x.cumsum(axis=1))
    quotients = np.zeros_like(x)
    assert np.divide(1, x, out=quotients, where=x != 0) is quotients
    assert values(quotients) == [[3.25, 0.5625, np.asarray(1 / x)[0, 2]], [-0.5, 0, 2**-9]]
    with pytest.raises(TypeError, match="where must come with out"):
        np.divide(1, x, where=x != 0)
    with pytest.raises(ValueError, match="out must have shape"):
        np.add(x, 1, out=x[0])
    with pytest.raises(TypeError, match="options that a FormatArray knows"):
        np.add(x, 1, dtype=np.float32)


# Python's protocols


def test_python_protocols(x: FormatArray) -> None:
    assert [values(row) for row in x] == values(x)
    assert float(x[0, 1]) == 1.75
    assert int(x[0, 1]) == 1
    assert bool(x[0, 0])
    assert x[0, 0].item() == x.item(0) == 0.3125
    with pytest.raises(ValueError, match="ambiguous"):
        bool(x)
    with pytest.raises(TypeError, match="unhashable"):
        hash(x)
    with pytest.raises(TypeError):
        len(x[0, 0])
    with pytest.raises(AttributeError, match="has a format"):
        x.dtype  # noqa: B018
    again = pickle.loads(pickle.dumps(x))
    assert (values(again), again.context) == (values(x), x.context)
    assert values(pickle.loads(pickle.dumps(x[0, 0]))) == 0.3125
    for twin in (copy.copy(x), copy.deepcopy(x), x.copy()):
        twin[0, 0] = 7
        assert x[0, 0] == 0.3125
    assert values(sum(x)) == values(x[0] + x[1])
    assert max(x[0]) == 96


def test_numpys_assertions_take_it(x: FormatArray) -> None:
    np.testing.assert_allclose(x, x.values)
    np.testing.assert_array_equal(x, x)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(x, x.values + 1)


def test_methods_that_write(x: FormatArray) -> None:
    x.sort(axis=0)
    assert values(x[0]) == [-2.0, 0.0, 96.0]
    x.fill(0.1)
    assert (x == mf.round_to(0.1, FMT)).all()


HOSTILE: list[Callable[[FormatArray], Any]] = [
    lambda x: array([1.0], x.context, rounding="upward"),
    lambda x: array("text", FMT),
    lambda x: array([1.0], "no such format"),
    lambda x: array([1.0], FMT, rounding="stochastic"),
    lambda x: array([1.0], FMT, seed=1),
    lambda x: array([1.0], FMT, random_bits=0),
    lambda x: array([1.0], FMT, random_bits="8"),
    lambda x: array([1j], FMT),
    lambda x: array([1.0], FMT, accumulator="nonsense"),
    lambda x: array([1.0], FMT, accumulator=3),
    lambda x: array(np.ma.array([1.0]), FMT),
    lambda x: x + "text",
    lambda x: x + 1j,
    lambda x: x + None,
    lambda x: x @ 2,
    lambda x: x @ x,
    lambda x: x[x],
    lambda x: x + np.array([1, 2, 3, 4]),
    lambda x: np.einsum("ij,jk,kl", x, x, x),
    lambda x: np.einsum("ij", x, x),
    lambda x: np.einsum("ijk", x),
    lambda x: np.einsum("ij->k", x),
    lambda x: np.einsum("i1->i", x),
    lambda x: np.einsum(x, [0, 1]),
    lambda x: np.var(x, where=x > 0),
    lambda x: np.sum(x, dtype=np.float64),
    lambda x: np.zeros_like(x, dtype=float),
    lambda x: np.zeros(3, like=x, dtype=np.float32),
    lambda x: np.round(x, 2),
    lambda x: np.pad(x, 1, mode="mean"),
    lambda x: np.linalg.norm(x, 2),
    lambda x: np.copyto(np.zeros((2, 3)), x),
    lambda x: np.max(x[:0], axis=0),
    lambda x: np.sum(x, axis=5),
    lambda x: np.diff(x, axis=5),
    lambda x: np.equal(x, x, out=x),
    lambda x: np.clip(x, 0.1, 0.2, x),  # which would write 0.1 itself
    lambda x: np.all(x, 0, x[0]),
    lambda x: x.reshape(4),
    lambda x: x.context.replaced(nonsense=1),
]


@pytest.mark.parametrize("call", HOSTILE)
def test_hostile_arguments_are_errors(call: Any, x: FormatArray) -> None:
    before = x.tolist()
    with pytest.raises((TypeError, ValueError, IndexError)):
        call(x)
    assert x.tolist() == before


def test_integers_beyond_float64_are_refused(x: FormatArray) -> None:
    with pytest.raises((TypeError, ValueError)):
        x + (2**53 + 1)
    with pytest.raises((TypeError, ValueError)):
        x + 10**400
