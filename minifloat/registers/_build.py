"""From a format and a layout to a program: `to_half` and `look_up`.

The rule for ExMy, with M mantissa bits and a float16 or bfloat16 of m: a magnitude shifted left by
m - M is the word of ``value * 2**(bias - target bias)``, subnormals included, for the exponent
field keeps its distance from the significand and a zero field means the same in both. The sign
goes to the top. One multiplication by a power of two makes up for the biases, or is left to the
scale. For integers q the word of ``2**m + q * 2**p`` has q at bit p of its mantissa, so the bits
are put there and one addition, or multiplication and addition, takes the rest away.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat.codec import decode, encode
from minifloat.formats import Codebook, Format, Integer, NumberFormat, Specials
from minifloat.layouts import HALF, WORD, Layout, parse_layout
from minifloat.names import parse
from minifloat.registers._program import (
    AND_OR,
    AND_XOR,
    Builder,
    Op,
    Operand,
    Program,
    Register,
    Target,
)

ALL_ONES = (1 << WORD) - 1
IF_THEN_ELSE = 0xCA  # truth table of (a & b) | (~a & c)
LOW_HALVES = 0x5410  # selector of PRMT: the low halves of a and b
HALF_SIGNS = 0xBB99  # selector of PRMT: each half's top bit, all over the half
SIGN, TOP, SECOND = 0x8000, 0x4000, 0x2000  # in a half: the sign, the exponent's upper bits
PAIR_TABLE_BITS = 6  # wider codes would need a table of more than 16 KiB for pairs


def to_half(
    fmt: NumberFormat | str,
    layout: Layout | str,
    target: Target = "float16",
    *,
    fold_scale: bool = False,
) -> Program:
    """Return a program that turns packed codes into pairs of float16 or bfloat16.

    Codes of -0 give -0. What a format's infinities and NaNs become depends on the format: those of
    E5M2 stay what they are in float16; NaN codes of others read as the number that comes next in
    the code (E4M3FN: 480) or, at -0, as -0. `prove` lists them.

    Parameters
    ----------
    fmt : format or str
        A `Format` with subnormals whose exponent field is not wider than the target's; an
        `Integer` or a codebook of evenly spaced values (offset integers, bipolar ones); any other
        `Codebook` gets a program of table look-ups (`look_up`).
    layout : Layout or str
        Where the codes lie in the words; a name as in `minifloat.layouts.parse_layout`.
    target : str
        "float16" or "bfloat16".
    fold_scale : bool
        Leave the multiplication by a power of two to whoever applies the scales; the program's
        ``scale_exponent`` says which. Integers and codebooks have none.

    Returns
    -------
    Program

    Raises
    ------
    ValueError
        If the target does not hold the format's values, or the format has no such program.
    TypeError
        If ``fmt`` or ``layout`` is of another type.

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
    layout = _check_layout(parse_layout(layout, fmt.bits))
    shape = target_of(target)
    if isinstance(fmt, Format):
        return _from_float(fmt, layout, shape, fold_scale)
    linear = linear_of(fmt)
    if linear is not None:
        return _from_integer(fmt, linear, layout, shape)
    return look_up(fmt, layout, target)


