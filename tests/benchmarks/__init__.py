"""How fast the verbs are, as ratios to the speed of copying memory; nothing here asserts a time.

`python -m tests.benchmarks` prints the table; `pytest tests/benchmarks --benchmark-enable` gives
pytest-benchmark's statistics; without that option each benchmark only runs once, on few elements.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy, the yardstick, reads it when imported
