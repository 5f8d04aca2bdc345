"""What a call in a stochastic mode draws its thresholds from: a seed, or words of the caller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat import _arrays
from minifloat._kernels import codec as kernels
from minifloat._kernels.scalar import WINDOW
from minifloat.formats.base import check_int, check_seed
from minifloat.formats.rounding import Rounding

Array = NDArray[Any]

RANDOM_BITS = 24  # by default
MAX_RANDOM_BITS = WINDOW - 2  # a threshold may need half a step, and the sticky bit
NO_WORDS = np.empty(0, np.uint32)
STOCHASTIC_KINDS = {
    Rounding.STOCHASTIC: kernels.STOCHASTIC_A,
    Rounding.STOCHASTIC_B: kernels.STOCHASTIC_B,
    Rounding.STOCHASTIC_C: kernels.STOCHASTIC_C,
    Rounding.STOCHASTIC_EQUAL: kernels.STOCHASTIC_EQUAL,
}


@dataclass(frozen=True)
class StochasticMode:
    """How a call draws its thresholds: a record for the kernels, and the caller's random words."""

    record: Array
    random_words: Array | None


def stochastic_mode(
    rounding: Rounding,
    seed: SupportsIndex | None,
    random: ArrayLike | None,
    random_bits: SupportsIndex,
    shape: tuple[int, ...],
) -> StochasticMode | None:
    """Return the random part of a call's arguments, checked; None in a deterministic mode."""
    random_bits = check_int("random_bits", random_bits, 1, MAX_RANDOM_BITS)
    if not rounding.is_stochastic:
        if seed is not None or random is not None:
            raise ValueError(f"rounding must be stochastic to use seed or random, got {rounding}")
        return None
    if random is not None and seed is not None:
        raise ValueError("seed and random must not both be given; choose one")
    if random is None and seed is None:
        raise ValueError(f"seed must be given for rounding={rounding.value!r} (or random=words)")
    if random is not None:
        words = _random_words(random, random_bits, shape)
        return StochasticMode(mode_record(rounding, 0, random_bits), words)
    return StochasticMode(mode_record(rounding, check_seed(seed), random_bits), None)


def mode_record(rounding: Rounding, seed: int, random_bits: int = RANDOM_BITS) -> NDArray[np.void]:
    """Return how the kernels draw thresholds in a stochastic mode: an array of one record."""
    return np.array([(STOCHASTIC_KINDS[rounding], random_bits, seed)], kernels.MODE)


def _random_words(random: ArrayLike, random_bits: int, shape: tuple[int, ...]) -> Array:
    words = _arrays.as_array("random", random)
    if not _arrays.is_integer(words.dtype):
        raise TypeError(f"random must be unsigned integers, got {words.dtype.name}")
    if words.size and (int(words.min()) < 0 or int(words.max()) >> random_bits):
        raise ValueError(
            f"random must be in 0..2**{random_bits} - 1 (random_bits={random_bits}), got "
            f"{words.min()} .. {words.max()}; shift the words right or pass more random_bits"
        )
    try:
        return np.broadcast_to(words, shape)
    except ValueError:
        raise ValueError(f"random must have the shape of x, {shape}, got {words.shape}") from None
