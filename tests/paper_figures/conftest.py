"""The rows of every figure, computed once; the slow ones with less to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from paper_figures.rows import Rows
from tests.paper_figures.figures import module_of, quiet


def results_of_models() -> dict[str, Any]:
    """Return a file of `python -m analysis.models --json`, with invented numbers."""
    results = []
    for number, (model, data) in enumerate([("A", "texts"), ("B", "sounds")]):
        noise = np.random.default_rng(number)
        base = noise.normal(3, 0.5, 40)
        for name, bits, loss in [
            ("fp32", 32.0, 0.0), ("e2m2", 5.125, 0.02), ("int5", 5.125, 0.021),
            ("nf5", 5.125, 0.018), ("int4", 4.125, 0.13), ("nf4", 4.125, 0.08),
            ("e2m1", 4.125, 0.12), ("int4 + GPTQ", 4.125, 0.079),
        ]:  # fmt: skip
            fmt, _, method = name.partition(" + ")
            results.append(
                {
                    "model": model, "data": data, "metric": "nats per token",
                    "recipe": fmt if fmt == "fp32" else f"{fmt}/128/float16", "method": method,
                    "bits_per_weight": bits,
                    "items": (base + noise.normal(loss, loss / 4, 40)).tolist(),
                }
            )  # fmt: skip
    return {"results": results}


@pytest.fixture(scope="session")
def measured_models() -> dict[str, Any]:
    return results_of_models()


@pytest.fixture(scope="session")
def models(measured_models: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "models.json"
    path.write_text(json.dumps(measured_models), encoding="utf-8")
    return path


class Computed(dict[str, Rows]):
    """The rows of a figure by its name, computed when they are first asked for."""

    def __init__(self, models: Path, weights: Path) -> None:
        self.models, self.weights = models, weights

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
            more = (self.models,) if name == "models" else ()
            self[name] = module.data(quiet, *more)
        return self[name]


@pytest.fixture(scope="session")
def computed(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Computed:
    weights = np.random.default_rng(1).standard_normal((6, 64, 256)).astype(np.float32)
    file = tmp_path_factory.mktemp("weights") / "weights.npz"
    np.savez(file, **{f"layer{i}": w for i, w in enumerate(weights)})
    return Computed(models, file)
