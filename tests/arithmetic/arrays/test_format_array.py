"""Arrays of a format: each operation is the slow number's, and all else is NumPy's."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minifloat as mf
from minifloat import arithmetic
from minifloat.arithmetic import FormatArray, array
from tests.arithmetic.arrays.slow_numbers import SlowFormat

FORMATS = ["e4m3fn", "e5m2", "e2m1", "bfloat16", "float16", "e3m2b5", "e4m3fnuz", "int5", "nf4"]
POLICIES: list[dict[str, Any]] = [
    {},
    {"overflow": "ieee"},
    {"overflow": "saturate_finite", "rounding": "upward"},
    {"rounding": "downward"},
    {"rounding": "toward_zero", "overflow": "ieee"},
    {"rounding": "nearest_away"},
    {"rounding": "to_odd", "overflow": "sat_none"},
]
OPERATORS = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
}
numbers = st.floats(-1000, 1000, width=32) | st.sampled_from([0.0, -0.0, 1.0, 448.0, 1e-3, -6.0])


def assert_same(got: Any, want: Any) -> None:
    """Compare values, NaN and the signs of zeros."""
    assert isinstance(got, FormatArray)
    values, want = np.asarray(got), np.asarray(want, float)
    assert values.shape == want.shape
    np.testing.assert_array_equal(values, want)
    assert ((np.signbit(values) == np.signbit(want)) | np.isnan(want)).all()


class Viewed(NamedTuple):
    """Numbers in memory, and the view of them that a test computes with."""

    stored: np.ndarray
    order: list[int]
    steps: list[int]

    def of(self, x: Any) -> Any:
        view = x.transpose(self.order)
        return view[tuple(slice(None, None, step) for step in self.steps)]

    def array(self, fmt: str, **policies: Any) -> FormatArray:
        """Return the view of an array of the format."""
        return self.of(array(self.stored, fmt, **policies))


@st.composite
def views(draw: st.DrawFn, shape: tuple[int, ...]) -> Viewed:
    """Return numbers whose view has a shape, whatever its strides."""
    order = draw(st.permutations(range(len(shape))))
    steps = [draw(st.sampled_from([1, 2, -1, -2])) for _ in shape]
    sides = [n * abs(step) for n, step in zip(shape, steps, strict=True)]
    whole = tuple(sides[k] for k in np.argsort(order))
    return Viewed(draw(hnp.arrays(np.float64, whole, elements=numbers)), order, steps)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Viewed, Viewed]:
    shapes = draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3))
    return draw(views(shapes.input_shapes[0])), draw(views(shapes.input_shapes[1]))


@given(
    pairs(), st.sampled_from(FORMATS), st.sampled_from(POLICIES), st.sampled_from(list(OPERATORS))
)
@settings(max_examples=150)
def test_operators_are_slow_operations(
    both: tuple[Viewed, Viewed], fmt: str, policies: dict[str, Any], name: str
) -> None:
    slow = SlowFormat(fmt, nan="zero", **policies)
    a, b = (x.array(fmt, nan="zero", **policies) for x in both)
    values = np.broadcast_arrays(np.asarray(a), np.asarray(b))
    flat = [
        getattr(slow, name)(x, y)
        for x, y in zip(*(v.ravel().tolist() for v in values), strict=True)
    ]
    want = np.reshape(flat, values[0].shape)
    assert_same(OPERATORS[name](a, b), want)
    # plain numbers are rounded first, on either side
    assert_same(OPERATORS[name](a, both[1].of(both[1].stored)), want)
    assert_same(OPERATORS[name](both[0].of(both[0].stored), b), want)


@given(st.sampled_from(FORMATS), st.sampled_from(POLICIES), st.data())
@settings(max_examples=100)
def test_sums_and_products_are_one_operation_after_the_other(
    fmt: str, policies: dict[str, Any], data: st.DataObject
) -> None:
    slow = SlowFormat(fmt, nan="zero", **policies)
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=4))
    axis = data.draw(st.integers(0, len(shape) - 1))
    x = data.draw(views(shape)).array(fmt, nan="zero", **policies)
    rows = np.moveaxis(np.asarray(x), axis, -1)

    def along(f: Any) -> Any:
        return np.array([f(row) for row in rows.reshape(-1, rows.shape[-1])])

    assert_same(x.sum(axis).ravel(), along(slow.sum))
    partial = along(lambda row: [slow.sum(row[: k + 1]) for k in range(len(row))])
    assert_same(np.moveaxis(x.cumsum(axis), axis, -1).reshape(partial.shape), partial)
    assert_same(x.sum(), slow.sum(np.asarray(x).ravel()))
    mean = along(lambda row: slow.divide(slow.sum(row), len(row)))
    assert_same(x.mean(axis).ravel(), mean)
    if x.ndim > 1:
        assert_same(
            np.vecdot(x, x), np.apply_along_axis(lambda row: slow.dot(row, row), -1, np.asarray(x))
        )


@given(st.sampled_from(FORMATS), st.sampled_from(POLICIES), st.data())
@settings(max_examples=60)
def test_products_of_matrices_are_loops(
    fmt: str, policies: dict[str, Any], data: st.DataObject
) -> None:
    slow = SlowFormat(fmt, nan="zero", **policies)
    m, n, p = (data.draw(st.integers(1, 4)) for _ in range(3))
    a = data.draw(views((m, n))).array(fmt, nan="zero", **policies)
    b = data.draw(views((n, p))).array(fmt, nan="zero", **policies)
    want = [[slow.dot(row, column) for column in b.T.tolist()] for row in a.tolist()]
    assert_same(a @ b, want)
    assert_same(np.einsum("ij,jk", a, b), want)
    assert_same(np.tensordot(a, b, 1), want)
    assert_same(np.dot(a, b[:, 0]), [row[0] for row in want])
    loops = array(np.zeros((m, p)), a.context)
    for k in range(n):
        products = np.multiply.outer(a[:, k], b[k])
        loops = products if k == 0 else loops + products
    assert_same(loops, want)


@pytest.mark.parametrize("policies", POLICIES, ids=lambda p: "-".join(p.values()))
def test_the_fast_loops_are_the_slow_ones(policies: dict[str, Any], monkeypatch: Any) -> None:
    """Larger arrays, with overflow and many zeros: kernels against calls."""
    rng = np.random.default_rng(3)
    numbers = np.round(rng.standard_normal((40, 30)) * 4)
    for fmt in ("e4m3fn", "e5m2", "bfloat16"):
        x = array(numbers * 2.0 ** rng.integers(-9, 9, numbers.shape), fmt, **policies)
        fast = x.sum(0), x.cumsum(1), x @ x.T
        monkeypatch.setattr(arithmetic.Context, "adder", None)
        slow = x.sum(0), x.cumsum(1), x @ x.T
        monkeypatch.undo()
        for one, other in zip(fast, slow, strict=True):
            assert_same(one, np.asarray(other))


def test_sums_over_several_axes_are_in_c_order() -> None:
    rng = np.random.default_rng(0)
    slow = SlowFormat("bfloat16")
    x, y = (array(rng.standard_normal((12, 13)), "bfloat16") for _ in range(2))
    numbers, others = (v.values.ravel().tolist() for v in (x, y))
    assert slow.sum(numbers) != slow.sum(x.values.T.ravel().tolist())
    for total in (x.sum(), x.sum(axis=(1, 0)), np.einsum("ij->", x), np.add.reduce(x, (0, 1))):
        assert_same(total, slow.sum(numbers))
    want = slow.dot(numbers, others)
    assert want != slow.dot(x.values.T.ravel().tolist(), y.values.T.ravel().tolist())
    for total in (np.einsum("ij,ij", x, y), np.einsum("ij,ji->", x, y.T), np.tensordot(x, y)):
        assert_same(total, want)


def test_products_that_vanish_have_the_sign_that_the_format_has() -> None:
    for fmt, negative in (("e4m3fn", True), ("e4m3fnuz", False)):
        x = array([2.0**-9, 2.0**-9], fmt)
        assert np.signbit((-x) @ x) == negative == np.signbit((-x * x).sum())


def test_which_contexts_have_fast_loops() -> None:
    has = {
        (fmt, overflow): arithmetic.Context(fmt, overflow=overflow).adder is not None
        for fmt in ("e4m3fn", "bfloat16", "int8", "nf4")
        for overflow in ("saturate", "saturate_finite", "ieee")
    }
    assert {key for key, is_fast in has.items() if is_fast} == {
        ("e4m3fn", "saturate"),
        ("e4m3fn", "saturate_finite"),
        ("bfloat16", "saturate"),
        ("bfloat16", "ieee"),
    }


@given(st.sampled_from(FORMATS), st.integers(-8, 8), st.data())
@settings(max_examples=60)
def test_whole_powers_are_rounded_once(fmt: str, n: int, data: st.DataObject) -> None:
    slow = SlowFormat(fmt, nan="zero")
    x = data.draw(views((5,))).array(fmt, nan="zero")
    assert_same(x**n, [slow.power(v, n) for v in x.tolist()])
    assert_same(np.square(x), [slow.power(v, 2) for v in x.tolist()])


def test_other_powers() -> None:
    x = array([0.25, 2.0, 3.0], "e4m3fn")
    assert_same(x**0.5, np.asarray(np.sqrt(x)))
    assert_same(x ** np.float64(2), np.asarray(x * x))
    assert_same(2**x, np.asarray(np.exp2(x)))
    assert_same(x**x, [0.6875, 4.0, 28.0])  # 4**-0.25 = 0.7071, between 0.6875 and 0.75; 27
    # the exponent is rounded, as plain numbers are; a whole one is not
    assert_same(x**0.3, np.asarray(x ** array(0.3, "e4m3fn")))
    assert_same(array([0.5, 1.0], "nf4") ** 2, mf.round_to([0.440709829**2, 1.0], "nf4"))


# Programs in NumPy on whole numbers that are exact in the format: shapes and orders are NumPy's.

whole = st.integers(-2, 2)
SUBSCRIPTS = [
    "ij,jk->ik", "ij,kj->ki", "ij,ij->", "ij,ij->i", "ii->i", "ii", "ij->j", "ij->ji", "i,j->ij",
    "i,i", "ij,j", "...ij,...jk->...ik", "bij,bjk->bik", "ijk,jl->kil", "ij,kl->", "iij,j->i",
    "...i->...", "ijk->ki", "ij,jk", "ij", "...,...", "ijk,kji->", "bi,bj->bij", "i->",
]  # fmt: skip


def assert_equal(got: Any, want: Any) -> None:
    """Compare values alone: NumPy's integers have no -0."""
    assert isinstance(got, FormatArray)
    assert got.shape == np.shape(want)
    np.testing.assert_array_equal(np.asarray(got), want)


