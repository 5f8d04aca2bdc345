"""The cheapest layout and program: `search`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from minifloat._kernels.annealing import anneal
from minifloat.formats import Format, NumberFormat
from minifloat.formats.names import parse
from minifloat.packing.layouts import (
    HALF_BITS,
    PLANE_WIDTHS,
    WORD_BITS,
    Layout,
    dense,
    parse_layout,
)
from minifloat.registers._build import INDEX, PAIR_TABLE_BITS, look_up, to_half
from minifloat.registers._floats import float_bits
from minifloat.registers._integers import linear_of
from minifloat.registers._program import Program, Target
from minifloat.registers._target import half_format

MAX_PLANES = 3
BYTE = 8
FIRST_STATE = 0x9E3779B97F4A7C15  # of the random numbers; not zero for any seed


@dataclass(frozen=True)
class Search:
    """What `search` found.

    Attributes
    ----------
    program : Program
        The cheapest of all that were tried.
    tried : tuple of (str, int)
        The layouts that have names, each with the instructions its program takes; for tables of
        pairs and of single values where there is a choice.
    states : int
        Layouts that simulated annealing went through besides.
    least : int
        No program of this kind takes fewer instructions, whatever the layout (a bound, by counting;
        it need not be reached).
    """

    program: Program
    tried: tuple[tuple[str, int], ...]
    states: int
    least: int

    def __str__(self) -> str:
        program, cost = self.program, self.program.cost
        return (
            f"{program.name}: {cost.total} instructions for {cost.weights} weights "
            f"({cost.per_weight:.3f} each), the cheapest of {len(self.tried)} layouts with names "
            f"and {self.states} that annealing tried; none of the kind can take fewer than "
            f"{self.least}"
        )


def search(
    fmt: NumberFormat | str,
    target: Target = "float16",
    *,
    fold_scale: bool = False,
    restarts: int = 8,
    steps: int = 2_000_000,
    seed: int = 0,
    progress: Callable[[int, int], object] | None = None,
) -> Search:
    """Look for the dense layout whose program takes the fewest instructions.

    Tried are the dense layout, all planes of up to three parts, and layouts found by simulated
    annealing over all ways to place the bits of a group so that the two codes of a pair lie in the
    halves alike; for each, the program by `to_half`, or, for codebooks, by `look_up` of pairs and
    of single values. Programs of this kind shift words and mask them, one LOP3 for each piece of a
    pair. The same seed finds the same layout.

    Parameters
    ----------
    fmt : format or str
        As for `to_half`, of up to 8 bits.
    target : str
        "float16" or "bfloat16".
    fold_scale : bool
        As for `to_half`.
    restarts, steps, seed : int
        Annealing starts ``restarts`` times, from other random layouts, and tries ``steps`` changes
        each time.
    progress : callable, optional
        Called with the starts done and their number.

    Returns
    -------
    Search
        The cheapest program of what was tried, and what that was.

    Raises
    ------
    ValueError
        As `to_half`, or if ``fmt`` has more than 8 bits.

    Examples
    --------
    >>> from minifloat import registers
    >>> found = registers.search("e2m1", fold_scale=True, restarts=1, steps=20_000)
    >>> found.program.cost.total, found.program.cost.weights
    (10, 8)
    """
    fmt = parse(fmt)
    if fmt.bits > 8:
        raise ValueError(f"fmt must have at most 8 bits to be searched, got {fmt}; name a layout")
    ways = list(_ways(fmt, target, fold_scale))
    tried = [
        (way.label + layout.name, way.make(layout))
        for way in ways
        for layout in _named_layouts(fmt.bits)
    ]
    cheapest = min((program for _, program in tried), key=_price)
    for number, way in enumerate(ways):
        for restart in range(restarts):
            layout = _annealed(way, fmt.bits, steps, seed + restart)
            cheapest = min(cheapest, way.make(layout), key=_price)
            if progress is not None:
                progress(number * restarts + restart + 1, len(ways) * restarts)
    costs = tuple((name, program.cost.total) for name, program in tried)
    least = min(way.least(fmt.bits) for way in ways) * cheapest.layout.count
    return Search(cheapest, costs, len(ways) * restarts * steps, math.ceil(least))


class _Way(NamedTuple):
    """A kind of program, as a problem for annealing: items of bits that must come together.

    An item is a pair of codes whose bits lie alike in the halves (``width`` 16: the bits of one
    are placed, the other's go along), or one or two codes anywhere in the words (``width`` 32).
    """

    label: str
    make: Callable[[Layout], Program]
    width: int
    targets: Sequence[int]  # where an item's bits must arrive
    free: int = 0  # the targets may be moved up by as much

    def words(self) -> int:
        """Words of a dense group."""
        return len(self.targets) // math.gcd(len(self.targets), self.width)

    def items(self) -> int:
        """Items of a dense group."""
        return self.words() * self.width // len(self.targets)

    def layout(self, bits: int, words: int, items: Sequence[Sequence[int]]) -> Layout:
        """Return the layout with the items' bits at slots, word times ``width`` plus position."""
        rows: list[list[int]] = []
        for slots in items:
            places = [slot // self.width * WORD_BITS + slot % self.width for slot in slots]
            if self.width == HALF_BITS:
                rows += [places, [place + HALF_BITS for place in places]]
            else:
                rows += [places[k : k + bits] for k in range(0, len(places), bits)]
        return Layout(bits, words, rows, "searched")

    def least(self, bits: int) -> Fraction:
        """Return a number of instructions per weight that no layout's program goes below.

        A register, that is a word and a distance, brings at most ``len(targets) + free`` of a
        word's positions to a target. So a word needs some of them, all but one by a shift, each
        used by a LOP3 at least; and each item needs a LOP3. What comes after, for an item, is what
        a program takes beyond that where all bits are in place. (Whole bytes can go by one PRMT.)
        """
        in_place = [
            self.layout(
                bits,
                2,
                [[s + up for s in self.targets], [s + up + self.width for s in self.targets]],
            )
            for up in range(self.free + 1)
        ]
        after = Fraction(min(self.make(layout).cost.total for layout in in_place), 2) - 1
        registers = -(-self.width // (len(self.targets) + self.free)) * self.words()
        gather = registers - self.words() + max(self.items(), registers)
        if bits == BYTE:
            gather = self.items()
        codes_of_item = in_place[0].count // 2
        return (gather + self.items() * after) / (self.items() * codes_of_item)


def _ways(fmt: NumberFormat, target: Target, fold_scale: bool) -> Iterator[_Way]:
    def straight(layout: Layout) -> Program:
        return to_half(fmt, layout, target, fold_scale=fold_scale)

    half = half_format(target)
    if isinstance(fmt, Format):
        yield _Way("", straight, HALF_BITS, float_bits(fmt, half))
    elif linear_of(fmt) is not None:
        free = max(0, half.mantissa_bits - fmt.bits)
        yield _Way("", straight, HALF_BITS, range(fmt.bits), free)
    else:
        if fmt.bits <= PAIR_TABLE_BITS:
            yield _Way(
                "pairs, ",
                lambda layout: look_up(fmt, layout, target, pairs=True),
                WORD_BITS,
                range(INDEX, INDEX + 2 * fmt.bits),
            )
        yield _Way(
            "single, ",
            lambda layout: look_up(fmt, layout, target, pairs=False),
            WORD_BITS,
            range(INDEX, INDEX + fmt.bits),
        )


def _named_layouts(bits: int) -> Iterator[Layout]:
    yield dense(bits)
    for parts in range(1, MAX_PLANES + 1):
        for widths in itertools.product(PLANE_WIDTHS, repeat=parts):
            if sum(widths) == bits:
                yield parse_layout("+".join(map(str, widths)), bits)


def _annealed(way: _Way, bits: int, steps: int, seed: int) -> Layout:
    targets = np.array(way.targets, np.int64)
    items, words = way.items(), way.words()
    owners = np.random.default_rng(seed).permutation(items * targets.size)
    places = np.argsort(owners).reshape(items, targets.size)
    best = places.copy()
    anneal(
        places,
        np.zeros(items, np.int64),
        owners,
        np.zeros((words, 3 * way.width), np.int64),
        np.zeros(items, np.int64),
        best,
        targets,
        way.width,
        way.free,
        steps,
        np.array([seed + FIRST_STATE], np.uint64),
    )
    return way.layout(bits, words, sorted(best.tolist()))


def _price(program: Program) -> Fraction:
    return Fraction(program.cost.total, program.cost.weights)
