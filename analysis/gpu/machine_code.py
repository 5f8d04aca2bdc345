"""The machine instructions that a conversion costs on a GPU, read from the compiler's output.

A kernel that loads, converts and stores four groups of codes is compiled and disassembled
(``cuda/count.cu``). The conversion is every instruction that depends on a loaded word, except the
stores; each takes one issue slot of a warp. The other instructions make addresses, which a kernel
without the conversion has too, and constants, which a kernel makes once for all groups; constants
are counted separately. No GPU is needed.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from analysis.gpu.cuda_toolkit import compile_cubin, disassemble, need_toolkit
from analysis.gpu.device_function import DeviceFunction

# Kinds by the first part of an opcode. `kind` also reads operands if that is not enough.
KINDS = {
    **dict.fromkeys(("LOP3", "LOP"), "logic"),
    **dict.fromkeys(("SHF", "SHL", "SHR"), "shift"),
    "PRMT": "permute",
    **dict.fromkeys(("HMUL2", "HADD2", "HFMA2"), "half"),
    **dict.fromkeys(("IADD", "IADD3", "VIADD", "IMAD", "LEA", "ISCADD"), "integer"),
    "LDS": "look-up",
    **dict.fromkeys(("MOV", "UMOV", "CS2R", "LDC", "LDCU", "ULDC"), "move"),
    "LDG": "load",
    **dict.fromkeys(("STG", "STS"), "store"),
}
TRAFFIC = ("load", "store")
GROUPS = 4  # as in cuda/count.cu

_REGISTER = re.compile(r"\bU?[RP]\d+")
_NUMBER = re.compile(r"\d+")
_PREDICATE = re.compile(r"P\d")


class Instruction(NamedTuple):
    """One machine instruction.

    Examples
    --------
    >>> from analysis.gpu.machine_code import Instruction
    >>> Instruction("IMAD.U32", ("R9", "R4", "0x10000", "RZ")).kind
    'shift'
    """

    opcode: str  # with its modifiers, as in "SHF.R.U32.HI"
    operands: tuple[str, ...]  # the destination first
    guard: str = ""  # the predicate under which it acts, as in "@!P0"

    @property
    def kind(self) -> str:
        """The kind of operation: a value of `KINDS`, or "other".

        The compiler spreads work over the GPU's pipes, so one operation has several opcodes: a
        shift to the left may be IMAD.SHL or a multiplication by a power of two, a product of
        halves HFMA2 with an addend of -0.
        """
        name, _, modifiers = self.opcode.partition(".")
        if name == "IMAD":
            if modifiers.startswith("MOV"):
                return "move"
            if modifiers.startswith("SHL") or self._multiplies_by_a_power_of_two():
                return "shift"
        return KINDS.get(name, "other")

    @property
    def reads(self) -> set[str]:
        """Registers and predicates that the instruction reads."""
        sources = self.operands if self.kind == "store" else self.operands[1:]
        return set(_REGISTER.findall(",".join((self.guard, *sources))))

    @property
    def writes(self) -> set[str]:
        """Registers and predicates that the instruction writes."""
        if self.kind == "store":
            return set()
        first, *others = self.operands
        written = set(_REGISTER.findall(first))
        if others and _PREDICATE.fullmatch(others[0]):  # a carry, as in IADD3 R6,P2,R8,0x100,RZ
            written.add(others[0])
        if {"64", "WIDE"} & set(self.opcode.split(".")):
            written |= {_NUMBER.sub(lambda n: str(int(n[0]) + 1), name) for name in written}
        return written

    def _multiplies_by_a_power_of_two(self) -> bool:
        factor, addend = self.operands[2:4]
        return _is_zero(addend) and factor.startswith("0x") and int(factor, 16).bit_count() == 1


def _is_zero(operand: str) -> bool:
    return operand.lstrip("-").partition(".")[0] == "RZ"


@dataclass(frozen=True)
class MachineCost:
    """The cost of a conversion on one architecture.

    Parameters
    ----------
    compiler : str
        Version of the CUDA toolkit.
    arch : str
        Such as "sm_80".
    codes : int
        Codes of a group.
    kinds : dict of str to int
        Instructions per group by `Instruction.kind`.
    opcodes : dict of str to float
        The same by opcode: means over four groups, since the compiler alternates between equivalent
        opcodes.
    constants : int
        Instructions that occur once for all groups. Besides loads, stores and addresses the kernel
        has four times ``kinds`` and these. (A constant put into one half of a register that held a
        word seems to depend on it; it occurs less than four times, and so it counts here.)
    """

    compiler: str
    arch: str
    codes: int
    kinds: dict[str, int]
    opcodes: dict[str, float]
    constants: int

    @property
    def total(self) -> int:
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
        From `analysis.gpu.cuda_toolkit.compile_cubin`.

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
            Instruction(
                entry["opcode"],
                tuple(entry.get("operands", "").split(",")),
                entry.get("predicate", ""),
            )
            for entry in function["sass-instructions"]
            if entry["opcode"] != "NOP"
        ]
        for function in functions
    }


def depending_on_words(kernel: list[Instruction]) -> list[bool]:
    """Tell which instructions of a straight line of code depend on a word loaded from memory.

    Parameters
    ----------
    kernel : list of Instruction
        A kernel, of `read_kernels`.

    Returns
    -------
    list of bool
        For each instruction, whether it reads a loaded word or a value computed from one.

    Raises
    ------
    ValueError
        If the code branches.

    Examples
    --------
    >>> from analysis.gpu.machine_code import Instruction, depending_on_words
    >>> depending_on_words([
    ...     Instruction("LDG.E", ("R4", "[R2.64]")),
    ...     Instruction("MOV", ("R5", "0x64006400")),
    ...     Instruction("LOP3.LUT", ("R4", "R4", "0xf000f", "R5", "0xea", "!PT")),
    ... ])
    [False, False, True]
    """
    words: set[str] = set()  # registers that hold words or values computed from them
    depends = []
    for instruction in kernel:
        if instruction.opcode == "BRA":
            raise ValueError("kernel must be a straight line of code, got a branch")
        depends.append(not words.isdisjoint(instruction.reads))
        if depends[-1] or instruction.kind == "load":
            words |= instruction.writes
        elif not instruction.guard:
            words -= instruction.writes
    return depends


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
    >>> from analysis.gpu.device_function import DeviceFunction
    >>> from analysis.gpu.machine_code import machine_cost
    >>> shift = DeviceFunction(
    ...     "__device__ __forceinline__ void f(const uint32_t w[1], uint32_t out[1])"
    ...     "{ out[0] = w[0] >> 4; }",
    ...     "f", words=1, pairs=1,
    ... )
    >>> machine_cost(shift, "sm_90").opcodes  # doctest: +SKIP
    {'SHF.R.U32.HI': 1.0}
    """
    kernels = read_kernels(compile_cubin(function.source("count.cu"), arch))
    convert, copy = (_up_to_exit(kernels[name]) for name in ("convert", "copy"))
    _check_loads(function, convert, copy)
    conversion, others = _split(convert)
    _, frame = _split(copy)
    kinds = Counter(step.kind for step in conversion)
    opcodes = Counter(step.opcode for step in conversion)
    left_over = sum(count % GROUPS for count in kinds.values())
    return MachineCost(
        need_toolkit().version,
        arch,
        function.codes,
        kinds={kind: kinds[kind] // GROUPS for kind in sorted(kinds) if kinds[kind] >= GROUPS},
        opcodes={opcode: opcodes[opcode] / GROUPS for opcode in sorted(opcodes)},
        constants=len(others) - len(frame) + left_over,
    )


def _check_loads(
    function: DeviceFunction, convert: list[Instruction], copy: list[Instruction]
) -> None:
    """Raise if the conversion does not load each word once; the table's loads are in both."""
    loads, in_copy = (sum(step.kind == "load" for step in kernel) for kernel in (convert, copy))
    per_group = (loads - (in_copy - function.words)) / GROUPS
    if per_group != function.words:
        raise RuntimeError(
            f"{function.name} must use all its {function.words} words, got {per_group:g} loads a "
            "group"
        )


def _up_to_exit(kernel: list[Instruction]) -> list[Instruction]:
    """Return the code without the endless loop that the compiler appends."""
    return kernel[: [step.opcode for step in kernel].index("EXIT")]


def _split(kernel: list[Instruction]) -> tuple[list[Instruction], list[Instruction]]:
    """Return the instructions that depend on words, and the others; without loads and stores."""
    parts: tuple[list[Instruction], list[Instruction]] = ([], [])
    for step, depends in zip(kernel, depending_on_words(kernel), strict=True):
        if step.kind not in TRAFFIC:
            parts[0 if depends else 1].append(step)
    return parts
