"""The candidate that each block becomes: both ways of choosing it, and exact arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from minifloat._arrays import code_dtype
from minifloat._kernels.choosing import MARGIN
from minifloat.quantization.choosing import _choices, _choices_of_single, best_of, encode_chosen
from minifloat.quantization.recipes import RECIPES, Recipe

TEXTS = [
    "four_over_six", "if3", "if4", "if6", "if6_e3m2", "e2m1@3|e2m1|e2m1@4/9/float32",
    "e2m2@6|int5/20/e8m0", "e3m2|int6/channel/float32",
]  # fmt: skip


def parsed(text: str) -> Recipe:
    return RECIPES[text] if text in RECIPES else Recipe.parse(text)


def case(recipe: Recipe) -> tuple[np.ndarray, int, np.ndarray, tuple[float, ...]]:
    """Return rows, with zeros and ties between candidates, widths, and scales of each candidate."""
    draw = np.random.default_rng(8)
    rows = draw.standard_normal((40, 150)).astype(np.float32)
    rows[::3] = np.rint(rows[::3] * 2) / 2
    rows[::7] *= np.float32(2.0**-130)
    rows[5] = 0
    width = recipe.block if isinstance(recipe.block, int) else rows.shape[1]
    blocks = -(-rows.shape[1] // width)
    scales = 2.0 ** draw.integers(-3, 2, (len(recipe.candidates), len(rows), blocks))
    scales[:, ::4, ::2] = 0
    return rows, width, scales, recipe.factors(0.75)


@pytest.mark.parametrize("text", TEXTS)
def test_for_single_numbers_the_choice_is_the_same(text: str) -> None:
    recipe = parsed(text)
    rows, width, scales, factors = case(recipe)
    slow = _choices(recipe, rows, width, scales, factors, None)
    fast = _choices_of_single(recipe, rows, width, scales, factors)
    assert fast is not None
    assert np.array_equal(fast, slow)
    assert len(np.unique(slow)) == len(recipe.candidates)
    chosen = np.take_along_axis(scales, slow[np.newaxis].astype(np.intp), 0)[0].astype(np.float32)
    codes = [np.empty(rows.shape, code_dtype(recipe.fmt.bits)) for _ in range(2)]
    for floats, out in zip((rows, rows.astype(np.float64)), codes, strict=True):
        encode_chosen(recipe, floats, width, 0.75, chosen, slow, out)
    assert np.array_equal(*codes)


def test_the_choice_has_the_least_squared_error() -> None:
    recipe = parsed("e2m1@3|e2m1|e2m1@4/9/float32")
    rows, width, scales, factors = case(recipe)
    values = [Fraction(v) for v in (0, 0.5, 1, 1.5, 2, 3, 4, 6)]
    found = _choices_of_single(recipe, rows[:9], width, scales[:, :9], factors)
    assert found is not None
    for r, b in np.ndindex(found.shape):
        errors = []
        for k, factor in enumerate(factors):
            step = Fraction(float(scales[k, r, b]) or 1.0) * Fraction(factor)
            block = [Fraction(float(w)) for w in rows[r, b * width : (b + 1) * width]]
            errors.append(sum(min(abs(abs(w) - v * step) for v in values) ** 2 for w in block))
        assert found[r, b] == errors.index(min(errors))


def test_the_better_of_two_is_kept() -> None:
    """Errors that differ by less than the margin are equal, and of equal ones the first stays."""
    draw, count = np.random.default_rng(2), 700
    values, best = draw.standard_normal((2, count, 16))
    steps, best_steps = np.abs(draw.standard_normal((2, count)))
    least = np.abs(draw.standard_normal(count))
    factors = np.array([0.5, 1 - 2.0**-20, 1 - 2.0**-50, 1.0, 2.0, MARGIN])
    errors = least * factors[np.arange(count) % len(factors)]
    errors[::7], least[::14] = 0, 0
    wanted, wanted_steps, wanted_least = best.copy(), best_steps.copy(), least.copy()
    for k in range(count):
        if errors[k] < least[k] * (1 - 2.0**-40):
            wanted[k], wanted_steps[k] = values[k], steps[k]
            wanted_least[k] = errors[k]
    choices = best_of([least, errors])
    assert np.array_equal(np.choose(choices[:, np.newaxis], [best, values]), wanted)
    assert np.array_equal(np.choose(choices, [best_steps, steps]), wanted_steps)
    assert np.array_equal(np.choose(choices, [least, errors]), wanted_least)


def test_a_codebook_is_left_to_the_other_way() -> None:
    recipe = Recipe.parse("nf4|e2m1/16/float32")
    rows, width, scales, factors = case(recipe)
    assert _choices_of_single(recipe, rows, width, scales, factors) is None
