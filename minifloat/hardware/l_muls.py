"""L-Mul: exponents and mantissas of two floats are added in place of a product."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Literal, TypeAlias

import numpy as np

from minifloat.arithmetic import multiplication
from minifloat.arithmetic.multiplication import Variant
from minifloat.arithmetic.multiplication.logarithms import VARIANTS, offset_bits
from minifloat.formats import Format
from minifloat.formats.base import check_bool
from minifloat.formats.names import parse
from minifloat.hardware import operands
from minifloat.hardware.circuits import Circuit, PortWords, Words, to_words
from minifloat.hardware.integers import Integers, integers
from minifloat.hardware.multipliers import flags_of_products
from minifloat.hardware.operands import Magnitude
from minifloat.hardware.options import ENCODINGS, SPECIALS, Encoding, Specials, form_of, one_of
from minifloat.hardware.products import MAX_TABLE_BITS, Product, as_value, product_flags
from minifloat.hardware.verilog import Module, identifier, is_one_of, literal

LMulForm: TypeAlias = Literal["fields", "table"]


def l_mul_forms(fmt: Format | str) -> list[str]:
    """Return the forms that L-Mul of a format can have, the default one first.

    fields   exponents and mantissas added
    table    all products; signs apart; to 10 bits of codes without their signs

    Examples
    --------
    >>> from minifloat.hardware import l_mul_forms
    >>> l_mul_forms("e2m1"), l_mul_forms("e4m3fn")
    (['fields', 'table'], ['fields'])
    """
    x = integers(_float(fmt))
    small = 2 * (x.bits - x.sign_bit) <= MAX_TABLE_BITS
    return ["fields", "table"] if small else ["fields"]


def l_mul(
    fmt: Format | str,
    *,
    variant: Variant = "formula",
    aligned: bool = True,
    form: LMulForm | None = None,
    encoding: Encoding = "twos_complement",
    specials: Specials = "zero",
) -> Circuit:
    """Return a circuit for L-Mul's product of two codes, which `minifloat.arithmetic.l_mul` states.

    Nothing is rounded: ``product`` has each bit of the formula.

    Parameters
    ----------
    fmt : Format or str
        An ExMy of at most 8 bits with at least one mantissa bit, of both operands.
    variant : "formula" or "addition"
        ``(1 + f + g + 2**-l) 2**e``, or one addition of the codes without their signs.
    aligned : bool
        Whether the product is shifted by its exponent, so that there is one integer, which can be
        added to others. Otherwise it is a significand and an exponent, as a float has them.
    form : str, optional
        How it is written: see `l_mul_forms`, whose first is the default.
    encoding : "twos_complement" or "sign_magnitude"
        The output ``product``, or the outputs ``sign`` and ``magnitude``; a product of 0 then has
        the sign that the codes' signs give.
    specials : "zero" or "flag"
        As in `multiplier`.

    Returns
    -------
    Circuit
        The inputs are ``a`` and ``b``; the result is ``product * unit``, or
        ``product * unit * 2**exponent`` unless it is aligned. The ``exponent`` is not negative; of
        a product of 0 it is 0.

    Raises
    ------
    ValueError
        If the format is wider than 8 bits or no ExMy with mantissa bits, or an option has no such
        value.

    References
    ----------
    Luo and Sun, "Addition is All You Need", arXiv 2410.00907.

    Examples
    --------
    >>> from minifloat import hardware
    >>> hardware.l_mul("e4m3fn").outputs
    {'product': 40}
    >>> hardware.l_mul("e4m3fn", variant="addition", aligned=False).outputs
    {'product': 5, 'exponent': 6}
    """
    one_of("variant", variant, VARIANTS)
    one_of("encoding", encoding, ENCODINGS)
    one_of("specials", specials, SPECIALS)
    check_bool("aligned", aligned)
    fmt = _float(fmt)
    x = integers(fmt)
    chosen = form_of(form, l_mul_forms(fmt))
    method = _LMul(x, variant)
    module = Module(
        identifier(
            "l_mul", fmt.name, variant, chosen, encoding, not aligned and "exponent",
            specials == "flag" and "flag",
        )
    )  # fmt: skip
    module.input("a", x.bits)
    module.input("b", x.bits)
    signs = [operands.sign_of(module, x, code, f"{code}_sign") for code in ("a", "b")]
    sign = module.wire("product_sign", 1, " ^ ".join(signs))
    rows = method.rows(aligned=aligned)
    width, exponent_width = (max(1, int(numbers.max()).bit_length()) for numbers in rows)
    if chosen == "table":
        magnitude, exponent = _by_table(module, x, rows)
    else:
        magnitude, exponent = _by_fields(module, method)
        if aligned:
            magnitude = f"{magnitude} << {exponent}"
        magnitude = module.wire("product_magnitude", width, magnitude)
    if encoding == "twos_complement":
        found = Product(None, Magnitude(sign, magnitude, width))
        module.output("product", width + 1, as_value(module, found, width + 1))
    else:
        module.output("sign", 1, sign)
        module.output("magnitude", width, magnitude)
    if not aligned:
        module.output("exponent", exponent_width, exponent)
    if specials == "flag":
        for name, condition in product_flags(x, x).items():
            module.output(name, 1, condition)
    outputs = module.outputs
    meaning = partial(_multiplied, method, outputs, aligned)
    return Circuit(module.name, module.text(), module.inputs, outputs, method.unit, 0, meaning)


def _multiplied(
    method: _LMul, outputs: Mapping[str, int], aligned: bool, words: PortWords
) -> dict[str, Words]:
    """Return what a circuit for L-Mul computes."""
    x = method.x
    i, j = operands.port(words, "a"), operands.port(words, "b")
    magnitude, exponent = method.numbers(i, j, aligned=aligned)
    sign = operands.signs(x)[i] ^ operands.signs(x)[j]
    results: dict[str, Words] = {
        "product": np.where(sign, -magnitude, magnitude),
        "sign": sign,
        "magnitude": magnitude,
        "exponent": exponent,
    }
    results |= flags_of_products(x, x, i, j)
    return {name: to_words(results[name], width) for name, width in outputs.items()}


@dataclass(frozen=True)
class _LMul:
    """The method on the codes of a format.

    A number is ``(1 + f) 2**e``, and e counts from that of the smallest one.
    """

    x: Integers
    variant: Variant

    @property
    def fmt(self) -> Format:
        assert isinstance(self.x.fmt, Format)
        return self.x.fmt

    @property
    def offset(self) -> int:
        """L-Mul's ``2**-l`` in units of ``2**-M``."""
        m = self.fmt.mantissa_bits
        return 1 << (m - offset_bits(m))

    @property
    def lowest(self) -> Fraction:
        """The power of two below the smallest number."""
        smallest = min(abs(value) for value in self.x.values if value)
        return self.x.unit * (1 << (smallest.bit_length() - 1))

    @property
    def unit(self) -> Fraction:
        return self.lowest**2 / (1 << self.fmt.mantissa_bits)

    def logarithms(self) -> list[int | None]:
        """Return ``e 2**M + f`` of each code without its sign, None of zeros and specials."""
        m = self.fmt.mantissa_bits
        found: list[int | None] = []
        for value in self.x.values[: self.x.magnitude_codes]:
            if not value:
                found.append(None)
                continue
            number = abs(value) * self.x.unit / self.lowest
            e = int(number).bit_length() - 1
            found.append((e << m) + int((number / 2**e - 1) * 2**m))
        return found

    def numbers(self, i: Words, j: Words, *, aligned: bool) -> tuple[Words, Words]:
        """Return the magnitudes of products of codes, and their exponents, as the library has them.

        Both are Python integers. An aligned product has the exponent 0.
        """
        floats = operands.floats(self.x)
        values = np.copysign(np.where(np.isfinite(floats), floats, 0.0), floats)
        a, b = values[i], values[j]
        products = multiplication.l_mul(a, b, self.fmt, variant=self.variant)
        magnitudes = np.abs(products) / float(self.unit)
        exponents = np.zeros(magnitudes.shape, np.int64)
        if not aligned:
            if self.variant == "addition":  # a significand of M + 1 bits
                exponents = np.frexp(magnitudes)[1] - 1 - self.fmt.mantissa_bits
            else:  # the sum of both exponents
                for value in (a, b):
                    exponents = exponents + np.frexp(np.abs(value) / float(self.lowest))[1] - 1
            exponents = np.where(magnitudes == 0, 0, exponents)
            magnitudes = np.ldexp(magnitudes, -exponents)
        whole = np.frompyfunc(int, 1, 1)
        return np.asarray(whole(magnitudes), object), np.asarray(whole(exponents), object)

    def rows(self, *, aligned: bool) -> tuple[Words, Words]:
        """Return `numbers` of all pairs of codes without their signs."""
        i, j = np.indices((self.x.magnitude_codes,) * 2)
        return self.numbers(i, j, aligned=aligned)


