"""Execute a program: `run`."""

from __future__ import annotations

from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from minifloat import _arrays
from minifloat._kernels import registers as kernels
from minifloat._tensors import AnyTensor, Tensor
from minifloat.registers._program import Op, Program, Register, check_program

Array = NDArray[Any]

SMALLEST_NORMAL = {"float16": 0x0400, "bfloat16": 0x0080}
OPCODES = {op: getattr(kernels, op.value) for op in Op}


@overload
def run(
    program: Program, words: Tensor, *, flush_subnormals: bool = False, out: None = None
) -> Tensor: ...
@overload
def run(
    program: Program,
    words: NDArray[np.uint32],
    *,
    flush_subnormals: bool = False,
    out: NDArray[np.uint32] | None = None,
) -> NDArray[np.uint32]: ...
def run(
    program: Program,
    words: NDArray[np.uint32] | AnyTensor,
    *,
    flush_subnormals: bool = False,
    out: NDArray[np.uint32] | AnyTensor | None = None,
) -> Any:
    """Execute a program on packed words, bit for bit as a GPU does.

    Results are rounded to nearest even and keep subnormals; a NaN result is 0x7fff.

    Parameters
    ----------
    program : Program
    words : ndarray of uint32, shape (..., groups * program.layout.words)
        The result of `minifloat.pack_words`.
    flush_subnormals : bool
        Replace subnormal operands and results of arithmetic on halves by zero, as a machine in
        flush-to-zero mode does. NVIDIA's GPUs keep subnormals of halves.
    out : ndarray of uint32, optional
        Where to put the results; contiguous.

    Returns
    -------
    ndarray of uint32, shape (..., groups * program.layout.count / 2)
        Pairs of halves. On a little-endian machine ``.view(numpy.float16)`` gives the weights in
        the order of their codes (``.view(ml_dtypes.bfloat16)`` for a bfloat16 program).

    Raises
    ------
    TypeError
        If ``words`` are not uint32.
    ValueError
        If the last axis does not have whole groups, ``out`` has another shape, or a look-up is
        outside the table.

    Examples
    --------
    >>> import numpy as np
    >>> from minifloat import registers
    >>> program = registers.to_half("e2m1", "4")
    >>> registers.run(program, np.array([0x76543210], np.uint32)).view(np.float16)
    array([0. , 2. , 0.5, 3. , 1. , 4. , 1.5, 6. ], dtype=float16)
    """
    check_program(program)
    a = _arrays.as_array("words", words)
    if isinstance(words, list | tuple) or a.dtype != np.uint32:
        kind = type(words).__name__ if isinstance(words, list | tuple) else a.dtype.name
        raise TypeError(f"words must be a NumPy array of uint32, got {kind}; use pack_words")
    layout = program.layout
    if a.ndim == 0 or a.shape[-1] % layout.words:
        raise ValueError(
            f"words must have whole groups of {layout.words} on their last axis, got shape "
            f"{a.shape}"
        )
    count = layout.count // 2
    shape = (*a.shape[:-1], a.shape[-1] // layout.words * count)
    pairs = _arrays.output_array(out, np.broadcast_to(np.uint32(0), shape), np.uint32)
    if not pairs.flags.c_contiguous or np.may_share_memory(pairs, a):
        raise ValueError(
            "out must be contiguous and not overlap words; leave it out to get a new array"
        )
    machine = _machine(program)
    outside = kernels.execute(
        np.ascontiguousarray(a, np.uint32).reshape(-1, layout.words),
        machine.code,
        machine.outputs,
        machine.registers,
        machine.table,
        program.target == "bfloat16",
        SMALLEST_NORMAL[program.target] if flush_subnormals else 0,
        pairs.reshape(-1, count),
    )
    if outside:
        raise ValueError(
            f"program must look up within its table of {4 * len(program.table)} bytes, got "
            f"{outside} look-ups outside it; mask the address"
        )
    return _arrays.as_given(words, pairs, out)


class _Machine(NamedTuple):
    """A program as arrays for the kernel."""

    code: NDArray[np.int64]
    outputs: NDArray[np.int64]
    registers: NDArray[np.uint32]
    table: NDArray[np.uint32]


def _machine(program: Program) -> _Machine:
    first_constant = program.layout.words + len(program.instructions)
    constants: dict[int, int] = {}

    def row(operand: object) -> int:
        if isinstance(operand, Register):
            return operand.index
        assert isinstance(operand, int)
        return first_constant + constants.setdefault(operand, len(constants))

    code = np.zeros((len(program.instructions), 6), np.int64)
    for line, (register, (op, operands, table)) in zip(code, program.numbered(), strict=True):
        extra = table
        # Program has checked that these operands are constants
        if op.kind == "shift":
            operands, extra = operands[:1], int(operands[1])  # type: ignore[arg-type]
        elif op is Op.PRMT:
            operands, extra = operands[:2], int(operands[2])  # type: ignore[arg-type]
        rows = [row(operand) for operand in operands]
        rows += rows[:1] * (3 - len(rows))
        line[:] = OPCODES[op], register.index, *rows, extra
    registers = np.zeros((first_constant + len(constants), kernels.TILE_GROUPS), np.uint32)
    for constant, number in constants.items():
        registers[first_constant + number] = constant
    return _Machine(
        code,
        np.array([output.index for output in program.outputs], np.int64),
        registers,
        np.array(program.table or (0,), np.uint32),
    )
