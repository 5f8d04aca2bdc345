"""The machine instructions that a conversion costs on a GPU, read from the compiler's output.

What is counted: kernels that load, convert and store one and three groups of codes are compiled
and disassembled (``cuda/count.cu``). What a further group adds, less its loads of words and stores
of results, is the conversion, all of it: each instruction takes one issue slot of a warp. What
the first group costs beyond that, over a kernel that only loads and stores, is the setup, such as
constants in registers, which a kernel pays once per thread. No GPU is needed.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import NamedTuple

from analysis.cuda_toolkit import compile_cubin, disassemble, need_toolkit
from analysis.device_function import DeviceFunction

# Kinds by the first part of an opcode. `kind` looks at operands where that is not enough.
KINDS = {
    **dict.fromkeys(("LOP3", "LOP"), "logic"),
    **dict.fromkeys(("SHF", "SHL", "SHR"), "shift"),
    "PRMT": "permute",
    **dict.fromkeys(("HMUL2", "HADD2", "HFMA2"), "half"),
    **dict.fromkeys(("IADD", "IADD3", "VIADD", "IMAD", "LEA", "ISCADD"), "integer"),
    "LDS": "look-up",
    **dict.fromkeys(("MOV", "UMOV", "CS2R", "LDC", "LDCU", "ULDC"), "move"),
    "LDG": "load",
    "STG": "store",
}
TRAFFIC = ("load", "store")


class Instruction(NamedTuple):
    """One machine instruction.

    Examples
    --------
    >>> from analysis.machine_code import Instruction
    >>> Instruction("IMAD.U32", ("R9", "R4", "0x10000", "RZ")).kind
    'shift'
    """

    opcode: str  # with its modifiers, as in "SHF.R.U32.HI"
    operands: tuple[str, ...]  # the destination first

    @property
    def kind(self) -> str:
        """What it does: a value of `KINDS`, or "other".

        The compiler spreads work over the GPU's pipes, so that one deed has several opcodes: a
        shift to the left may be IMAD.SHL or a multiplication by a power of two, a product of
        halves HFMA2 with an addend of -0, and a constant may come from an HFMA2 of zeros.
        """
        name, _, modifiers = self.opcode.partition(".")
        if name == "IMAD":
            if modifiers.startswith("MOV"):
                return "move"
            if modifiers.startswith("SHL") or self._multiplies_by_a_power_of_two():
                return "shift"
        if name == "HFMA2" and all(_is_zero(factor) for factor in self.operands[1:3]):
            return "move"
        return KINDS.get(name, "other")

    def _multiplies_by_a_power_of_two(self) -> bool:
        factor, addend = self.operands[2:4]
        return _is_zero(addend) and factor.startswith("0x") and int(factor, 16).bit_count() == 1


def _is_zero(operand: str) -> bool:
    return operand.lstrip("-").partition(".")[0] == "RZ"


@dataclass(frozen=True)
class MachineCost:
    """What a conversion costs on one architecture.

    Parameters
    ----------
    compiler : str
        Version of the CUDA toolkit that compiled it.
    arch : str
        Such as "sm_80".
    codes : int
        Codes of a group.
    kinds : dict of str to float
        Instructions per group by `Instruction.kind`: the mean over the second and the third group.
    opcodes : dict of str to float
        The same by opcode; all moves are called MOV. Where several opcodes do the same, the
        compiler alternates between them from group to group: then counts may be halves, or even
        negative, but their sums are those of ``kinds``.
    setup : float
        Instructions that groups share: a kernel pays them once per thread.
    """

    compiler: str
    arch: str
    codes: int
    kinds: dict[str, float]
    opcodes: dict[str, float]
    setup: float

    @property
    def total(self) -> float:
        """Issue slots per group."""
        return sum(self.kinds.values())

    @property
    def per_code(self) -> float:
        """Issue slots per code."""
        return self.total / self.codes


def read_kernels(cubin: bytes) -> dict[str, list[Instruction]]:
    """Return the instructions of every kernel of a cubin, without padding.

    Parameters
    ----------
    cubin : bytes
        From `analysis.cuda_toolkit.compile_cubin`.

    Returns
    -------
    dict of str to list of Instruction
        By the kernel's name, in the order of the code.

    Raises
    ------
    RuntimeError
        If there is no toolkit, or ``cubin`` is not machine code.
    """
    _, functions = json.loads(disassemble(cubin))
    return {
        function["function-name"]: [
            Instruction(entry["opcode"], tuple(entry.get("operands", "").split(",")))
            for entry in function["sass-instructions"]
            if entry["opcode"] != "NOP"
        ]
        for function in functions
    }


def machine_cost(function: DeviceFunction, arch: str = "sm_80") -> MachineCost:
    """Count the machine instructions of a conversion.

    Parameters
    ----------
    function : DeviceFunction
        The conversion.
    arch : str
        Such as "sm_80", "sm_90", "sm_100".

    Returns
    -------
    MachineCost

    Raises
    ------
    RuntimeError
        If there is no toolkit, the function does not compile, or it does not use all its words.

    Examples
    --------
    >>> from analysis.device_function import DeviceFunction
    >>> from analysis.machine_code import machine_cost
    >>> shift = DeviceFunction(
    ...     "__device__ __forceinline__ void f(const uint32_t w[1], uint32_t out[1])"
    ...     "{ out[0] = w[0] >> 4; }",
    ...     "f", words=1, pairs=1,
    ... )
    >>> machine_cost(shift, "sm_90").opcodes  # doctest: +SKIP
    {'SHF.R.U32.HI': 1.0}
    """
    kernels = read_kernels(compile_cubin(function.source("count.cu"), arch))
    nothing, one, three = (Counter(map(_deed, kernels[f"kernel_{n}"])) for n in (0, 1, 3))
    group = {deed: (three[deed] - one[deed]) / 2 for deed in sorted(three | one)}
    traffic = [_of_kind(group, "load"), _of_kind(group, "store")]
    if traffic != [function.words, function.pairs]:
        raise RuntimeError(
            f"{function.name} must use all its {function.words} words, one load each, got "
            f"{traffic[0]:g} loads and {traffic[1]:g} stores of {function.pairs} a group"
        )
    kinds, opcodes = defaultdict[str, float](float), defaultdict[str, float](float)
    for (kind, opcode), count in group.items():
        if kind not in TRAFFIC:
            kinds[kind] += count
            opcodes[opcode] += count
    return MachineCost(
        need_toolkit().version,
        arch,
        function.codes,
        kinds={kind: count for kind, count in kinds.items() if count},
        opcodes={opcode: count for opcode, count in opcodes.items() if count},
        setup=one.total() - nothing.total() - sum(kinds.values()),
    )


def _deed(instruction: Instruction) -> tuple[str, str]:
    """Return the kind and the opcode; which of its opcodes a move has is the compiler's whim."""
    return instruction.kind, "MOV" if instruction.kind == "move" else instruction.opcode


def _of_kind(counts: dict[tuple[str, str], float], kind: str) -> float:
    return sum(count for deed, count in counts.items() if deed[0] == kind)
