"""The rows of every figure, computed once; the slow ones with less to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from paper_figures.rows import Rows
from tests.paper_figures.figures import module_of, quiet


class Computed(dict[str, Rows]):
    """The rows of a figure by its name, computed when they are first asked for."""

    def __init__(self, weights: Path) -> None:
        self.weights = weights

    def __missing__(self, name: str) -> Rows:
        module = module_of(name)
        with pytest.MonkeyPatch.context() as patch:
            if name == "best_splits":
                patch.setattr(module, "DISTRIBUTIONS", ("normal", "laplace", "student_t(3)"))
                patch.setattr(module, "WIDTHS", (3, 4, 5, 6))
            elif name == "instructions":
                patch.setattr(module, "FORMATS", ("e2m2", "int4", "e4m3fn"))
            elif name == "real_weights":
                patch.setattr(module, "_model", lambda: self.weights)
            elif name == "multiplication_error":
                patch.setattr(module, "LENGTH", 4)
            elif name == "speed":
                patch.setattr(module, "SIZE", 1 << 10)
                patch.setattr(module, "REPEATS", 3)
            self[name] = module.data(quiet)
        return self[name]


@pytest.fixture(scope="session")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Computed:
    weights = np.random.default_rng(1).standard_normal((6, 64, 256)).astype(np.float32)
    file = tmp_path_factory.mktemp("weights") / "weights.npz"
    np.savez(file, **{f"layer{i}": w for i, w in enumerate(weights)})
    return Computed(file)
