"""Widths of activations against brute force, and measured time against a clock of the test."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.allocation import (
    entropy,
    mix_channels,
    outlier_patches,
    seconds_per_weight,
    timing,
    vdqs,
)  # fmt: skip


def activations(channels: int, *outlying: int) -> np.ndarray:
    x = np.random.default_rng(channels).standard_normal((40, channels)).astype(np.float32)
    x[:, list(outlying)] *= 50
    return x


def bound(order: tuple[int, ...], absmax: np.ndarray, wide: int) -> Fraction:
    """Of the squared error, with blocks of two channels."""
    total = Fraction(0)
    for start in range(0, len(order), 2):
        levels = 127 if start < wide else 7
        total += (Fraction(float(max(absmax[list(order[start : start + 2])]))) / levels) ** 2
    return total


def test_no_order_of_channels_has_a_lower_bound_of_its_error() -> None:
    for seed in range(6):
        absmax = np.random.default_rng(seed).gamma(0.5, size=6)
        mix = mix_channels(absmax[None], wide="int8/2/float16", narrow="int4/2/float16", outlier=2)
        least = min(
            bound(order, absmax, mix.wide_channels) for order in itertools.permutations(range(6))
        )
        assert bound(tuple(mix.order.tolist()), absmax, mix.wide_channels) == least
        assert bound(tuple(range(6)), absmax, mix.wide_channels) > least  # as they come


def test_blocks_with_outliers_are_wide() -> None:
    x = activations(512, 3, 200, 201, 500)
    mix = mix_channels(x)
    assert (mix.wide_channels, mix.share, mix.bits_per_value) == (128, 0.25, 5.125)
    assert set(mix.order[:4].tolist()) == {3, 200, 201, 500}
    assert sorted(mix.order.tolist()) == list(range(512))
    wide, narrow = mix.quantize(x)
    assert (wide.shape, narrow.shape) == ((40, 128), (40, 384))
    counted = (wide.bits_per_weight * wide.size + narrow.bits_per_weight * narrow.size) / x.size
    assert counted == mix.bits_per_value
    error = np.square(mix.dequantize(wide, narrow) - x).sum()
    everywhere = np.square(mf.quantize(x, "int4/128/float16").dequantize() - x).sum()
    assert error < everywhere / 20
    as_they_come = replace(mix, order=np.arange(512))
    assert error < np.square(as_they_come.dequantize(*as_they_come.quantize(x)) - x).sum() / 20


def test_split_products_are_the_product() -> None:
    x, w = activations(256, 9), np.random.default_rng(1).standard_normal((7, 256))
    mix = mix_channels(x)
    products = sum(a @ b.T for a, b in zip(mix.split(x), mix.split(w), strict=True))
    np.testing.assert_allclose(products, x @ w.T, rtol=1e-4, atol=1e-3)
    with pytest.raises(ValueError, match="x must be of 256 channels"):
        mix.split(x[:, :3])


def test_without_outliers_all_is_narrow_and_a_last_block_may_be_short() -> None:
    assert mix_channels(activations(512)).share == 0
    mix = mix_channels(activations(130, 129), outlier=0.01)
    assert mix.share == 1
    wide, narrow = mix.quantize(activations(130, 129))
    assert narrow.size == 0
    assert np.abs(mix.dequantize(wide, narrow) - activations(130, 129)).max() < 1


def test_entropies_are_those_of_counted_codes() -> None:
    x = np.random.default_rng(2).standard_normal(300)
    for bits in range(1, 9):
        low, high = Fraction(x.min()), Fraction(x.max())
        codes = [round((Fraction(v) - low) / (high - low) * (2**bits - 1)) for v in x]
        shares = [count / 300 for count in Counter(codes).values()]
        assert entropy(x, bits) == pytest.approx(-math.fsum(s * math.log2(s) for s in shares))
    assert entropy(np.full(5, 7.0), 4) == 0
    assert entropy([-1.7e308, 1.7e308], 1) == 1


def test_widths_are_those_of_a_search_by_hand() -> None:
    rng = np.random.default_rng(3)
    maps = {
        "a": rng.standard_normal(100),
        "b": rng.integers(0, 3, 100) * 1.0,
        "c": rng.uniform(size=50),
    }
    operations = {"a": 1000.0, "b": 900.0, "c": 4000.0}

    def slow(memory: float, share: float) -> dict[str, int]:
        at = dict.fromkeys(maps, 8)
        narrower = {8: 4, 4: 2}
        while sum(maps[name].size * bits for name, bits in at.items()) > memory * 8:
            scores = {}
            for name, bits in at.items():
                if bits in narrower:
                    lost = entropy(maps[name], bits) - entropy(maps[name], narrower[bits])
                    saved = operations[name] * (bits - narrower[bits]) / (8 * 4000)
                    scores[name] = (1 - share) * saved - share * lost / entropy(maps[name], 8)
            at[max(scores, key=lambda name: scores[name])] //= 2
        return at

    found = []
    for memory, share in itertools.product((63, 100, 130, 170, 200, 249, 250), (0.0, 0.5, 1.0)):
        widths = vdqs(maps, operations, memory, entropy_weight=share)
        assert widths == slow(memory, share)
        assert sum(maps[name].size * bits for name, bits in widths.items()) <= 8 * memory
        found.append(tuple(widths.values()))
    assert len(set(found)) > 6
    assert found[-1] == (8, 8, 8)
    assert vdqs(maps, operations, 200, entropy_weight=1)["b"] < 8  # three values need few bits
    assert vdqs(maps, operations, 200, entropy_weight=0)["c"] < 8  # most operations


def test_patches_with_outliers_are_found() -> None:
    x = np.random.default_rng(4).uniform(-1, 1, (5, 13, 9))
    assert not outlier_patches(x, 3, 2).any()
    x[2, 12, 0] = -40
    x[4, 5, 8] = 40
    found = outlier_patches(x, 3, 2)
    assert found.tolist() == [[False, False], [False, True], [True, False]]
    assert not outlier_patches(np.full((4, 4), 3.0), 2, 2).any()


def test_times_are_medians_over_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """A product by E2M2 takes 3, 1 and 2 seconds here, one by INT8 7, 9 and 8."""
    clock = iter(itertools.accumulate([0, 3, 1, 7, 1, 1, 1, 9, 1, 2, 1, 8]))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    found = seconds_per_weight(["e2m2", "int8"], shape=(4, 128), repeats=3)
    assert {str(recipe): seconds for recipe, seconds in found.items()} == {
        "e2m2/128/float16": 2 / 512,
        "int8/128/float16": 8 / 512,
    }


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: mix_channels(x, narrow="int4/64/float16"), ValueError, "wide and narrow must"),
        (lambda x: mix_channels(x, wide="int8/channel", narrow="int4/channel"), ValueError, "one"),
        (lambda x: mix_channels(x, outlier=0), ValueError, "outlier must be positive"),
        (lambda x: mix_channels(x, outlier="3"), TypeError, "outlier must be a number"),
        (lambda x: mix_channels(x * np.nan), ValueError, "x must be finite"),
        (lambda x: mix_channels(x[:, :0]), ValueError, "x must be activations"),
        (lambda x: outlier_patches(x, 0, 1), ValueError, "rows must be"),
        (lambda x: outlier_patches(x, 1, 100), ValueError, "x must be of at least"),
        (lambda x: outlier_patches(x, 1, 1, deviations=float("nan")), ValueError, "deviations"),
        (lambda x: vdqs({}, {}, 1), ValueError, "operations must have each"),
        (lambda x: vdqs({"a": x}, {}, 1), ValueError, "got none for"),
        (lambda x: vdqs({"a": x}, {"a": -1}, 1), ValueError, "operations must be finite"),
        (lambda x: vdqs({"a": x}, {"a": 1}, 79), ValueError, "memory must be at least 80 bytes"),
        (lambda x: vdqs({"a": x}, {"a": 1}, 79, widths=(4, 4)), ValueError, "widths must decrease"),
        (lambda x: vdqs({"a": x}, {"a": 1}, 79, entropy_weight=2), ValueError, "entropy_weight"),
        (lambda x: vdqs({"a": x[:0]}, {"a": 1}, 79), ValueError, "maps must be finite"),
        (lambda x: vdqs({"a": x}, {"a": 1}, None), TypeError, "memory must be a number"),
        (lambda x: entropy(x, 9), ValueError, "bits must be"),
        (lambda x: seconds_per_weight(["e2m2"], shape=(0, 1)), ValueError, "shape must be"),
        (lambda x: seconds_per_weight([]), ValueError, "recipes must be"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(activations(8))
