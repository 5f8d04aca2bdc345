"""Time a matrix-vector product from packed weights on a GPU: `python -m tests.benchmarks.gpu`.

The weights are read from the GPU's memory, which bounds the time: 5 bits a weight against 16. The
yardsticks are the same product from float16 weights, and copies of the packed and of the float16
weights (which read and write, and so move each byte twice).
"""

from __future__ import annotations

import argparse

import numpy as np

from analysis.gpu.device_function import DeviceFunction
from analysis.gpu.run import find_gpu, time_gemv
from minifloat.registers import Program, look_up, search, to_half


def programs() -> dict[str, Program]:
    """Return what is compared: E2M2, INT5, and look-ups of NF5 in pairs and one by one."""
    found = {fmt: search(fmt, fold_scale=True).program for fmt in ("e2m2", "int5", "nf5")}
    return {
        "E2M2, factor left to the scale": found["e2m2"],
        "E2M2": to_half("e2m2", found["e2m2"].layout),
        "E2M2, the paper's planes": to_half("e2m2", "fpe2m2_kernel"),
        "INT5": found["int5"],
        "NF5, pairs looked up": found["nf5"],
        "NF5, one by one": look_up("nf5", "dense", pairs=False),
    }


def main() -> None:
    """Measure, printing each line as it is there; say so where there is no GPU."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.gpu", description=__doc__)
    parser.add_argument("--size", type=int, default=8192, help="rows and columns (8192)")
    size = parser.parse_args().size
    gpu = find_gpu()
    if gpu is None:
        print("no GPU with NVIDIA's driver, nothing was measured")
        return
    print(f"{gpu.name}, {size} x {size}, medians in microseconds")
    print(f"{'weights':<32} {'product':>9} {'float16':>9} {'ratio':>6} {'copy':>9} {'copy f16':>9}")
    for name, program in programs().items():
        table = np.array(program.table, np.uint32) if program.table else None
        times = time_gemv(DeviceFunction.of(program), size, size, table).microseconds
        ratio = times["gemv_float16"] / times["gemv"]
        print(
            f"{name:<32} {times['gemv']:>9.2f} {times['gemv_float16']:>9.2f} {ratio:>6.2f} "
            f"{times['copy']:>9.2f} {times['copy_float16']:>9.2f}"
        )


if __name__ == "__main__":
    main()