@given(st.sampled_from(SUBSCRIPTS), st.data())
@settings(max_examples=100)
def test_einsum_has_numpys_meaning(subscripts: str, data: st.DataObject) -> None:
    inputs = subscripts.partition("->")[0].split(",")
    lengths = {label: data.draw(st.integers(1, 3)) for label in "ijklb"}
    operands = [
        data.draw(
            hnp.arrays(
                np.int64,
                (2,) * ("..." in labels) + tuple(lengths[k] for k in labels.replace(".", "")),
                elements=whole,
            )
        )
        for labels in inputs
    ]
    got = np.einsum(subscripts, *(array(x, "float16") for x in operands))
    assert_equal(got, np.einsum(subscripts, *operands))


@given(st.data())
@settings(max_examples=60)
def test_products_have_numpys_shapes(data: st.DataObject) -> None:
    shapes = data.draw(hnp.mutually_broadcastable_shapes(signature="(m?,n),(n,p?)->(m?,p?)"))
    a, b = (data.draw(hnp.arrays(np.int64, s, elements=whole)) for s in shapes.input_shapes)
    x, y = array(a, "float16"), array(b, "float16")
    assert_equal(x @ y, a @ b)
    assert_equal(np.dot(x, y), np.dot(a, b))
    assert_equal(np.inner(x, x), np.inner(a, a))
    assert_equal(np.vdot(x, x), np.vdot(a, a))
    assert_equal(np.kron(x, y), np.kron(a, b))
    assert_equal(np.tensordot(x, x, ([0], [0])), np.tensordot(a, a, ([0], [0])))


