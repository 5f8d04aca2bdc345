"""Build a program from a format and a layout: `to_half` and `look_up`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

from minifloat.formats import Format, NumberFormat
from minifloat.formats.base import check_bool
from minifloat.formats.codebook import short_name
from minifloat.formats.names import parse
from minifloat.packing.layouts import HALF_BITS, Layout, parse_layout
from minifloat.registers._floats import from_float
from minifloat.registers._gather import Gather, moves_to
from minifloat.registers._integers import from_integer, linear_of
from minifloat.registers._program import Op, Program, Register, Target
from minifloat.registers._target import MAX_TABLE_BITS, half_format, half_words, not_held

LOW_HALVES = 0x5410  # selector of PRMT: the low halves of a and b
PAIR_TABLE_BITS = 6  # for wider codes a table of pairs takes more than 16 KiB
INDEX_BIT = 2  # the index starts at this bit of a byte offset


def to_half(
    fmt: NumberFormat | str,
    layout: Layout | str,
    target: Target = "float16",
    *,
    fold_scale: bool = False,
) -> Program:
    """Return a program that turns packed codes into pairs of float16 or bfloat16.

    Codes of -0 give -0. Infinities and NaNs depend on the format: those of E5M2 stay infinities and
    NaNs in float16; the NaN codes of other formats are read as the next number of the grid (480 in
    E4M3FN) or, if NaN has the code of -0, as -0. `prove` lists them.

    Parameters
    ----------
    fmt : format or str
        A `Format` with subnormals and an exponent field that is not wider than the target's; an
        `Integer`; or a `Codebook`. A codebook with evenly spaced values that the target has
        (offset integers, bipolar integers) is converted as an integer, any other by `look_up`.
    layout : Layout or str
        The places of the codes in the words; a name as in `minifloat.parse_layout`.
    target : str
        "float16" or "bfloat16".
    fold_scale : bool
        Leave the multiplication by a power of two to the scale: outputs must then be divided by
        ``2**program.scale_exponent``. (A float16 scale above 2 overflows with E2M2's factor;
        float32 sums do not.) Integers and codebooks need no such factor.

    Returns
    -------
    Program

    Raises
    ------
    ValueError
        If the target does not have the values of the format, or the format has no such program.
    TypeError
        If ``fmt`` or ``layout`` has another type.

    References
    ----------
    The shift and the multiplication: FP6-LLM (arXiv 2401.14112) and FPE2M2 (Findings of ACL 2025).
    The addition of 1024 to integers: Kim et al. (arXiv 2211.10017).

    Examples
    --------
    >>> from minifloat import registers
    >>> program = registers.to_half("e2m1", "4", fold_scale=True)
    >>> print(program.scale_exponent, program.cost.per_weight)
    -14 1.875
    """
    fmt = parse(fmt)
    check_bool("fold_scale", fold_scale)
    gather = _gather(fmt, layout)
    half = half_format(target)
    if isinstance(fmt, Format):
        outputs, exponent = from_float(fmt, half, gather, fold_scale)
        return _program(fmt, gather, target, outputs, scale_exponent=exponent)
    linear = linear_of(fmt)
    if linear is not None and (fmt.is_integer or not not_held(fmt, half)):
        return _program(fmt, gather, target, from_integer(fmt, linear, half, gather))
    return look_up(fmt, layout, target)


def look_up(
    fmt: NumberFormat | str,
    layout: Layout | str,
    target: Target = "float16",
    *,
    pairs: bool | None = None,
) -> Program:
    """Return a program that looks codes up in a table, for comparison with `to_half`.

    Values that the target does not have are rounded to it once, to nearest even.

    Parameters
    ----------
    fmt : format or str
        Any format of up to 8 bits.
    layout : Layout or str
        The places of the codes in the words.
    target : str
        "float16" or "bfloat16".
    pairs : bool, optional
        Whether two codes are looked up together, in a table of ``4 * 4**bits`` bytes. Otherwise
        each code is looked up in a table of ``4 * 2**bits`` bytes, and two results are joined.
        Default: pairs up to 6 bits.

    Returns
    -------
    Program

    Raises
    ------
    ValueError
        If the format has more than 8 bits, or more than 6 for pairs.

    Examples
    --------
    >>> from minifloat import registers
    >>> program = registers.look_up("nf4", "dense")
    >>> program.cost.load, len(program.table)
    (4, 256)
    """
    fmt = parse(fmt)
    gather = _gather(fmt, layout)
    if pairs is None:
        pairs = fmt.bits <= PAIR_TABLE_BITS
    check_bool("pairs", pairs)
    if pairs and fmt.bits > PAIR_TABLE_BITS:
        raise ValueError(
            f"fmt must have at most {PAIR_TABLE_BITS} bits for a table of pairs, got {fmt}; use "
            "pairs=False"
        )
    if fmt.bits > MAX_TABLE_BITS:
        raise ValueError(
            f"fmt must have at most {MAX_TABLE_BITS} bits for a table, got {fmt}; name a narrower "
            "format"
        )
    values = np.zeros(1 << fmt.bits)  # 0 for codes without a value
    values[: fmt.code_count] = fmt.values()
    words = half_words(values, target).astype(np.uint32)
    table = words[None, :] | words[:, None] << HALF_BITS if pairs else words
    outputs = []
    for even in range(0, gather.layout.count, 2):
        low, high = gather.layout.places[even : even + 2]
        if pairs:
            outputs.append(_looked_up(gather, [*low, *high]))
        else:
            halves = _looked_up(gather, low), _looked_up(gather, high)
            outputs.append(gather.code.emit(Op.PRMT, *halves, LOW_HALVES))
    return _program(fmt, gather, target, outputs, table=table.reshape(-1))


def _looked_up(gather: Gather, places: Sequence[int]) -> Register:
    address = gather(moves_to(places, range(INDEX_BIT, INDEX_BIT + len(places))))
    return gather.code.emit(Op.LDS, address)


def _gather(fmt: NumberFormat, layout: Layout | str) -> Gather:
    layout = parse_layout(layout, fmt.bits)
    if layout.count % 2:
        raise ValueError(f"layout must have an even number of codes, for pairs, got {layout!r}")
    return Gather(layout)


def _program(
    fmt: NumberFormat,
    gather: Gather,
    target: Target,
    outputs: Sequence[Register],
    *,
    scale_exponent: int = 0,
    table: Iterable[int] = (),
) -> Program:
    table = tuple(map(int, table))
    word = short_name(fmt.name).replace("-", "minus")
    name = re.sub(r"\W+", "_", word, flags=re.ASCII).strip("_")
    return Program(
        name=f"{'_' if name[:1].isdigit() else ''}{name}_to_{target}{'_look_up' if table else ''}",
        layout=gather.layout,
        target=target,
        scale_exponent=scale_exponent,
        instructions=gather.code.instructions,
        outputs=tuple(outputs),
        table=table,
    )
