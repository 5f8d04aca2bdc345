"""`reveal`: how a function adds, found by calling it.

The order comes by the method of FPRev (P. Xie et al., arXiv 2411.00442): with a huge number at one
place, its negative at another, and small ones elsewhere, a sum counts the small ones that are added
after the two have met; the others are lost. So each pair of places tells how many terms are in the
smallest partial sum that has both. Precision and rounding come from sums of two or three powers of
two, and from one product that a rounding changes. At last an `Accumulator` with what was found must
give the same sums for random terms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, SupportsIndex, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from minifloat.arithmetic.accumulators import MAX_BITS, Accumulator, Cut
from minifloat.arithmetic.dot_products import dot
from minifloat.arithmetic.orders import MAX_DEPTH, Order, additions
from minifloat.arithmetic.sum_formats import MAX_MANTISSA
from minifloat.formats.base import check_bool, check_int, shown
from minifloat.formats.rounding import Rounding

Array = NDArray[Any]
Node: TypeAlias = "int | tuple[Node, ...]"

MAX_LENGTH = 256
LIKELY = (Rounding.NEAREST_EVEN, Rounding.TOWARD_ZERO)
MOST = 60  # bits that are probed
NAMES = {52: ["float64"], 23: ["float32"], 10: ["float16", "tf32"], 7: ["bfloat16"]}
LARGE_AND_SMALL = {"float32": (2.0**30, 2.0**-10), "float64": (2.0**80, 2.0**-10)}
TRIALS = 300  # random sums that an accumulator must give


@dataclass(frozen=True)
class Revealed:
    """How a function adds.

    Attributes
    ----------
    tree : tuple
        Indices of terms, and such tuples: what is in one tuple is added at once. One tuple of all
        where no term is lost beside larger ones, as in exact sums of several terms.
    order : str or None
        The order of an `Accumulator` that has this tree, by its name; None if there is none.
    terms : int
        The most terms that are added at once, beside a running sum.
    bits : int
        Bits below the largest number that a smaller one keeps beside it; 60 or more are 60.
    mantissa_bits : int
        Bits of a sum behind its first; 60 or more are 60.
    rounds : bool or None
        Whether products are rounded before they are added; None if that was not asked: without a
        ``dtype`` or ``products``, or where terms are aligned.
    accumulator : Accumulator or None
        One that gave the same sums for random terms; None if none did. Its range of exponents is
        not probed: it is that of float32, but for float64, and for float16 where sums fit it.
    """

    tree: Node
    order: str | None
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
        Default: 2**30, or 2**80 in float64, and 2**-10.

    Returns
    -------
    Revealed

    Raises
    ------
    ValueError
        If an argument is out of range, or the results are not those of a sum that loses ``small``
        beside ``large``.

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
    check_bool("products", products)
    n = check_int("length", length, 4, MAX_LENGTH)
    if dtype is not None and not (isinstance(dtype, str) and dtype in LARGE_AND_SMALL):
        raise ValueError(f"dtype must be float32 or float64, got {shown(dtype)}")
    usual = LARGE_AND_SMALL[dtype or "float32"]
    large, small = (
        own if given is None else given for own, given in zip(usual, (large, small), strict=True)
    )
    for name, number in (("large", large), ("small", small)):
        if not (isinstance(number, float | int) and np.frexp(number)[0] == 0.5):
            raise ValueError(f"{name} must be a power of two, got {shown(number)}")
    probe = _Probe(f, n, products, dtype, float(large), float(small))
    sizes = probe.sizes()
    tree = _tree_of(sizes, tuple(range(n)))
    near = probe.near(sizes)
    bits, mantissa_bits = probe.bits(*near), probe.mantissa_bits(*near)
    order, terms = _order_of(tree, n), _terms_of(tree)
    rounds = None
    if products and dtype is not None and terms == 1 and bits == mantissa_bits < MOST:
        rounds = probe.rounds(*near, mantissa_bits)
    own: Any = order if order is not None else tree if _is_binary(tree) else None
    found = (
        accumulator
        for accumulator in _candidates(own, terms, bits, mantissa_bits, rounds, is_flat=terms == n)
        if probe.agrees(accumulator)
    )
    return Revealed(tree, order, terms, bits, mantissa_bits, rounds, next(found, None))


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
        return float(self.f(*self.factors(x)))

    def of(self, *terms: tuple[int, float], others: float = 0.0) -> float:
        """Return the sum of some terms, at their places, and of others."""
        x = np.full(self.n, others)
        for place, value in terms:
            x[place] = value
        return self.ask(x)

    def sizes(self) -> Array:
        """Return for each pair of places how many terms are in the sum where they meet."""
        found = np.ones((self.n, self.n), int)
        for i in range(self.n):
            for j in range(i):
                found[i, j] = found[j, i] = self.n - self.count(i, j)
        return found

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

    def near(self, sizes: Array) -> tuple[int, int, int]:
        """Return two places that meet early, and a third one that they meet next."""
        apart = sizes + self.n * np.eye(self.n, dtype=int)
        a, b = sorted(int(place) for place in np.unravel_index(apart.argmin(), apart.shape))
        others = [place for place in range(self.n) if place not in (a, b)]
        return a, b, min(others, key=lambda place: int(sizes[a, place]))

    def bits(self, a: int, b: int, c: int) -> int:
        """Return how far below ``large`` a term is still exact beside it."""
        for k in range(MOST + 1):
            t = self.large * 2.0**-k
            if self.of((a, t), (b, self.large), (c, -self.large)) != t:
                return k - 1
        return MOST

    def mantissa_bits(self, a: int, b: int, c: int) -> int:
        """Return how far below ``large`` a term is still exact in a sum with it."""
        for k in range(1, MOST + 1):
            t = self.large * 2.0**-k
            if self.of((a, self.large), (b, t)) - self.large != t:
                return k - 1
        return MOST

    def rounds(self, a: int, b: int, c: int, mantissa_bits: int) -> bool:
        """Return whether the square of 1 + 2**-k is rounded before it is added to a sum."""
        k = mantissa_bits // 2 + 1
        lasts = []
        for place, other in ((a, b), (b, a)):
            x, y = np.zeros((2, self.n), self.dtype)
            x[place], y[place] = -(1 + 2.0 ** (1 - k)), 1
            x[other] = y[other] = 1 + 2.0**-k
            lasts.append(float(self.f(x, y)))
        return not any(lasts)

    def agrees(self, accumulator: Accumulator) -> bool:
        """Return whether random sums are the accumulator's; also short ones, with ties."""
        rng = np.random.default_rng(0)
        one = np.ones(self.n, self.dtype)
        for _ in range(TRIALS if self.dtype else 0):
            numbers = rng.standard_normal((1 + self.products, self.n)).astype(self.dtype)
            if float(self.f(*numbers)) != float(dot(*[*numbers, one][:2], accumulator=accumulator)):
                return False
        bits = max(accumulator.fmt.mantissa_bits, accumulator.bits or 0)
        for trial in range(TRIALS):
            high, low = rng.integers(0, 3, self.n), rng.integers(bits - 3, bits + 4, self.n)
            exponents = np.where(rng.random(self.n) < 0.5, high, low)
            signs = np.where(rng.random(self.n) < (0.5, 0.1)[trial % 2], -1.0, 1.0)
            x = self.large * signs * 2.0**-exponents
            x[rng.random(self.n) < (0.0, 0.5, 0.9)[trial % 3]] = 0
            if self.ask(x) != float(dot(x, one, accumulator=accumulator)):
                return False
        return True


