"""The product of two codes as nets of a module, in each of the forms that can be the cheapest."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from minifloat.hardware import operands, rows
from minifloat.hardware.decoders import TABLE_BITS, magnitude, signed_of, twos_complement
from minifloat.hardware.integers import Integers, signed_width
from minifloat.hardware.operands import Magnitude, Significand
from minifloat.hardware.verilog import Module, is_one_of, literal

ProductForm: TypeAlias = Literal[
    "table", "integer", "booth", "magnitudes", "significands", "shifts", "planes"
]

MAX_TABLE_BITS = 10  # of the two codes together, signs apart
MAX_TERMS = 2  # of weights that shifts multiply: with three, Booth's rows are no more


class Product(NamedTuple):
    """A product as a net of two's complement, or as sign and magnitude."""

    value: str | None
    parts: Magnitude | None


def product_forms(a: Integers, b: Integers) -> list[str]:
    """Return the forms that the product of two formats can have, the usual best one first."""
    forms = ["magnitudes"]
    if operands.has_significand(a.fmt) or operands.has_significand(b.fmt):
        forms.insert(0, "significands")
    twos = ["integer", "booth"]
    forms = [*twos, *forms] if a.fmt.is_integer and b.fmt.is_integer else [*forms, *twos]
    bits = a.bits + b.bits - (a.sign_bit + b.sign_bit if _signs_apart(a, b) else 0)
    if bits <= MAX_TABLE_BITS:
        forms.append("table")
    if min(rows.most_terms(a), rows.most_terms(b)) <= MAX_TERMS:
        forms.append("shifts")
    if rows.is_bipolar(a) and rows.is_bipolar(b):
        forms.append("planes")
    return forms


def product_range(a: Integers, b: Integers) -> tuple[int, int]:
    """Return the least and the largest product of two formats' values."""
    ends = [x * y for x in (min(a.values), max(a.values)) for y in (min(b.values), max(b.values))]
    return min(ends), max(ends)


def product(module: Module, a: Integers, b: Integers, form: str) -> Product:
    """Add the product of the codes ``a`` and ``b`` of a module, in one of `product_forms`.

    Products of a table have signs of their own where both codes have a sign bit, or none.
    """
    if form == "table":
        return _by_table(module, a, b)
    if form in ("integer", "booth"):
        x = twos_complement(module, a, "a", "a", _decoder_form(a))
        y = twos_complement(module, b, "b", "b", _decoder_form(b))
        width = signed_width(*product_range(a, b))
        if form == "integer":
            return Product(module.wire("product_value", width, f"{x} * {y}", signed=True), None)
        return Product(rows.booth(module, x, a.width, y, b.width, width), None)
    if form == "planes":
        width = signed_width(*product_range(a, b))
        return Product(rows.planes(module, a.bits, b.bits, width), None)
    if form == "shifts":
        return _by_shifts(module, a, b)
    width = (largest(a) * largest(b)).bit_length()
    if form == "magnitudes":
        p = magnitude(module, a, "a", "a", _decoder_form(a))
        q = magnitude(module, b, "b", "b", _decoder_form(b))
        net = module.wire("product_magnitude", width, f"{p.magnitude} * {q.magnitude}")
        return Product(None, Magnitude(_sign(module, p.sign, q.sign), net, width))
    s, t = _significand(module, a, "a"), _significand(module, b, "b")
    whole = module.wire("significands", s.width + t.width, f"{s.significand} * {t.significand}")
    top = s.exponent_max + t.exponent_max
    if top:
        terms = [part.exponent for part in (s, t) if part.exponent_max]
        exponent = module.wire("exponents", top.bit_length(), " + ".join(terms))
        whole = f"{whole} << {exponent}"
    net = module.wire("product_magnitude", width, whole)
    return Product(None, Magnitude(_sign(module, s.sign, t.sign), net, width))


def as_value(module: Module, found: Product, width: int) -> str:
    """Return a product as a net of two's complement, added if need be."""
    if found.value is not None:
        return found.value
    assert found.parts is not None
    return signed_of(module, found.parts, width, "product_value")


def as_parts(module: Module, found: Product, width: int) -> Magnitude:
    """Return a product as sign and magnitude, added if need be."""
    if found.parts is not None:
        return found.parts
    value = found.value
    sign = module.wire("product_sign", 1, f"{value} < 0")
    net = module.wire("product_magnitude", width, f"{sign} ? -{value} : {value}")
    return Magnitude(sign, net, width)


