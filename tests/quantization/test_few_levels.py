"""Binary and ternary weights: the search "mse" finds their best scales, against every threshold."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import minifloat as mf

FLOAT32 = 1 + Fraction(1, 2**46)  # an error this near the least one: the scale is a float32 number


def best_binary(w: list[Fraction]) -> tuple[Fraction, Fraction]:
    """Return the scale a and the least sum of (w - a sign(w))**2: a is the mean of |w|."""
    scale = sum(map(abs, w)) / len(w)
    return scale, sum(((abs(x) - scale) ** 2 for x in w), Fraction(0))


def best_ternary(w: list[Fraction]) -> tuple[Fraction, Fraction]:
    """Return the scale and the least error: some largest magnitudes count, a is their mean."""
    magnitudes = sorted(map(abs, w), reverse=True)
    total = sum(x * x for x in magnitudes)
    found = []
    for count in range(1, len(w) + 1):
        mass = sum(magnitudes[:count])
        found.append((total - mass * mass / count, mass / count))
    error, scale = min(found)
    return scale, error


def cases() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    some = [rng.standard_normal(size).astype(np.float32) for size in (1, 2, 3, 8, 40, 128) * 3]
    some += [rng.integers(-9, 10, 12).astype(np.float32) for _ in range(10)]
    some += [(rng.standard_t(2, 33) * 1e-3).astype(np.float32), np.float32([5, 5, -5, 0.1])]
    return [w for w in some if w.any()]


@pytest.mark.parametrize(
    ("fmt", "best"),
    [("bipolar_int1", best_binary), ("int2", best_ternary)],
    ids=["binary", "ternary"],
)
def test_no_scale_is_better(fmt: str, best) -> None:  # type: ignore[no-untyped-def]
    for w in cases():
        q = mf.quantize(w, fmt, block="channel", scale="float32", search="mse")
        exact = [Fraction(float(x)) for x in w]
        scale, least = best(exact)
        chosen = Fraction(float(q.scales.reshape(-1)[0]))
        values = [Fraction(v) * chosen for v in mf.decode(q.codes, fmt).tolist()]
        got = sum(((x - v) ** 2 for x, v in zip(exact, values, strict=True)), Fraction(0))
        signal = sum(x * x for x in exact)
        assert least <= got <= least + signal * (FLOAT32 - 1)
        if fmt == "bipolar_int1":
            assert float(chosen) == pytest.approx(float(scale), rel=1e-7)


def test_the_thresholds_of_ternary_weights() -> None:
    """Half of the scale: 0.612 of the standard deviation on normal weights, and 7.21 dB."""
    w = np.random.default_rng(2).standard_normal(1 << 16).astype(np.float32)
    q = mf.quantize(w, "int2/tensor/float32/mse")
    assert q.scales == pytest.approx(1.2240, rel=1e-2)
    assert q.sqnr(w) == pytest.approx(-10 * np.log10(0.190174), abs=0.05)
    assert mf.quantize(w, "bipolar_int1/tensor/float32/mse").sqnr(w) == pytest.approx(
        4.40, abs=0.03
    )