def _tree_of(sizes: Array, places: tuple[int, ...]) -> Node:
    """Return the tree of some places: those that meet only where all have met are apart."""
    if len(places) == 1:
        return places[0]
    own = sizes[np.ix_(places, places)]
    if own.max() < len(places):  # nothing is lost: they are added exactly
        return places
    children: list[tuple[int, ...]] = []
    left = list(range(len(places)))
    while left:
        child = [k for k in left if own[left[0], k] < len(places)]
        children.append(tuple(places[k] for k in child))
        left = [k for k in left if k not in child]
    return tuple(_tree_of(sizes, child) for child in children)


def _terms_of(tree: Node) -> int:
    """Return the most leaves of a node."""
    if isinstance(tree, int):
        return 1
    if all(isinstance(child, int) for child in tree) and len(tree) == 2:
        return 1  # two terms, or a term and a running sum that begins at 0
    leaves = sum(isinstance(child, int) for child in tree)
    return max(leaves, *map(_terms_of, tree))


def _unordered(tree: Node) -> Any:
    return tree if isinstance(tree, int) else frozenset(map(_unordered, tree))


def _of_additions(order: str, n: int) -> Any:
    rows: dict[int, Any] = {k + 1: k for k in range(n)}
    for into, other in additions(order, n).tolist():
        rows[into] = frozenset((rows[into], rows[other])) if into in rows else rows[other]
    return rows[0]


