"""The log-mel spectrogram that Whisper hears: 80 bands, 100 frames a second, windows of 30 s.

A frame is the squared magnitude of the Fourier transform of 400 samples below a Hann window, summed
by 80 triangles on the mel scale; then the logarithm, cut off at 80 dB below its largest value. The
steps and numbers are those of ``whisper/audio.py`` of OpenAI's Whisper (Radford et al. 2022,
arXiv:2212.04356, section 2.2); the triangles are those of Slaney's Auditory Toolbox, as in librosa.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from analysis.models.layers import Array

RATE = 16000  # samples of a second
WINDOW = 30 * RATE  # samples of a spectrogram
LENGTH, HOP = 400, 160  # samples of a frame, and from one to the next
BANDS = 80
FLOOR = 1e-10  # of the energy in a band
RANGE = 8.0  # decades from the largest energy to the smallest that is told apart
BREAK, STEP, SLOPE = 1000.0, 200.0 / 3, math.log(6.4) / 27  # the scale: linear, then logarithmic


def log_mel(samples: Array) -> Array:
    """Return the spectrogram of a recording of up to 30 s; silence fills up the rest.

    Parameters
    ----------
    samples : ndarray of float32, (n,)
        `RATE` samples per second, within -1 to 1; at most `WINDOW`.

    Returns
    -------
    ndarray of float32, (`BANDS`, `WINDOW` / `HOP`)
        (log10 of the energy + 4) / 4, so that 0 stands for an energy of 1e-4. Values lie within 2
        of the largest.

    Raises
    ------
    ValueError
        If there are too many samples.

    Examples
    --------
    >>> silence = log_mel(np.zeros(16000, np.float32))
    >>> silence.shape, float(silence.max())
    ((80, 3000), -1.5)
    """
    if samples.ndim != 1 or len(samples) > WINDOW:
        raise ValueError(
            f"samples must be one channel of at most {WINDOW}, got shape {samples.shape}; "
            "cut the recording into windows"
        )
    padded = np.pad(samples, (0, WINDOW - len(samples)))
    padded = np.pad(padded, LENGTH // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, LENGTH)[:WINDOW:HOP]
    hann = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(LENGTH) / LENGTH)).astype(np.float32)
    spectrum = np.fft.rfft(frames * hann)
    energies = filters() @ (spectrum.real**2 + spectrum.imag**2).T
    decades = np.log10(np.maximum(energies, FLOOR))
    decades = np.maximum(decades, decades.max() - RANGE)
    spectrogram: Array = ((decades + 4) / 4).astype(np.float32)
    return spectrogram


@cache
def filters() -> NDArray[np.float64]:
    """Return the weights of each frequency of the Fourier transform in each band.

    Returns
    -------
    ndarray of float64, (`BANDS`, `LENGTH` / 2 + 1)
        Triangles of equal area, whose corners are evenly spaced on the mel scale from 0 Hz to half
        of `RATE`. Each starts at the centre of the one before and ends at that of the next.
    """
    corners = hertz(np.linspace(0, mel(RATE / 2), BANDS + 2))[:, None]
    frequencies = np.arange(LENGTH // 2 + 1) * RATE / LENGTH
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    rising = (frequencies - left) / (centre - left)
    falling = (right - frequencies) / (right - centre)
    triangles: NDArray[np.float64] = np.maximum(0, np.minimum(rising, falling))
    return triangles * 2 / (right - left)


def mel(frequency: float) -> float:
    """Return the mel of a frequency in Hz: linear below 1000 Hz, logarithmic above.

    Parameters
    ----------
    frequency : float

    Returns
    -------
    float

    Examples
    --------
    >>> mel(200.0), mel(6400.0)
    (3.0, 42.0)
    """
    if frequency < BREAK:
        return frequency / STEP
    return BREAK / STEP + math.log(frequency / BREAK) / SLOPE


def hertz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the frequencies in Hz of mels: the inverse of `mel`.

    Parameters
    ----------
    mels : ndarray of float64

    Returns
    -------
    ndarray of float64

    Examples
    --------
    >>> hertz(np.array([3.0, 42.0])).round(6)
    array([ 200., 6400.])
    """
    linear = BREAK / STEP
    above = BREAK * np.exp(SLOPE * (mels - linear))
    return np.where(mels < linear, STEP * mels, above)
