"""`reveal`: how a function adds, found by calling it.

The order comes by the method of FPRev (P. Xie et al., arXiv 2411.00442): with a huge number at one
place, its negative at another, and small ones elsewhere, a sum counts the small ones that are added
after the two have met; the others are lost. So a pair of places tells how many terms are in the
smallest partial sum that has both. Precision and rounding come from sums of two or three powers of
two, and from one product that a rounding changes. At last an `Accumulator` with what was found must
give the same sums for random terms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal, SupportsIndex, get_args

import numpy as np
from numpy.typing import NDArray

from minifloat.arithmetic.accumulators import MAX_BITS, Accumulator, Cut
from minifloat.arithmetic.dot_products import dot
from minifloat.arithmetic.sum_formats import MAX_MANTISSA
from minifloat.arithmetic.sum_trees import (
    Node,
    is_binary,
    later_step,
    meeting,
    order_of,
    revealed_tree,
    terms_of,
)
from minifloat.formats.base import check_bool, check_int, shown
from minifloat.formats.rounding import Rounding

Array = NDArray[Any]

MAX_LENGTH = 256
LIKELY = (Rounding.NEAREST_EVEN, Rounding.TOWARD_ZERO)
MAX_EXPONENT = 1000  # of integers for the numbers
MOST = 60  # bits that are probed
NAMES = {52: ["float64"], 23: ["float32"], 10: ["float16", "tf32"], 7: ["bfloat16"]}
# Exponents of large and small numbers, tried in turn: of bfloat16 and wider; float16; results in
# float16; E4M3 without and with infinities or -0; formats of 4 and 6 bits, whose sums lose nothing.
EXPONENTS = ((80, -10), (30, -10), (10, -24), (15, -18), (14, -18), (4, -2))
TRIALS = 300  # random sums that an accumulator must give


@dataclass(frozen=True)
class Revealed:
    """How a function adds.

    Attributes
    ----------
    tree : tuple
        Indices of terms, and such tuples: what is in one tuple is added at once. One tuple of all
        where no term is lost beside larger ones, as in exact sums of several terms, and in sums of
        formats whose largest and smallest numbers are near.
    order : str or None
        The order of an `Accumulator` that has this tree, by its name; None if there is none.
    promote : int or None
        After so many terms their sum is added to an outer one.
    terms : int
        The most terms that are added at once, beside a running sum.
    bits : int
        Bits below the largest number that a smaller one keeps beside it; or 60, or as many as there
        are between ``large`` and ``small``, if it keeps more.
    mantissa_bits : int
        Bits of a sum behind its first; with the same limits.
    rounds : bool or None
        Whether products are rounded before they are added; None if that was not asked: without a
        ``dtype`` or ``products``, or where terms are aligned.
    accumulator : Accumulator or None
        One that gave the same sums for random terms; None if none did. Its range of exponents is
        not probed: it is that of float32, but for float64, and for float16 where sums fit it.
    """

    tree: Node
    order: str | None
    promote: int | None
    terms: int
    bits: int
    mantissa_bits: int
    rounds: bool | None
    accumulator: Accumulator | None


def reveal(
    f: Callable[..., Any],
    length: SupportsIndex = 64,
    *,
    products: bool = False,
    dtype: Literal["float32", "float64"] | None = None,
    large: float | None = None,
    small: float | None = None,
) -> Revealed:
    """Return in which order a function adds, how many terms at a time, and how it rounds.

    Its sums are rounded to nearest or toward zero: what rounds a small term up to a unit in the
    last place of a large one cannot be seen through.

    Parameters
    ----------
    f : callable
        ``f(x)`` returns the sum of an array; with ``products``, ``f(a, b)`` returns the sum of
        ``a * b``.
    length : int
        4 .. 256 terms, more than ``f`` adds at once.
    products : bool
        Whether ``f`` takes two arrays.
    dtype : "float32" or "float64", optional
        Type of the arrays, if ``f`` takes all numbers of that type. Default: float32, and all
        numbers are 0 or powers of two and their negatives.
    large, small : float, optional
        Powers of two; ``length`` times ``small`` must be lost beside ``large``, and twice ``large``
        must be no overflow. With ``products`` each is the product of two numbers near its root.
        Default: the first of some pairs that ``f`` takes, returns and counts, from 2**80 and 2**-10
        down to 2**4 and 2**-2.

    Returns
    -------
    Revealed

    Raises
    ------
    ValueError
        If an argument is out of range, or the results are not those of a sum that loses ``small``
        beside ``large``.
    TypeError
        If ``f`` cannot be called, or does not return a number.

    Examples
    --------
    >>> import math
    >>> import numpy as np
    >>> from minifloat import arithmetic
    >>> arithmetic.reveal(lambda x: np.cumsum(x)[-1], 5).tree
    ((((0, 1), 2), 3), 4)
    >>> def tensor_core(a, b):
    ...     return arithmetic.dot(a, b, unit="ampere/float16/float32")
    >>> found = arithmetic.reveal(tensor_core, 20, products=True)
    >>> found.terms, found.bits, str(found.accumulator)
    (8, 24, 'float32:toward_zero/terms=8+bits=24')
    >>> str(arithmetic.reveal(math.fsum, dtype="float64").accumulator)
    'float64/terms=all'
    """
    if not callable(f):
        raise TypeError(f"f must be a function of one or two arrays, got {shown(f)}")
    check_bool("products", products)
    n = check_int("length", length, 4, MAX_LENGTH)
    if dtype is not None and not (isinstance(dtype, str) and dtype in ("float32", "float64")):
        raise ValueError(f"dtype must be float32 or float64, got {shown(dtype)}")
    for name, number in (("large", large), ("small", small)):
        if number is not None and not _is_power(number):
            raise ValueError(f"{name} must be a power of two, got {shown(number)}")
    if large is not None and small is not None and not large > small:
        raise ValueError(f"large must be more than small, got {large:g} and {small:g}")
    pairs = dict.fromkeys(
        (float(large or 2.0**high), float(small or 2.0**low)) for high, low in EXPONENTS
    )
    probe = _first_taken([_Probe(f, n, products, dtype, *pair) for pair in pairs])
    tree = revealed_tree(probe.size, list(range(n)))
    near = meeting(tree)
    bits, mantissa_bits = probe.bits(*near), probe.mantissa_bits(*near)
    (order, promote), terms = order_of(tree, n), terms_of(tree)
    rounds = None
    if products and dtype is not None and terms == 1 and bits == mantissa_bits < MOST:
        rounds = probe.rounds(*near, mantissa_bits)
    own: Any = order if order is not None else tree if is_binary(tree) else None
    revealed = Revealed(tree, order, promote, terms, bits, mantissa_bits, rounds, None)
    found = (
        accumulator
        for accumulator in _candidates(revealed, own, probe)
        if probe.agrees(accumulator)
    )
    return replace(revealed, accumulator=next(found, None))


def _is_power(number: object) -> bool:
    if isinstance(number, int) and number.bit_length() > MAX_EXPONENT:
        return False
    return isinstance(number, float | int) and math.frexp(number)[0] == 0.5


def _first_taken(probes: list[_Probe]) -> _Probe:
    """Return the first probe whose numbers the function takes and returns."""
    wrong: Exception | None = None
    for probe in probes:
        try:
            with np.errstate(all="ignore"):  # numbers that overflow in a function of NumPy's
                probe.check_numbers()
        except (ValueError, ArithmeticError) as error:
            wrong = wrong or error
        else:
            return probe
    assert wrong is not None
    raise wrong


@dataclass(frozen=True)
class _Probe:
    """The function, and what it is asked."""

    f: Callable[..., Any]
    n: int
    products: bool
    dtype: str | None
    large: float
    small: float

    def factors(self, x: Array) -> tuple[Array, ...]:
        """Return the arguments of ``f`` for some terms."""
        x = x.astype(self.dtype or "float32")
        if not self.products:
            return (x,)
        fraction, exponent = np.frexp(x)
        half = exponent >> 1  # each factor has about half of the exponent
        b = np.ldexp(x.dtype.type(0.5), exponent - half)
        return np.ldexp(2 * fraction, half), b

    def ask(self, x: Array) -> float:
        return self.call(*self.factors(x))

    def call(self, *arrays: Array) -> float:
        """Return what the function returns."""
        found = self.f(*arrays)
        try:
            return float(found)
        except (TypeError, ValueError):
            raise TypeError(f"f must return a number, got {shown(found)}") from None

    def of(self, *terms: tuple[int, float], others: float = 0.0) -> float:
        """Return the sum of some terms, at their places, and of others."""
        x = np.full(self.n, others)
        for place, value in terms:
            x[place] = value
        return self.ask(x)

    @property
    def reach(self) -> int:
        """How many bits are between the numbers, or 60 if more."""
        return min(MOST, int(np.log2(self.large / self.small)))

    def check_numbers(self) -> None:
        """Raise if one number alone is not its own sum."""
        for number in (self.large, self.small):
            if (found := self.of((0, number))) != number:
                raise ValueError(
                    f"f must return {number:g} for {number:g} alone, got {found:g}; choose another "
                    "large or small"
                )

    def size(self, i: int, j: int) -> int:
        """Return how many terms are in the sum where two places meet."""
        return self.n - self.count(i, j)

    def count(self, i: int, j: int) -> int:
        """Return how many small terms are left where two large ones are at two places.

        Sums that are cut toward zero lose a small term beside a large one of the same sign alone,
        so there are two ways round.
        """
        for sign in (1.0, -1.0):
            large = sign * self.large
            left = self.of((i, large), (j, -large), others=self.small) / self.small
            if left.is_integer() and 0 <= left <= self.n - 2:
                return int(left)
        raise ValueError(
            f"f must count the terms {self.small:g} that are added after {self.large:g} and "
            f"-{self.large:g} at the places {j} and {i}, got {left:g} of them; choose "
            "another large or small"
        )

    def bits(self, a: int, b: int, c: int) -> int:
        """Return how far below ``large`` a term is still exact beside it."""
        for k in range(self.reach + 1):
            t = self.large * 2.0**-k
            if self.of((a, t), (b, self.large), (c, -self.large)) != t:
                return k - 1
        return self.reach

    def mantissa_bits(self, a: int, b: int, c: int) -> int:
        """Return how far below ``large`` a term is still exact in a sum with it."""
        for k in range(1, self.reach + 1):
            t = self.large * 2.0**-k
            if self.of((a, self.large), (b, t)) - self.large != t:
                return k - 1
        return self.reach

    def late_bits(self, running: list[int], leaves: list[int], mantissa_bits: int) -> int:
        """Return how far below a running sum the sum of later terms is seen, to break a tie."""
        half = self.large * 2.0 ** -(mantissa_bits + 1)
        for k in range(mantissa_bits + 2, self.reach + 1):
            t = self.large * 2.0**-k
            terms = (running[0], self.large), (leaves[0], t), (leaves[1], half)
            if self.of(*terms) == self.large:
                return k - 1
        return self.reach

    def drops(self, running: list[int], leaves: list[int], bits: int) -> bool:
        """Return whether a small negative running sum is lost, though sums are cut downward."""
        t = self.large * 2.0 ** -(bits + 3)
        return self.of((running[0], -t), (leaves[0], self.large), (leaves[1], -self.large)) == 0

    def cut(self, running: list[int], leaves: list[int], bits: int) -> Cut:
        """Return how three quarters of the last bit that is kept are cut."""
        half = self.large * 2.0 ** -(bits + 1)
        large = (leaves[0], self.large), (leaves[1], -self.large)
        if self.of((running[0], half), (running[1], half / 2), *large) > 0:
            return "nearest_even"
        below = self.of((running[0], -half), (running[1], -half / 2), *large) < 0
        return "downward" if below else "toward_zero"

    def rounds(self, a: int, b: int, c: int, mantissa_bits: int) -> bool:
        """Return whether the square of 1 + 2**-k is rounded before it is added to a sum."""
        k = mantissa_bits // 2 + 1
        lasts = []
        for place, other in ((a, b), (b, a)):
            x, y = np.zeros((2, self.n), self.dtype)
            x[place], y[place] = -(1 + 2.0 ** (1 - k)), 1
            x[other] = y[other] = 1 + 2.0**-k
            lasts.append(self.call(x, y))
        return not any(lasts)

    def agrees(self, accumulator: Accumulator) -> bool:
        """Return whether random sums are the accumulator's; also short ones, with ties."""
        rng = np.random.default_rng(0)
        one = np.ones(self.n, self.dtype)
        for _ in range(TRIALS if self.dtype else 0):
            numbers = rng.standard_normal((1 + self.products, self.n)).astype(self.dtype)
            if self.call(*numbers) != float(dot(*[*numbers, one][:2], accumulator=accumulator)):
                return False
        bits = max(accumulator.fmt.mantissa_bits, accumulator.bits or 0)
        for trial in range(TRIALS):
            high, low = rng.integers(0, 3, self.n), rng.integers(bits - 3, bits + 3, self.n)
            exponents = np.minimum(np.where(rng.random(self.n) < 0.5, high, low), self.reach)
            signs = np.where(rng.random(self.n) < (0.5, 0.1)[trial % 2], -1.0, 1.0)
            x = self.large * signs * 2.0**-exponents
            x[rng.random(self.n) < (0.0, 0.5, 0.9)[trial % 3]] = 0
            if self.ask(x) != float(dot(x, one, accumulator=accumulator)):
                return False
        return True


