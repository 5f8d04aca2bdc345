"""What the cells of a netlist do: each is some truth tables, and perhaps a flip-flop.

The meaning of a cell is that of its maker's library guide: AMD UG953 and UG974 (LUT1 to LUT6, MUXF7
to MUXF9, CARRY4, CARRY8, FDRE, FDSE), Lattice's iCE40 technology library (SB_LUT4, SB_CARRY, SB_DFF
and its kin) and ECP5 primitives (LUT4, CCU2C, PFUMX, L6MUX21, TRELLIS_FF is their Yosys form).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from minifloat.hardware.targets import CMOS_CELLS

Bit: TypeAlias = int | str  # the number of a net, or the constant "0", "1" or "x"

MUX = 0b11001010  # inputs: low, high, select
XOR = 0b0110
XOR3 = 0b10010110
MAJORITY = 0b11101000
MUX_CELLS = {  # low, high and select
    "MUXF7": ("I0", "I1", "S", "O"),
    "MUXF8": ("I0", "I1", "S", "O"),
    "MUXF9": ("I0", "I1", "S", "O"),
    "PFUMX": ("BLUT", "ALUT", "C0", "Z"),
    "L6MUX21": ("D0", "D1", "SD", "Z"),
}
GATES = {  # Yosys' own gates: inputs A, B, C, D or S, output Y
    "$_BUF_": "A",
    "$_NOT_": "!A",
    "$_AND_": "A&B",
    "$_NAND_": "!(A&B)",
    "$_OR_": "A|B",
    "$_NOR_": "!(A|B)",
    "$_XOR_": "A^B",
    "$_XNOR_": "!(A^B)",
    "$_ANDNOT_": "A&!B",
    "$_ORNOT_": "A|!B",
    "$_MUX_": "(A&!S)|(B&S)",
    "$_AOI3_": "!((A&B)|C)",
    "$_OAI3_": "!((A|B)&C)",
    "$_AOI4_": "!((A&B)|(C&D))",
    "$_OAI4_": "!((A|B)&(C|D))",
    **{name: cell.function for name, cell in CMOS_CELLS.items()},
}
_ICE40_FLIP_FLOP = re.compile(r"SB_DFF(E?)(SR|SS)?")


class Table(NamedTuple):
    """A truth table: bit i of it is the output where the inputs, the first lowest, read i."""

    table: int
    inputs: tuple[Bit, ...]
    output: int


class FlipFlop(NamedTuple):
    """A register of one bit: with each rising edge of the clock it takes its input."""

    clock: Bit
    input: Bit
    output: int


class Cell(NamedTuple):
    """A cell of Yosys' JSON."""

    kind: str
    parameters: Mapping[str, str]
    pins: Mapping[str, list[Bit]]

    def pin(self, name: str, default: Bit = "0") -> Bit:
        """Return the net at a pin of one bit."""
        bits = self.pins.get(name)
        return bits[0] if bits else default

    def drives(self, name: str) -> int | None:
        """Return the net that a pin drives; None if nothing is connected."""
        bit = self.pin(name)
        return bit if isinstance(bit, int) else None

    def number(self, name: str, default: int = 0) -> int:
        """Return a parameter that is a binary number; an x in it is 0."""
        text = self.parameters.get(name)
        return default if text is None else int(str(text).replace("x", "0"), 2)


class UnknownCell(ValueError):
    """A netlist has a cell whose meaning is not known here."""


def parts(cell: Cell, fresh: Iterator[int]) -> Iterator[Table | FlipFlop]:
    """Yield the truth tables and flip-flops that a cell consists of.

    Parameters
    ----------
    cell : Cell
    fresh : iterator of int
        Numbers of nets that nothing uses, for the inside of the cell.

    Raises
    ------
    UnknownCell
        If the cell's kind is not known.
    """
    kind = cell.kind
    if kind == "INV" and "I" in cell.pins:  # AMD's; that of static CMOS has the pins A and Y
        yield from _table(0b01, [cell.pin("I")], cell.drives("O"))
    elif kind in GATES:
        pins = [cell.pin(pin) for pin in "ABCDS" if pin in GATES[kind]]
        yield from _table(gate_table(GATES[kind]), pins, cell.drives("Y"))
    elif match := re.fullmatch(r"LUT([1-6])", kind):
        if "Z" in cell.pins:
            yield from _table(cell.number("INIT"), [cell.pin(p) for p in "ABCD"], cell.drives("Z"))
        else:
            pins = [cell.pin(f"I{i}") for i in range(int(match[1]))]
            yield from _table(cell.number("INIT"), pins, cell.drives("O"))
    elif kind == "SB_LUT4":
        pins = [cell.pin(f"I{i}") for i in range(4)]
        yield from _table(cell.number("LUT_INIT"), pins, cell.drives("O"))
    elif kind in MUX_CELLS:
        low, high, select, output = MUX_CELLS[kind]
        pins = [cell.pin(low), cell.pin(high), cell.pin(select)]
        yield from _table(MUX, pins, cell.drives(output))
    elif kind in ("CARRY4", "CARRY8"):
        yield from _amd_carry(cell, int(kind[-1]), fresh)
    elif kind == "SB_CARRY":
        pins = [cell.pin(p) for p in ("I0", "I1", "CI")]
        yield from _table(MAJORITY, pins, cell.drives("CO"))
    elif kind == "CCU2C":
        yield from _ecp5_carry(cell, fresh)
    else:
        yield from _flip_flop(cell, fresh)


