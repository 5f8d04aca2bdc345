"""What conversion costs, format by format: `costs`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from minifloat.formats import Format, NumberFormat
from minifloat.formats.names import parse
from minifloat.registers._build import to_half
from minifloat.registers._program import Cost, Program, Target
from minifloat.registers._search import search


class CostRow(NamedTuple):
    """A format's cheapest programs found.

    ``folded`` leaves the power of two to the scale; ``whole`` is the same layout's with it done, or
    None where the target does not hold the format's values. They are the same for formats that have
    none. ``least`` is a number of instructions for the same
    weights that no layout's ``folded`` program goes below.
    """

    fmt: NumberFormat
    folded: Program
    whole: Program | None
    least: int

    @property
    def cost(self) -> Cost:
        """Instructions with the power of two left to the scale."""
        return self.folded.cost


def table_formats() -> list[NumberFormat]:
    """Return the formats of the table: signed ExMy of 4 to 8 bits, OFP8, INT4 to INT8, NF4, NF5."""
    floats = [
        Format(exponent_bits, bits - 1 - exponent_bits)
        for bits in range(4, 9)
        for exponent_bits in range(1, min(bits - 1, 5) + 1)
    ]
    others = ["e4m3fn", "e5m2", *(f"int{bits}" for bits in range(4, 9)), "nf4", "nf5"]
    return [*floats, *map(parse, others)]


def costs(
    formats: Iterable[NumberFormat | str] | None = None,
    target: Target = "float16",
    *,
    progress: Callable[[int, int], object] | None = None,
) -> list[CostRow]:
    """Search the cheapest program of each format.

    Parameters
    ----------
    formats : iterable of formats or str, optional
        Default: every signed ExMy of 4 to 8 bits without specials and with at most 5 exponent bits,
        E4M3FN, E5M2, INT4 to INT8, NF4 and NF5.
    target : str
        "float16" or "bfloat16".
    progress : callable, optional
        Called with the formats done and their number.

    Returns
    -------
    list of CostRow

    Raises
    ------
    ValueError
        As `search`.

    Examples
    --------
    >>> from minifloat import registers
    >>> row, = registers.costs(["e5m2"])
    >>> row.cost.per_weight, row.folded.layout.name
    (0.5, 'dense')
    """
    chosen = [parse(fmt) for fmt in (table_formats() if formats is None else formats)]
    rows = []
    for done, fmt in enumerate(chosen):
        found = search(fmt, target, fold_scale=True)
        whole = _whole(fmt, found.program, target)
        rows.append(CostRow(fmt, found.program, whole, found.least))
        if progress is not None:
            progress(done + 1, len(chosen))
    return rows


def _whole(fmt: NumberFormat, folded: Program, target: Target) -> Program | None:
    if not folded.scale_exponent:
        return folded
    try:
        return to_half(fmt, folded.layout, target)
    except ValueError:  # values beyond the target
        return None
