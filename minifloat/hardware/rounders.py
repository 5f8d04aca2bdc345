"""Shift and round: a number to the nearest place of a binary grid, in any mode.

The grid is that of `minifloat.formats.base.BinaryGrid`: magnitudes in equal steps up to
``2**emin``, then in steps that double. The significand of a number is shifted right until its last
bit has the weight of a step. What is shifted out is the fraction: its first bits are kept, and a
sticky bit is 1 if any of its others is. The number of the binade, added above
the mantissa, makes the magnitude of the code, and rounding up adds 1 to it.
"""

from __future__ import annotations

from typing import NamedTuple

from minifloat.formats.base import BinaryGrid
from minifloat.formats.rounding import Rounding, Threshold, away_threshold
from minifloat.hardware.sources import Source
from minifloat.hardware.verilog import Module, literal, span


class Shifted(NamedTuple):
    """A number before it is shifted: nets and widths."""

    significand: str
    width: int
    dropped: int  # bits below a step of the lowest binade; negative: steps are finer than they
    shift: str | None  # how much further it is to be shifted
    max_shift: int
    binade: str | None  # counted from the lowest one
    max_binade: int


def can_round(source: Source, grid: BinaryGrid) -> bool:
    """Whether a source's subnormals are below the lowest binade of a grid, or at it."""
    return source.fields is None or grid.emin + source.fields.bias >= 1


def fraction_bits(rounding: Rounding, random_bits: int) -> int:
    """Return how many bits of the fraction a mode needs beside the sticky bit."""
    if rounding is Rounding.STOCHASTIC:
        return random_bits
    if rounding in (Rounding.STOCHASTIC_B, Rounding.STOCHASTIC_C):
        return random_bits + 1
    return 1


def magnitude_code(
    module: Module,
    source: Source,
    grid: BinaryGrid,
    rounding: Rounding,
    random_bits: int,
    sign: str,
    magnitude: str,
) -> tuple[str, int, str]:
    """Add the rounded magnitude of a number.

    Returns
    -------
    magnitude : str
        A net: the magnitude of the code, if it does not overflow.
    width : int
        Its width.
    beyond : str
        A net that says that the magnitude is far beyond the grid.
    """
    kept = fraction_bits(rounding, random_bits)
    m = grid.mantissa_bits
    if source.fields is None:
        found = _from_integer(module, source, grid, magnitude)
    else:
        found = _from_float(module, source, grid, magnitude, m + 1 + kept)
    whole, fraction, sticky = _shift(module, found, m + 1, kept)
    limit = max(grid.limit, grid.negative_limit)
    top = min((limit >> m) + 1, found.max_binade)
    width = max(((top << m) + (2 << m)).bit_length(), limit.bit_length())
    beyond = "1'h0"
    if found.binade is None:
        code = module.wire("truncated", width, whole)
    else:
        binade = found.binade
        beyond = module.wire("beyond", 1, f"{binade} > {top}")
        low_binade = module.wire("low_binade", width, f"{beyond} ? {literal(0, width)} : {binade}")
        code = module.wire("truncated", width, f"{whole} + ({low_binade} << {m})")
    up = round_up(module, rounding, random_bits, fraction, sticky, f"{code}[0]", sign)
    return module.wire("rounded", width, f"{code} + {up}"), width, beyond


def _from_float(
    module: Module, source: Source, grid: BinaryGrid, magnitude: str, shift_limit: int
) -> Shifted:
    """Add a float's significand, its binade, and the shift of what is below the lowest binade."""
    assert source.fields is not None
    e, mantissa, bias = source.fields.exponent_bits, source.fields.mantissa_bits, source.fields.bias
    field = module.wire("field", e, f"{magnitude}[{mantissa + e - 1}:{mantissa}]")
    is_normal = module.wire("is_normal", 1, f"{field} != {literal(0, e)}")
    significand = module.wire(
        "significand", mantissa + 1, f"{{{is_normal}, {magnitude}[{mantissa - 1}:0]}}"
    )
    place = module.wire("place", e, f"{is_normal} ? {field} : {literal(1, e)}")
    lowest = grid.emin + bias  # the field of the grid's lowest binade
    last = (1 << e) - 2  # the field of the largest float
    shift = binade = None
    max_shift = min(max(lowest - 1, 0), shift_limit)
    if max_shift:
        width = max(e, lowest.bit_length()) + 1
        far = module.wire(
            "far", width, f"{place} < {lowest} ? {literal(lowest, width)} - {place} : 0"
        )
        shift = module.wire(
            "shift",
            max_shift.bit_length(),
            f"{far} > {max_shift} ? {literal(max_shift, max_shift.bit_length())} : {far}",
        )
    if last > lowest:
        binade = module.wire(
            "binade", e, f"{place} > {lowest} ? {place} - {literal(lowest, e)} : {literal(0, e)}"
        )
    dropped = mantissa - grid.mantissa_bits
    return Shifted(
        significand, mantissa + 1, dropped, shift, max_shift, binade, max(last - lowest, 0)
    )