def _candidates(found: Revealed, order: Any, probe: _Probe) -> Iterator[Accumulator]:
    """Yield accumulators with what was found, the likely ones first; ``order`` may be a tree."""
    terms, bits, mantissa_bits = found.terms, found.bits, found.mantissa_bits
    known = NAMES.get(mantissa_bits, [f"e8m{mantissa_bits}{'ieee' * (mantissa_bits < 8)}"])
    is_exact = bits == mantissa_bits == probe.reach < MOST  # nothing was lost
    if is_exact:
        known = ["float32", "float16"]
    if known == ["float64"]:
        if terms == 1 and bits == mantissa_bits and order is not None:
            yield Accumulator("float64", order=order, product="float64" if found.rounds else None)
        elif bits == MOST:
            yield Accumulator("float64", terms="all")
        return
    if order is None or not 1 <= mantissa_bits <= MAX_MANTISSA:
        return
    step = later_step(found.tree)
    others = [mode for mode in Rounding if mode not in LIKELY and not mode.is_stochastic]
    ways = list(product((*LIKELY, *others), known))
    for rounding, fmt in ways:
        how: dict[str, Any] = {"fmt": fmt, "rounding": rounding}
        if found.promote is not None:
            outer = "float16" if fmt == "float16" else "float32"
            how |= {"order": order, "promote": found.promote, "outer": outer}
        if terms == probe.n:  # exact, of all terms or of so many
            for count in ("all", *range(2, terms)):
                yield Accumulator(**how, terms=count)
        elif terms == 1 and bits == mantissa_bits:
            yield Accumulator(**how | {"order": order}, product=fmt if found.rounds else None)
        elif bits <= MAX_BITS and (order == "sequential" or found.promote):
            cuts = get_args(Cut) if step is None else (probe.cut(*step, bits),)
            for cut in cuts:
                yield Accumulator(**how, terms=terms, bits=bits, cut=cut)
    if order == "sequential" and step is not None and bits <= MAX_BITS:
        late = min(probe.late_bits(*step, mantissa_bits), MAX_BITS)
        drops = probe.drops(*step, bits)
        for (rounding, fmt), lanes in product(ways, (1, 2)):
            yield Accumulator(
                fmt, rounding=rounding, terms=terms, bits=bits, late=late, lanes=lanes, drops=drops
            )
