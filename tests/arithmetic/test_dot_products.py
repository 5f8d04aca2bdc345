"""The verbs: shapes, dtypes, threads, views, errors; the same bits however they are called."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import minifloat as mf
from minifloat import arithmetic
from minifloat.arithmetic import UNITS, Accumulator

KINDS: list[dict[str, str]] = [
    {"unit": "ampere/float16/float32"},
    {"unit": "hopper/e4m3fn/float16"},
    {"unit": "cdna1/float16/float32"},
    {"unit": "cdna2/float16/float32"},
    {"unit": "cdna3/e4m3fnuz/float32"},
    {"accumulator": "bfloat16"},
    {"accumulator": "e6m9:downward/product=e5m10"},
    {"accumulator": "float32/order=strided:4"},
    {"accumulator": "float32/terms=all"},
    {"accumulator": "e8m13:toward_zero/terms=32+bits=13+promote=64"},
    {"accumulator": "int32/overflow=wrap"},
]  # fmt: skip
IDS = [next(iter(kind.values())) for kind in KINDS]


def matrix(kind: dict[str, str], *shape: int) -> np.ndarray:
    x = np.random.default_rng(shape[0]).standard_normal(shape, np.float32) * 4
    if "unit" in kind:
        return np.asarray(mf.round_to(x, UNITS[kind["unit"]].inputs[0]))
    return x


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_products_of_matrices_are_dot_products(kind: dict[str, str]) -> None:
    """Of every height and width of a tile, and in every number of threads."""
    for m, n, p in ((1, 5, 1), (3, 300, 65), (130, 33, 3), (2, 64, 128)):
        a, b = matrix(kind, m, n), matrix(kind, n, p)
        c = np.random.default_rng(p).standard_normal((m, p), np.float32)
        expected = arithmetic.dot(a[:, None], b.T, c, **kind)
        for threads in (1, 2, 3):
            assert np.array_equal(arithmetic.matmul(a, b, c, threads=threads, **kind), expected)
            assert np.array_equal(
                arithmetic.dot(a[:, None], b.T, c, threads=threads, **kind), expected
            )
        assert np.array_equal(arithmetic.matmul(b.T, a.T, c.T, **kind), expected.T)
        assert np.array_equal(arithmetic.dot(b.T[:, None], a, c.T, **kind), expected.T)


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_views_and_batches(kind: dict[str, str]) -> None:
    whole = matrix(kind, 6, 40, 8)
    a, b = whole[::2, ::-2, :5], np.ascontiguousarray(whole[1::2, :5, 2:7])
    found = arithmetic.matmul(a, b, **kind)
    assert found.shape == (3, 20, 5)
    for k in range(3):
        assert np.array_equal(found[k], arithmetic.matmul(a[k].copy(), b[k], **kind))
    one = arithmetic.matmul(a[:, None], b[0], **kind)
    assert one.shape == (3, 1, 20, 5)
    assert np.array_equal(one[2, 0], arithmetic.matmul(a[2], b[0], **kind))


def test_shapes_are_those_of_numpy() -> None:
    rng = np.random.default_rng(0)
    shapes: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
        ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((5, 2, 3), (3, 4)), ((0, 3), (3, 4)),
        ((5, 1, 2, 3), (7, 3, 4)), ((2, 0), (0, 4)), ((4, 2, 3), (3,)),
    ]  # fmt: skip
    for x, y in shapes:
        a, b = rng.integers(-4, 5, x), rng.integers(-4, 5, y)
        found = arithmetic.matmul(a, b, accumulator="float32")
        assert np.array_equal(found, a @ b)
        assert np.shape(found) == (a @ b).shape
    a, b = rng.integers(-4, 5, (3, 1, 6)), rng.integers(-4, 5, (4, 6))
    assert np.array_equal(arithmetic.dot(a, b, accumulator="float32"), (a * b).sum(-1))
    assert np.array_equal(arithmetic.sum(a, 1, accumulator="float32"), a.sum(-1) + 1)
    assert arithmetic.sum(np.zeros((2, 0)), 3, accumulator="float16").tolist() == [3, 3]
    assert type(arithmetic.sum([1, 2], accumulator="float16")) is np.float32


def test_dtypes() -> None:
    x = [1.0, 2.0]
    for kind, dtype in (
        ({"accumulator": "float16"}, "float32"),
        ({"accumulator": "e5m22"}, "float32"),
        ({"accumulator": "int24"}, "float32"),
        ({"accumulator": "int25/overflow=wrap"}, "float32"),
        ({"accumulator": "int26"}, "float64"),
        ({"accumulator": "e8m24"}, "float64"),
        ({"unit": "hopper/float16/float16"}, "float16"),
        ({"unit": "hopper/float16/float32"}, "float32"),
    ):
        assert arithmetic.dot(x, x, **kind).dtype == dtype
    assert arithmetic.dot(x, x, accumulator="float16", dtype="float16").dtype == "float16"
    assert arithmetic.dot(x, x, unit="hopper/float16/float16", dtype="float64").dtype == "float64"
    for dtype in ("float16", "int8", "nonsense", object):
        with pytest.raises(ValueError, match="dtype must be float32 or float64"):
            arithmetic.dot(x, x, accumulator="bfloat16", dtype=dtype)
    with pytest.raises(ValueError, match="dtype must be float32 or float64"):
        arithmetic.dot(x, x, unit="hopper/float16/float32", dtype="float16")


def test_sources_of_operands() -> None:
    x = np.array([[1.5, -2.25, 0.5]])
    expected = arithmetic.dot(x, x, unit="ampere/bfloat16/float32")
    for dtype in (np.float16, np.float32, ml_dtypes.bfloat16):
        assert arithmetic.dot(x.astype(dtype), x, unit="ampere/bfloat16/float32") == expected


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: arithmetic.dot([1], [1]), "accumulator or unit must be given"),
        (
            lambda: arithmetic.dot([1], [1], accumulator="float32", unit="volta/float16/float32"),
            "and not both",
        ),
        (lambda: arithmetic.dot([1], [1, 2], accumulator="float32"), "one n"),
        (
            lambda: arithmetic.dot(np.ones((2, 3)), np.ones((4, 3)), accumulator="float32"),
            "broadcast",
        ),
        (lambda: arithmetic.dot(1, [1], accumulator="float32"), "a must have at least one axis"),
        (lambda: arithmetic.sum(1, accumulator="float32"), "x must have at least one axis"),
        (lambda: arithmetic.matmul([[1, 2]], [[1]], accumulator="float32"), "b must have 2 rows"),
        (
            lambda: arithmetic.matmul(
                np.ones((2, 1, 1)), np.ones((3, 1, 1)), accumulator="float32"
            ),
            "batches",
        ),
        (lambda: arithmetic.dot([1], [1], [1, 2], accumulator="float32"), "c must have a shape"),
        (
            lambda: arithmetic.dot([0.3], [1], unit="hopper/e4m3fn/float32"),
            r"values of e4m3fn, got 0.3 at",
        ),
        (
            lambda: arithmetic.dot([1], [465], unit="hopper/e4m3fn/float32"),
            r"b must hold .* got 465",
        ),
        (
            lambda: arithmetic.dot([np.nan], [1], unit="blackwell/e2m1/float32"),
            "values of e2m1, got nan",
        ),
        (lambda: arithmetic.dot([1e-9], [1], unit="cdna1/float32/float32"), "numpy.float32"),
        (lambda: arithmetic.dot(["x"], [1], accumulator="float32"), "a must be float16"),
        (
            lambda: arithmetic.dot(None, [1], accumulator="float32"),
            "a must be .* integers, got None; give an array of numbers",
        ),  # type: ignore[arg-type]
        (lambda: arithmetic.dot([1], [1], None, accumulator="float32"), "c must be .* got None"),  # type: ignore[arg-type]
        (
            lambda: arithmetic.dot([1], [1], accumulator="hopper/e4m3fn/float32"),
            'accumulator must be no unit, .* use unit="hopper/e4m3fn/float32"',
        ),
        (lambda: arithmetic.sum([1, 2], accumulator="float32/order=(0,(1,2))"), "tree of 2 terms"),
        (lambda: arithmetic.sum([1], accumulator="float32", threads=0), "threads must be"),
    ],
)
def test_errors(call: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_a_loop_of_columns_stays_in_its_array() -> None:
    """What is beside a tile's columns is not written."""
    guarded = np.full((5, 9), 7.0, np.float32)
    out = arithmetic.matmul(guarded[:, :4], guarded[:4, :5], accumulator="float32")
    assert (guarded == 7).all()
    assert (out == 4 * 49).all()


