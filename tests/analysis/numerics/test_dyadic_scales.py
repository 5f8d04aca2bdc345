"""Shares of changed results, against fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from analysis.numerics.dyadic_scales import changed_share, changed_shares
from minifloat import arithmetic
from tests.arithmetic.multiplication import slow_products


def test_shares_of_changed_results_equal_fractions() -> None:
    for scale in np.float32([0.05, 0.0371, 0.0259]).tolist():
        for bits in (2, 4, 6, 9):
            few = arithmetic.dyadic(scale, bits)
            sums = range(-int(127 / scale), int(127 / scale) + 1)
            exact = [math.floor(z * Fraction(scale) + Fraction(1, 2)) for z in sums]
            got = [
                slow_products.requantized(z, int(few.multiplier), int(few.shift), 0, -128, 127)
                for z in sums
            ]
            wanted = sum(a != b for a, b in zip(got, exact, strict=True)) / len(sums)
            assert wanted > 0
            assert changed_share(scale, bits) == wanted


def test_more_bits_of_the_multiplier_change_fewer_results() -> None:
    shares = [changed_shares(bits, draws=4).mean for bits in (4, 8, 12, 24, 31)]
    assert shares == sorted(shares, reverse=True)
    assert shares[2] > 0
    assert shares[3:] == [0, 0]
