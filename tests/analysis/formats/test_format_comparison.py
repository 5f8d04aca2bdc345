"""Formats side by side: bits counted, crossovers found, splits ranked."""

from __future__ import annotations

import math

import pytest

from analysis import absmax_mse, optimal_scale
from analysis.formats.format_comparison import (
    BLOCK_SIZES,
    FORMATS,
    FormatLoss,
    compare_formats,
    crossover_block_sizes,
    format_loss,
    pareto_front,
    splits,
)


@pytest.mark.parametrize(
    ("fmt", "scale", "block_size", "bits"),
    [
        ("e2m2", "float16", 128, 5.125),
        ("int5", "bfloat16", 64, 5.25),
        ("nf4", "exact", 64, 4.5),
        ("e2m1", "e8m0", 32, 4.25),
        ("e2m1", "e8m0:up", 32, 4.25),
        ("e2m1", "e4m3fn", 16, 4.5),
    ],
)
def test_scales_are_counted(fmt: str, scale: str, block_size: int, bits: float) -> None:
    loss = format_loss(fmt, "normal", block_size, scale)
    assert loss.bits_per_weight == bits
    assert loss.mse == absmax_mse(fmt, "normal", block_size, scale)
    assert loss.sqnr_db == -10 * math.log10(loss.mse)
    assert (loss.format, loss.distribution) == (fmt, "normal")


def test_every_combination_is_compared() -> None:
    losses = compare_formats(["e2m1", "int4"], ["normal", "laplace"], [8, 32], ["exact", "e8m0"])
    keys = [(x.format, x.distribution, x.scale, x.block_size) for x in losses]
    assert len(set(keys)) == len(losses) == 16
    assert keys[:3] == [
        ("e2m1", "normal", "exact", 8),
        ("e2m1", "normal", "exact", 32),
        ("e2m1", "normal", "e8m0:floor", 8),
    ]


def test_pareto_front() -> None:
    def loss(bits: float, mse: float) -> FormatLoss:
        return FormatLoss("f", "d", "s", 1, bits, mse)

    best = [loss(4, 0.1), loss(4.5, 0.08), loss(5, 0.02)]
    others = [loss(4, 0.11), loss(4.6, 0.08), loss(6, 0.02), loss(4.4, 0.2)]
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
    assert crossover_block_sizes("e2m2", "int5", least=2, greatest=90) == ()
    assert crossover_block_sizes("e2m2", "int5", "uniform") == ()  # INT5 throughout
    with pytest.raises(ValueError, match=r"least must be in 1\.\.greatest = 4, got 8"):
        crossover_block_sizes("e2m2", "int5", least=8, greatest=4)


def test_heavier_tails_move_the_crossover_to_smaller_blocks() -> None:
    names = ("normal", "student_t(30)", "student_t(10)", "student_t(5)")
    sizes = [crossover_block_sizes("e2m2", "int5", n, least=6, greatest=128)[0] for n in names]
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