def product_flags(a: Integers, b: Integers) -> dict[str, str]:
    """Return the conditions of the flags that a product can raise.

    The product is NaN if an operand is, and of an infinity and 0; it is infinite if an operand is.
    """
    raised = {name: operands.flags_of(x, name) for name, x in (("a", a), ("b", b))}
    nan = [flags["nan"] for flags in raised.values() if "nan" in flags]
    infinite: dict[str, list[str]] = {"positive_inf": [], "negative_inf": []}
    for this, other, y in (("a", "b", b), ("b", "a", a)):
        flags = {flag: raised[this][flag] for flag in infinite if flag in raised[this]}
        if not flags:
            continue
        zeros = y.codes_of_kind("zero")
        nan.append(f"({' | '.join(flags.values())}) & {is_one_of(other, y.bits, zeros)}")
        numbers = [code for code, kind in enumerate(y.kinds) if kind not in ("zero", "nan")]
        for flag, condition in flags.items():
            for negative in (False, True):
                codes = [c for c in numbers if y.negative[c] == negative]
                if codes:
                    result = (
                        "negative_inf" if (flag == "negative_inf") != negative else ("positive_inf")
                    )
                    term = f"{condition} & {is_one_of(other, y.bits, codes)}"
                    infinite[result].append(term)
    found = {"nan": nan, **infinite}
    return {
        flag: " | ".join(f"({term})" for term in terms) for flag, terms in found.items() if terms
    }


def largest(x: Integers) -> int:
    """Return the largest magnitude of a format's integers."""
    return max(map(abs, x.values))


def _signs_apart(a: Integers, b: Integers) -> bool:
    return (a.sign_bit or not a.signed) and (b.sign_bit or not b.signed)


def _decoder_form(x: Integers) -> str:
    """Return the form in which an operand is decoded."""
    if x.fmt.is_integer:
        return "wire"
    return "shift" if operands.has_significand(x.fmt) and x.bits > TABLE_BITS else "case"


def _sign(module: Module, a: str, b: str) -> str:
    return module.wire("product_sign", 1, f"{a} ^ {b}")


def _significand(module: Module, x: Integers, code: str) -> Significand:
    """Add an operand as significand and exponent; a magnitude, if it has no exponent."""
    if operands.has_significand(x.fmt):
        return operands.significand(module, x, code, code)
    part = operands.magnitude_by_table(module, x, code, code)
    return Significand(part.sign, part.magnitude, part.width, "1'h0", 1, 0)


def _by_shifts(module: Module, a: Integers, b: Integers) -> Product:
    """Add one operand, shifted and added for each power of two of the other."""
    (x, x_code), (y, y_code) = sorted(
        [(a, "a"), (b, "b")], key=lambda operand: rows.most_terms(operand[0]), reverse=True
    )
    form = _decoder_form(x)
    if _signs_apart(a, b):
        part = magnitude(module, x, x_code, x_code, form)
        sign = _sign(module, part.sign, operands.sign_of(module, y, y_code, f"{y_code}_sign"))
        select, bits = operands.magnitude_bits(y, y_code)
        terms = [rows.powers(y, code, sign_apart=True) for code in range(y.magnitude_codes)]
        width = (largest(a) * largest(b)).bit_length()
        net = rows.shifts(module, part.magnitude, select, bits, terms, width)
        return Product(None, Magnitude(sign, net, width))
    value = twos_complement(module, x, x_code, x_code, form)
    terms = [rows.powers(y, code, sign_apart=False) for code in range(1 << y.bits)]
    width = signed_width(*product_range(a, b))
    net = rows.shifts(module, value, y_code, y.bits, terms, width)
    return Product(module.wire("product_value", width, net, signed=True), None)


def _by_table(module: Module, a: Integers, b: Integers) -> Product:
    apart = _signs_apart(a, b)
    words, widths = [], []
    for x, code in ((a, "a"), (b, "b")):
        word, width = operands.magnitude_bits(x, code) if apart else (code, x.bits)
        words.append(word)
        widths.append(width)
    select = module.wire("select", sum(widths), f"{{{words[0]}, {words[1]}}}")
    values = {
        literal(i << widths[1] | j, sum(widths)): a.values[i] * b.values[j]
        for i in range(1 << widths[0])
        for j in range(1 << widths[1])
    }
    if apart:
        width = (largest(a) * largest(b)).bit_length()
        net = module.table("product_magnitude", width, select, values)
        sign = _sign(
            module,
            operands.sign_of(module, a, "a", "a_sign"),
            operands.sign_of(module, b, "b", "b_sign"),
        )
        return Product(None, Magnitude(sign, net, width))
    width = signed_width(*product_range(a, b))
    unsigned = {pattern: value % (1 << width) for pattern, value in values.items()}
    word = module.table("product_word", width, select, unsigned)
    return Product(module.wire("product_value", width, word, signed=True), None)
