"""The elementary functions by their names: approximated, enclosed, and known where rational.

For a function in `FUNCTIONS` the result for an argument is decided in three ways. The approximation
in float64 decides nearly always. Where it is too near to a decision point, the function either has
a known rational value there, or its enclosure decides, with as many bits as that takes: a function
whose value is not known is never on a decision point, since it is irrational (Lindemann and
Weierstrass; Gelfond and Schneider; for functions in units of pi, Niven), or has too many bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from math import isqrt
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from minifloat.arithmetic.operations import approximations as near
from minifloat.arithmetic.operations import enclosures as real
from minifloat.arithmetic.operations.enclosures import Enclosure, exact

Array = NDArray[Any]
Decision = TypeVar("Decision")

FIRST_BITS = 100
ONE, HALF = exact(1), Fraction(1, 2)


@dataclass(frozen=True)
class Exact:
    """What is exactly true of a function of real numbers.

    Attributes
    ----------
    known : callable
        The value for fractions, or None where it is not rational or has infinitely many bits.
    enclose : callable, optional
        An enclosure, for fractions and a number of bits; needed where ``known`` returns None.
    """

    known: Callable[..., Fraction | None]
    enclose: Callable[..., Enclosure] | None = None

    def decided(self, decide: Callable[[Fraction], Decision], *x: Fraction) -> Decision:
        """Return what ``decide``, a step function, says of the exact value."""
        known = self.known(*x)
        if known is not None:
            return decide(known)
        assert self.enclose is not None
        bits = FIRST_BITS
        while True:
            low, high = self.enclose(*x, bits)
            decision = decide(low)
            if decision == decide(high):
                return decision
            bits *= 2


@dataclass(frozen=True)
class Function:
    """A function: approximated in float64, and exactly.

    Attributes
    ----------
    approximate : callable
        Base and part for arrays of float64, see `minifloat.arithmetic.operations.approximations`.
    exact : Exact
    turns : bool
        Whether the approximation has an absolute error, for angles above 1.
    """

    approximate: Callable[..., tuple[Array, Array]]
    exact: Exact
    turns: bool = False


def _function(
    approximate: Callable[..., tuple[Array, Array]],
    enclose: Callable[..., Enclosure],
    known: Callable[..., Fraction | None],
    turns: bool = False,
) -> Function:
    return Function(approximate, Exact(known, enclose), turns)


def known_at(values: Mapping[int, Fraction | int]) -> Callable[[Fraction], Fraction | None]:
    """Return what is known of a function that is rational for these arguments alone."""
    return {Fraction(x): Fraction(y) for x, y in values.items()}.get


# exponentials and logarithms


def _of_exp(change: Callable[[Fraction], Fraction], x: Fraction, bits: int) -> Enclosure:
    """Enclose an increasing rational function of exp(x)."""
    e = real.exp(exact(x), bits)
    return Enclosure(change(e.low), change(e.high))


def _exp2(x: Fraction, bits: int) -> Enclosure:
    if abs(x) > real.FAR:
        return real.exp(exact(x), bits)  # as far away
    return real.exp(exact(x).times(real.log_2(bits + 16)), bits)


def _known_exp2(x: Fraction) -> Fraction | None:
    return Fraction(2) ** int(x) if x.denominator == 1 and abs(x) <= real.FAR else None


def _log_to(base: int, x: Fraction, bits: int) -> Enclosure:
    return real.log(exact(x), bits).over(real.log(exact(base), bits))


def _known_log2(x: Fraction) -> Fraction | None:
    power = x.numerator.bit_length() - x.denominator.bit_length()
    return Fraction(power) if Fraction(2) ** power == x else None


def _known_log10(x: Fraction) -> Fraction | None:
    power = len(str(x.numerator)) - 1
    return Fraction(power) if x == 10**power else None


def _softplus(x: Fraction, bits: int) -> Enclosure:
    if x > real.FAR:
        return Enclosure(x, x + Fraction(1, 2**real.FAR))
    return real.log(real.exp(exact(x), bits).plus(ONE), bits)


# hyperbolic functions and their inverses


def _tanh(x: Fraction, bits: int) -> Enclosure:
    return _of_exp(lambda e: (e * e - 1) / (e * e + 1), x, bits)


def _cosh(x: Fraction, bits: int) -> Enclosure:
    return _of_exp(lambda e: (e + 1 / e) / 2, abs(x), bits)


def _arcsinh(x: Fraction, bits: int) -> Enclosure:
    if x < 0:
        return -_arcsinh(-x, bits)
    return real.log(real.sqrt(exact(x * x + 1), bits).plus(exact(x)), bits)


def _arccosh(x: Fraction, bits: int) -> Enclosure:
    return real.log(real.sqrt(exact(x * x - 1), bits).plus(exact(x)), bits)


# circular functions and their inverses


def _turn(x: Fraction, number: int, bits: int) -> Enclosure:
    """Enclose the sine of x + number pi / 2."""
    rest, k = real.turned(x, bits)
    sine, cosine = real.sin_and_cos(rest, bits)
    turned = (sine, cosine, -sine, -cosine)
    return turned[(k + number) % 4]


def _turn_pi(x: Fraction, number: int, bits: int) -> Enclosure:
    """Enclose the sine of pi (x + number / 2)."""
    k = round(2 * x)
    sine, cosine = real.sin_and_cos(exact(x - Fraction(k, 2)).times(real.pi(bits)), bits)
    turned = (sine, cosine, -sine, -cosine)
    return turned[(k + number) % 4]


def _ratio(part: Callable[[Fraction, int, int], Enclosure], x: Fraction, bits: int) -> Enclosure:
    """Enclose a tangent."""
    sine, cosine = part(x, 0, bits), part(x, 1, bits)
    if cosine.low <= 0 <= cosine.high:  # too few bits to tell
        return Enclosure(Fraction(-1), Fraction(1))
    return sine.over(cosine)


def _known_turn(x: Fraction, number: int) -> Fraction | None:
    """Return the sine of pi (x + number / 2), which is rational for multiples of 1 / 2 alone."""
    if (2 * x).denominator > 1:
        return None
    return Fraction((0, 1, 0, -1)[(int(2 * x) + number) % 4])


def _known_tanpi(x: Fraction) -> Fraction | None:
    return None if (4 * x).denominator > 1 else Fraction((0, 1, 0, -1)[int(4 * x) % 4])


def _arcsin(x: Fraction, bits: int) -> Enclosure:
    if abs(x) == 1:
        return real.pi(bits).times(exact(x / 2))
    if x <= 0:
        return -_arcsin(-x, bits) if x else exact(x)
    rest = real.sqrt(exact(1 / (x * x) - 1), bits)
    return _quarter(bits).minus(real.arctan(rest, bits))


def _arccos(x: Fraction, bits: int) -> Enclosure:
    if x > HALF:  # without cancellation
        return real.arctan(real.sqrt(exact(1 / (x * x) - 1), bits), bits)
    return _quarter(bits).minus(_arcsin(x, bits))


def _quarter(bits: int) -> Enclosure:
    return real.pi(bits).times(exact(HALF))


def _arctan2(y: Fraction, x: Fraction, bits: int) -> Enclosure:
    if x == 0 == y:  # x is -0, else the result is known to be 0
        return real.pi(bits)
    if x == 0:
        return _quarter(bits).times(exact(1 if y > 0 else -1))
    angle = real.arctan(exact(y / x), bits)
    if x > 0:
        return angle
    half_turn = real.pi(bits).times(exact(1 if y >= 0 else -1))
    return angle.plus(half_turn)


def _known_arctan2(y: Fraction, x: Fraction) -> Fraction | None:
    return Fraction(0) if y == 0 and x > 0 else None


def _known_arctan2pi(y: Fraction, x: Fraction) -> Fraction | None:
    """Return arctan2(y, x) / pi on the axes and the diagonals."""
    if y == 0:
        return Fraction(0 if x > 0 else 1)
    side = 1 if y > 0 else -1
    if x == 0:
        return Fraction(side, 2)
    if abs(x) == abs(y):
        return Fraction(side if x > 0 else 3 * side, 4)
    return None


def _over_pi(enclose: Callable[..., Enclosure]) -> Callable[..., Enclosure]:
    """Return the enclosure of a function in units of pi."""

    def enclosed(*arguments: Any) -> Enclosure:
        return enclose(*arguments).over(real.pi(arguments[-1]))

    return enclosed


# roots and powers


def _known_root(x: Fraction, degree: int = 2) -> Fraction | None:
    """Return a root of x >= 0 if it is rational."""
    parts = [_integer_root(part, degree) for part in (x.numerator, x.denominator)]
    root = Fraction(*parts)
    return root if root**degree == x else None


def _integer_root(n: int, degree: int) -> int:
    """Return the largest integer whose power is at most n."""
    if degree == 2:
        return isqrt(n)
    low, high = 0, 1 << (n.bit_length() // degree + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**degree <= n else (low, middle - 1)
    return low


def _cbrt(x: Fraction, bits: int) -> Enclosure:
    if x < 0:
        return -_cbrt(-x, bits)
    scale = bits + max(0, x.denominator.bit_length() - x.numerator.bit_length())
    root = _integer_root((x.numerator << 3 * scale) // x.denominator, 3)
    return Enclosure(Fraction(root, 1 << scale), Fraction(root + 1, 1 << scale))


def _known_cbrt(x: Fraction) -> Fraction | None:
    root = _known_root(abs(x), 3)
    return root if root is None or x >= 0 else -root


def _known_rsqrt(x: Fraction) -> Fraction | None:
    return _known_root(1 / x)


def _power(x: Fraction, y: Fraction, bits: int) -> Enclosure:
    more = bits + 16 + max(0, y.numerator.bit_length() - y.denominator.bit_length())
    size = real.exp(real.log(exact(abs(x)), more).times(exact(y)), bits)
    return -size if x < 0 and y.numerator % 2 else size


def _known_power(x: Fraction, y: Fraction) -> Fraction | None:
    """Return x**y if it is rational and has few bits."""
    if y.denominator > 1:
        root: Fraction | None = x
        for _ in range(y.denominator.bit_length() - 1):
            root = None if root is None else _known_root(root)
        return None if root is None else _known_power(root, Fraction(y.numerator))
    bits = max(x.numerator.bit_length(), x.denominator.bit_length()) - 1
    if abs(x) == 1 or y == 0:
        return x ** int(y % 2)
    return x ** int(y) if bits * abs(y) <= real.FAR * 2 else None


def _plain(compute: Callable[..., Array]) -> Callable[..., tuple[Array, Array]]:
    return lambda *x: near.plain(compute(*x))


ADD = Exact(lambda x, y: x + y)
MULTIPLY = Exact(lambda x, y: x * y)
DIVIDE = Exact(lambda x, y: x / y)
SQRT = Exact(_known_root, lambda x, bits: real.sqrt(exact(x), bits))
FMA = Exact(lambda x, y, z: x * y + z)
ADD_THREE = Exact(lambda x, y, z: x + y + z)

FUNCTIONS = {
    "exp": _function(near.exp, lambda x, bits: real.exp(exact(x), bits), known_at({0: 1})),
    "exp2": _function(near.exp2, _exp2, _known_exp2),
    "expm1": _function(near.expm1, partial(_of_exp, lambda e: e - 1), known_at({0: 0})),
    "log": _function(_plain(np.log), lambda x, bits: real.log(exact(x), bits), known_at({1: 0})),
    "log2": _function(_plain(np.log2), partial(_log_to, 2), _known_log2),
    "log10": _function(_plain(np.log10), partial(_log_to, 10), _known_log10),
    "log1p": _function(near.log1p, lambda x, bits: real.log(exact(1 + x), bits), known_at({0: 0})),
    "sigmoid": _function(
        near.sigmoid, partial(_of_exp, lambda e: e / (e + 1)), known_at({0: HALF})
    ),
    "softplus": _function(near.softplus, _softplus, known_at({})),
    "sinh": _function(
        near.odd(near.sinh, 1 / 6), partial(_of_exp, lambda e: (e - 1 / e) / 2), known_at({0: 0})
    ),
    "cosh": _function(near.even(near.cosh, 0.5), _cosh, known_at({0: 1})),
    "tanh": _function(near.tanh, _tanh, known_at({0: 0})),
    "arcsinh": _function(near.odd(np.arcsinh, -1 / 6), _arcsinh, known_at({0: 0})),
    "arccosh": _function(_plain(np.arccosh), _arccosh, known_at({1: 0})),
    "arctanh": _function(
        near.odd(np.arctanh, 1 / 3),
        lambda x, bits: real.log(exact((1 + x) / (1 - x)), bits).times(exact(HALF)),
        known_at({0: 0}),
    ),
    "sin": _function(
        near.odd(np.sin, -1 / 6), lambda x, bits: _turn(x, 0, bits), known_at({0: 0}), True
    ),
    "cos": _function(
        near.even(np.cos, -0.5), lambda x, bits: _turn(x, 1, bits), known_at({0: 1}), True
    ),
    "tan": _function(near.odd(np.tan, 1 / 3), partial(_ratio, _turn), known_at({0: 0}), True),
    "arcsin": _function(near.odd(np.arcsin, 1 / 6), _arcsin, known_at({0: 0})),
    "arccos": _function(_plain(np.arccos), _arccos, known_at({1: 0})),
    "arctan": _function(
        near.odd(np.arctan, -1 / 3), lambda x, bits: real.arctan(exact(x), bits), known_at({0: 0})
    ),
    "arctan2": _function(_plain(np.arctan2), _arctan2, _known_arctan2),
    "sinpi": _function(
        _plain(near.sinpi), lambda x, bits: _turn_pi(x, 0, bits), lambda x: _known_turn(x, 0)
    ),
    "cospi": _function(
        near.even(near.cospi, -0.5, np.pi),
        lambda x, bits: _turn_pi(x, 1, bits),
        lambda x: _known_turn(x, 1),
    ),
    "tanpi": _function(_plain(near.tanpi), partial(_ratio, _turn_pi), _known_tanpi),
    "arcsinpi": _function(
        _plain(lambda x: np.arcsin(x) / np.pi),
        _over_pi(_arcsin),
        known_at({0: 0, 1: HALF, -1: -HALF}),
    ),
    "arccospi": _function(near.arccospi, _over_pi(_arccos), known_at({0: HALF, 1: 0, -1: 1})),
    "arctanpi": _function(
        near.arctanpi,
        _over_pi(lambda x, bits: real.arctan(exact(x), bits)),
        known_at({0: 0, 1: HALF / 2, -1: -HALF / 2}),
    ),
    "arctan2pi": _function(
        _plain(lambda y, x: np.arctan2(y, x) / np.pi), _over_pi(_arctan2), _known_arctan2pi
    ),
    "rsqrt": _function(
        _plain(near.rsqrt), lambda x, bits: real.sqrt(exact(1 / x), bits), _known_rsqrt
    ),
    "cbrt": _function(_plain(np.cbrt), _cbrt, _known_cbrt),
    "hypot": _function(
        near.hypot,
        lambda x, y, bits: real.sqrt(exact(x * x + y * y), bits),
        lambda x, y: _known_root(x * x + y * y),
    ),
    "power": _function(near.power, _power, _known_power),
}
"""Functions by NumPy's names, or P3109's in small letters."""
