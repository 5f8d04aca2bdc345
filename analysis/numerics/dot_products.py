"""Errors of dot products against their length, by matrix unit and accumulator.

Operands are rounded to the input's format first, E4M3 and E5M2 after a scale that takes 1 to 448 or
57344; the error is that of the sum alone, against the exact sum of the same products. A draw is
`ROWS` dot products, and its error the root mean square error over the root mean square sum.

**Theory**

For numbers between 0 and 1 the sum after k products is k times their mean, less what was lost. In a
step, its terms lose what cutting them to multiples of q = 2**(e - bits) loses, e being the exponent
of the sum, and then what rounding their sum to a gap of the format loses. `predicted` adds up the
means of these losses, and their variances, over random products. Hence a sum stagnates where the
gap is twice its products, or q exceeds them. With stochastic rounding a step has the mean 0 and the
variance f (1 - f) gap**2, f being the fraction of the gap that is rounded; while f is spread evenly
the relative error grows as the square root of the length (M. P. Connolly, N. J. Higham and T. Mary,
*Stochastic rounding and its probabilistic backward error analysis*, SIAM J. Sci. Comput. 43, 2021),
and where products are far smaller than the gap it does not grow any more.

**Criteria**

The theory holds for an accumulator if at every length from 512 on the measured error is within 15 %
or three standard errors of it. The law of the square root holds if the exponent of the error,
fitted to all lengths, is within three standard errors of 1/2. A sum stagnates at the first power of
two after which the next as many products add less than half of what they should.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.models.evaluation import Progress, counter
from analysis.numerics.draws import record
from analysis.records import Row, Rows
from analysis.statistics import Estimate, fitted
from minifloat import round_to
from minifloat.arithmetic import UNITS, Accumulator, dot
from minifloat.formats import Format

Array = NDArray[Any]

ERROR, INTERVAL, STAGNATION = "relative error", "relative error by interval", "stagnation length"
POSITIVE, NORMAL, SIGNED = "0 to 1", "normal", "-1 to 1"
DATA = (POSITIVE, NORMAL, SIGNED)
STOCHASTIC = "stochastic"
LENGTHS = tuple(4**k for k in range(2, 8))  # 16 to 16384
INTERVALS = tuple(1 << k for k in range(5, 13))  # of promotion, up to the whole length
LONGEST = 1 << 17
ROWS, DRAWS = 32, 8
PROMOTED = "hopper/e4m3fn/float32"
ALONE = (  # accumulators of no unit, of float32 numbers
    "float32", "float32/order=strided:8", "float32/order=pairwise", "float16", "bfloat16",
    "bfloat16/order=pairwise", f"float16:{STOCHASTIC}", f"bfloat16:{STOCHASTIC}",
)  # fmt: skip
SAMPLE = 1 << 17  # products that stand for the law of a product
WITHIN = 0.15


@dataclass(frozen=True)
class Sums:
    """How dot products are computed.

    Attributes
    ----------
    name : str
        A unit's name, with ``+promote=N`` perhaps, or the text of an accumulator.
    fmt : Format or None
        Of operands; None for float32.
    accumulator : Accumulator
    """

    name: str
    fmt: Format | None
    accumulator: Accumulator

    @classmethod
    def of(cls, name: str) -> Sums:
        """Return what a name means.

        Examples
        --------
        >>> from analysis.numerics.dot_products import Sums
        >>> Sums.of("hopper/e4m3fn/float32+promote=128").accumulator.promote
        128
        """
        unit, _, promote = name.partition("+promote=")
        if unit not in UNITS:
            return cls(name, None, Accumulator.parse(name))
        found = UNITS[unit]
        text = f"{found.accumulator}+promote={promote}" if promote else found.accumulator
        fmt = found.inputs[0]
        return cls(name, fmt if isinstance(fmt, Format) else None, Accumulator.parse(text))

    def operands(self, data: str, shape: tuple[int, ...], seed: tuple[int, ...]) -> Array:
        """Return random operands, rounded to their format."""
        rng = np.random.default_rng(seed)
        x = rng.standard_normal(shape) if data == NORMAL else rng.random(shape)
        x = 2 * x - 1 if data == SIGNED else x
        if self.fmt is None:
            return x.astype(np.float32)
        if self.fmt.max < 65504 or self.fmt.bits <= 8:  # the largest of all to the largest value
            x = x * (self.fmt.max / (np.abs(x).max() if data == NORMAL else 1.0))
        rounded: Array = round_to(x, self.fmt, overflow="saturate").astype(np.float32)
        return rounded

    def sums(self, a: Array, b: Array, lengths: Sequence[int], seed: int) -> list[Array]:
        """Return the dot products of the first terms of the rows, for each length."""
        drawn = seed if self.is_stochastic else None
        return [
            dot(a[:, :k], b[:, :k], accumulator=self.accumulator, dtype=np.float64, seed=drawn)
            for k in lengths
        ]

    @property
    def is_stochastic(self) -> bool:
        """Whether sums are rounded at random."""
        return self.accumulator.rounding.is_stochastic


def units() -> list[str]:
    """Return the units whose error the study measures: without scales, returning float32.

    Units that differ in their names alone count once.
    """
    found: dict[tuple[Any, ...], str] = {}
    for name, unit in UNITS.items():
        exact = unit.inputs[0].name in ("e2m1", "e2m3", "e3m2", "float64")  # nearly
        if unit.scale is None and unit.output == "float32" and not exact:
            found.setdefault((unit.inputs[0].name, str(unit.accumulator)), name)
    return list(found.values())


def records(*, quick: bool = False, progress: Progress | None = None) -> Rows:
    """Measure the errors of dot products.

    Parameters
    ----------
    quick : bool
        Three accumulators, short products, two draws.
    progress : callable, optional

    Returns
    -------
    list of dict
        See `analysis.numerics.draws.record`, with the labels ``sums`` (the name of a `Sums`) and
        ``data`` (one of `DATA`). Quantities: `ERROR` against the length; `INTERVAL`,
        that of `PROMOTED` at 4096 products, against the interval of promotion; `STAGNATION`, the
        length, at 0; None where the sum still grows at 2**16 products.

    Examples
    --------
    >>> from analysis.numerics.dot_products import STAGNATION, records
    >>> found = records(quick=True)
    >>> [row["measured"] for row in found if row["quantity"] == STAGNATION]
    [1024.0, 1024.0, None, None, 32768.0, 32768.0]
    """
    names = ["bfloat16", f"bfloat16:{STOCHASTIC}", PROMOTED] if quick else [*units(), *ALONE]
    lengths, draws = (LENGTHS[:4], 2) if quick else (LENGTHS, DRAWS)
    found: Rows = []
    intervals = INTERVALS[:2] if quick else INTERVALS
    step = counter(progress, len(names) + len(intervals))
    for name in names:
        how = Sums.of(name)
        for data in DATA:
            found += errors(how, data, lengths, draws)
        found += _stagnation(how, 2 if quick else DRAWS, 1 << 16 if quick else LONGEST)
        step()
    for interval in intervals:
        how = Sums.of(f"{PROMOTED}+promote={interval}")
        for data in DATA:
            for row in errors(how, data, [INTERVALS[-1]], draws):
                found.append(row | {"quantity": INTERVAL, "sums": PROMOTED, "at": interval})
        step()
    return found


def errors(how: Sums, data: str, lengths: Sequence[int], draws: int) -> Rows:
    """Return the records of `ERROR` for some draws of operands.

    Parameters
    ----------
    how : Sums
    data : str
        One of `DATA`.
    lengths : sequence of int
        Ascending; a draw depends on the last one.
    draws : int

    Returns
    -------
    list of dict
        As `records`.
    """
    theory: dict[int, float | None] = dict.fromkeys(lengths)
    if data == POSITIVE:
        theory |= dict(zip(lengths, predicted(how, lengths), strict=True))
    found = []
    for draw in range(draws):
        a, b = (how.operands(data, (ROWS, max(lengths)), (draw, side)) for side in (0, 1))
        exact = np.cumsum(a.astype(np.float64) * b, axis=1)
        for k, sums in zip(lengths, how.sums(a, b, lengths, 1000 * draw), strict=True):
            error = np.linalg.norm(sums - exact[:, k - 1]) / np.linalg.norm(exact[:, k - 1])
            labels = {"sums": how.name, "data": data}
            found.append(record(ERROR, labels, k, draw, float(error), theory[k]))
    return found


def _stagnation(how: Sums, draws: int, longest: int) -> Rows:
    """Measure the length at which the sums of all draws stop growing, one sum a draw."""
    lengths = [1 << k for k in range(5, longest.bit_length())]
    if how.is_stochastic:  # which takes two calls a term
        lengths = [k for k in lengths if k <= LENGTHS[-1]]
    a, b = (how.operands(POSITIVE, (draws, lengths[-1]), (9, side)) for side in (0, 1))
    exact = np.cumsum(a.astype(np.float64) * b, axis=1)[:, np.array(lengths) - 1]
    sums = np.stack(how.sums(a, b, lengths, 0), axis=1)
    stops = np.diff(sums, axis=1) < np.diff(exact, axis=1) / 2
    error = predicted(how, lengths)
    theory = None
    if not how.is_stochastic and all(loss is not None for loss in error):
        grown = [k * (1 - float(loss or 0.0)) for k, loss in zip(lengths, error, strict=True)]
        ends = zip(lengths, grown, grown[1:], strict=False)
        theory = next((k for k, before, after in ends if after - before < k / 2), None)
    labels = {"sums": how.name, "data": POSITIVE}
    found = [lengths[int(row.argmax())] if row.any() else None for row in stops]
    return [
        record(STAGNATION, labels, 0, draw, length, theory) for draw, length in enumerate(found)
    ]


def predicted(how: Sums, lengths: Sequence[int]) -> list[float | None]:
    """Return the relative errors of dot products of numbers between 0 and 1, by the theory above.

    Parameters
    ----------
    how : Sums
    lengths : sequence of int
        Ascending.

    Returns
    -------
    list of float or None
        None for accumulators whose losses the theory does not have: other orders, rounded
        products, sums that enter late.

    Examples
    --------
    >>> from analysis.numerics.dot_products import Sums, predicted
    >>> [f"{loss:.1e}" for loss in predicted(Sums.of("hopper/e4m3fn/float32"), [1024, 4096])]
    ['1.5e-02', '7.4e-02']
    """
    own = how.accumulator
    if own.promote is not None:
        return _promoted(how, own.promote, lengths)
    order = str(own.order).partition(":")[0]  # a split one changes nothing for random numbers
    known = order in ("sequential", "split") and own.product is None and own.late is None
    if not known or not isinstance(own.terms, int) or own.cut != "toward_zero":
        return [None] * len(lengths)
    mean, top = float(_products(how).mean()), _top(how)
    lost = variance = 0.0
    found: list[float | None] = []
    terms, fmt = own.terms, own.fmt
    rounding = str(own.rounding)
    for k in range(terms, max(lengths) + terms, terms):
        before, after = (n * mean - lost for n in (k - terms, k))
        place = math.frexp(after)[1] - 1 - fmt.mantissa_bits
        highest = max(math.frexp(before)[1] - 1 if before else top, top)
        cut = None if own.bits is None else highest - own.bits
        loss, noise = _step(how, terms, cut, place, rounding)
        lost, variance = lost + loss, variance + noise
        if k >= lengths[len(found)]:
            found.append(math.hypot(lost, math.sqrt(variance)) / (k * mean))
            if len(found) == len(lengths):
                break
    return found


def _promoted(how: Sums, interval: int, lengths: Sequence[int]) -> list[float | None]:
    """Return the errors of sums of ``interval`` products that are added to nearest."""
    options = str(how.accumulator).replace(f"+promote={interval}", "")
    inner = replace(how, accumulator=Accumulator.parse(options.partition("+outer")[0]))
    (own,) = predicted(inner, [interval])
    if own is None:
        return [None] * len(lengths)
    block, bits = float(_products(how).mean()) * interval, how.accumulator.outer.mantissa_bits
    found: list[float | None] = []
    for length in lengths:
        sums = block * np.arange(1, max(1, length // interval) + 1)
        places = np.frexp(sums)[1] - 1 - bits
        noise = sum(_step(how, interval, None, int(e), "nearest_even")[1] for e in places)
        found.append(math.hypot(own, math.sqrt(noise) / float(sums[-1])))
    return found


@lru_cache(maxsize=16)
def _products(how: Sums) -> Array:
    a, b = (how.operands(POSITIVE, (SAMPLE,), (7, side)) for side in (0, 1))
    return np.asarray(a.astype(np.float64) * b)


@lru_cache(maxsize=16)
def _top(how: Sums) -> int:
    """Return the largest exponent of a product, as units read it: the sum of its factors'."""
    both = (how.operands(POSITIVE, (SAMPLE,), (7, side)).max() for side in (0, 1))
    return sum(int(np.frexp(largest)[1]) - 1 for largest in both)


