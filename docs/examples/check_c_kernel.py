"""Compile a kernel in C and compare it with the exact results: python check_c_kernel.py."""

import ctypes
import subprocess
import tempfile
from pathlib import Path

from minifloat.testing import check_adder, check_multiplier

source = Path(__file__).with_name("e4m3_kernel.c")
with tempfile.TemporaryDirectory() as folder:
    library = Path(folder) / "kernel.so"
    build = ["cc", "-O2", "-shared", "-fPIC", source, "-o", library, "-lm"]
    subprocess.run(build, check=True)
    kernel = ctypes.CDLL(str(library))

what_it_does = {"roundings": ["nearest_even"], "overflows": ["saturate"]}
print(check_multiplier(kernel.multiply, "e4m3fn", **what_it_does), "products are right")
print(check_adder(kernel.add, "e4m3fn", **what_it_does), "sums are right")
