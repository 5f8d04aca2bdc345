"""Programs for tests, and inputs that cover every code at every position."""

from __future__ import annotations

import numpy as np

import minifloat as mf
from minifloat.packing.layouts import Layout
from minifloat.registers import Program, Register, trial_words


def program_of(instructions, *, words=3, target="float16", table=()):
    """Return a program of three input words whose last results are its outputs."""
    layout = Layout(16, words, [[16 * i + b for b in range(16)] for i in range(2 * words)])
    last = words + len(instructions) - 1
    outputs = tuple(Register(max(0, last - k)) for k in range(words))
    return Program("p", layout, target, 0, tuple(instructions), outputs, tuple(table))


def every_input(program) -> np.ndarray:
    """Return the words that `prove` tries, every code at every position, and random words."""
    words = trial_words(program.layout).reshape(-1, program.layout.words)
    random = np.random.default_rng(7).integers(0, 1 << 32, (1 << 15, program.layout.words))
    return np.concatenate([words, random.astype(np.uint32)])


def critical_words(target):
    """Return words of halves where rounding can go wrong, and random words."""
    rng = np.random.default_rng(16)
    fmt = mf.parse(target)
    m = fmt.mantissa_bits
    edges = {0, 1, 2, 3, (1 << m) - 1, 1 << m, (1 << m) + 1, fmt.max_magnitude, fmt.inf_magnitude}
    edges |= {fmt.inf_magnitude + 1, 0x7FFF, fmt.bias << m, (fmt.bias << m) + 1, 0x4000, 0x7BFF}
    edges |= {(e << m) + low for e in range(0, 1 << fmt.exponent_bits, 3) for low in (0, 1, 5)}
    words = sorted(edges)[:: 1 if target == "float16" else 3]
    words += rng.integers(0, 0x8000, 20).tolist()
    return [word | sign for word in words for sign in (0, 0x8000)]
