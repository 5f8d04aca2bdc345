"""Run the command as ``python -m analysis.training``."""

import os
import sys

if __name__ == "__main__":
    for library in ("OMP", "OPENBLAS", "MKL"):  # before NumPy is loaded
        os.environ[f"{library}_NUM_THREADS"] = "1"
    from analysis.studies import main

    sys.exit(main("analysis.training"))
