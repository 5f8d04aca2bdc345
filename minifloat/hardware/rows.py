"""Products as sums of rows: an operand shifted, once for each digit or bit of the other."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

from minifloat.arithmetic.multiplication import SignedPower, shift_terms
from minifloat.hardware.integers import Integers
from minifloat.hardware.verilog import Module, bit, literal


def booth(module: Module, a: str, a_width: int, b: str, b_width: int, width: int) -> str:
    """Add a product by radix-4 Booth recoding: b in digits of -2 to 2, one row for each.

    A. D. Booth, A signed binary multiplication technique, 1951; in radix 4, O. L. MacSorley, 1961.
    """
    digits = -(-b_width // 2)
    terms = []
    for i in range(digits):
        high, middle, low = (
            bit(b, place, b_width) if 0 <= place < b_width else ("1'h0" if place < 0 else sign)
            for sign in (bit(b, b_width - 1, b_width),)
            for place in (2 * i + 1, 2 * i, 2 * i - 1)
        )
        one = module.wire(f"one{i}", 1, f"{middle} ^ {low}")
        two = module.wire(f"two{i}", 1, f"({high} ^ {middle}) & ~{one}")
        negative = module.wire(f"negative{i}", 1, f"{high} & ~({middle} & {low})")
        once = f"{{{bit(a, a_width - 1, a_width)}, {a}}}"
        twice = f"{{{a}, 1'h0}}"
        chosen = f"({{{a_width + 1}{{{one}}}}} & {once}) | ({{{a_width + 1}{{{two}}}}} & {twice})"
        net = module.wire(f"digit{i}", a_width + 1, chosen)
        flipped = f"{net} ^ {{{a_width + 1}{{{negative}}}}}"
        row = module.wire(f"row{i}", a_width + 1, flipped, signed=True)
        wide = module.wire(f"wide{i}", width, row, signed=True)
        shift = f" << {2 * i}" if i else ""
        terms += [f"({wide}{shift})", f"({{{width - 1}'h0, {negative}}}{shift})"]
    return module.wire("product_value", width, " + ".join(terms), signed=True)


@lru_cache(maxsize=4096)
def powers(x: Integers, code: int, *, sign_apart: bool) -> tuple[SignedPower, ...]:
    """Return the fewest signed powers of two, in units of x, that add up to a code's value.

    As many without a sign between them are preferred, which need no subtraction.

    Parameters
    ----------
    x : Integers
    code : int
    sign_apart : bool
        Whether the magnitude is meant.
    """
    value = abs(x.values[code]) if sign_apart else x.values[code]
    sign = -1 if value < 0 else 1
    size = abs(value)
    set_bits = [place for place in range(size.bit_length()) if size >> place & 1]
    binary = tuple(SignedPower(sign, place) for place in reversed(set_bits))
    known = code < x.fmt.code_count and code != x.fmt.unused_code
    terms = shift_terms(x.fmt)[code] if known else None
    if terms is None or len(terms) >= len(binary):
        return binary
    flip = -1 if value != x.values[code] else 1
    unit = _exponent(x.unit)
    return tuple(SignedPower(flip * term.sign, term.exponent - unit) for term in terms)


def most_terms(x: Integers) -> int:
    """Return the number of powers of two of the code that takes most."""
    return max(len(powers(x, code, sign_apart=True)) for code in range(len(x.values)))


def shifts(
    module: Module,
    value: str,
    select: str,
    bits: int,
    terms: list[tuple[SignedPower, ...]],
    width: int,
) -> str:
    """Add a value times a weight: shifted by each power of two of the weight, and added.

    Parameters
    ----------
    module : Module
    value : str
        A net, signed if it is in two's complement.
    select : str
        The weight's code.
    bits : int
        Width of the code.
    terms : list of tuple of SignedPower
        The powers of two of each code.
    width : int
        Of the product, which is returned as a net.
    """
    wide = module.wire("shifted_value", width, value)
    parts = []
    for k in range(max(map(len, terms))):
        rows = {code: powers[k] for code, powers in enumerate(terms) if len(powers) > k}

        def table(name: str, values: dict[int, int], k: int = k) -> str:
            """Add a number of each code, 0 of those that have no such power."""
            top = max(values.values()).bit_length()
            all_values = {literal(c, bits): values.get(c, 0) for c in range(len(terms))}
            return module.table(f"{name}{k}", top, select, all_values) if top else ""

        used = table("used", dict.fromkeys(rows, 1))
        shift = table("shift", {code: power.exponent for code, power in rows.items()})
        negative = table("negative", {code: int(power.sign < 0) for code, power in rows.items()})
        kept = module.wire(f"kept{k}", width, f"{{{width}{{{used}}}}} & {wide}")
        row = f"{kept} << {shift}" if shift else kept
        if negative:
            row = f"({row}) ^ {{{width}{{{negative}}}}}"
            parts.append(f"{{{width - 1}'h0, {negative}}}")
        parts.append(module.wire(f"row{k}", width, row))
    return module.wire("sum_of_rows", width, " + ".join(parts))


def is_bipolar(x: Integers) -> bool:
    """Whether bit i of a code is worth ``2**i`` if it is set, and ``-2**i`` if it is not."""
    top = len(x.values) - 1
    return x.values == tuple(2 * code - top for code in range(top + 1))


def planes(module: Module, a_bits: int, b_bits: int, width: int) -> str:
    """Add the product of two bipolar codes: where bits agree it is 1, where they differ -1.

    With as many as count c in all, each times the weight of its pair of planes, the product is
    ``2 c`` less all weights. This is `minifloat.arithmetic.bipolar_matmul` of one number.
    """
    rows = []
    for i in range(a_bits):
        agree = f"~(b ^ {{{b_bits}{{{bit('a', i, a_bits)}}}}})"
        row = module.wire(f"plane{i}", b_bits, agree)
        rows.append(f"{{{row}, {literal(0, i + 1)}}}")
    all_weights = ((1 << a_bits) - 1) * ((1 << b_bits) - 1)
    total = " + ".join([*rows, literal(-all_weights, width)])
    return module.wire("product_value", width, total, signed=True)


def _exponent(unit: Fraction) -> int:
    """Return the exponent of a power of two."""
    return unit.numerator.bit_length() - unit.denominator.bit_length()
