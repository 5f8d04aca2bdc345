"""A slow model of accumulators and matrix units, on fractions; shares no code with the fast one.

A number is a Fraction, or a float that is an infinity or NaN. Zeros have no sign here: `same`
compares results, and tells zeros apart only by the sign of what was rounded to zero.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

NOTHING = -(10**6)


def number(x: float) -> Fraction | float:
    return Fraction(float(x)) if math.isfinite(x) else float(x)


def log2_floor(x: Fraction) -> int:
    """Return the exponent of the largest power of two that is not above |x|."""
    x = abs(x)
    e = x.numerator.bit_length() - x.denominator.bit_length()
    return e if Fraction(2) ** e <= x else e - 1


def field(x: Fraction, emin: int) -> int:
    return NOTHING if x == 0 else max(log2_floor(x), emin)


def cut(x: Fraction, place: int, how: str) -> Fraction:
    """Cut a number to a multiple of ``2**place``."""
    unit = Fraction(2) ** place
    down = math.floor(x / unit)
    rest = x / unit - down
    if how == "toward_zero":
        down += rest > 0 and x < 0
    elif how == "nearest_even":
        down += rest > Fraction(1, 2) or (rest == Fraction(1, 2) and down % 2)
    return down * unit


def random_word(seed: int, index: int) -> int:
    """Return a word of SplitMix64's stream of a seed."""
    z = seed + (index + 1) * 0x9E3779B97F4A7C15 & 2**64 - 1
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & 2**64 - 1
    z = (z ^ z >> 27) * 0x94D049BB133111EB & 2**64 - 1
    return z ^ z >> 31


def away_at_random(rest: Fraction, mode: str, r: int, bits: int) -> bool:
    """P3109's definitions, with a random number r of so many bits; and a coin."""
    if mode == "stochastic":
        return math.floor(rest * 2**bits) + r >= 2**bits
    if mode == "stochastic_b":
        return math.floor(rest * 2 ** (bits + 1)) + 2 * r + 1 >= 2 ** (bits + 1)
    if mode == "stochastic_c":
        return round(rest * 2**bits) + r >= 2**bits
    return rest > 0 and 2 * r >= 2**bits


def rounded(
    x: Fraction, fmt, mode: str, overflow: str, flush: bool = False, drawn: tuple[int, int] = (0, 0)
) -> Fraction | float:
    """Round a number to a format of sums; ``drawn`` is a random number and its bits."""
    if x == 0:
        return x
    unit = Fraction(2) ** (max(log2_floor(x), fmt.emin) - fmt.mantissa_bits)
    size = abs(x) / unit
    low = math.floor(size)
    rest, half = size - low, Fraction(1, 2)
    up = mode.startswith("stochastic") and away_at_random(rest, mode, *drawn)
    up = up or {
        "nearest_even": rest > half or (rest == half and low % 2 == 1),
        "nearest_odd": rest > half or (rest == half and low % 2 == 0),
        "nearest_away": rest >= half,
        "nearest_zero": rest > half,
        "toward_zero": False,
        "away_from_zero": rest > 0,
        "upward": rest > 0 and x > 0,
        "downward": rest > 0 and x < 0,
        "to_odd": rest > 0 and low % 2 == 0,
    }.get(mode, False)
    y = (low + up) * unit * (1 if x > 0 else -1)
    if overflow == "wrap":
        span = (
            Fraction(fmt.largest)
            - Fraction(fmt.least)
            + Fraction(2) ** (fmt.emin - fmt.mantissa_bits)
        )
        return y - span * math.floor((y - Fraction(fmt.least)) / span)
    if y > Fraction(fmt.largest):
        return math.inf if overflow == "infinity" else Fraction(fmt.largest)
    if y < Fraction(fmt.least):
        return -math.inf if overflow == "infinity" else Fraction(fmt.least)
    if flush and abs(y) < Fraction(2) ** fmt.emin:
        return Fraction(0)
    return y


def specials(numbers: list) -> float | None:
    """Return the sum if some number is an infinity or NaN, else None."""
    found = [x for x in numbers if isinstance(x, float)]
    if not found:
        return None
    if any(math.isnan(x) for x in found) or len(set(found)) > 1:
        return math.nan
    return found[0]


