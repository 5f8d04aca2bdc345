"""A running sum in a float: the exact sum of a cycle's products and the register, rounded once."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from minifloat.arithmetic import Accumulator, SumFormat
from minifloat.formats import NumberFormat
from minifloat.formats.rounding import Rounding, RoundingLike
from minifloat.hardware.circuits import Words
from minifloat.hardware.rounders import round_up
from minifloat.hardware.sums import Adders, Range, Term
from minifloat.hardware.verilog import Module, literal

MAX_BIAS = 127  # float32's
MOST_STEPS = 96  # of the products' unit in a number from which a check begins, in binades


@dataclass(frozen=True, init=False)
class FloatSum:
    """An accumulator that is a float, such as float32.

    Each clock cycle the products of all lanes and the register are added exactly, and the sum is
    rounded once: this is ``Accumulator(fmt, rounding=..., overflow=..., terms=lanes)`` of
    `minifloat.arithmetic`.

    Parameters
    ----------
    fmt : str, Format or SumFormat
        A float with IEEE's infinities: float32, float16, bfloat16, e8m13 and the like.
    rounding : Rounding or str
        Of each new sum; no stochastic mode.
    overflow : "infinity" or "saturate"
        What becomes of a sum beyond the format. An infinite sum stays what it is.

    Raises
    ------
    ValueError
        If the format is no such float, or an option has no such value.
    TypeError
        If an argument has another type.

    Examples
    --------
    >>> from minifloat.hardware import FloatSum
    >>> FloatSum("bfloat16", rounding="toward_zero")
    FloatSum(fmt=bfloat16, rounding=toward_zero, overflow='infinity')
    """

    fmt: SumFormat
    rounding: Rounding
    overflow: str

    def __init__(
        self,
        fmt: SumFormat | NumberFormat | str = "float32",
        *,
        rounding: RoundingLike = Rounding.NEAREST_EVEN,
        overflow: Literal["infinity", "saturate"] = "infinity",
    ) -> None:
        to = SumFormat.parse(fmt)
        bias = 1 - to.emin
        largest = (2.0 - 2.0**-to.mantissa_bits) * 2.0**bias
        is_full = bias & (bias + 1) == 0 and to.largest == largest
        if not (to.has_inf and is_full) or bias > MAX_BIAS:
            raise ValueError(
                f"fmt must be a float with IEEE's infinities and at most float32's exponents, "
                f"got {to}; such as float32"
            )
        own = Accumulator(to, rounding=rounding, overflow=overflow)
        if own.rounding.is_stochastic:
            raise ValueError(
                f"rounding must not be stochastic, got {own.rounding}; use nearest_even"
            )
        object.__setattr__(self, "fmt", own.fmt)
        object.__setattr__(self, "rounding", own.rounding)
        object.__setattr__(self, "overflow", own.overflow)

    def __repr__(self) -> str:
        return f"FloatSum(fmt={self.fmt}, rounding={self.rounding}, overflow={self.overflow!r})"

    @property
    def exponent_bits(self) -> int:
        """Width of the exponent's field."""
        return 1 + (1 - self.fmt.emin).bit_length()  # the bias is 2**(exponent_bits - 1) - 1

    @property
    def width(self) -> int:
        """Width of the sum in bits."""
        return 1 + self.exponent_bits + self.fmt.mantissa_bits

    def accumulator(self, lanes: int) -> Accumulator:
        """Return what a dot product of so many lanes does, as emulated arithmetic has it."""
        return Accumulator(
            self.fmt,
            rounding=self.rounding,
            overflow="saturate" if self.overflow == "saturate" else "infinity",
            terms=lanes,
        )

    def words(self, sums: NDArray[np.floating]) -> Words:
        """Return sums as the bits of the format."""
        m, emin = self.fmt.mantissa_bits, self.fmt.emin
        size = np.abs(sums.astype(np.float64))
        infinite = np.isinf(size)
        size[infinite] = 0
        binade = np.maximum(np.frexp(size)[1] - 1, emin)
        steps = np.ldexp(size, m - binade).astype(np.int64)
        steps += (binade - emin).astype(np.int64) << m
        steps[size == 0] = 0
        steps[infinite] = self._infinity
        sign = (sums < 0).astype(np.int64) << (self.width - 1)  # a sum that is 0 is +0
        return np.asarray(steps | sign, np.uint64)

    def numbers(self, words: Words) -> NDArray[np.float64]:
        """Return what bits of the format mean: undoes `words`."""
        m = self.fmt.mantissa_bits
        steps = words.astype(np.int64) & ((1 << self.width - 1) - 1)
        binade = np.maximum((steps >> m) - 1, 0)
        size = np.ldexp((steps - (binade << m)).astype(np.float64), binade + self.fmt.emin - m)
        size[steps == self._infinity] = np.inf
        return np.asarray(np.where(words.astype(np.int64) >> self.width - 1, -size, size))

    def starts(self, unit: Fraction) -> tuple[int, ...]:
        """Return words to begin sums from: ends of binades, as far as ``unit`` divides them."""
        m, top = self.fmt.mantissa_bits, (1 << self.exponent_bits) - 1
        ends = np.array([0, 1, 2, (1 << m - 1) + 1, (1 << m) - 2, (1 << m) - 1])
        words = (np.arange(top)[:, None] << m | ends).ravel().astype(np.uint64)
        steps = self.numbers(words) / float(unit)
        words = words[(steps == np.floor(steps)) & (steps < 2.0**MOST_STEPS)]
        sign = np.uint64(1 << self.width - 1)
        finite = [*words.tolist(), *(words[1:] | sign).tolist()]  # without -0, which no sum is
        ends = np.array([self._infinity - 1, self._infinity], np.uint64)
        return (*finite, *ends.tolist(), *(ends | sign).tolist())

    @property
    def _infinity(self) -> int:
        return ((1 << self.exponent_bits) - 1) << self.fmt.mantissa_bits


