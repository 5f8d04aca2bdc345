"""What circuits are mapped to: the passes of Yosys for each target, and cells of static CMOS.

Sums are kept as modules of their own until a Xilinx part's carry chains are mapped, since Yosys
merges the additions of a flat circuit into one and maps it to LUTs without them.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias, get_args

Target: TypeAlias = Literal["xc7", "xcup", "ice40", "ecp5", "cmos"]
TARGETS: tuple[Target, ...] = get_args(Target)


def check_target(target: object) -> None:
    """Raise unless this is one of `TARGETS`."""
    if target not in TARGETS:
        raise ValueError(f"target must be one of {', '.join(TARGETS)}, got {target!r}")


def check_way(way: object, target: Target) -> None:
    """Raise unless this is one of the target's `WAYS`."""
    if way not in WAYS[target]:
        raise ValueError(f"way must be one of {', '.join(WAYS[target])} for {target}, got {way!r}")


class CmosCell(NamedTuple):
    """A gate of static CMOS: its function in Liberty's notation and its number of transistors."""

    function: str
    transistors: int


# An inverting gate of n inputs takes a pair of transistors an input; AND and OR end in an inverter.
CMOS_CELLS: dict[str, CmosCell] = {
    "BUF": CmosCell("A", 4),
    "INV": CmosCell("!A", 2),
    "NAND2": CmosCell("!(A&B)", 4),
    "NOR2": CmosCell("!(A|B)", 4),
    "AND2": CmosCell("A&B", 6),
    "OR2": CmosCell("A|B", 6),
    "NAND3": CmosCell("!(A&B&C)", 6),
    "NOR3": CmosCell("!(A|B|C)", 6),
    "AOI21": CmosCell("!((A&B)|C)", 6),
    "OAI21": CmosCell("!((A|B)&C)", 6),
    "NAND4": CmosCell("!(A&B&C&D)", 8),
    "AOI22": CmosCell("!((A&B)|(C&D))", 8),
    "OAI22": CmosCell("!((A|B)&(C|D))", 8),
    "XOR2": CmosCell("A^B", 10),
    "XNOR2": CmosCell("!(A^B)", 10),
    "MUXI": CmosCell("!((A&!C)|(B&C))", 10),
}
_FPGA: dict[str, str] = {
    "xc7": "synth_xilinx -family xc7 -abc9 -noclkbuf -noiopad",
    "xcup": "synth_xilinx -family xcup -abc9 -noclkbuf -noiopad",
    "ice40": "synth_ice40 -noflatten -abc9",  # without multipliers unless it is told
    "ecp5": "synth_ecp5 -noflatten -abc9 -noiopad",
}
# How a circuit can be mapped to a target; `minifloat.hardware.synthesize` takes the cheapest one.
# "dsp": products may take an FPGA's multipliers. "booth": products are recoded as Booth does.
# "tables": ABC looks for other structures, which tables often need, instead of mending theirs.
WAYS: dict[Target, tuple[str, ...]] = {
    "xc7": ("plain", "dsp"),
    "xcup": ("plain", "dsp"),
    "ice40": ("plain", "dsp"),
    "ecp5": ("plain", "dsp"),
    "cmos": ("plain", "booth", "tables"),
}
_ABC = {  # then gates by area
    "plain": "strash;ifraig;scorr;dc2;dc2;dc2;dch,-f;amap",
    "tables": "strash;&get,-n;&syn2;&syn3;&syn4;&dch,-f;&put;strash;dch,-f;amap",
}
FLIP_FLOP_TRANSISTORS = 24  # a master and a slave latch with transmission gates


def liberty() -> str:
    """Return `CMOS_CELLS` and a flip-flop as a Liberty library whose areas are transistors."""
    lines = ["library(static_cmos) {"]
    for name, (function, transistors) in CMOS_CELLS.items():
        pins = [pin for pin in "ABCD" if pin in function]
        inputs = " ".join(f"pin({pin}) {{ direction : input; }}" for pin in pins)
        output = f'pin(Y) {{ direction : output; function : "{function}"; }}'
        lines.append(f"  cell({name}) {{ area : {transistors}; {inputs} {output} }}")
    lines += [
        f"  cell(DFF) {{ area : {FLIP_FLOP_TRANSISTORS};",
        '    ff(IQ, IQN) { clocked_on : "C"; next_state : "D"; }',
        "    pin(C) { direction : input; clock : true; } pin(D) { direction : input; }",
        '    pin(Q) { direction : output; function : "IQ"; } }',
        "}",
    ]
    return "\n".join(lines) + "\n"


def passes(target: Target, top: str, way: str = "plain") -> list[str]:
    """Return the passes of Yosys that map the module ``top`` to ``target``.

    They expect the circuit in circuit.v, and the cells of `liberty` in cells.lib.

    Parameters
    ----------
    target : str
        One of `TARGETS`.
    top : str
        The name of the outermost module.
    way : str
        One of the target's `WAYS`.
    """
    read = ["read_verilog circuit.v", f"hierarchy -check -top {top}", "proc -norom"]
    if target == "cmos":
        script = _ABC.get(way, _ABC["plain"])
        read.insert(0, "read_liberty -lib cells.lib")
        mapped = [f"synth -flatten -top {top}{' -booth' if way == 'booth' else ''}"]
        mapped += ["dfflibmap -liberty cells.lib", f"abc -liberty cells.lib -script +{script}"]
    else:
        without_dsp = "" if way == "dsp" or target == "ice40" else " -nodsp"
        with_dsp = " -dsp" if way == "dsp" and target == "ice40" else ""
        synth = f"{_FPGA[target]} -top {top}{without_dsp}{with_dsp}"
        steps = ["begin:map_luts"]
        if target in ("xc7", "xcup"):  # two steps left out, which take most of a small circuit's
            # time: the first one reads 30 000 lines of cells, another one cells of memories
            steps = ["prepare:map_memory", "map_ffram:map_luts"]
            read.insert(0, "read_verilog -lib -specify +/xilinx/cells_sim.v")
        mapped = [f"{synth} -run {step}" for step in steps] + ["flatten", "opt_clean -purge"]
        mapped += [f"hierarchy -top {top}", f"{synth} -run map_luts:"]
    return [*read, *mapped, "opt_clean -purge", "write_json -noscopeinfo netlist.json"]
