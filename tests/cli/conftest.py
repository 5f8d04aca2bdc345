"""A file of weights for commands."""

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def model(tmp_path: Path) -> Path:
    rng = np.random.default_rng(2)
    path = tmp_path / "model.npz"
    arrays = {"b[red]": rng.standard_normal((64, 256)), "a": rng.uniform(-1, 1, (8, 300))}
    np.savez(path, **arrays, bias=np.ones(3, np.float32), step=np.int64(7))
    return path
