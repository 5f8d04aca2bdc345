"""Prove that a program decodes a format: `prove` and `sweep`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minifloat._kernels import registers as kernels
from minifloat.codec import decode
from minifloat.formats import NumberFormat
from minifloat.formats.base import check_int
from minifloat.formats.names import parse
from minifloat.packing.layouts import HALF_BITS, WORD_BITS, Layout
from minifloat.registers._dependencies import dependencies
from minifloat.registers._program import Program, check_program
from minifloat.registers._run import run
from minifloat.registers._target import half_words

Array = NDArray[Any]

MAX_SHOWN = 4  # mistakes of each kind that are printed
SWEEP_CHUNK = 1 << 16
ALL_VALUES = 1 << WORD_BITS


class Leak(NamedTuple):
    """An output that may depend on bits of other codes."""

    code: int
    bits: tuple[tuple[int, int], ...]  # (word, bit)

    def __str__(self) -> str:
        first = ", ".join(f"bit {bit} of word {word}" for word, bit in self.bits[:MAX_SHOWN])
        more = f" and {len(self.bits) - MAX_SHOWN} more" if len(self.bits) > MAX_SHOWN else ""
        return f"the output of code {self.code} may depend on {first}{more}, bits of other codes"


class Difference(NamedTuple):
    """A wrong output."""

    position: int
    code: int
    got: float
    want: float

    def __str__(self) -> str:
        return f"code {self.code:#x} at position {self.position} gives {self.got}, not {self.want}"


class Special(NamedTuple):
    """The output for a code that is not a number."""

    code: int
    kind: str  # inf, nan or unused
    reads_as: float

    def __str__(self) -> str:
        return f"{self.code:#x} ({self.kind}) reads as {self.reads_as}"


@dataclass(frozen=True)
class Proof:
    """The result of `prove`; true if the program is right.

    Attributes
    ----------
    program : Program
    fmt : NumberFormat
    checked : int
        Number of outputs compared: each code at each position, among three kinds of neighbours.
    leaks : tuple of Leak
        Outputs that, by the structure of the program, may depend on bits of other codes.
    differences : tuple of Difference
        The first wrong output at each position.
    specials : tuple of Special
        The outputs for infinities, NaNs and unused codes. They are reported, not judged.
    """

    program: Program
    fmt: NumberFormat
    checked: int
    leaks: tuple[Leak, ...]
    differences: tuple[Difference, ...]
    specials: tuple[Special, ...]

    @property
    def holds(self) -> bool:
        """Whether the program is right."""
        return not self.leaks and not self.differences

    def __bool__(self) -> bool:
        return self.holds

    def __str__(self) -> str:
        program, fmt = self.program, self.fmt
        factor = f" times 2**{program.scale_exponent}" if program.scale_exponent else ""
        lines = [
            f"{program.name} {'is proved' if self.holds else 'IS WRONG'} for {fmt:s}{factor}, "
            f"layout {program.layout.name}"
        ]
        if self.leaks:
            lines += [f"  {leak}" for leak in self.leaks[:MAX_SHOWN]]
        else:
            lines.append("  no output depends on a bit of another code")
        if self.differences:
            lines += [f"  {difference}" for difference in self.differences[:MAX_SHOWN]]
        else:
            lines.append(
                f"  every code at every position, among zeros, ones and random bits: "
                f"{self.checked} outputs equal to decode"
            )
        return "\n".join([*lines, *(f"  {special}" for special in self.specials)])


def prove(program: Program, fmt: NumberFormat | str, *, flush_subnormals: bool = False) -> Proof:
    """Check a program for all inputs.

    The structure comes first: no output may depend on a bit of another code (`dependencies`). Each
    output is then a function of its own code alone, and it is enough to try every code at every
    position. This is done three times, with zeros, ones and random bits in the other codes. Each
    output must equal, bit for bit, the value of `minifloat.decode` times
    ``2**program.scale_exponent``, rounded to nearest even if the target does not have this value
    (values of codebooks).

    Parameters
    ----------
    program : Program
    fmt : format or str
        The format of the codes.
    flush_subnormals : bool
        Run the program as a machine in flush-to-zero mode does.

    Returns
    -------
    Proof
        True if the program is right; prints as a summary.

    Raises
    ------
    ValueError
        If the format is unknown or its codes have another width than the layout's.

    Examples
    --------
    >>> from minifloat import registers
    >>> print(registers.prove(registers.to_half("e4m3fn", "8"), "e4m3fn"))
    e4m3fn_to_float16 is proved for e4m3fn, layout 8
      no output depends on a bit of another code
      every code at every position, among zeros, ones and random bits: 3048 outputs equal to decode
      0x7f (nan) reads as 480.0
      0xff (nan) reads as -480.0
    """
    check_program(program)
    fmt = parse(fmt)
    layout, meaning = program.layout, _meaning(program, fmt)
    outputs = _halves(run(program, trial_words(layout), flush_subnormals=flush_subnormals))
    own = np.arange(layout.count)
    got = outputs[own, :, :, own]  # position, neighbours, code
    wrong = (got != meaning.words) & meaning.numbers
    differences = []
    for position in np.flatnonzero(wrong.any(axis=(1, 2))):
        neighbours, code = np.argwhere(wrong[position])[0]
        words = [got[position, neighbours, code], meaning.words[code]]
        differences.append(Difference(int(position), int(code), *_values(program, words)))
    special = np.flatnonzero(~meaning.numbers)
    reads_as = zip(special.tolist(), _values(program, got[0, 0, special]), strict=True)
    return Proof(
        program,
        fmt,
        int(meaning.numbers.sum()) * wrong[:, :, 0].size,
        tuple(_leaks(program)),
        tuple(differences),
        tuple(Special(code, _kind(fmt, code), value) for code, value in reads_as),
    )


def sweep(
    program: Program,
    fmt: NumberFormat | str,
    word: int = 0,
    *,
    values: int = ALL_VALUES,
    progress: Callable[[int, int], object] | None = None,
) -> int:
    """Run a program on all values of one word, the others zero, and compare every output.

    This confirms the argument of `prove` by trial; all 2**32 values take minutes.

    Parameters
    ----------
    program : Program
    fmt : format or str
        The format of the codes.
    word : int
        Index of the input word.
    values : int
        Try the values from 0 to this one.
    progress : callable, optional
        Called with the number of values done and their total number.

    Returns
    -------
    int
        Number of wrong outputs.

    Raises
    ------
    ValueError
        If its codes have another width than the layout's, or ``word`` or ``values`` is out of
        range.

    Examples
    --------
    >>> from minifloat import registers
    >>> registers.sweep(registers.to_half("e2m1", "4"), "e2m1", values=1 << 16)
    0
    """
    check_program(program)
    values = check_int("values", values, 1, ALL_VALUES)
    word = check_int("word", word, 0, program.layout.words - 1)
    fmt = parse(fmt)
    layout, meaning = program.layout, _meaning(program, fmt)
    runs = np.array([run for run in layout.bit_runs() if run.word == word], np.int64).reshape(-1, 5)
    codes = np.empty(kernels.TILE_GROUPS, np.uint32)
    words = np.zeros((SWEEP_CHUNK, layout.words), np.uint32)
    pairs = np.empty((SWEEP_CHUNK, layout.count // 2), np.uint32)
    wrong = 0
    for start in range(0, values, SWEEP_CHUNK):
        size = min(SWEEP_CHUNK, values - start)
        words[:size, word] = np.arange(start, start + size, dtype=np.uint32)
        run(program, words[:size], out=pairs[:size])
        wrong += kernels.count_wrong(
            words[:size], pairs[:size], runs.T.copy(), codes, meaning.words, meaning.numbers
        )
        if progress is not None:
            progress(start + size, values)
    return wrong


class _Meaning(NamedTuple):
    """The word that each code must give, and whether the code is a number."""

    words: NDArray[np.uint16]
    numbers: NDArray[np.bool_]


def _meaning(program: Program, fmt: NumberFormat) -> _Meaning:
    bits = program.layout.bits
    if bits != fmt.bits:
        raise ValueError(f"fmt must have codes of {bits} bits, got {fmt}")
    codes = np.arange(1 << fmt.bits)
    numbers = np.array([_kind(fmt, code) not in SPECIAL_KINDS for code in codes.tolist()])
    values = np.zeros(codes.size)
    values[numbers] = decode(codes[numbers], fmt, dtype=np.float64)
    words = half_words(np.ldexp(values, program.scale_exponent), program.target)
    return _Meaning(words, numbers)


SPECIAL_KINDS = ("inf", "nan", "unused")


def _kind(fmt: NumberFormat, code: int) -> str:
    return fmt.kind(code) if code < fmt.code_count else "unused"


def trial_words(layout: Layout) -> NDArray[np.uint32]:
    """Return words with each code at each position, among zeros, ones and random bits.

    Parameters
    ----------
    layout : Layout

    Returns
    -------
    ndarray of uint32, (count, 3, 2**bits, words)
        For each position of a code, each kind of other bits, and each code: the words.

    Examples
    --------
    >>> import minifloat as mf
    >>> from minifloat import registers
    >>> words = registers.trial_words(mf.parse_layout("1+4", 5))
    >>> words.shape, bool((mf.unpack_words(words[3, 0, 19], "1+4", 32, bits=5)[3] == 19).all())
    ((32, 3, 32, 5), True)
    """
    codes = np.arange(1 << layout.bits)
    random = np.random.default_rng(0).integers(
        0, 1 << WORD_BITS, (codes.size, layout.words), np.uint32
    )
    words = np.empty((layout.count, 3, codes.size, layout.words), np.uint32)
    for position, places in enumerate(layout.places):
        free = np.full(layout.words, 0xFFFF_FFFF, np.uint32)
        placed = np.zeros_like(random)
        for bit, place in enumerate(places):
            word, at = divmod(place, WORD_BITS)
            free[word] &= ~np.uint32(1 << at)
            placed[:, word] |= (codes >> bit & 1).astype(np.uint32) << np.uint32(at)
        words[position] = placed, placed | free, placed | (random & free)
    return words


def _leaks(program: Program) -> Iterator[Leak]:
    layout = program.layout
    for pair, bits in enumerate(dependencies(program)):
        for half in range(2):
            code = 2 * pair + half
            used = 0
            for sources in bits[HALF_BITS * half : HALF_BITS * (half + 1)]:
                used |= sources
            own = sum(1 << place for place in layout.places[code])
            foreign = used & ~own
            if foreign:
                places = [p for p in range(foreign.bit_length()) if foreign >> p & 1]
                yield Leak(code, tuple(divmod(place, WORD_BITS) for place in places))


def _halves(pairs: Array) -> Array:
    """Split pairs into single halves, in the order of their codes."""
    halves = np.stack([pairs & np.uint32(0xFFFF), pairs >> np.uint32(HALF_BITS)], axis=-1)
    return halves.reshape(*pairs.shape[:-1], -1).astype(np.uint16)


def _values(program: Program, words: Any) -> list[float]:
    values: list[float] = decode(np.asarray(words, np.uint16), program.target).tolist()
    return values