def test_an_accumulator_is_a_value() -> None:
    text = "e8m13:toward_zero/terms=32+bits=13+floor=-133"
    assert UNITS["hopper/e4m3fn/float32"].accumulator == Accumulator.parse(text)
    assert {Accumulator.parse(text), Accumulator.parse(text.upper())} == {Accumulator.parse(text)}


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("mxfp8", "blackwell/mxfp8e4m3/float32"),
        ("h100/fp8/float32", "hopper/e4m3fn/float32"),
        ("hopper/e4m3/fp32", "hopper/e4m3fn/float32"),
        ("A100/bf16/fp32", "ampere/bfloat16/float32"),
        ("MI300X fp16", "cdna3/float16/float32"),
        ("hoper/float16/float16", "hopper/float16/float16"),
    ],
)
def test_near_names_of_units(name: str, near: str) -> None:
    with pytest.raises(ValueError, match=f"did you mean {near}"):
        arithmetic.dot([1], [1], unit=name)


def test_near_names_of_accumulators() -> None:
    with pytest.raises(ValueError, match="did you mean terms"):
        Accumulator.parse("float32/term=2")
    assert Accumulator.parse("fp32:toward_zero") == Accumulator.parse("float32:toward_zero")
    with pytest.raises(ValueError, match=r"got ''$"):
        arithmetic.dot([1], [1], unit="")


