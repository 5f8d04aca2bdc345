"""Print the tables of multipliers without a multiplier in docs/circuit_costs.md.

python -m docs.generators.multiplier_costs

Takes some minutes: every circuit is synthesised, checked on its netlist, and counted.
"""

from __future__ import annotations

from docs.generators.policies import table
from minifloat.formats import Format
from minifloat.hardware import Circuit, FixedSum, check, dot, l_mul, multiplier, synthesize
from minifloat.hardware.dots import DotForm
from minifloat.hardware.targets import Target

PUBLISHED = {6: 22, 5: 21, 4: 22, 3: 22, 2: 23, 1: 22}  # LUTs by exponent bits, arXiv 2412.18948
SHIFTED = {
    "int4": ("shifts", "booth"),
    "e2m1": ("shifts", "booth"),
    "sp2_4": ("shifts", "booth"),
    "apot4": ("shifts", "booth"),
    "pot4": ("shifts", "magnitudes"),
}


def counted(circuit: Circuit, target: Target) -> str:
    """Return what a circuit takes, after its netlist was found to be right."""
    counts = synthesize(circuit, target)
    found = check(circuit, target, netlist=counts.netlist)
    assert found, found
    if target == "cmos":
        return str(counts.transistors)
    return f"{counts.luts} / {counts.lut6} / {counts.carry}"


def float_like() -> str:
    """Return L-Mul of 8 bits with a float's outputs beside the published counts."""
    rows = []
    for exponent_bits, published in PUBLISHED.items():
        fmt = Format(exponent_bits, 7 - exponent_bits, subnormals=False)
        row = [f"E{exponent_bits}M{7 - exponent_bits}", str(published)]
        for variant in ("addition", "formula"):
            circuit = l_mul(
                fmt,
                variant=variant,
                aligned=False,
                encoding="sign_magnitude",
            )
            row.append(counted(circuit, "xcup"))
        rows.append(row)
    return table(["", "published LUTs", "addition", "formula"], rows)


def aligned() -> str:
    """Return products as integers in two's complement, each way to multiply beside the exact."""
    circuits = []
    for name in ("e2m2", "e4m3fn"):
        circuits += [
            (f"{name}, exact", multiplier(name, name)),
            (f"{name}, L-Mul, addition", l_mul(name, variant="addition")),
            (f"{name}, L-Mul, formula", l_mul(name)),
        ]
    for name, forms in SHIFTED.items():
        for form in forms:
            circuits.append((f"int8 x {name}, `{form}`", multiplier("int8", name, form=form)))
    for bits in (1, 2, 4):
        name = f"bipolar_int{bits}"
        for form in ("planes", "magnitudes"):
            circuits.append((f"{name}, `{form}`", multiplier(name, name, form=form)))
    for bits in (2, 4):
        name = f"int{bits}full"
        circuits.append((f"{name}, `integer`", multiplier(name, name, form="integer")))
    targets: tuple[Target, Target] = ("xc7", "cmos")
    rows = [[name, *(counted(circuit, on) for on in targets)] for name, circuit in circuits]
    return table(["product", "xc7", "transistors"], rows)


def bipolar() -> str:
    """Return dot products of 64 lanes: bits counted across lanes beside products of each lane."""
    circuits: list[tuple[str, Circuit]] = []
    for bits in (1, 2):
        name = f"bipolar_int{bits}"
        forms: tuple[DotForm, ...] = ("counts", "planes", "magnitudes")
        circuits += [(f"{name}, `{form}`", _of_64(name, form)) for form in forms]
        if bits > 1:
            circuits.append((f"int{bits}full, `integer`", _of_64(f"int{bits}full", "integer")))
    rows = [[name, counted(circuit, "xc7"), counted(circuit, "cmos")] for name, circuit in circuits]
    return table(["dot product", "xc7", "transistors"], rows)


def _of_64(name: str, form: DotForm) -> Circuit:
    return dot(name, name, 64, form=form, accumulator=FixedSum(4096))


if __name__ == "__main__":
    print(float_like(), aligned(), bipolar(), sep="\n")
