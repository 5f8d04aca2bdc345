"""Simulate a multiplier with cocotb, on vectors: python cocotb_multiplier.py (SIM=verilator)."""

import os
from pathlib import Path

import cocotb
from cocotb.triggers import Timer
from cocotb_tools.runner import get_results, get_runner

from minifloat import hardware
from minifloat.testing import write_vectors

FORMAT = "e2m1"  # or yours, such as e2m2, e3m2b5, [-8 -4 -2 -1 0 1 2 4 8]


@cocotb.test()
async def products(dut):
    """Compare all products in the file."""
    for line in Path("vectors.hex").read_text().splitlines():
        a, b, product = (int(word, 16) for word in line.split())
        dut.a.value, dut.b.value = a, b
        await Timer(1)
        got = dut.product.value.to_unsigned()
        assert got == product, f"a={a:x} b={b:x}: got {got:x}, expected {product:x}"


def main():
    """Write the circuit and its vectors, and run the simulator here."""
    circuit = hardware.multiplier(FORMAT, FORMAT)
    Path("multiplier.v").write_text(circuit.verilog)
    write_vectors(FORMAT, "vectors.hex", "multiplier", output="exact")
    simulator = os.environ.get("SIM", "icarus")
    runner = get_runner(simulator)
    # Verilator stops at a number that is assigned to a wider wire, unless it is told not to
    options = ["-Wno-WIDTH"] if simulator == "verilator" else []
    runner.build(
        sources=["multiplier.v"], hdl_toplevel=circuit.name, always=True, build_args=options
    )
    results = runner.test(test_module=Path(__file__).stem, hdl_toplevel=circuit.name, test_dir=".")
    _, failed = get_results(results)
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