def _is_binary(tree: Node, depth: int = 0) -> bool:
    """Return whether two are added at a time, and the tree is no deeper than an order may be."""
    if isinstance(tree, int):
        return True
    return depth < MAX_DEPTH and len(tree) == 2 and all(_is_binary(t, depth + 1) for t in tree)


def _order_of(tree: Node, n: int) -> str | None:
    """Return the order whose tree this is; sequential too where several terms are added at once."""
    own = _unordered(tree)
    terms = _terms_of(tree)
    chain: Any = frozenset(range(terms)) if terms > 1 else 0
    backward: Any = n - 1
    for first in range(max(terms, 1), n, terms):
        chain = frozenset((chain, *range(first, min(first + terms, n))))
    for place in range(n - 2, -1, -1):
        backward = frozenset((backward, place))
    if own == chain or (terms == n and own == frozenset(range(n))):
        return "sequential"
    if own == backward:
        return "reversed"
    words = [
        "pairwise",
        *(f"{w}:{k}" for k in range(2, n) for w in ("strided", "pairwise", "blocks")),
    ]
    return next((word for word in words if _of_additions(word, n) == own), None)


def _candidates(
    order: Order | None,
    terms: int,
    bits: int,
    mantissa_bits: int,
    rounds: bool | None,
    *,
    is_flat: bool,
) -> Iterator[Accumulator]:
    """Yield accumulators with what was found, the likely ones first."""
    known = NAMES.get(mantissa_bits, [f"e8m{mantissa_bits}{'ieee' * (mantissa_bits < 8)}"])
    if known == ["float64"]:
        if terms == 1 and bits == mantissa_bits and order is not None:
            yield Accumulator("float64", order=order, product="float64" if rounds else None)
        elif bits == MOST:
            yield Accumulator("float64", terms="all")
        return
    if order is None or not 1 <= mantissa_bits <= MAX_MANTISSA:
        return
    others = [mode for mode in Rounding if mode not in LIKELY and not mode.is_stochastic]
    for rounding, fmt in product((*LIKELY, *others), known):
        if is_flat:  # exact, of all terms or of so many
            counts: list[int | Literal["all"]] = ["all", *range(2, terms)]
            for count in counts:
                yield Accumulator(fmt, rounding=rounding, terms=count)
        elif terms == 1 and bits == mantissa_bits:
            own = fmt if rounds else None
            yield Accumulator(fmt, rounding=rounding, order=order, product=own)
        if order == "sequential" and 1 <= bits <= MAX_BITS:
            for cut in get_args(Cut):
                yield Accumulator(fmt, rounding=rounding, terms=terms, bits=bits, cut=cut)
