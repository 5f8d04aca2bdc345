"""The scaling law against its own derivative, and against a search over whole bits."""

from __future__ import annotations

import math

import pytest

from analysis.published.scaling_law import critical_tokens, optimal_fields, training_loss

FORMATS = [(8, 7), (5, 2), (4, 3), (3, 2), (2, 2), (2, 1), (1, 0), (0, 3)]


@pytest.mark.parametrize("widths", FORMATS)
@pytest.mark.parametrize("block_size", [16, 128, 2**13.1567])
def test_the_loss_is_least_at_the_critical_tokens(
    widths: tuple[int, int], block_size: float
) -> None:
    critical = critical_tokens(1e9, *widths, block_size=block_size)
    losses = [
        training_loss(1e9, critical * factor, *widths, block_size=block_size)
        for factor in (0.5, 0.99, 1, 1.01, 2)
    ]
    assert min(losses) == losses[2]
    assert losses[0] > losses[1]
    assert losses[4] > losses[3]


@pytest.mark.parametrize("bits", range(2, 33))
def test_rounded_widths_are_the_best_whole_ones(bits: int) -> None:
    """Rounding the real optimum is a recipe; the law itself has the last word."""
    fields = optimal_fields(bits)
    assert fields.exponent_bits + fields.mantissa_bits == pytest.approx(bits - 1, rel=1e-12)
    losses = {(e, bits - 1 - e): training_loss(1e9, 1e13, e, bits - 1 - e) for e in range(bits)}
    assert fields.rounded == min(losses, key=losses.__getitem__)
    real = training_loss(1e9, 1e13, fields.exponent_bits, fields.mantissa_bits)
    assert real <= min(losses.values())


def test_more_precision_and_smaller_blocks_lose_less() -> None:
    at = (1e9, 1e12)
    assert training_loss(*at, 2, 2) < training_loss(*at, 2, 1)
    assert training_loss(*at, 2, 2, block_size=32) < training_loss(*at, 2, 2, block_size=128)
    exact = training_loss(*at, 2, 2, block_size=1)
    assert exact == pytest.approx(69.2343 / 1e9**0.2368 + 68973.0621 / 1e12**0.5162 + 1.9061)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((0, 1e9, 2, 2), {}, "parameters must be positive"),
        ((1e9, math.inf, 2, 2), {}, "tokens must be positive and finite, got inf"),
        ((1e9, 1e9, -1, 2), {}, "exponent_bits must be at least 0"),
        ((1e9, 1e9, 2, math.nan), {}, "mantissa_bits must be at least 0"),
        ((1e9, 1e9, 2, 2), {"block_size": 0.5}, "block_size must be at least 1"),
    ],
)
def test_wrong_arguments(
    arguments: tuple[float, ...], options: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        training_loss(*arguments, **options)


def test_wrong_bits_and_a_block_of_one() -> None:
    with pytest.raises(ValueError, match="bits must be at least 2"):
        optimal_fields(1)
    with pytest.raises(ValueError, match="block_size must be more than 1"):
        critical_tokens(1e9, 2, 2, block_size=1)
