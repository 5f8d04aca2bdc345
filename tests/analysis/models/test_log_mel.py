"""The spectrogram against a slow Fourier transform, and figures of two other programs."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest

from analysis.models.layers import Array
from analysis.models.log_mel import BANDS, FLOOR, HOP, LENGTH, RATE, WINDOW, filters, log_mel

# Every 20th band of frames 0, 1, 50, 120, 199, 200 and 2000 of `chirp`, by WhisperFeatureExtractor
# of `transformers` 5.24.0.
CHIRP = [
    [1.168015, 0.596588, -0.549489, -0.549489, -0.195061, 0.314982, -0.549489],
    [0.577102, 0.071293, -0.130787, -0.549489, -0.183698, 0.326278, -0.549489],
    [0.235611, -0.273442, -0.549489, -0.549489, -0.12853, 0.381831, -0.549489],
    [-0.076401, -0.549489, -0.549489, -0.549489, 1.28241, 1.182426, -0.549489],
]


def chirp() -> Array:
    """Two seconds from 200 Hz to 3800 Hz."""
    t = np.arange(2 * RATE) / RATE
    return (0.5 * np.sin(2 * np.pi * (200 * t + 900 * t * t))).astype(np.float32)


def slow_energy(frame: Array, frequency: int) -> float:
    total = 0j
    for place, sample in enumerate(frame.tolist()):
        window = math.sin(math.pi * place / LENGTH) ** 2
        total += window * sample * cmath.exp(-2j * math.pi * frequency * place / LENGTH)
    return abs(total) ** 2


def test_the_spectrogram_is_that_of_a_slow_fourier_transform() -> None:
    samples = np.random.default_rng(72).standard_normal(RATE).astype(np.float32) / 8
    found = log_mel(samples)
    for place in (5, 40):
        start = place * HOP - LENGTH // 2
        frame = samples[start : start + LENGTH]
        energies = np.array([slow_energy(frame, f) for f in range(LENGTH // 2 + 1)])
        bands = [math.log10(max(FLOOR, energy)) for energy in filters() @ energies]
        assert found[:, place] == pytest.approx((np.array(bands) + 4) / 4, abs=1e-6)


def test_the_spectrogram_is_that_of_transformers() -> None:
    found = log_mel(chirp())
    assert found.shape == (BANDS, WINDOW // HOP)
    assert found[::20, [0, 1, 50, 120, 199, 200, 2000]] == pytest.approx(np.array(CHIRP), abs=2e-5)


def test_the_filters_are_those_of_openai() -> None:
    """The values are from mel_filters.npz of openai-whisper 20250625, as float32."""
    found = filters()
    assert found.shape == (80, 201)
    assert found[0, :3] == pytest.approx([0, 0.02486259490251541, 0], abs=1e-8)
    assert found[30, 28:32] == pytest.approx([0, 0.01585603691637516, 0.00896277092397213, 0])
    assert found[79, 186] == pytest.approx(0.000366741674952209)
    assert found[79, 199] == pytest.approx(0.0004487590049393475)
    assert np.count_nonzero(found > 1e-12) == 391
    assert found.sum() == pytest.approx(1.999024092387117)


def test_quiet_sounds_are_cut_off_at_80_decibels_below_the_loudest() -> None:
    found = log_mel(chirp())
    assert found.max() - found.min() == pytest.approx(2)
    assert log_mel(np.zeros(0, np.float32)) == pytest.approx(-1.5)


def test_what_is_longer_than_a_window_is_refused() -> None:
    for shape in ((WINDOW + 1,), (5, 2)):
        with pytest.raises(ValueError, match=r"^samples must be one channel of at most 480000"):
            log_mel(np.zeros(shape, np.float32))