def look_up(
    fmt: NumberFormat | str,
    layout: Layout | str,
    target: Target = "float16",
    *,
    pairs: bool | None = None,
) -> Program:
    """Return a program that looks codes up in a table: the contrast to `to_half`.

    Values that the target does not hold are rounded to it, once, to nearest even.

    Parameters
    ----------
    fmt : format or str
        Any format of up to 8 bits.
    layout : Layout or str
        Where the codes lie in the words.
    target : str
        "float16" or "bfloat16".
    pairs : bool, optional
        Whether two codes are looked up at a time, in a table of ``4 * 4**bits`` bytes; otherwise
        each is, in one of ``4 * 2**bits``, and two results are put together. Default: up to 6 bits.

    Returns
    -------
    Program

    Raises
    ------
    ValueError
        If the format is wider than 8 bits, or than 6 for pairs.

    Examples
    --------
    >>> from minifloat import registers
    >>> program = registers.look_up("nf4", "dense")
    >>> program.cost.load, len(program.table)
    (4, 256)
    """
    fmt = parse(fmt)
    layout = _check_layout(parse_layout(layout, fmt.bits))
    shape = target_of(target)
    if pairs is None:
        pairs = fmt.bits <= PAIR_TABLE_BITS
    if fmt.bits > (PAIR_TABLE_BITS if pairs else 8):
        raise ValueError(
            f"fmt must have at most {PAIR_TABLE_BITS if pairs else 8} bits for a table "
            f"{'of pairs' if pairs else ''}, got {fmt}; use {'pairs=False' if pairs else 'to_half'}"
        )
    single = half_words(_padded_values(fmt), target).astype(np.uint32)
    table = single[None, :] | single[:, None] << HALF if pairs else single
    gather = _Gather(layout)
    outputs = []
    for even in range(0, layout.count, 2):
        low, high = layout.places[even], layout.places[even + 1]
        if pairs:
            address = gather(_moves([*low, *high], range(2, 2 + 2 * fmt.bits)))
            outputs.append(gather.code.emit(Op.LDS, address))
            continue
        found = [
            gather.code.emit(Op.LDS, gather(_moves(row, range(2, 2 + fmt.bits))))
            for row in (low, high)
        ]
        outputs.append(gather.code.emit(Op.PRMT, found[0], found[1], LOW_HALVES))
    return Program(
        _name(fmt, shape, "_look_up"), layout, target, 0, gather.code.instructions,
        tuple(outputs), tuple(int(word) for word in table.reshape(-1)),
    )  # fmt: skip


def half_words(values: ArrayLike, target: Target) -> NDArray[np.uint16]:
    """Return the words of values rounded once to float16 or bfloat16.

    Parameters
    ----------
    values : array_like of float64
        Of any shape; beyond the target they become infinities.
    target : str
        "float16" or "bfloat16".

    Returns
    -------
    ndarray of uint16, of the shape of ``values``

    Raises
    ------
    ValueError
        If the target is another.

    Examples
    --------
    >>> from minifloat import registers
    >>> [hex(word) for word in registers.half_words([1.0, -2.5], "float16")]
    ['0x3c00', '0xc100']
    """
    words: NDArray[np.uint16] = encode(values, target_of(target).name, overflow="ieee")
    return words


class Shape(NamedTuple):
    """The halves that a program makes."""

    name: Target
    exponent_bits: int
    mantissa_bits: int
    bias: int

    def holds(self, value: float) -> bool:
        """Return whether the target has this value."""
        return parse(self.name).value(_half_word(value, self.name)) == value

    def word(self, value: float) -> int:
        """Return the word of a value in both halves."""
        word = _half_word(value, self.name)
        return word << HALF | word


@functools.cache
def _half_word(value: float, target: Target) -> int:
    return int(half_words(value, target))


def target_of(name: str) -> Shape:
    """Return the shape of a target, or raise."""
    if name == "float16":
        return Shape("float16", 5, 10, 15)
    if name == "bfloat16":
        return Shape("bfloat16", 8, 7, 127)
    raise ValueError(f"target must be float16 or bfloat16, got {name!r}")


def _check_layout(layout: Layout) -> Layout:
    if layout.count % 2:
        raise ValueError(f"layout must have an even number of codes, for pairs, got {layout!r}")
    return layout


def _name(fmt: NumberFormat, target: Shape, suffix: str = "") -> str:
    name = re.sub(r"\W", "_", fmt.name.replace("-", "minus"))
    return f"{name}_to_{target.name}{suffix}"


Move = tuple[int, int]  # from a place in the words to a bit of the result


def _moves(places: Sequence[int], bits: Iterable[int]) -> list[Move]:
    return list(zip(places, bits, strict=True))


def _in_halves(layout: Layout, even: int, bits: Sequence[int], low: int = 0) -> list[Move]:
    """Send the bits from ``low`` on of a pair of codes to ``bits`` of its halves."""
    return [
        (layout.places[even + half][low + k], HALF * half + bit)
        for half in range(2)
        for k, bit in enumerate(bits)
    ]