@lru_cache(maxsize=4096)
def _step(how: Sums, terms: int, cut: int | None, place: int, rounding: str) -> tuple[float, float]:
    """Return what a step loses on average, and the variance of that.

    Its terms are cut to multiples of ``2**cut``, and their sum is rounded to one of ``2**place``,
    of which the sum before the step is one too.
    """
    products = _products(how)[: SAMPLE // terms * terms].reshape(-1, terms)
    kept = products if cut is None else np.trunc(products * 2.0**-cut) * 2.0**cut
    sums = kept.sum(axis=1) * 2.0**-place
    if rounding == "stochastic":
        rest = sums - np.floor(sums)
        return 0.0, float(np.mean(rest * (1 - rest))) * 4.0**place
    rounded = np.trunc(sums) if rounding == "toward_zero" else np.rint(sums)
    lost = products.sum(axis=1) - rounded * 2.0**place
    return float(lost.mean()), float(lost.var())


def agrees(mean: Row) -> bool:
    """Return whether the theory holds for a mean (`analysis.numerics.draws.means`)."""
    theory: float = mean["theory"]
    return bool(abs(mean["mean"] - theory) <= max(WITHIN * theory, 3 * mean["error"]))


def exponent(rows: Iterable[Row], sums: str, data: str) -> Estimate:
    """Return how errors grow with the length: the power, fitted to each draw.

    Parameters
    ----------
    rows : iterable of dict
    sums, data : str

    Returns
    -------
    Estimate
        Over draws.
    """
    lines: dict[int, list[tuple[int, float]]] = {}
    for row in rows:
        if (row["quantity"], row["sums"], row["data"]) == (ERROR, sums, data):
            lines.setdefault(row["draw"], []).append((row["at"], row["measured"]))
    return Estimate.of([fitted(*np.log(line).T)[0] for line in lines.values()])