def _by_table(module: Module, x: Integers, rows: tuple[Words, Words]) -> tuple[str, str]:
    """Add all magnitudes, and all exponents unless they are 0."""
    (a, width), (b, _) = (operands.magnitude_bits(x, code) for code in ("a", "b"))
    select = module.wire("select", 2 * width, f"{{{a}, {b}}}")
    names = []
    for name, numbers in zip(("magnitude", "exponent"), rows, strict=True):
        bits = max(1, int(numbers.max()).bit_length())
        patterns = {literal(code, 2 * width): n for code, n in enumerate(numbers.ravel().tolist())}
        names.append(module.table(f"product_{name}", bits, select, patterns))
    return names[0], names[1]


def _by_fields(module: Module, method: _LMul) -> tuple[str, str]:
    """Add the significand of the product and its exponent, both 0 if the product is."""
    x, m = method.x, method.fmt.mantissa_bits
    logarithms = method.logarithms()
    known = [number for number in logarithms if number is not None]
    total = max(m + 1, (2 * max(known) + method.offset).bit_length())
    # The code of a normal number, if there is one, is its logarithm, but for a constant.
    last = logarithms.index(max(known))
    beyond = max(known) - last if last >= 1 << m else 0
    logs, live = [], []
    for name in ("a", "b"):
        code, width = operands.magnitude_bits(x, name)
        bits = module.wire(f"{name}_bits", width, code)
        zeros = [number for number, log in enumerate(logarithms) if log is None]
        live.append(module.wire(f"{name}_live", 1, f"~{is_one_of(bits, width, zeros)}"))
        log = bits
        if method.fmt.subnormals:
            rows = {
                literal(number, m): (logarithm - beyond) % (1 << total)
                for number, logarithm in enumerate(logarithms[: 1 << m])
                if logarithm is not None
            }
            table = module.table(f"{name}_subnormal", total, _low(bits, m), rows)
            log = f"{bits} < {literal(1 << m, width)} ? {table} : {bits}"
        logs.append(module.wire(f"{name}_log", total, log))
    some = module.wire("live", 1, " & ".join(live))
    if method.variant == "addition":
        constant = literal(2 * beyond + method.offset, total)
        whole = module.wire("log", total, f"{logs[0]} + {logs[1]} + {constant}")
        exponent = f"{whole}[{total - 1}:{m}]"
        significand, width = f"{{1'h1, {_low(whole, m)}}}", m + 1
    else:
        tops = [f"{log}[{total - 1}:{m}]" for log in logs]
        exponent = f"{tops[0]} + {tops[1]} + {literal(2 * beyond >> m, total - m)}"
        width = ((3 << m) - 2 + method.offset).bit_length()
        one = literal((1 << m) + method.offset, width)
        significand = f"{_low(logs[0], m)} + {_low(logs[1], m)} + {one}"
    exponent_net = module.wire("exponents", total - m, exponent)
    significand_net = module.wire("significands", width, significand)
    return (
        module.wire("kept_significand", width, f"{some} ? {significand_net} : {literal(0, width)}"),
        module.wire("kept_exponent", total - m, f"{some} ? {exponent_net} : 0"),
    )


def _low(word: str, width: int) -> str:
    """Return the low bits of a wider word."""
    return f"{word}[{width - 1}:0]" if width > 1 else f"{word}[0]"


def _float(fmt: Format | str) -> Format:
    found = parse(fmt)
    if not isinstance(found, Format) or not found.mantissa_bits:
        raise ValueError(f"fmt must be an ExMy with mantissa bits, got {found}; such as e4m3fn")
    return found