@pytest.mark.parametrize(
    ("a", "c", "is_negative"),
    [
        ([1, -1], 0.0, True), ([-1, 1], -0.0, True), ([0.0], 0.0, False), ([-0.0], 0.0, True),
        ([-0.0], -0.0, True), ([1.5], -1.5, True), ([0.0, 0.0], 0.0, False),
    ],
)  # fmt: skip
def test_the_sign_of_zero(a: list[float], c: float, is_negative: bool) -> None:
    """IEEE 754-2019, 6.3: an exact 0 is -0 if it is rounded downward, unless all terms are +0."""
    for options in ("/terms=all", "/terms=4", "/terms=4+bits=24"):  # at once
        for mode in ("", ":downward"):
            found = arithmetic.sum(a, c, accumulator=f"float32{mode}{options}")
            assert found == 0
            if "bits" in options or not all(np.signbit([*a, c])):
                assert not np.signbit(found)
    for options in ("", "/order=pairwise", "/order=reversed", "/product=float16"):
        found = arithmetic.sum(a, c, accumulator=f"float32:downward{options}")
        assert found == 0
        assert np.signbit(found) == is_negative, options
        rows = arithmetic.matmul(
            [a], np.ones((len(a), 1)), c, accumulator=f"float32:downward{options}"
        )
        assert np.signbit(rows[0, 0]) == is_negative
        other = arithmetic.sum(a, c, accumulator=f"float32{options}")
        assert np.signbit(other) == all(np.signbit([*a, c])), options


def test_integers_take_no_fractions() -> None:
    """Sums are rounded, not numbers; integers have no -0."""
    assert arithmetic.sum([0.5, 0.25], accumulator="int8/overflow=wrap") == 0
    assert arithmetic.sum([0.75, 0.75], accumulator="int8") == 2
    assert arithmetic.sum([300], accumulator="int8/overflow=wrap") == 44
    for special in (np.inf, -np.inf, np.nan):
        assert np.isnan(arithmetic.sum([special], accumulator="int8/overflow=wrap"))
    assert not np.signbit(arithmetic.sum([-0.3], accumulator="int8"))
