"""Run the command as ``python -m analysis.models``."""

import os
import sys

if __name__ == "__main__":
    for library in ("OMP", "OPENBLAS", "MKL"):  # before NumPy is loaded: speeds are of one thread
        os.environ[f"{library}_NUM_THREADS"] = "1"
    from analysis.models.command import main

    sys.exit(main())
