"""Elementary functions in decimal numbers of 110 digits, which share no code with the library.

`value` returns the exact result of a function for finite operands, as far as rounding can tell: a
fraction that is right to 90 digits. A result within 2**-299 of a number with few bits is that
number. Python's decimal module has exponentials, logarithms and roots; sines and inverse tangents
are Taylor series here. Special operands stand in a table, from IEEE 754-2019, clause 9.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Context, Decimal, Overflow, Underflow, setcontext
from fractions import Fraction
from functools import cache

DIGITS = 110
CONTEXT = Context(prec=DIGITS, Emax=10**9, Emin=-(10**9))
CONTEXT.traps[Overflow] = CONTEXT.traps[Underflow] = False
NAN, INF = math.nan, math.inf

D = Decimal
LEAST = D("1e-70")  # for all that is nearer to a limit


@cache
def pi() -> Decimal:
    """Return pi by the arithmetic-geometric mean (Gauss and Legendre)."""
    setcontext(CONTEXT)
    a, b, t, p = D(1), 1 / D(2).sqrt(), D("0.25"), D(1)
    for _ in range(10):
        a, b, last = (a + b) / 2, (a * b).sqrt(), a
        t -= p * (last - a) ** 2
        p *= 2
    return (a + b) ** 2 / (4 * t)


def sine(x: Decimal) -> Decimal:
    """Return the sine by its series, of an angle below 1.6."""
    term = total = x
    k = 1
    while term and abs(term) > abs(total) * D(10) ** -(DIGITS + 5):
        term *= -x * x / ((k + 1) * (k + 2))
        total += term
        k += 2
    return total


def turned(x: Decimal, quarter: int) -> Decimal:
    """Return the sine of x + quarter pi / 2, of an angle below 10**40."""
    k = int((x / (pi() / 2)).to_integral_value())
    rest = x - k * (pi() / 2)
    return quarter_sine(rest, k + quarter)


def quarter_sine(rest: Decimal, quarters: int) -> Decimal:
    """Return the sine of rest + quarters pi / 2."""
    if quarters % 2:
        half = sine(rest / 2)
        result = 1 - 2 * half * half
    else:
        result = sine(rest)
    return -result if quarters % 4 >= 2 else result


def turned_pi(x: Decimal, quarter: int) -> Decimal:
    """Return the sine of pi (x + quarter / 2)."""
    k = int((2 * x).to_integral_value())
    return quarter_sine((x - D(k) / 2) * pi(), k + quarter)


def arctan(x: Decimal) -> Decimal:
    """Return the inverse tangent, from four halvings and its series."""
    for _ in range(4):
        x = x / (1 + (1 + x * x).sqrt())
    term = total = x
    k = 1
    while term and abs(term) > abs(total) * D(10) ** -(DIGITS + 5):
        term *= -x * x
        k += 2
        total += term / k
    return 16 * total


def arcsin(x: Decimal) -> Decimal:
    """Return the inverse sine."""
    if abs(x) == 1:
        return x * pi() / 2
    return arctan(x / ((1 - x) * (1 + x)).sqrt())


def arccos(x: Decimal) -> Decimal:
    """Return the inverse cosine."""
    return D(0) if x == 1 else 2 * arctan_of_ratio((1 - x).sqrt(), (1 + x).sqrt())


def arctan_of_ratio(y: Decimal, x: Decimal) -> Decimal:
    """Return the angle of a point in the first quadrant."""
    return pi() / 2 - arctan(x / y) if y > x else arctan(y / x)


def arctan2(y: Decimal, x: Decimal) -> Decimal:
    """Return the angle of a point."""
    angle = arctan_of_ratio(abs(y), abs(x))
    angle = pi() - angle if x < 0 or (x == 0 and x.is_signed()) else angle
    return -angle if y.is_signed() else angle


def series(x: Decimal, first: int) -> Decimal:
    """Return x**first / first! + x**(first + 2) / (first + 2)! + ..., for small x."""
    term = total = x**first / math.factorial(first)
    k = first
    while term and abs(term) > abs(total) * D(10) ** -(DIGITS + 5):
        term *= x * x / ((k + 1) * (k + 2))
        k += 2
        total += term
    return total


def exp(x: Decimal) -> Decimal:
    """Return e to the power of x, which is cut to 10**6: results beyond that are alike."""
    return max(min(x, D(10**6)), D(-(10**6))).exp()


def sinh(x: Decimal) -> Decimal:
    """Return the hyperbolic sine."""
    return series(x, 1) if abs(x) < 1 else (exp(x) - exp(-x)) / 2


def cosh(x: Decimal) -> Decimal:
    """Return the hyperbolic cosine."""
    return (exp(x) + exp(-x)) / 2


def tanh(x: Decimal) -> Decimal:
    """Return the hyperbolic tangent."""
    if abs(x) < 1:
        return sinh(x) / cosh(x)
    return (1 - max(2 / (exp(2 * abs(x)) + 1), LEAST)).copy_sign(x)


def sigmoid(x: Decimal) -> Decimal:
    """Return 1 / (1 + exp(-x))."""
    return exp(x) / (1 + exp(x)) if x < 0 else 1 - max(1 / (1 + exp(x)), LEAST)


def softplus(x: Decimal) -> Decimal:
    """Return the logarithm of 1 + exp(x)."""
    return log1p(exp(x)) if x < 0 else x + max(log1p(exp(-x)), x * LEAST)


def expm1(x: Decimal) -> Decimal:
    """Return exp(x) - 1."""
    return 2 * sinh(x / 2) * exp(x / 2) if abs(x) < 1 else max(exp(x), LEAST) - 1


def log1p(x: Decimal) -> Decimal:
    """Return the logarithm of 1 + x."""
    return 2 * arctanh_series(x / (2 + x)) if abs(x) < D("0.1") else (1 + x).ln()


def arctanh_series(x: Decimal) -> Decimal:
    """Return the inverse hyperbolic tangent of a small number."""
    power = total = x
    k = 1
    while power and abs(power) > abs(total) * D(10) ** -(DIGITS + 5):
        power *= x * x
        k += 2
        total += power / k
    return total


def arcsinh(x: Decimal) -> Decimal:
    """Return the inverse hyperbolic sine."""
    size = abs(x)
    result = log1p(size + size * size / (1 + (1 + size * size).sqrt()))
    return result.copy_sign(x)


def power(x: Decimal, y: Decimal) -> Decimal:
    """Return x to the power of y."""
    if y == y.to_integral_value() and abs(y) < 10**6:
        return x ** int(y)
    size = exp(abs(x).ln() * y) if abs(x) != 1 else D(1)
    return -size if x < 0 and y % 2 else size


FUNCTIONS: dict[str, Callable[..., Decimal]] = {
    "exp": exp,
    "exp2": lambda x: power(D(2), x) if x % 1 == 0 and abs(x) < 3000 else exp(x * D(2).ln()),
    "expm1": expm1,
    "log": Decimal.ln,
    "log2": lambda x: x.ln() / D(2).ln(),
    "log10": Decimal.log10,
    "log1p": log1p,
    "sigmoid": sigmoid,
    "softplus": softplus,
    "sinh": sinh,
    "cosh": cosh,
    "tanh": tanh,
    "arcsinh": arcsinh,
    "arccosh": lambda x: log1p((x - 1) + ((x - 1) * (x + 1)).sqrt()),
    "arctanh": lambda x: (log1p(x) - log1p(-x)) / 2,
    "sin": lambda x: turned(x, 0),
    "cos": lambda x: turned(x, 1),
    "tan": lambda x: turned(x, 0) / turned(x, 1),
    "arcsin": arcsin,
    "arccos": arccos,
    "arctan": arctan,
    "arctan2": arctan2,
    "sinpi": lambda x: turned_pi(x, 0),
    "cospi": lambda x: turned_pi(x, 1),
    "tanpi": lambda x: turned_pi(x, 0) / turned_pi(x, 1),
    "arcsinpi": lambda x: arcsin(x) / pi(),
    "arccospi": lambda x: arccos(x) / pi(),
    "arctanpi": lambda x: arctan(x) / pi(),
    "arctan2pi": lambda y, x: arctan2(y, x) / pi(),
    "rsqrt": lambda x: 1 / x.sqrt(),
    "cbrt": lambda x: power(abs(x), 1 / D(3)).copy_sign(x),
    "hypot": lambda x, y: (x * x + y * y).sqrt(),
    "power": power,
}

# results at -inf, -0, 0, inf, for functions of one number
TURN, LOG_2 = Fraction(pi() / 2), Fraction(D(2).ln(CONTEXT))
SPECIAL: dict[str, tuple[float | Fraction, ...]] = {
    "exp": (0.0, 1.0, 1.0, INF),
    "exp2": (0.0, 1.0, 1.0, INF),
    "expm1": (-1.0, -0.0, 0.0, INF),
    "log": (NAN, -INF, -INF, INF),
    "log2": (NAN, -INF, -INF, INF),
    "log10": (NAN, -INF, -INF, INF),
    "log1p": (NAN, -0.0, 0.0, INF),
    "sigmoid": (0.0, 0.5, 0.5, 1.0),
    "softplus": (0.0, LOG_2, LOG_2, INF),
    "sinh": (-INF, -0.0, 0.0, INF),
    "cosh": (INF, 1.0, 1.0, INF),
    "tanh": (-1.0, -0.0, 0.0, 1.0),
    "arcsinh": (-INF, -0.0, 0.0, INF),
    "arccosh": (NAN, NAN, NAN, INF),
    "arctanh": (NAN, -0.0, 0.0, NAN),
    "sin": (NAN, -0.0, 0.0, NAN),
    "cos": (NAN, 1.0, 1.0, NAN),
    "tan": (NAN, -0.0, 0.0, NAN),
    "arcsin": (NAN, -0.0, 0.0, NAN),
    "arccos": (NAN, TURN, TURN, NAN),
    "arctan": (-TURN, -0.0, 0.0, TURN),
    "sinpi": (NAN, -0.0, 0.0, NAN),
    "cospi": (NAN, 1.0, 1.0, NAN),
    "tanpi": (NAN, -0.0, 0.0, NAN),
    "arcsinpi": (NAN, -0.0, 0.0, NAN),
    "arccospi": (NAN, 0.5, 0.5, NAN),
    "arctanpi": (-0.5, -0.0, 0.0, 0.5),
    "rsqrt": (NAN, -INF, INF, 0.0),
    "cbrt": (-INF, -0.0, 0.0, INF),
}


def is_outside(name: str, x: float) -> bool:
    """Return whether a function has no real value for a finite number."""
    if name in ("log", "log2", "log10", "rsqrt"):
        return x < 0
    if name in ("arctanh", "arcsin", "arccos", "arcsinpi", "arccospi"):
        return abs(x) > 1
    return (name == "log1p" and x < -1) or (name == "arccosh" and x < 1)


def value(name: str, x: float) -> float | Fraction:
    """Return the exact result of a function of one number: a float, or a fraction if not 0."""
    if math.isnan(x) or is_outside(name, x):
        return NAN
    if x == 0 or math.isinf(x):
        place = 1 + (math.copysign(1, x) > 0) if x == 0 else 0 if x < 0 else 3
        return SPECIAL[name][place]
    if name == "log1p" and x == -1:
        return -INF
    if name == "arctanh" and abs(x) == 1:
        return math.copysign(INF, x)
    if name == "tanpi" and x % 1 == 0.5:
        return INF if x % 2 == 0.5 else -INF
    result = exactly(name, x)
    if result == 0 and name in ("sinpi", "tanpi"):
        odd = name == "tanpi" and x % 2 == 1
        return math.copysign(0.0, -x if odd else x)
    return result


def exactly(name: str, *x: float) -> Fraction:
    """Return the result for finite numbers in the function's domain."""
    setcontext(CONTEXT)
    result = FUNCTIONS[name](*map(Decimal, x))
    if result.adjusted() > 400:
        return Fraction(10) ** 400 * (-1 if result < 0 else 1)
    if result and result.adjusted() < -800:
        return Fraction(-1 if result < 0 else 1, 10**800)
    return shortened(result)


def shortened(x: Decimal) -> Fraction:
    """Return a number's first 320 bits and a half, or the number of 70 bits that it must be."""
    if x == 0:
        return Fraction(0)
    numerator, denominator = abs(x).as_integer_ratio()
    scale = 320 - numerator.bit_length() + denominator.bit_length()
    bits = (numerator << scale if scale > 0 else numerator >> -scale) // denominator
    short = (bits + (1 << 249)) >> 250
    is_short = abs(bits - (short << 250)) < 1 << 21  # within 2**-299
    size = Fraction(short << 250) if is_short else Fraction(2 * bits + 1, 2)
    return size / Fraction(2) ** scale * (-1 if x < 0 else 1)