def gate_table(function: str) -> int:
    """Return the truth table of a function of A, B, C, D and S in Liberty's notation.

    Examples
    --------
    >>> bin(gate_table("!(A&B)"))
    '0b111'
    """
    names = [pin for pin in "ABCDS" if pin in function]
    table = 0
    for place, values in enumerate(itertools.product((0, 1), repeat=len(names))):
        bits = dict(zip(reversed(names), values, strict=True))
        table |= _Function(function, bits).value() << place
    return table


class _Function:
    """A reader of Liberty's functions: ! binds first, then &, ^ and |."""

    def __init__(self, text: str, bits: Mapping[str, int]) -> None:
        self.rest = list(text)
        self.bits = bits

    def value(self) -> int:
        total = self._xor()
        while self.rest[:1] == ["|"]:
            self.rest.pop(0)
            total |= self._xor()
        return total

    def _xor(self) -> int:
        total = self._and()
        while self.rest[:1] == ["^"]:
            self.rest.pop(0)
            total ^= self._and()
        return total

    def _and(self) -> int:
        total = self._one()
        while self.rest[:1] == ["&"]:
            self.rest.pop(0)
            total &= self._one()
        return total

    def _one(self) -> int:
        first = self.rest.pop(0)
        if first == "!":
            return 1 - self._one()
        if first == "(":
            value = self.value()
            self.rest.pop(0)
            return value
        return self.bits[first]


def _table(table: int, inputs: Sequence[Bit], output: int | None) -> Iterator[Table]:
    if output is not None:
        yield Table(table, tuple(inputs), output)


def _amd_carry(cell: Cell, width: int, fresh: Iterator[int]) -> Iterator[Table]:
    """Yield CO = S ? CI : DI and O = S ^ CI for each place of a carry chain."""
    none: list[Bit] = ["x"] * width
    carry: Bit = cell.pin("CI")
    if cell.pin("CYINIT") != "0":  # CI is then 0: either begins the chain
        both = next(fresh)
        yield Table(0b1110, (carry, cell.pin("CYINIT")), both)
        carry = both
    halves = cell.parameters.get("CARRY_TYPE") == "DUAL_CY4"
    for i in range(width):
        if halves and i == 4:
            carry = cell.pin("CI_TOP")
        select, other = cell.pins["S"][i], cell.pins["DI"][i]
        out, carry_out = cell.pins.get("O", none)[i], cell.pins.get("CO", none)[i]
        if isinstance(out, int):
            yield Table(XOR, (select, carry), out)
        after = carry_out if isinstance(carry_out, int) else next(fresh)
        yield Table(MUX, (other, carry, select), after)
        carry = after


def _ecp5_carry(cell: Cell, fresh: Iterator[int]) -> Iterator[Table]:
    """Yield two places of Lattice's chain: a LUT4 says whether to pass the carry, a LUT2 else."""
    carry: Bit = cell.pin("CIN")
    for i in range(2):
        init = cell.number(f"INIT{i}")
        pins = [cell.pin(f"{p}{i}", "1") for p in "ABCD"]
        passes, own, after = next(fresh), next(fresh), next(fresh)
        yield Table(init, tuple(pins), passes)
        yield Table(init & 0xF, tuple(pins[:2]), own)
        injected = cell.parameters.get(f"INJECT1_{i}", "YES") == "YES"
        yield Table(XOR, (passes, "0" if injected else carry), cell.drives(f"S{i}") or next(fresh))
        last = cell.drives("COUT") if i else None
        after = after if last is None else last
        yield Table(MUX, (own, "0" if injected else carry, passes), after)
        carry = after


def _flip_flop(cell: Cell, fresh: Iterator[int]) -> Iterator[Table | FlipFlop]:
    kind, value = cell.kind, 0
    enable: Bit = "1"
    reset: Bit = "0"
    if kind in ("$_DFF_P_", "DFF", "FDRE", "FDSE"):
        clock, source = cell.pin("C"), cell.pin("D")
        if kind in ("FDRE", "FDSE"):
            value = int(kind == "FDSE")
            enable, reset = cell.pin("CE", "1"), cell.pin("S" if value else "R")
    elif match := _ICE40_FLIP_FLOP.fullmatch(kind):
        clock, source = cell.pin("C"), cell.pin("D")
        enable = cell.pin("E", "1") if match[1] else "1"
        if match[2]:
            value = int(match[2] == "SS")
            reset = cell.pin("S" if value else "R")
    elif kind == "TRELLIS_FF":
        clock, source = cell.pin("CLK"), cell.pin("DI")
        enable = cell.pin("CE", "1") if cell.parameters.get("CEMUX") == "CE" else "1"
        reset, value = cell.pin("LSR"), int(cell.parameters.get("REGSET") == "SET")
        if cell.parameters.get("CLKMUX", "CLK") != "CLK" or (
            reset != "0" and cell.parameters.get("SRMODE") == "ASYNC"
        ):
            raise UnknownCell(f"netlist must have rising clocks and no asynchronous reset: {kind}")
    else:
        raise UnknownCell(f"netlist must have cells that are known here, got {kind}")
    output = cell.drives("Q")
    if output is None:
        return
    if enable != "1":
        kept = next(fresh)
        yield Table(MUX, (output, source, enable), kept)
        source = kept
    if reset not in ("0", "x"):
        after = next(fresh)
        yield Table(0b1110 if value else 0b0010, (source, reset), after)
        source = after
    yield FlipFlop(clock, source, output)