def product(x: Fraction | float, y: Fraction | float) -> Fraction | float:
    if isinstance(x, float) or isinstance(y, float):
        if (isinstance(x, float) and math.isnan(x)) or (isinstance(y, float) and math.isnan(y)):
            return math.nan
        if x == 0 or y == 0:
            return math.nan
        return math.inf if (x > 0) == (y > 0) else -math.inf
    return x * y


class SlowSum:
    """Adds as an accumulator says; ``emins`` are the lowest exponents of the operands' formats.

    A stochastic one has the random words of a stream: sums have the even ones, in their order,
    products the odd ones. In lists the first terms of sums have the even ones behind those.
    """

    def __init__(self, accumulator, emins: tuple[int, int], stream: int = 0) -> None:
        self.a, self.emins, self.stream = accumulator, emins, stream
        self.additions, self.count = -1, 0

    def drawn(self, word: int) -> tuple[int, int]:
        bits = self.a.random_bits or 0
        return random_word(self.stream, word) >> 64 - bits, bits

    def round(self, x: Fraction, word: int | None = None) -> Fraction | float:
        a, word = self.a, 2 * self.additions if word is None else word
        return rounded(x, a.fmt, str(a.rounding), a.overflow, a.flush, self.drawn(word))

    def plus(self, x, y):
        self.additions += 1
        found = specials([x, y])
        return self.saturated(found) if found is not None else self.round(x + y)

    def saturated(self, x: float) -> Fraction | float:
        if math.isnan(x) or self.a.overflow == "infinity":
            return x
        assert self.a.overflow == "saturate"
        return Fraction(self.a.fmt.largest if x > 0 else self.a.fmt.least)

    def __call__(self, xs: list[float], ys: list[float], c: float, fields=None) -> Fraction | float:
        """Return c plus the products; ``fields`` are the exponents that scales have, if not 0."""
        a = self.a
        xs, ys, start = [number(x) for x in xs], [number(y) for y in ys], number(c)
        if a.flush:
            xs, ys = (
                [
                    Fraction(0) if not isinstance(x, float) and abs(x) < Fraction(2) ** e else x
                    for x in row
                ]
                for row, e in zip((xs, ys), self.emins, strict=True)
            )
            if not isinstance(start, float) and abs(start) < Fraction(2) ** -126:
                start = Fraction(0)
        terms = []
        for k, (x, y) in enumerate(zip(xs, ys, strict=True)):
            p = product(x, y)
            if isinstance(p, float) or p == 0:
                e = NOTHING
            elif fields is not None:
                e = fields[k]
            else:
                e = field(x, self.emins[0]) + field(y, self.emins[1])
            if (
                a.limit is not None
                and not isinstance(p, float)
                and abs(p) >= Fraction(2) ** a.limit
            ):
                p = math.inf if p > 0 else -math.inf
            terms.append((p, e))
        terms = self.permuted(terms)
        if a.product is not None:
            terms = [(self.rounded_product(p, k), e) for k, (p, e) in enumerate(terms)]
        if a.promote is not None:
            return self.promoted(terms, start)
        return self.ordered(terms, start)

    def permuted(self, terms):
        word, _, size = str(self.a.order).partition(":")
        if word == "reversed":
            return terms[::-1]
        if word != "split":
            return terms
        found, size = [], int(size)
        for k in range(0, len(terms), size):
            block = terms[k : k + size] + [(Fraction(0), NOTHING)] * size
            for parity in (0, 1):
                found += [block[i] for i in range(size) if i // 2 % 2 == parity]
        return found

    def rounded_product(self, p, k):
        fmt = self.a.product
        if not isinstance(p, float):
            overflow = "infinity" if fmt.has_inf else "saturate"
            drawn = self.drawn(2 * k + 1)
            return rounded(p, fmt, str(self.a.rounding), overflow, self.a.flush, drawn)
        if math.isnan(p) or fmt.has_inf:
            return p
        return Fraction(fmt.largest if p > 0 else fmt.least)

    def promoted(self, terms, total):
        wide = self.a.outer
        for k in range(0, len(terms), self.a.promote):
            part = self.chain(terms[k : k + self.a.promote], Fraction(0))
            found = specials([total, part])
            overflow = "infinity" if wide.has_inf else "saturate"
            if found is None:
                total = rounded(total + part, wide, "nearest_even", overflow)
            elif math.isnan(found) or wide.has_inf:
                total = found
            else:
                total = Fraction(wide.largest if found > 0 else wide.least)
        return total

    def ordered(self, terms, start):
        order = self.a.order
        if isinstance(order, tuple):
            self.count = len(terms)
            return self.plus(start, self.tree(order, [p for p, _ in terms]))
        word, _, size = order.partition(":")
        if word in ("sequential", "reversed", "split"):
            return self.chain(terms, start)
        values = [(k, p) for k, (p, _) in enumerate(terms)]
        self.count = len(values)
        if not values:
            return start
        if word == "strided":
            rows = [values[k :: int(size)] for k in range(min(int(size), len(values)))]
            sums = [(row[0][0], self.one_by_one(row)) for row in rows]
            return self.plus(start, self.halves(sums))
        for k in range(0, len(values), int(size or len(values))):
            block = values[k : k + int(size or len(values))]
            start = self.plus(
                start, self.halves(block) if word == "pairwise" else self.one_by_one(block)
            )
        return start

    def begun(self, place, value):
        """Return a sum with one term, whose place is known."""
        if isinstance(value, float):
            return self.saturated(value)
        return self.round(value, 2 * (self.count + place + 1))

    def one_by_one(self, values):
        if len(values) == 1:
            return values[0][1]
        total = self.begun(*values[0])
        for _, value in values[1:]:
            total = self.plus(total, value)
        return total

    def halves(self, values):
        if len(values) == 1:
            return values[0][1]
        middle = -(-len(values) // 2)
        left = self.halves(values[:middle])
        left = self.begun(values[0][0], left) if middle == 1 else left
        return self.plus(left, self.halves(values[middle:]))

    def tree(self, node, values):
        if isinstance(node, int):
            return values[node]
        left, right = node
        first = self.begun(left, values[left]) if isinstance(left, int) else self.tree(left, values)
        return self.plus(first, self.tree(right, values))

    def chain(self, terms, total):
        size = len(terms) if self.a.terms == "all" else self.a.terms
        for k in range(0, len(terms), size or 1):
            total = self.step(terms[k : k + size], total)
        return total

    def step(self, terms, total):
        a = self.a
        self.additions += 1
        found = specials([p for p, _ in terms] + [total])
        if found is not None:
            return self.saturated(found)
        if a.bits is None:
            return self.round(sum((p for p, _ in terms), Fraction(0)) + total)
        floor = NOTHING if a.floor is None else a.floor
        if a.late is not None:
            return self.late_step(terms, total)
        top = max(
            [e for _, e in terms] + [field(total, NOTHING if a.fmt.is_fixed else a.fmt.emin), floor]
        )
        if top == NOTHING:
            return self.round(Fraction(0))
        grouped = [
            sum((p for p, _ in terms[k : k + a.group]), Fraction(0))
            for k in range(0, len(terms), a.group)
        ]
        return self.round(
            sum((cut(x, top - a.bits, a.cut) for x in [*grouped, total]), Fraction(0))
        )

    def late_step(self, terms, total):
        a = self.a
        sums = []
        for lane in range(a.lanes):
            mine = terms[lane :: a.lanes]
            top = max([e for _, e in mine] + [NOTHING])
            sums.append(
                (sum((cut(p, top - a.bits, a.cut) for p, _ in mine if p), Fraction(0)), top)
            )
        top = max(e for _, e in sums)
        together = sum((cut(s, top - a.bits, "downward") for s, _ in sums if s), Fraction(0))
        own = max(a.fmt.emin, field(total, a.fmt.emin))
        if a.drops and own < top - a.bits - 1:
            total = Fraction(0)
        top = max(top, own)
        together = cut(together, top - a.late - 1, "downward") + cut(
            total, top - a.bits, "downward"
        )
        if together == 0:
            return Fraction(0)
        last = max(log2_floor(together), a.fmt.emin) - a.late
        return self.round(cut(together, last, "downward"))


def slow_dot(xs, ys, c, accumulator, emins=(-126, -126), fields=None, stream: int = 0) -> float:
    """Return a sum of products as a float, 0.0 for any zero."""
    return float(SlowSum(accumulator, emins, stream)(list(xs), list(ys), float(c), fields))


def same(fast: np.ndarray, slow: list[float]) -> np.ndarray:
    """Return where results agree: any zero is any zero, any NaN is any NaN."""
    fast, slow = np.asarray(fast, np.float64), np.asarray(slow, np.float64)
    return (fast == slow) | (np.isnan(fast) & np.isnan(slow))
