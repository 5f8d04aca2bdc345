"""The cost of conversion for many formats: `costs`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from minifloat.formats import Format, NumberFormat
from minifloat.formats.names import parse
from minifloat.registers._build import to_half
from minifloat.registers._program import Cost, Program, Target
from minifloat.registers._search import search


class CostRow(NamedTuple):
    """The cheapest programs found for a format.

    ``folded`` leaves the power of two to the scale. ``whole`` has the same layout and multiplies by
    the power of two; it is None if the target does not have the values of the format, and equal to
    ``folded`` if there is no factor. ``bound`` is a lower bound: no layout's ``folded`` program
    converts the same weights with fewer instructions.
    """

    fmt: NumberFormat
    folded: Program
    whole: Program | None
    bound: int

    @property
    def cost(self) -> Cost:
        """Instructions with the power of two left to the scale."""
        return self.folded.cost


def table_formats() -> list[NumberFormat]:
    """Return the formats compared by default: ExMy of 4 to 8 bits, OFP8, INT4..INT8, NF4, NF5.

    Returns
    -------
    list of NumberFormat

    Examples
    --------
    >>> from minifloat import registers
    >>> len(registers.table_formats())
    31
    """
    floats = [
        Format(exponent_bits, bits - 1 - exponent_bits)
        for bits in range(4, 9)
        for exponent_bits in range(1, min(bits - 1, 5) + 1)
    ]
    others = ["e4m3fn", "e5m2", *(f"int{bits}" for bits in range(4, 9)), "nf4", "nf5"]
    return [*floats, *map(parse, others)]


def costs(
    formats: Iterable[NumberFormat | str] | NumberFormat | str | None = None,
    target: Target = "float16",
    *,
    progress: Callable[[int, int], object] | None = None,
) -> list[CostRow]:
    """Search for the cheapest program of each format.

    Parameters
    ----------
    formats : formats or names, or one, optional
        Default: every signed ExMy of 4 to 8 bits without specials and with at most 5 exponent bits,
        E4M3FN, E5M2, INT4 to INT8, NF4 and NF5.
    target : str
        "float16" or "bfloat16".
    progress : callable, optional
        Called with the number of formats done, from 0 on, and their total number.

    Returns
    -------
    list of CostRow

    Raises
    ------
    ValueError
        As in `search`.

    Examples
    --------
    >>> from minifloat import registers
    >>> row, = registers.costs(["e5m2"])
    >>> row.cost.per_weight, row.folded.layout.name
    (0.5, 'dense')
    """
    if isinstance(formats, str | NumberFormat):
        formats = [formats]
    parsed = [parse(fmt) for fmt in (table_formats() if formats is None else formats)]
    rows = []
    if progress is not None:
        progress(0, len(parsed))
    for done, fmt in enumerate(parsed):
        result = search(fmt, target, fold_scale=True)
        whole = _whole(fmt, result.program, target)
        rows.append(CostRow(fmt, result.program, whole, result.bound))
        if progress is not None:
            progress(done + 1, len(parsed))
    return rows


def _whole(fmt: NumberFormat, folded: Program, target: Target) -> Program | None:
    if not folded.scale_exponent:
        return folded
    try:
        return to_half(fmt, folded.layout, target)
    except ValueError:  # the target does not have all values
        return None