def _from_integer(module: Module, source: Source, grid: BinaryGrid, magnitude: str) -> Shifted:
    """Add an integer's binade, by its leading bit; it is shifted by this much."""
    width = source.magnitude_width
    weight = source.unit.numerator.bit_length() - source.unit.denominator.bit_length()
    dropped = grid.emin - grid.mantissa_bits - weight
    most = width - 1 + weight - grid.emin
    if most <= 0:
        return Shifted(magnitude, width, dropped, None, 0, None, 0)
    size = most.bit_length()
    module.line(f"reg {span(size)}binade;")
    module.line(f"always @* casez ({magnitude})")
    for binade in range(most, 0, -1):
        place = binade + grid.emin - weight  # of the leading bit
        if place >= 0:
            pattern = "0" * (width - 1 - place) + "1" + "?" * place
            module.line(f"    {width}'b{pattern}: binade = {literal(binade, size)};")
    module.line(f"    default: binade = {literal(0, size)};")
    module.line("endcase")
    return Shifted(magnitude, width, dropped, "binade", most, "binade", most)


def _shift(module: Module, x: Shifted, whole: int, kept: int) -> tuple[str, str, str]:
    """Add the whole part, the first bits of the fraction, and the sticky bit."""
    net, width, dropped, sticky = x.significand, x.width, x.dropped, []
    if dropped > kept:  # bits that are sticky whatever the shift
        low = dropped - kept
        if low >= width:
            sticky.append(f"|{net}")
            net, width = module.wire("shiftable", 1, "1'h0"), 1
        else:
            sticky.append(f"|{net}[{low - 1}:0]")
            net, width = (
                module.wire("shiftable", width - low, f"{net}[{width - 1}:{low}]"),
                (width - low),
            )
    elif dropped < kept:
        zeros = kept - dropped
        net, width = (
            module.wire("shiftable", width + zeros, f"{{{net}, {zeros}'h0}}"),
            (width + zeros),
        )
    total = max(width, whole + kept) + x.max_shift
    padded = f"{{{net}, {x.max_shift}'h0}}" if x.max_shift else net
    wide = module.wire("unshifted", total, padded)
    if x.shift is not None:
        wide = module.wire("shifted", total, f"{wide} >> {x.shift}")
        sticky.append(f"|{wide}[{x.max_shift - 1}:0]")
    low = x.max_shift
    fraction = module.wire("fraction", kept, f"{wide}[{low + kept - 1}:{low}]")
    part = module.wire("whole", whole, f"{wide}[{low + kept + whole - 1}:{low + kept}]")
    return part, fraction, module.wire("sticky", 1, " | ".join(sticky) or "1'h0")


def round_up(
    module: Module,
    rounding: Rounding,
    random_bits: int,
    fraction: str,
    sticky: str,
    odd: str,
    sign: str,
) -> str:
    """Add the bit that rounds away from zero, and return its net.

    Parameters
    ----------
    module : Module
    rounding : Rounding
    random_bits : int
    fraction, sticky : str
        The first bits of what is cut off, and whether there are others.
    odd, sign : str
        The last bit that is kept, and the number's sign.
    """
    if rounding.is_stochastic:
        return _stochastic_up(module, rounding, random_bits, fraction, sticky)
    conditions = {
        Threshold.ABOVE_ZERO: f"({fraction} | {sticky})",
        Threshold.HALF: fraction,
        Threshold.ABOVE_HALF: f"({fraction} & {sticky})",
        Threshold.NEVER: "1'h0",
    }
    by_sign = []
    for negative in (False, True):
        even, uneven = (
            conditions[away_threshold(rounding, odd=is_odd, negative=negative)]
            for is_odd in (False, True)
        )
        by_sign.append(even if even == uneven else f"({odd} ? {uneven} : {even})")
    positive, negative_up = by_sign
    both = positive if positive == negative_up else f"{sign} ? {negative_up} : {positive}"
    return module.wire("up", 1, both)


def _stochastic_up(
    module: Module, rounding: Rounding, random_bits: int, fraction: str, sticky: str
) -> str:
    """Add the carry of the fraction plus the random word, in P3109's three ways, or a coin."""
    n = random_bits
    if rounding is Rounding.STOCHASTIC_EQUAL:
        coin = f"random[{n - 1}]" if n > 1 else "random"
        return module.wire("up", 1, f"{coin} & ({fraction} | {sticky})")
    if rounding is Rounding.STOCHASTIC:
        total = module.wire("total", n + 1, f"{fraction} + random")
        return module.wire("up", 1, f"{total}[{n}]")
    total = module.wire("total", n + 2, f"{fraction} + {{random, 1'h1}}")
    carry = f"{total}[{n + 1}]"
    if rounding is Rounding.STOCHASTIC_C:  # a tie goes up where the number of steps left is even
        odd = "random[0]" if n > 1 else "random"
        carry = f"{carry} & (~{odd} | (|{total}[{n}:0]) | {sticky})"
    return module.wire("up", 1, carry)