def add_float(
    module: Module, adders: Adders, term: Term, unit: Fraction, old: str, to: FloatSum
) -> str:
    """Add the rounded sum of an integer and a float; return the net of its bits.

    Both are multiples of ``unit``. The float's significand is shifted to its place above the
    integer's bits, at most two places above the integer's top: from there on the integer cannot
    reach half a step of the float, and how far it is below does not matter.

    Parameters
    ----------
    module : Module
    adders : Adders
    term : Term
        The integer, times ``unit``.
    unit : Fraction
        A power of two.
    old : str
        The net of the float.
    to : FloatSum

    Raises
    ------
    ValueError
        If the float's steps are coarser than ``unit`` everywhere, or finer.
    """
    e, m, emin = to.exponent_bits, to.fmt.mantissa_bits, to.fmt.emin
    weight = unit.numerator.bit_length() - unit.denominator.bit_length()  # of the unit
    finer = emin - m - weight  # binades from the unit to the float's smallest step
    if finer > 0 or 1 - emin < weight + m:
        raise ValueError(
            f"accumulator must hold multiples of the products' unit, 2**{weight}, got {to.fmt}; "
            "use float32"
        )
    above = term.range.width + 2
    limit = above + 1 - finer  # the field of a float that stands ``above`` places above the unit
    top = (1 << e) - 1  # the field of infinity

    sign = module.wire("old_sign", 1, f"{old}[{to.width - 1}]")
    field = module.wire("old_field", e, f"{old}[{m + e - 1}:{m}]")
    is_normal = module.wire("old_normal", 1, f"{field} != {literal(0, e)}")
    mantissa = f"{old}[{m - 1}:0]" if m > 1 else f"{old}[0]"
    significand = module.wire("old_significand", m + 1, f"{{{is_normal}, {mantissa}}}")
    wide = max(e, limit.bit_length()) + 1
    place = module.wire("old_place", wide, f"{is_normal} ? {field} : {literal(1, wide)}")
    bound = literal(limit, wide)
    is_above = module.wire("is_above", 1, f"{place} >= {bound}" if limit <= top else "1'h0")
    down = module.wire("down", (above + m).bit_length(), f"{is_above} ? 0 : {bound} - {place}")
    beyond = module.wire("beyond", e, f"{is_above} ? {place} - {bound} : 0")
    width = m + 1 + above
    unshifted = module.wire("unshifted", width, f"{{{significand}, {above}'h0}}")
    shifted = module.wire("shifted", width + 1, f"{unshifted} >> {down}")
    addend = module.wire("addend", width + 1, f"{shifted} ^ {{{width + 1}{{{sign}}}}}", signed=True)
    whole = Range(-(1 << width), (1 << width) - 1)
    total = Range(2 * whole.low, 2 * whole.high + 1)
    net = adders.add(module, "total", term, Term(addend, whole), total, sign).net

    new_sign = module.wire("new_sign", 1, f"{net}[{width + 1}]")
    size = width + 1
    magnitude = module.wire("new_magnitude", size, f"{new_sign} ? -{net} : {net}")
    least = finer + m  # the place of the leading bit of the smallest normal number
    normal, zeros = _normalized(module, magnitude, size, max(least, 0))
    odd = f"{normal}[{size - m - 1}]"
    sticky = module.wire("sticky", 1, f"|{normal}[{size - m - 3}:0]")
    up = round_up(module, to.rounding, 0, f"{normal}[{size - m - 2}]", sticky, odd, new_sign)
    fields = max(size - least + top, 1).bit_length() + 1
    binade = f"{literal(size - least, fields)} - {zeros} + {beyond}"
    new_field = module.wire("new_field", fields, f"{normal}[{size - 1}] ? {binade} : 0")
    kept = f"{normal}[{size - 2}:{size - m - 1}]"
    rounded = module.wire("rounded", fields + m, f"{{{new_field}, {kept}}} + {up}")
    infinity = top << m
    most = infinity if to.overflow == "infinity" else infinity - 1
    over = module.wire("over", 1, f"{rounded} >= {literal(infinity, fields + m)}")
    finite = module.wire("finite", e + m, f"{over} ? {literal(most, e + m)} : {rounded}")
    kept_infinity = f"{field} == {literal(top, e)} ? {old} : "
    return module.wire(
        "rounded_sum",
        to.width,
        f"{kept_infinity * (to.overflow == 'infinity')}{{{new_sign}, {finite}}}",
    )


def _normalized(module: Module, word: str, width: int, least: int) -> tuple[str, str]:
    """Add a word shifted until its leading bit is the top one, and by how much it is shifted.

    A word whose leading bit is below ``least`` is shifted as if it were there.
    """
    guide = word
    if least:
        guide = module.wire("guide", width, f"{word} | {literal(1 << least, width)}")
    zeros = []
    for stage in reversed(range((width - 1).bit_length())):
        step = 1 << stage
        net = module.wire(f"zeros{stage}", 1, f"{guide}[{width - 1}:{width - step}] == 0")
        word = module.wire(f"normal{stage}", width, f"{net} ? {word} << {step} : {word}")
        if least:
            guide = module.wire(f"guide{stage}", width, f"{net} ? {guide} << {step} : {guide}")
        else:
            guide = word
        zeros.append(net)
    return word, module.wire("zeros", len(zeros), f"{{{', '.join(zeros)}}}")
