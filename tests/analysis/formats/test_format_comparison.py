"""Formats side by side: bits counted, crossovers found, splits ranked."""

from __future__ import annotations

import math

import pytest

import minifloat as mf
from analysis import absmax_mse, optimal_scale
from analysis.formats.format_comparison import (
    BLOCK_SIZES,
    FORMATS,
    ExactError,
    crossover_block_sizes,
    exact_error,
    exact_errors,
    pareto_front,
    recipes_of,
    splits,
)


@pytest.mark.parametrize(
    ("recipe", "scale", "block_size", "bits"),
    [
        ("e2m2/128", "float16", 128, 5.125),
        ("int5/64/bfloat16", "bfloat16", 64, 5.25),
        ("nf4", "float32", 64, 4.5),
        ("mxfp4", "e8m0", 32, 4.25),
        ("e2m1/32/e8m0:up", "e8m0:up", 32, 4.25),
        ("nvfp4", "e4m3fn", 16, 4.5),
    ],
)
def test_scales_are_counted(recipe: str, scale: str, block_size: int, bits: float) -> None:
    error = exact_error(recipe, "normal")
    assert error.bits_per_weight == bits
    assert error.mse == absmax_mse(error.format, "normal", block_size, scale)
    assert error.sqnr_db == -10 * math.log10(error.mse)
    assert (error.recipe, error.distribution) == (mf.Recipe.parse(recipe), "normal")


def test_every_combination_is_compared() -> None:
    recipes = recipes_of(["e2m1", "int4"], [8, 32], ["float32", "e8m0"])
    errors = exact_errors(recipes, ["normal", "laplace"])
    keys = [(str(x.recipe), x.distribution) for x in errors]
    assert len(set(keys)) == len(errors) == 16
    assert keys[:5] == [
        ("e2m1/8/float32", "normal"),
        ("e2m1/8/float32", "laplace"),
        ("e2m1/32/float32", "normal"),
        ("e2m1/32/float32", "laplace"),
        ("e2m1/8/e8m0", "normal"),
    ]
    assert str(recipes_of(["nf4"], [16], ["e4m3fn"])[0]) == "nf4/16/e4m3fn/tensor-scale"


def test_pareto_front() -> None:
    def error(bits: float, mse: float) -> ExactError:
        return ExactError(mf.Recipe("e2m2"), "d", bits, mse)

    best = [error(4, 0.1), error(4.5, 0.08), error(5, 0.02)]
    others = [error(4, 0.11), error(4.6, 0.08), error(6, 0.02), error(4.4, 0.2)]
    assert pareto_front([*others, *best[::-1]]) == tuple(best)
    assert pareto_front([]) == ()


def test_crossover_is_where_the_curves_meet() -> None:
    (size,) = crossover_block_sizes("e2m2", "int5")
    assert size == pytest.approx(97.4203, abs=1e-3)
    assert absmax_mse("e2m2", "normal", size) == pytest.approx(
        absmax_mse("int5", "normal", size), rel=1e-9, abs=0
    )
    assert absmax_mse("int5", "normal", 97) < absmax_mse("e2m2", "normal", 97)
    assert absmax_mse("e2m2", "normal", 98) < absmax_mse("int5", "normal", 98)
    assert crossover_block_sizes("int5", "e2m2") == pytest.approx((size,))
    assert crossover_block_sizes("e2m2", "int5", smallest=2, largest=90) == ()
    assert crossover_block_sizes("e2m2", "int5", "uniform") == ()  # INT5 throughout
    with pytest.raises(ValueError, match=r"smallest must be in 1\.\.largest = 4, got 8"):
        crossover_block_sizes("e2m2", "int5", smallest=8, largest=4)


def test_heavier_tails_move_the_crossover_to_smaller_blocks() -> None:
    names = ("normal", "student_t(30)", "student_t(10)", "student_t(5)")
    sizes = [crossover_block_sizes("e2m2", "int5", n, smallest=6, largest=128)[0] for n in names]
    assert sizes == sorted(sizes, reverse=True)
    assert 8 < sizes[-1] < 9


def test_splits() -> None:
    for bits in range(3, 9):
        ranked = splits(bits)
        assert {split.exponent_bits + split.mantissa_bits for split in ranked} == {bits - 1}
        assert len(ranked) == bits - 1
        assert [s.mse for s in ranked] == sorted(s.mse for s in ranked)
    with pytest.raises(ValueError, match=r"bits must be in 3\.\.8, got 9"):
        splits(9)


def test_two_bits_of_exponent_suit_gaussian_weights_at_every_width() -> None:
    """Under the best scale from 4 bits on; at 3 bits E1M1 is ahead of E2M0 by 0.06 dB."""
    assert [splits(bits)[0].name for bits in range(3, 9)] == [
        "E1M1", "E2M1", "E2M2", "E2M3", "E2M4", "E2M5",
    ]  # fmt: skip
    assert splits(5)[0].mse == optimal_scale("e2m2", "normal")[1]
    for bits in range(4, 9):  # under absmax scaling in large blocks too
        assert splits(bits, block_size=512)[0].exponent_bits == 2
        assert splits(bits, block_size=16)[0].exponent_bits == 1


def test_default_comparison_names_what_it_should() -> None:
    assert {"e2m2", "int5", "e3m1", "e4m0", "nf5", "nf4", "e2m1", "int4"} == set(FORMATS)
    assert (BLOCK_SIZES[0], BLOCK_SIZES[-1]) == (8, 4096)
