"""Run the command as ``python -m minifloat``."""

import sys

from minifloat.cli import main

if __name__ == "__main__":
    sys.exit(main())
