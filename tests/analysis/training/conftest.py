"""Small data, and PyTorch on one thread."""

from __future__ import annotations

import sys

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def one_thread() -> None:
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(scope="session")
def text() -> bytes:
    """Words in a random order, which a model can learn something of."""
    words = np.random.default_rng(3).choice(["ab ", "abc ", "the ", "x, "], 15_000)
    return "".join(words).encode()
