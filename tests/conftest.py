"""What all tests share: hypothesis settings, and the versions in the report's header."""

from __future__ import annotations

import os
from importlib.metadata import version

import numpy as np
import pytest
from hypothesis import settings

os.environ.pop("COLUMNS", None)  # pytest-xdist sets it; the command's tables are as wide as it says

settings.register_profile("minifloat", deadline=None, print_blob=True)  # first calls compile
settings.register_profile("ci", settings.get_profile("minifloat"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "minifloat")


def pytest_report_header() -> str:
    packages = ("numpy", "numba", "ml_dtypes", "gfloat")
    return ", ".join(f"{package} {version(package)}" for package in packages)


@pytest.fixture(scope="session", autouse=True)
def _subnormals_survive() -> None:
    """A library that turns on flush-to-zero in this process would falsify every result."""
    least = np.array([1e-45], np.float32)
    assert (least * np.float32(2.0))[0] > 0, "subnormal results are flushed to zero"
    assert (least + least)[0] > least[0], "subnormal operands are read as zero"
