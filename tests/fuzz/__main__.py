"""Fuzz a target, guided by coverage: `python -m tests.fuzz TARGET --seconds 300`."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path

NAMES = (
    *("safetensors", "npz", "npy", "gguf", "index", "checkpoint", "onnx", "pickle"),
    "conversion",
    *("load_npz", "load_safetensors", "load_composite_npz", "load_composite_safetensors"),
    *("load_complex_npz", "load_complex_safetensors"),
    *("compare_command", "command_lines", "texts", "arrays"),
)  # of `targets.TARGETS`, which is imported later, with coverage
PACKAGES = {"pickle": "torch"}  # of targets that need one that the extra `fuzz` lacks


def main() -> None:
    """Read the options and fuzz."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=NAMES)
    parser.add_argument("--seconds", type=int, default=60, help="(60)")
    parser.add_argument("--corpus", type=Path, metavar="DIR", help="inputs to begin with and keep")
    parser.add_argument("--found", type=Path, metavar="DIR", default=Path("build/fuzz"),
                        help="where inputs that find a fault are written (build/fuzz)")  # fmt: skip
    options = parser.parse_args()
    if find_spec("atheris") is None:
        parser.error(
            'the package atheris must be installed; pip install "minifloat[fuzz]", or use '
            "pytest -m long tests/fuzz, which needs none"
        )
    package = PACKAGES.get(options.target)
    if package is not None and find_spec(package) is None:
        parser.error(f"the target {options.target} needs the package {package}, which is missing")
    from tests.fuzz.guided import fuzz

    fuzz(options.target, options.seconds, options.corpus, options.found)


if __name__ == "__main__":
    main()
