"""Where the bits of packed codes lie: `Layout`, and the layouts that kernels use.

A layout puts a group of codes into a few 32-bit words. It is a table of places: bit ``b`` of code
``i`` of the group lies at bit ``places[i][b] % 32`` of word ``places[i][b] // 32``, where bits are
counted from the least significant one. One packer, one unpacker and one proof serve all layouts.

    dense        one code after another from bit 0 on, as `minifloat.pack` writes them
    1+4          planes of 1, 2, 4 or 8 bits, the code's highest bits first. In each plane the even
    4+2, 2+4     codes lie in the low half of a word and the odd codes in the high half, so that
    1+2+4 ...    one mask extracts a pair of codes, each in its own half
    fpe2m2_checkpoint, fpe2m2_kernel   see `FPE2M2_CHECKPOINT` and `FPE2M2_KERNEL`
    nvfp4        two 4-bit codes in a byte, the even code in the low nibble; the same as dense

Only the standard library is imported.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, SupportsIndex

from minifloat.formats.base import MAX_CODE_BITS, check_int, check_name, shown
from minifloat.formats.grammar import lowered

WORD_BITS, HALF_BITS = 32, 16
PLANE_WIDTHS = (1, 2, 4, 8, 16)


class BitRun(NamedTuple):
    """Consecutive bits of a code that are also consecutive in a word."""

    code: int
    low: int  # the lowest of the code's bits
    width: int
    word: int
    at: int  # the position of the lowest bit in the word


@dataclass(frozen=True)
class Layout:
    """Where each bit of a group of codes lies in 32-bit words.

    Parameters
    ----------
    bits : int
        Width of a code, 1..16.
    words : int
        32-bit words in a group.
    places : sequence of sequences of int
        ``places[i][b]`` is ``32 * word + position`` of bit ``b`` of code ``i``. Words, codes and
        bits are counted from 0, bits from the least significant one.
    name : str
        For printing, 1 to 64 printable characters, no space at its ends; comparisons ignore it.

    Raises
    ------
    ValueError
        If a code does not have ``bits`` places, or a place is used twice or is outside the
        words.
    TypeError
        If ``bits``, ``words`` or a place is not an integer.

    Examples
    --------
    >>> from minifloat.packing.layouts import Layout
    >>> Layout(2, 1, [[16 * (i % 2) + 2 * (i // 2) + b for b in range(2)] for i in range(16)])
    <Layout layout: bits 2, codes 16, words 1>
    """

    bits: int
    words: int
    places: Sequence[Sequence[int]]
    name: str = field(default="layout", compare=False)

    def __post_init__(self) -> None:
        check_name(self.name)
        put = object.__setattr__  # the class is frozen
        put(self, "bits", check_int("bits", self.bits, 1, MAX_CODE_BITS))
        put(self, "words", check_int("words", self.words, 1, 1 << 16))
        put(self, "places", _table(self.places))
        if not self.places:
            raise ValueError("places must have at least one code, got none")
        used: set[int] = set()
        for code, row in enumerate(self.places):
            if len(row) != self.bits:
                raise ValueError(
                    f"places must have {self.bits} bits for each code, got {len(row)} for code "
                    f"{code}"
                )
            for place in row:
                if not 0 <= place < WORD_BITS * self.words:
                    last = WORD_BITS * self.words - 1
                    raise ValueError(
                        f"places must be in 0..{last}, got {shown(place)} for code {code}"
                    )
                if place in used:
                    raise ValueError(f"places must be used once, got {place} twice, in code {code}")
                used.add(place)

    @property
    def count(self) -> int:
        """Codes in a group."""
        return len(self.places)

    @property
    def is_dense(self) -> bool:
        """Whether every bit of the words is used."""
        return self.count * self.bits == WORD_BITS * self.words

    @property
    def in_pairs(self) -> bool:
        """Whether each odd code lies 16 bits above the even one before it, in the same words."""
        low, high = self.places[::2], self.places[1::2]
        return len(low) == len(high) and all(
            a % WORD_BITS < HALF_BITS and b == a + HALF_BITS
            for row, other in zip(low, high, strict=True)
            for a, b in zip(row, other, strict=True)
        )

    def bit_runs(self) -> Iterator[BitRun]:
        """Yield the bits of the codes in runs that are as long as possible.

        Yields
        ------
        BitRun

        Examples
        --------
        >>> from minifloat.packing.layouts import parse_layout
        >>> list(parse_layout("1+4", 5).bit_runs())[:2]
        [BitRun(code=0, low=0, width=4, word=1, at=0), BitRun(code=0, low=4, width=1, word=0, at=0)]
        """
        for code, row in enumerate(self.places):
            low = 0
            for bit in range(1, self.bits + 1):
                runs_on = bit < self.bits and row[bit] == row[bit - 1] + 1 and row[bit] % WORD_BITS
                if not runs_on:
                    word, at = divmod(row[low], WORD_BITS)
                    yield BitRun(code, low, bit - low, word, at)
                    low = bit

    def picture(self) -> str:
        """Draw the words bit by bit: ``7.3`` is bit 3 of code 7, a dot is an idle bit.

        Returns
        -------
        str
            Two lines for each word, bits 31..16 and 15..0, the most significant bit first.

        Examples
        --------
        >>> from minifloat.packing.layouts import dense
        >>> print(dense(8).picture())
        word 0  31..16  3.7 3.6 3.5 3.4 3.3 3.2 3.1 3.0 2.7 2.6 2.5 2.4 2.3 2.2 2.1 2.0
                15..0   1.7 1.6 1.5 1.4 1.3 1.2 1.1 1.0 0.7 0.6 0.5 0.4 0.3 0.2 0.1 0.0
        """
        cells = ["."] * (WORD_BITS * self.words)
        for code, row in enumerate(self.places):
            for bit, place in enumerate(row):
                cells[place] = f"{code}.{bit}"
        width = max(map(len, cells)) + 1
        lines = []
        for word in range(self.words):
            label = f"word {word}"
            for bits, start in (("31..16", HALF_BITS), ("15..0", 0)):
                half = cells[WORD_BITS * word + start : WORD_BITS * word + start + HALF_BITS]
                drawn = "".join(cell.rjust(width) for cell in reversed(half))
                lines.append(f"{label if start else '':<8}{bits:<7}{drawn}")
        return "\n".join(lines)

    @property
    def spelling(self) -> str:
        """A text that `parse_layout` reads back: the name if it is known, otherwise all places.

        Examples
        --------
        >>> from minifloat.packing.layouts import Layout, parse_layout
        >>> layout = Layout(2, 1, [[0, 5], [16, 21], [1, 3], [17, 19]], "mine")
        >>> layout.spelling
        '2x1p000005001003'
        >>> parse_layout(layout.spelling, 2) == layout
        True
        """
        try:
            if parse_layout(self.name, self.bits) == self:
                return self.name
        except ValueError:
            pass
        rows = self.places[::2] if self.in_pairs else self.places
        digits = "".join(f"{place:03x}" for row in rows for place in row)
        return f"{self.bits}x{self.words}{'p' if self.in_pairs else 's'}{digits}"

    def __repr__(self) -> str:
        return (
            f"<Layout {self.name}: bits {self.bits}, codes {self.count}, words {self.words}"
            f"{'' if self.is_dense else ', with idle bits'}>"
        )


def _table(places: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    try:
        rows = [list(row) for row in places]
    except TypeError:
        raise TypeError(
            f"places must be a row of places for each code, got {shown(places)}"
        ) from None
    return tuple(tuple(check_int("places", place) for place in row) for row in rows)


def dense(bits: SupportsIndex) -> Layout:
    """Return the layout that stores one code after another from bit 0 on, across words.

    Parameters
    ----------
    bits : int
        1..16.

    Returns
    -------
    Layout
        Its words, as little-endian bytes, equal the bytes of `minifloat.pack`.

    Raises
    ------
    ValueError
        If ``bits`` is out of range.

    Examples
    --------
    >>> from minifloat.packing.layouts import dense
    >>> dense(5)
    <Layout dense: bits 5, codes 32, words 5>
    """
    bits = check_int("bits", bits, 1, MAX_CODE_BITS)
    count = WORD_BITS // math.gcd(WORD_BITS, bits)
    rows = [[code * bits + bit for bit in range(bits)] for code in range(count)]
    return Layout(bits, count * bits // WORD_BITS, rows, "dense")


class Plane(NamedTuple):
    """A few bits of every code, stored in words of their own."""

    low: int  # the lowest of the code's bits
    width: int  # 1, 2, 4, 8 or 16
    pairs: bool  # even codes in the low half of a word, odd codes in the high half; or in sequence
    descending: bool = False  # the first code of a half (or word) lies at the top


def planes(bits: int, parts: Sequence[Plane], name: str) -> Layout:
    """Return a layout that stores the bits of the codes in planes, in the order of ``parts``.

    Parameters
    ----------
    bits : int
        Width of a code.
    parts : sequence of Plane
        Together they hold each bit once. A group has enough codes to fill whole words of each.
    name : str
        For printing.

    Returns
    -------
    Layout

    Raises
    ------
    ValueError
        If a width is not 1, 2, 4, 8 or 16, or the planes do not hold each bit once.

    Examples
    --------
    >>> from minifloat.packing.layouts import Plane, planes
    >>> planes(3, [Plane(0, 2, pairs=True), Plane(2, 1, pairs=True)], "2 low bits, then the sign")
    <Layout 2 low bits, then the sign: bits 3, codes 32, words 3>
    """
    bits = check_int("bits", bits, 1, MAX_CODE_BITS)
    held = sorted(part.low + k for part in parts for k in range(part.width))
    if held != list(range(bits)):
        raise ValueError(f"planes must hold each of the bits 0..{bits - 1} once, got {held}")
    for part in parts:
        if part.width not in PLANE_WIDTHS:
            raise ValueError(
                f"planes must be 1, 2, 4, 8 or 16 bits wide, got {part.width}; such as 1+4 or 2+4"
            )
    count = WORD_BITS // min(part.width for part in parts)
    rows = [[0] * bits for _ in range(count)]
    first_word = 0
    for part in parts:
        in_word = WORD_BITS // part.width
        for code, row in enumerate(rows):
            word, slot = divmod(code, in_word)
            if part.pairs:
                slot = slot // 2 + slot % 2 * (in_word // 2)
            if part.descending:
                span = in_word // 2 if part.pairs else in_word
                slot = slot - slot % span + span - 1 - slot % span
            for k in range(part.width):
                row[part.low + k] = WORD_BITS * (first_word + word) + slot * part.width + k
        first_word += count // in_word
    return Layout(bits, first_word, rows, name)


FPE2M2_CHECKPOINT = planes(
    5, [Plane(0, 4, pairs=False), Plane(4, 1, pairs=False)], "fpe2m2_checkpoint"
)
"""FPE2M2's checkpoints: four magnitude bits of code j from bit 4j on, its sign at bit j of word 4.

    words 0..3   7777 6666 5555 4444 3333 2222 1111 0000     eight magnitudes of 5-bit codes each
    word 4       31 30 29 ... 2 1 0                          the signs of all 32

In a checkpoint ``qweight[in/8, out]`` holds the first four words of a group, one in each row, and
``sign_map[in/32, out]`` the fifth. The authors write an exact zero with sign 1, the code of -0; a
layout knows nothing of values, so to write their bits replace code 0 by 16 first.
"""

FPE2M2_KERNEL = planes(
    5, [Plane(0, 4, pairs=True), Plane(4, 1, pairs=True, descending=True)], "fpe2m2_kernel"
)
"""FPE2M2's kernels: magnitudes in nibbles, even codes low, odd codes high; signs from the top.

    words 0..3   7777 5555 3333 1111 | 6666 4444 2222 0000
    word 4       1 3 5 7 ... 29 31   | 0 2 4 6 ... 28 30     code 0 at bit 15, code 1 at bit 31

Shifting word 4 left by i moves the signs of codes 2i and 2i + 1 to bits 15 and 31. (The prototype
kernel published with the paper swaps the halves of word 4, but not those of words 0..3, so that
each code of a pair gets its neighbour's sign. This layout swaps neither.)
"""

_WIDTH = "(?:0|[1-9][0-9]?)"  # one spelling for each width
_PLANES = re.compile(rf"{_WIDTH}(?:\+{_WIDTH})*")
_SPELLING = re.compile(r"(\d{1,2})x(\d{1,3})([ps])((?:[0-9a-f]{3})+)", re.ASCII)
_NAMED = {layout.name: layout for layout in (FPE2M2_CHECKPOINT, FPE2M2_KERNEL)}


def parse_layout(name: str | Layout, bits: SupportsIndex | None = None) -> Layout:
    """Return the layout of a name, for codes of ``bits`` bits.

    Parameters
    ----------
    name : str or Layout
        "dense"; the widths of planes from the code's highest bit down, such as "1+4" or "2+4";
        "fpe2m2_checkpoint", "fpe2m2_kernel", "nvfp4"; or a layout's `spelling`. A layout is
        returned unchanged.
    bits : int, optional
        Width of a code. Only "dense" needs it; elsewhere it is checked.

    Returns
    -------
    Layout

    Raises
    ------
    ValueError
        If the name is unknown, the layout is for codes of another width, or "dense" has no
        ``bits``.
    TypeError
        If ``name`` is neither a str nor a layout.

    Examples
    --------
    >>> from minifloat.packing.layouts import parse_layout
    >>> parse_layout("2+4", 6)
    <Layout 2+4: bits 6, codes 16, words 3>
    >>> print(parse_layout("4", 4).picture())
    word 0  31..16   7.3 7.2 7.1 7.0 5.3 5.2 5.1 5.0 3.3 3.2 3.1 3.0 1.3 1.2 1.1 1.0
            15..0    6.3 6.2 6.1 6.0 4.3 4.2 4.1 4.0 2.3 2.2 2.1 2.0 0.3 0.2 0.1 0.0
    """
    if not isinstance(name, str | Layout):
        raise TypeError(f"layout must be a Layout or the name of one, got {shown(name)}")
    bits = None if bits is None else check_int("bits", bits)
    layout = name if isinstance(name, Layout) else _named(lowered(name), bits)
    if bits is not None and layout.bits != bits:
        raise ValueError(
            f"layout must be for codes of {shown(bits)} bits, got {layout!r}; dense is for all"
        )
    return layout


def _named(word: str, bits: int | None) -> Layout:
    if word == "dense":
        if bits is None:
            raise ValueError(
                "bits must be given for the layout dense, got None; pass bits=5, say, for codes of "
                "5 bits"
            )
        return dense(bits)
    if word == "nvfp4":
        return Layout(4, 1, dense(4).places, word)
    if word in _NAMED:
        return _NAMED[word]
    if _PLANES.fullmatch(word):
        widths = [int(width) for width in word.split("+")]
        lows = [sum(widths[i + 1 :]) for i in range(len(widths))]
        parts = [Plane(low, width, pairs=True) for low, width in zip(lows, widths, strict=True)]
        return planes(sum(widths), parts, word)
    if match := _SPELLING.fullmatch(word):
        return _spelled(int(match[1]), int(match[2]), match[3] == "p", match[4])
    names = ", ".join(("dense", "nvfp4", *_NAMED))
    raise ValueError(f"layout must be {names} or widths of planes such as 1+4, got {word!r}")


def _spelled(bits: int, words: int, in_pairs: bool, digits: str) -> Layout:
    places = [int(digits[k : k + 3], 16) for k in range(0, len(digits), 3)]
    rows = [places[k : k + bits] for k in range(0, len(places), max(bits, 1))]
    if in_pairs:
        rows = [half for row in rows for half in (row, [place + HALF_BITS for place in row])]
    return Layout(bits, words, rows, "spelled")
