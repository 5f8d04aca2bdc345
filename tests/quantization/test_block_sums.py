"""Sums over blocks: in the stated order, the same bits compiled and interpreted."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from minifloat import _jit
from minifloat._kernels import block_sums, vector_sums

Array = np.ndarray[Any, np.dtype[Any]]

LAYOUTS = [(5, 40), (3, 7), (2, 16), (1, 100), (40, 5), (33, 1), (16, 64)]  # height, width
SIZES = (1, 5, 16, 17, 33, 100)


@pytest.fixture(params=["compiled", "interpreted"])
def how(request: pytest.FixtureRequest) -> Callable[[Any], Callable[..., Any]]:
    """Return what makes a kernel run compiled, or as the plain function that it is."""
    if request.param == "interpreted":
        return inspect.unwrap
    if not _jit.load():
        pytest.skip("the JIT is disabled")
    return lambda kernel: kernel


def numbers(*shape: int, seed: int = 0) -> Array:
    draw = np.random.default_rng(seed)
    x = draw.standard_normal(shape) * 2.0 ** draw.integers(-30, 30, shape)
    return x.astype(np.float32)


def blocks(matrices: Array, size: int, down: bool) -> Iterator[tuple[Any, ...]]:
    """Yield an index of each block, in the order in which the kernels have them."""
    count, height, width = matrices.shape
    for m in range(count):
        if not down:
            for row in range(height):
                for start in range(0, width, size):
                    yield m, row, slice(start, start + size)
        else:
            for start in range(0, height, size):
                for column in range(width):
                    yield m, slice(start, start + size), column


def added(terms: Array, down: bool) -> float:
    """Add terms in the order of the kernels: along rows sixteen at a time, by halves."""
    total, at = 0.0, 0
    while not down and at + 16 <= len(terms):
        some = terms[at : at + 16]
        while len(some) > 1:
            some = some[: len(some) // 2] + some[len(some) // 2 :]
        total, at = total + some[0], at + 16
    for term in terms[at:]:
        total += term
    return float(total)


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("step_dtype", [np.float32, np.float64])
def test_each_sum_is_the_stated_one(
    how: Callable[[Any], Callable[..., Any]], down: bool, step_dtype: type
) -> None:
    for (height, width), size in ((layout, size) for layout in LAYOUTS for size in SIZES):
        x, y = numbers(2, 2, height, width, seed=size)
        places = list(blocks(x, size, down))
        steps = np.abs(numbers(len(places))).astype(step_dtype) + step_dtype(1.1)
        layout = height, width, size, True if down else None
        dots, errors = np.full((2, len(places)), np.nan)
        how(block_sums.dots)(x.reshape(-1), y.reshape(-1), *layout, dots)
        how(block_sums.squared_errors)(x.reshape(-1), y.reshape(-1), steps, *layout, errors)
        for k, place in enumerate(places):
            a, b = x[place].astype(np.float64), y[place].astype(np.float64)
            assert dots[k] == added(a * b, down)
            assert errors[k] == added((a - b * np.float64(steps[k])) ** 2, down)


def test_sixteen_terms_compiled_are_those_interpreted() -> None:
    """Special numbers, too, from any place on."""
    if not _jit.load():
        pytest.skip("the JIT is disabled")
    x, y = numbers(2, 96)
    x[5], y[70], x[90] = np.inf, np.nan, -0.0
    sums = np.empty(1)
    with np.errstate(invalid="ignore"):
        for at in range(80):
            part, other = x[at : at + 16], y[at : at + 16]
            block_sums.dots(part, other, 1, 16, 16, None, sums)
            np.testing.assert_array_equal(sums[0], vector_sums.dot(x, y, at))
            block_sums.squared_errors(part, other, np.float64([0.3]), 1, 16, 16, None, sums)
            np.testing.assert_array_equal(sums[0], vector_sums.squared_error(x, y, 0.3, at))
