"""Search for the cheapest layout and program: `search`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from minifloat._kernels import annealing as kernels
from minifloat.formats import Format, NumberFormat
from minifloat.formats.base import check_int
from minifloat.formats.names import parse
from minifloat.packing.layouts import (
    HALF_BITS,
    PLANE_WIDTHS,
    WORD_BITS,
    Layout,
    dense,
    parse_layout,
)
from minifloat.registers._build import INDEX_BIT, PAIR_TABLE_BITS, look_up, to_half
from minifloat.registers._floats import float_bits
from minifloat.registers._integers import linear_of
from minifloat.registers._program import Program, Target
from minifloat.registers._target import half_format

MAX_TRIALS = 2**62
MAX_PLANES = 3
BYTE = 8
FIRST_STATE = 0x9E3779B97F4A7C15  # of the random numbers; the state is nonzero for any seed


@dataclass(frozen=True)
class Search:
    """The result of `search`.

    Attributes
    ----------
    program : Program
        The cheapest program tried.
    tried : tuple of (str, int)
        The named layouts, each with the number of instructions of its program; for codebooks with
        tables of pairs and with tables of single values.
    states : int
        Number of further layouts that simulated annealing tried.
    bound : int
        A lower bound, from counting: no layout's program of this kind takes fewer instructions.
        The bound need not be reached.
    """

    program: Program
    tried: tuple[tuple[str, int], ...]
    states: int
    bound: int

    def __str__(self) -> str:
        program, cost = self.program, self.program.cost
        return (
            f"{program.name}: {cost.total} instructions for {cost.weights} weights "
            f"({cost.per_weight:.3f} each), the cheapest of {len(self.tried)} named layouts "
            f"and {self.states} that annealing tried; no program of this kind takes fewer than "
            f"{self.bound}"
        )


def search(
    fmt: NumberFormat | str,
    target: Target = "float16",
    *,
    fold_scale: bool = False,
    restarts: int = 8,
    trials: int = 2_000_000,
    seed: int = 0,
    progress: Callable[[int, int], object] | None = None,
) -> Search:
    """Search for the dense layout whose program takes the fewest instructions.

    The search tries the dense layout, all planes of up to three parts, and simulated annealing over
    all placements in which the two codes of a pair have the same places in their halves. The
    program of a layout is that of `to_half` or, for codebooks, that of `look_up` with pairs and
    with single values. Such programs shift words and mask them, with one LOP3 for each piece of a
    pair. The same seed finds the same layout.

    Parameters
    ----------
    fmt : format or str
        As in `to_half`, up to 8 bits.
    target : str
        "float16" or "bfloat16".
    fold_scale : bool
        As in `to_half`.
    restarts, trials, seed : int
        Annealing starts ``restarts`` times, from different random layouts, and tries ``trials``
        changes each time.
    progress : callable, optional
        Called with the number of starts done, from 0 on, and their total number.

    Returns
    -------
    Search
        The cheapest program, and the layouts tried.

    Raises
    ------
    ValueError
        As in `to_half`, or if ``fmt`` has more than 8 bits, or a number is out of range.

    Examples
    --------
    >>> from minifloat import registers
    >>> result = registers.search("e2m1", fold_scale=True, restarts=1, trials=20_000)
    >>> result.program.cost.total, result.program.cost.weights
    (10, 8)
    """
    fmt = parse(fmt)
    restarts = check_int("restarts", restarts, 1, MAX_TRIALS)
    trials = check_int("trials", trials, 1, MAX_TRIALS)
    seed = check_int("seed", seed, 0, MAX_TRIALS)
    if fmt.bits > 8:
        raise ValueError(f"fmt must have at most 8 bits to be searched, got {fmt}; name a layout")
    kinds = list(_program_kinds(fmt, target, fold_scale))
    if progress is not None:
        progress(0, len(kinds) * restarts)
    tried = [
        (kind.label + layout.name, kind.make(layout))
        for kind in kinds
        for layout in _named_layouts(fmt.bits)
    ]
    cheapest = min((program for _, program in tried), key=_price)
    for number, kind in enumerate(kinds):
        for restart in range(restarts):
            layout = _annealed(kind, fmt.bits, trials, seed + restart)
            cheapest = min(cheapest, kind.make(layout), key=_price)
            if progress is not None:
                progress(number * restarts + restart + 1, len(kinds) * restarts)
    costs = tuple((name, program.cost.total) for name, program in tried)
    bound = min(kind.bound(fmt.bits) for kind in kinds) * cheapest.layout.count
    return Search(cheapest, costs, len(kinds) * restarts * trials, math.ceil(bound))


class _ProgramKind(NamedTuple):
    """A kind of program, as a problem for annealing: place the bits of items in words.

    An item is a pair of codes that have the same places in their halves (``width`` 16: the places
    of one code fix those of the other), or one or two codes anywhere in the words (``width`` 32).
    """

    label: str
    make: Callable[[Layout], Program]
    width: int
    targets: Sequence[int]  # the positions where the bits of an item must arrive
    free: int = 0  # all targets of an item may move up by 0 to this many positions

    def words(self) -> int:
        """Return the number of words of a dense group."""
        return len(self.targets) // math.gcd(len(self.targets), self.width)

    def items(self) -> int:
        """Return the number of items of a dense group."""
        return self.words() * self.width // len(self.targets)

    def layout(self, bits: int, words: int, items: Sequence[Sequence[int]]) -> Layout:
        """Return the layout with each bit at its slot, which is ``word * width + position``."""
        rows: list[list[int]] = []
        for slots in items:
            places = [slot // self.width * WORD_BITS + slot % self.width for slot in slots]
            if self.width == HALF_BITS:
                rows += [places, [place + HALF_BITS for place in places]]
            else:
                rows += [places[k : k + bits] for k in range(0, len(places), bits)]
        return Layout(bits, words, rows, "searched")

    def bound(self, bits: int) -> Fraction:
        """Return a lower bound of the instructions per weight, for all layouts.

        A word shifted by one distance brings at most ``len(targets) + free`` of its positions to a
        target. So each word needs several shifted copies, all but one made by a shift, and each
        copy needs at least one LOP3. Each item needs at least one LOP3 too. The further
        instructions of an item are those after the LOP3 in a program whose bits are in place.
        (Whole bytes can be moved by one PRMT.)
        """
        in_place = [
            self.layout(
                bits,
                2,
                [[s + up for s in self.targets], [s + up + self.width for s in self.targets]],
            )
            for up in range(self.free + 1)
        ]
        further = Fraction(min(self.make(layout).cost.total for layout in in_place), 2) - 1
        copies = -(-self.width // (len(self.targets) + self.free)) * self.words()
        gather = copies - self.words() + max(self.items(), copies)
        if bits == BYTE:
            gather = self.items()
        codes_of_item = in_place[0].count // 2
        return (gather + self.items() * further) / (self.items() * codes_of_item)


def _program_kinds(fmt: NumberFormat, target: Target, fold_scale: bool) -> Iterator[_ProgramKind]:
    def direct(layout: Layout) -> Program:
        return to_half(fmt, layout, target, fold_scale=fold_scale)

    half = half_format(target)
    if isinstance(fmt, Format):
        yield _ProgramKind("", direct, HALF_BITS, float_bits(fmt, half))
    elif linear_of(fmt) is not None:
        free = max(0, half.mantissa_bits - fmt.bits)
        yield _ProgramKind("", direct, HALF_BITS, range(fmt.bits), free)
    else:
        if fmt.bits <= PAIR_TABLE_BITS:
            yield _ProgramKind(
                "pairs, ",
                lambda layout: look_up(fmt, layout, target, pairs=True),
                WORD_BITS,
                range(INDEX_BIT, INDEX_BIT + 2 * fmt.bits),
            )
        yield _ProgramKind(
            "single, ",
            lambda layout: look_up(fmt, layout, target, pairs=False),
            WORD_BITS,
            range(INDEX_BIT, INDEX_BIT + fmt.bits),
        )


def _named_layouts(bits: int) -> Iterator[Layout]:
    yield dense(bits)
    for parts in range(1, MAX_PLANES + 1):
        for widths in itertools.product(PLANE_WIDTHS, repeat=parts):
            if sum(widths) == bits:
                yield parse_layout("+".join(map(str, widths)), bits)


def _annealed(kind: _ProgramKind, bits: int, trials: int, seed: int) -> Layout:
    targets = np.array(kind.targets, np.int64)
    items, words = kind.items(), kind.words()
    owners = np.random.default_rng(seed).permutation(items * targets.size)
    places = np.argsort(owners).reshape(items, targets.size)
    best = places.copy()
    kernels.anneal(
        places,
        np.zeros(items, np.int64),
        owners,
        np.zeros((words, 3 * kind.width), np.int64),
        np.zeros(items, np.int64),
        best,
        targets,
        kind.width,
        kind.free,
        trials,
        np.array([seed + FIRST_STATE], np.uint64),
    )
    return kind.layout(bits, words, sorted(best.tolist()))


def _price(program: Program) -> Fraction:
    return Fraction(program.cost.total, program.cost.weights)
