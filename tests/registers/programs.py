"""Programs for tests, and inputs that cover every code at every position."""

from __future__ import annotations

import numpy as np

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