class _Gather:
    """Writes the instructions that bring bits of the words to their places in one register.

    Bits that travel by the same distance from the same word are one piece: a shift, shared by all
    that need it, and a mask, by one LOP3 that also adds what is there already. Whole bytes go by
    PRMT.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.code = Builder(layout.words)

    def __call__(self, moves: Sequence[Move], constant: int = 0) -> Register:
        """Gather the moved bits and XOR ``constant``."""
        pieces = self.pieces(moves)
        if len(pieces) > 1 or next(iter(pieces))[1] != 0:
            selector = _byte_selector(moves)
            if selector is not None and constant & _mask(moves) == 0:
                return self.code.emit(
                    Op.PRMT, self.code.word(moves[0][0] // WORD), constant, selector
                )
        result: Operand | None = constant or None
        for (word, shift), mask in pieces.items():
            source = self._shifted(word, shift)
            if mask == _reach(shift):
                result = self.code.emit(Op.XOR, source, result) if result is not None else source
            elif result is None:
                result = self.code.emit(Op.AND, source, mask)
            else:
                table = AND_XOR if constant & mask else AND_OR
                result = self.code.emit(Op.LOP3, source, mask, result, table=table)
        assert isinstance(result, Register)
        return result

    @staticmethod
    def pieces(moves: Sequence[Move]) -> dict[tuple[int, int], int]:
        """Return the mask, after the shift, of each (word, shift to the left); unshifted first."""
        pieces: dict[tuple[int, int], int] = {}
        for place, bit in sorted(moves, key=lambda move: move[1] != move[0] % WORD):
            key = (place // WORD, bit - place % WORD)
            pieces[key] = pieces.get(key, 0) | 1 << bit
        return pieces

    def _shifted(self, word: int, shift: int) -> Register:
        if shift == 0:
            return self.code.word(word)
        return self.code.emit(Op.SHL if shift > 0 else Op.SHR, self.code.word(word), abs(shift))


def _mask(moves: Sequence[Move]) -> int:
    return sum(1 << bit for _, bit in moves)


def _reach(shift: int) -> int:
    """Return the bits that can be other than zero after a shift."""
    return ALL_ONES << shift & ALL_ONES if shift >= 0 else ALL_ONES >> -shift


def _byte_selector(moves: Sequence[Move]) -> int | None:
    """Return the selector of the PRMT that does it, if whole bytes of one word move."""
    if len({place // WORD for place, _ in moves}) > 1:
        return None
    sources: dict[int, set[tuple[int, int]]] = {}
    for place, bit in moves:
        if place % 8 != bit % 8:
            return None
        sources.setdefault(bit // 8, set()).add((place % WORD // 8, bit % 8))
    selector = 0
    for byte in range(4):
        froms = {source for source, _ in sources.get(byte, ())}
        if not froms:
            selector |= (4 + byte) << 4 * byte
        elif len(froms) == 1 and len(sources[byte]) == 8:
            selector |= froms.pop() << 4 * byte
        else:
            return None
    return selector


def _from_float(fmt: Format, layout: Layout, target: Shape, fold_scale: bool) -> Program:
    whole_range = fmt.exponent_bits == target.exponent_bits and fmt.specials is not Specials.IEEE
    # without this the top binade would read as infinity and NaN
    _check_float(fmt, target, whole_range)
    exponent = fmt.bias - target.bias - whole_range
    if not fold_scale:
        _check_values(fmt, target)
    gather = _Gather(layout)
    outputs = []
    bits = float_bits(fmt, target)
    for even in range(0, layout.count, 2):
        x = gather(_in_halves(layout, even, bits))
        if whole_range:
            x = _halved(gather.code, x, target)
        outputs.append(x if fold_scale else _times_power(gather.code, x, -exponent, target))
    return Program(
        _name(fmt, target), layout, target.name, exponent if fold_scale else 0,
        gather.code.instructions, tuple(outputs),
    )  # fmt: skip


def float_bits(fmt: Format, target: Shape) -> list[int]:
    """Return where in a half each bit of a code goes, from the lowest on."""
    m = target.mantissa_bits
    magnitude = range(m - fmt.mantissa_bits, m + fmt.exponent_bits)
    return [*magnitude, HALF - 1] if fmt.signed else list(magnitude)


def _check_float(fmt: Format, target: Shape, whole_range: bool) -> None:
    if not fmt.subnormals:
        raise ValueError(
            f"fmt must have subnormals, as the target has, got {fmt}; use registers.look_up"
        )
    if fmt.exponent_bits > target.exponent_bits:
        raise ValueError(
            f"fmt must have at most {target.exponent_bits} exponent bits for {target.name}, got "
            f"{fmt}{'; use target=bfloat16' if fmt.exponent_bits <= 8 else ''}"
        )
    room = target.mantissa_bits - whole_range  # halving a subnormal needs a bit
    if fmt.mantissa_bits > room:
        raise ValueError(f"fmt must have at most {room} mantissa bits for this, got {fmt}")


def _check_values(fmt: Format, target: Shape) -> None:
    values = fmt.values()
    values = values[np.isfinite(values)]
    held = decode(half_words(values, target.name), target.name, dtype=np.float64)
    wrong = np.flatnonzero(held != values)
    if wrong.size:
        raise ValueError(
            f"target must hold every value of {fmt}, got {target.name}, which does not hold "
            f"{float(values[wrong[0]])!r}; use fold_scale=True, which leaves a power of two to the "
            "scale"
        )


def _times_power(code: Builder, x: Register, exponent: int, target: Shape) -> Register:
    """Multiply by 2**exponent, in two steps where one factor would overflow."""
    while exponent:
        step = min(exponent, target.bias)
        x = code.emit(Op.HMUL2, x, target.word(2.0**step))
        exponent -= step
    return x


def _halved(code: Builder, x: Register, target: Shape) -> Register:
    """Return half of the number in x, where an exponent field of all ones is a number too.

    Fields below half the range are halved as they are, without the top bit, which they do not
    have. For those above, let s be the second exponent bit and r the rest: the word with the top
    bits 01 for whatever they were has exponent ``r + 2**(E-2)``, and is always normal; a factor
    with s in the same place makes up for the rest, its other bits chosen so that the product is
    half the number. The top bit picks one of the two.
    """
    both = 1 << HALF | 1
    below = code.emit(Op.AND, x, (0xFFFF - TOP) * both)
    below = code.emit(Op.HMUL2, below, target.word(0.5))
    low = code.emit(Op.LOP3, x, (0xFFFF - TOP - SECOND) * both, SECOND * both, table=AND_OR)
    fields = (1 << target.exponent_bits - 1) + (1 << target.exponent_bits - 2) - 2
    factor = code.emit(
        Op.LOP3, x, SECOND * both, (fields << target.mantissa_bits) * both, table=AND_OR
    )
    above = code.emit(Op.HMUL2, low, factor)
    is_above = code.emit(Op.PRMT, code.emit(Op.SHL, x, 1), 0, HALF_SIGNS)
    return code.emit(Op.LOP3, is_above, above, below, table=IF_THEN_ELSE)


class Linear(NamedTuple):
    """Codes in even steps: the value is ``low + step * (code ^ flip)``."""

    flip: int
    step: float
    low: float


def linear_of(fmt: NumberFormat) -> Linear | None:
    """Return how the values follow from the codes, if evenly and by a power of two."""
    if isinstance(fmt, Integer):
        half = 1 << (fmt.bits - 1)
        return Linear(half, 1.0, -float(half)) if fmt.signed else Linear(0, 1.0, 0.0)
    if not isinstance(fmt, Codebook):
        return None
    values = fmt.values()
    codes = np.arange(values.size)
    for flip in (0, 1 << (fmt.bits - 1)):
        if values.size <= flip or (flip and values.size != 2 * flip):
            continue
        low = values[codes ^ flip][0]
        step = values[codes ^ flip][1] - low
        evenly = np.array_equal(low + step * (codes ^ flip), values)
        if evenly and step > 0 and math.frexp(step)[0] == 0.5:
            return Linear(flip, float(step), float(low))
    return None


def _from_integer(fmt: NumberFormat, linear: Linear, layout: Layout, target: Shape) -> Program:
    if fmt.bits > target.mantissa_bits + 1:
        raise ValueError(
            f"fmt must have at most {target.mantissa_bits + 1} bits for {target.name}, got {fmt}"
        )
    gather = _Gather(layout)
    make = _sums_of_two if fmt.bits > target.mantissa_bits else _less_magic
    outputs = make(gather, linear, fmt.bits, target)
    return Program(_name(fmt, target), layout, target.name, 0, gather.code.instructions, outputs)


def _less_magic(gather: _Gather, linear: Linear, bits: int, target: Shape) -> tuple[Register, ...]:
    """Put each pair of codes q at bit p of ``2**m + q * 2**p``, for the p that cost least."""

    def addend(p: int) -> float:
        return linear.low - linear.step * 2.0 ** (target.mantissa_bits - p)

    possible = [p for p in range(target.mantissa_bits - bits + 1) if target.holds(addend(p))]
    if not possible:
        raise _no_addend(linear, target)
    pairs = [
        {p: _in_halves(gather.layout, even, range(p, p + bits)) for p in possible}
        for even in range(0, gather.layout.count, 2)
    ]
    outputs = []
    for moves, p in zip(pairs, _cheapest_offsets(pairs), strict=True):
        flip = linear.flip << p
        x = gather(moves[p], target.word(2.0**target.mantissa_bits) ^ (flip << HALF | flip))
        rest = target.word(addend(p))
        if linear.step == 2.0**p:
            outputs.append(gather.code.emit(Op.HADD2, x, rest))
        else:
            factor = target.word(linear.step / 2.0**p)
            outputs.append(gather.code.emit(Op.HFMA2, x, factor, rest))
    return tuple(outputs)


def _cheapest_offsets(pairs: Sequence[dict[int, list[Move]]]) -> list[int]:
    """Choose an offset for each pair so that few pieces and few shifts are needed in all.

    The pair in the most pieces comes first, and each of its offsets is tried; the others take what
    costs least given the shifts that are there.
    """
    pieces = [
        {p: frozenset(_Gather.pieces(moves)) for p, moves in options.items()} for options in pairs
    ]
    order = sorted(range(len(pairs)), key=lambda i: -min(map(len, pieces[i].values())))
    plans = []
    for first in pairs[order[0]]:
        there = {piece for piece in pieces[order[0]][first] if piece[1]}
        chosen = {order[0]: first}
        total = len(there) + len(pieces[order[0]][first])
        for i in order[1:]:
            prices = {
                p: len(some) + sum(piece[1] != 0 and piece not in there for piece in some)
                for p, some in pieces[i].items()
            }
            chosen[i] = min(prices, key=prices.__getitem__)
            total += prices[chosen[i]]
            there |= {piece for piece in pieces[i][chosen[i]] if piece[1]}
        plans.append((total, [chosen[i] for i in range(len(pairs))]))
    return min(plans)[1]


def _sums_of_two(gather: _Gather, linear: Linear, bits: int, target: Shape) -> tuple[Register, ...]:
    """Add two numbers for codes one bit wider than the mantissa: the top bit has its own."""
    code, top = gather.code, bits - 1
    magic = 2.0**target.mantissa_bits
    low_flip, top_flip = linear.flip & (1 << top) - 1, linear.flip >> top << target.mantissa_bits
    addend = linear.low / linear.step - 2 * magic
    if not (target.holds(addend) and target.holds(addend + magic)):
        raise _no_addend(linear, target)
    outputs = []
    for even in range(0, gather.layout.count, 2):
        x = gather(  # magic plus the low bits
            _in_halves(gather.layout, even, range(top)),
            target.word(magic) ^ (low_flip << HALF | low_flip),
        )
        y = gather(  # magic plus what the top bit is worth
            _in_halves(gather.layout, even, [target.mantissa_bits], top),
            target.word(magic) ^ (top_flip << HALF | top_flip),
        )
        y = code.emit(Op.HADD2, y, target.word(addend))
        x = code.emit(Op.HADD2, x, y)
        outputs.append(_times_power(code, x, round(math.log2(linear.step)), target))
    return tuple(outputs)


def _no_addend(linear: Linear, target: Shape) -> ValueError:
    return ValueError(
        f"target must hold what is to be added for values from {linear.low:g} on in steps of "
        f"{linear.step:g}, got {target.name}; use registers.look_up"
    )


def _padded_values(fmt: NumberFormat) -> NDArray[np.float64]:
    """Return the values of all codes of ``fmt.bits`` bits; 0 for those that mean nothing."""
    values = np.zeros(1 << fmt.bits)
    values[: fmt.code_count] = fmt.values()
    return values
