"""Words of 64 random bits, each a function of a seed and of its number alone.

They are those of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), whose word n is a hash of the
seed plus n + 1 times a constant: so any word is had without those before it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import inlined, jit, kernel

Array = NDArray[Any]


GAMMA = np.uint64(0x9E3779B97F4A7C15)


@inlined
def hashed(word: Any) -> Any:
    """Return the hash of a uint64."""
    z = np.uint64(
        np.uint64(word ^ np.uint64(word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    )
    z = np.uint64(np.uint64(z ^ np.uint64(z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB))
    return np.uint64(z ^ np.uint64(z >> np.uint64(31)))


@inlined
def word_of(seed: Any, number: int) -> Any:
    """Return word ``number``, from 0 on, of the stream ``seed``, a uint64."""
    return hashed(np.uint64(seed + np.uint64(np.uint64(number + 1) * GAMMA)))


@jit
def draw(seed: np.uint64, first: int, random_words: Array) -> None:
    """Fill ``random_words`` (uint64) with words ``first``, ``first + 1``, ... of a stream."""
    counter = np.uint64(np.uint64(seed) + np.uint64(np.uint64(first) * GAMMA))
    for j in range(random_words.size):
        counter = np.uint64(counter + GAMMA)
        random_words[j] = hashed(counter)


@kernel
def fill(random_words: Array, seed: Any) -> None:
    """Fill ``random_words`` (uint64) with words 0, 1, 2, ... of stream ``seed``."""
    draw(np.uint64(seed), 0, random_words)
