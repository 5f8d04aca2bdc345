"""Dot products of bipolar integers: bits counted across lanes, for each pair of planes."""

from __future__ import annotations

from minifloat.hardware.integers import Integers
from minifloat.hardware.rows import is_bipolar
from minifloat.hardware.sums import Adders, Range, Term, add_tree
from minifloat.hardware.verilog import Module, literal, span

COUNTS = "counts"


def can_count(a: Integers, b: Integers) -> bool:
    """Whether both formats are bipolar integers."""
    return is_bipolar(a) and is_bipolar(b)


def count_planes(
    module: Module, adders: Adders, a: Integers, b: Integers, lanes: int
) -> tuple[Term, str]:
    """Add the dot product of the inputs ``a`` and ``b``.

    Bits i and j of two codes add ``2**(i + j)`` to their product where they agree, and subtract it
    where they differ. So with c lanes in which they agree they add ``2**(i + j) * (2 c - lanes)``.
    This is `minifloat.arithmetic.bipolar_matmul`, whose words are as long as there are lanes.

    Returns
    -------
    Term
        The sum.
    str
        The text of the module that counts.
    """
    counter = Module(f"{module.name}_count")
    counter.input("bits", lanes)
    width = lanes.bit_length()
    ones = [f"bits[{lane}]" for lane in range(lanes)] if lanes > 1 else ["bits"]
    counter.output("count", width, " + ".join(ones))
    planes = {}
    for port, x in (("a", a), ("b", b)):
        for i in range(x.bits):
            bits = [f"{port}[{lane * x.bits + i}]" for lane in reversed(range(lanes))]
            whole = f"{{{', '.join(bits)}}}" if lanes * x.bits > 1 else port
            planes[port, i] = module.wire(f"{port}_plane{i}", lanes, whole)
    all_weights = ((1 << a.bits) - 1) * ((1 << b.bits) - 1)
    less = Range(-lanes * all_weights, -lanes * all_weights)
    terms = [Term(literal(less.low, less.width), less)]
    for i in range(a.bits):
        for j in range(b.bits):
            agree = module.wire(f"agree{i}_{j}", lanes, f"~({planes['a', i]} ^ {planes['b', j]})")
            module.line(f"wire {span(width)}count{i}_{j};")
            ports = {"bits": agree, "count": f"count{i}_{j}"}
            module.instance(counter.name, f"counter{i}_{j}", ports)
            weighted = Range(0, lanes << (i + j + 1))
            shifted = f"{{1'h0, count{i}_{j}, {i + j + 1}'h0}}"
            net = module.wire(f"weighted{i}_{j}", weighted.width, shifted, signed=True)
            terms.append(Term(net, weighted))
    total, _ = add_tree(adders, module, terms, [])
    return total, counter.text()
