"""Multipliers: the exact product of two codes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from minifloat.formats import NumberFormat
from minifloat.formats.names import parse
from minifloat.hardware import operands
from minifloat.hardware.circuits import Circuit, PortWords, Words, to_words
from minifloat.hardware.integers import Integers, integers, signed_width
from minifloat.hardware.options import ENCODINGS, SPECIALS, Encoding, Specials, form_of, one_of
from minifloat.hardware.products import (
    ProductForm,
    as_parts,
    as_value,
    largest,
    product,
    product_flags,
    product_forms,
    product_range,
)
from minifloat.hardware.verilog import Module, identifier


def multiplier_forms(a: NumberFormat | str, b: NumberFormat | str) -> list[str]:
    """Return the forms that the product of two formats can have, the default one first.

    integer        two's complement values, multiplied
    booth          the same, one of them recoded in digits of -2 to 2
    magnitudes     magnitudes, multiplied; the sign apart
    significands   significands multiplied, exponents added, the product shifted; the sign apart
    table          all products; signs apart where both formats have a sign bit; to 10 bits
    shifts         one operand, shifted for each power of two of the other, which has two of
                   them at most: see `minifloat.arithmetic.shift_add`
    planes         bits compared, plane by plane, and added: bipolar integers, see
                   `minifloat.arithmetic.bipolar_matmul`

    Examples
    --------
    >>> from minifloat.hardware import multiplier_forms
    >>> multiplier_forms("e4m3fn", "int8")
    ['significands', 'magnitudes', 'integer', 'booth']
    """
    return product_forms(integers(parse(a, "a")), integers(parse(b, "b")))


def multiplier(
    a: NumberFormat | str,
    b: NumberFormat | str,
    *,
    form: ProductForm | None = None,
    encoding: Encoding = "twos_complement",
    specials: Specials = "zero",
) -> Circuit:
    """Return a circuit that multiplies two codes, exactly.

    Parameters
    ----------
    a, b : format or str
        Of at most 8 bits each.
    form : str, optional
        How it is written: see `multiplier_forms`, whose first is the default.
    encoding : "twos_complement" or "sign_magnitude"
        The output ``product``, or the outputs ``sign`` and ``magnitude``; a product of 0 then has
        the sign that the codes' signs give, where the form keeps signs apart (all but integer,
        booth, planes, and the table and shifts of formats without a sign bit).
    specials : "zero" or "flag"
        NaN and infinities count as 0. With "flag" the outputs ``nan``, ``positive_inf`` and
        ``negative_inf`` say what IEEE 754 makes of them; there are those that can occur.

    Returns
    -------
    Circuit
        The inputs are ``a`` and ``b``.

    Raises
    ------
    ValueError
        If a format is wider than 8 bits, or an option has no such value.

    Examples
    --------
    >>> from minifloat import hardware
    >>> hardware.multiplier("e2m1", "e2m1")
    <Circuit multiplier_e2m1_e2m1_significands_twos_complement: a[4], b[4] -> product[9]>
    """
    one_of("encoding", encoding, ENCODINGS)
    one_of("specials", specials, SPECIALS)
    x, y = integers(parse(a, "a")), integers(parse(b, "b"))
    forms = product_forms(x, y)
    chosen = form_of(form, forms)
    flag = "flag" if specials == "flag" else ""
    module = Module(identifier("multiplier", x.fmt.name, y.fmt.name, chosen, encoding, flag))
    module.input("a", x.bits)
    module.input("b", y.bits)
    found = product(module, x, y, chosen)
    if encoding == "twos_complement":
        width = signed_width(*product_range(x, y))
        module.output("product", width, as_value(module, found, width))
    else:
        parts = as_parts(module, found, (largest(x) * largest(y)).bit_length())
        module.output("sign", 1, parts.sign)
        module.output("magnitude", parts.width, parts.magnitude)
    if specials == "flag":
        for name, condition in product_flags(x, y).items():
            module.output(name, 1, condition)
    outputs = module.outputs
    meaning = partial(_multiplied, x, y, outputs, found.parts is not None)
    return Circuit(module.name, module.text(), module.inputs, outputs, x.unit * y.unit, 0, meaning)


def _multiplied(
    x: Integers, y: Integers, outputs: Mapping[str, int], keeps_zero_sign: bool, words: PortWords
) -> dict[str, Words]:
    """Return what a multiplier computes."""
    i, j = operands.port(words, "a"), operands.port(words, "b")
    value = operands.decoded(x)[i] * operands.decoded(y)[j]
    sign = operands.signs(x)[i] ^ operands.signs(y)[j] if keeps_zero_sign else value < 0
    results: dict[str, Words] = {"product": value, "sign": sign, "magnitude": abs(value)}
    results |= flags_of_products(x, y, i, j)
    return {name: to_words(results[name], width) for name, width in outputs.items()}


def flags_of_products(x: Integers, y: Integers, i: Words, j: Words) -> dict[str, Words]:
    """Return the flags of products of codes, as IEEE 754 has them in float64."""
    with np.errstate(invalid="ignore"):
        values = _floats(x)[i] * _floats(y)[j]
    return {
        "nan": np.isnan(values),
        "positive_inf": values == np.inf,
        "negative_inf": values == -np.inf,
    }


def _floats(x: Integers) -> Words:
    """Return a float of each code: its sign, NaN, an infinity or 0; no number overflows."""
    special = {"nan": np.nan, "positive_inf": np.inf, "negative_inf": np.inf, "zero": 0.0}
    sizes = np.array([special.get(kind, 1.0) for kind in x.kinds])
    return np.where(x.negative, -sizes, sizes)