@pytest.mark.parametrize(
    "program",
    [
        np.sum,
        lambda x: x.sum(axis=(0, 2)),
        lambda x: x.sum(1, keepdims=True),
        lambda x: x.sum(-1, initial=3),
        lambda x: np.sum(x, (2, 1), keepdims=True),
        lambda x: np.add.reduce(x, axis=1),
        lambda x: np.add.reduce(x, axis=None),
        np.maximum.reduce,
        lambda x: np.subtract.reduce(x, axis=2),
        lambda x: np.multiply.reduce(x, axis=2),
        lambda x: np.add.accumulate(x, axis=1),
        lambda x: np.multiply.outer(x[0, 0], x[1]),
        lambda x: x.prod(0),
        np.cumsum,
        lambda x: x.cumprod(axis=1),
        lambda x: x.mean(axis=0),
        lambda x: np.average(x, axis=1, weights=x * 0 + 1),
        lambda x: x.var(axis=0),
        lambda x: x.std(axis=(0, 1), ddof=1),
        lambda x: np.var(x, ddof=3),
        lambda x: x.max(axis=1) - x.min(axis=1),
        lambda x: np.ptp(x, axis=2),
        lambda x: np.diff(x, axis=1),
        np.trace,
        lambda x: x.trace(axis1=1, axis2=2),
        lambda x: x.T,
        lambda x: x.mT,
        lambda x: x.transpose(1, 0, 2),
        lambda x: x.transpose((2, 0, 1)),
        lambda x: x.reshape(4, -1),
        lambda x: x.reshape((3, 8)),
        lambda x: x.ravel()[::-2],
        lambda x: x.flatten(),
        lambda x: x[None].squeeze(),
        lambda x: x.swapaxes(0, 1),
        lambda x: x.diagonal(),
        lambda x: x.repeat(2, axis=0),
        lambda x: x.take([1, 0], axis=0),
        lambda x: x.compress([False, True], axis=0),
        lambda x: x.clip(-1, 1),
        lambda x: x.round(),
        lambda x: np.abs(-x),
        np.sign,
        lambda x: np.where(x > 0, x, -1),
        lambda x: np.concatenate([x, x], axis=None),
        lambda x: np.sort(x, axis=None),
        lambda x: np.stack([x, x], axis=-1),
        lambda x: np.linalg.norm(x[0, 0], 1),
        lambda x: np.linalg.norm(x, np.inf, axis=0),
        lambda x: np.linalg.norm(x * 0 + 1, axis=(1, 2)),
        lambda x: x[..., 1],
        lambda x: x[x > 0],
        lambda x: x[[0, 1], :, [2, 0]],
        lambda x: x % 2,
        lambda x: np.copysign(x, -1),
        lambda x: np.heaviside(x, 1),
        np.nan_to_num,
    ],
)  # fmt: skip
def test_exact_programs_give_what_numpy_gives(program: Any) -> None:
    x = np.arange(24).reshape(2, 3, 4)[:, ::-1] % 5 - 2.0
    got, want = program(array(x, "float16")), program(x)
    assert isinstance(got, FormatArray)
    np.testing.assert_allclose(np.asarray(got), want, rtol=2**-11)
    assert got.shape == np.shape(want)
