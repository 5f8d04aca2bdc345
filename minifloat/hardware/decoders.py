"""Decoders: from a code to an exact integer, or to a wider float."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Literal, TypeAlias

import numpy as np

from minifloat.codec import decode, encode
from minifloat.formats import Format, NumberFormat
from minifloat.formats.names import parse
from minifloat.hardware import operands
from minifloat.hardware.circuits import Circuit, PortWords, Words, to_words
from minifloat.hardware.integers import Integers, integers
from minifloat.hardware.options import (
    ENCODINGS,
    SPECIALS,
    Encoding,
    Specials,
    form_of,
    one_of,
)
from minifloat.hardware.verilog import Module, identifier, literal

Target: TypeAlias = Literal["fixed", "float16", "bfloat16"]
DecoderForm: TypeAlias = Literal["wire", "case", "shift"]

TARGETS = ("fixed", "float16", "bfloat16")
TABLE_BITS = 6  # a table of so many bits is one LUT6 for each bit of its result


def decoder_forms(fmt: NumberFormat | str, target: Target = "fixed") -> list[str]:
    """Return the forms that a decoder of a format can have, the default one first.

    wire    the code is the value: integers
    case    a table of all codes
    shift   fields: the significand, shifted by the exponent; for floats, fields moved and padded

    Examples
    --------
    >>> from minifloat.hardware import decoder_forms
    >>> decoder_forms("e2m1"), decoder_forms("e4m3fn"), decoder_forms("int8"), decoder_forms("nf4")
    (['case', 'shift'], ['shift', 'case'], ['wire', 'case'], ['case'])
    """
    fmt = parse(fmt)
    one_of("target", target, TARGETS)
    if fmt.is_integer:
        return ["wire", "case"] if target == "fixed" else ["case"]
    if not has_shift(fmt, target):
        return ["case"]
    return ["case", "shift"] if fmt.bits <= TABLE_BITS else ["shift", "case"]


def decoder(
    fmt: NumberFormat | str,
    target: Target = "fixed",
    *,
    form: DecoderForm | None = None,
    encoding: Encoding = "twos_complement",
    specials: Specials = "zero",
) -> Circuit:
    """Return a circuit that decodes one code, exactly.

    Parameters
    ----------
    fmt : format or str
        Of at most 8 bits.
    target : "fixed", "float16" or "bfloat16"
        An integer times `Circuit.unit`, or the bits of a float, with its infinities and NaN.
    form : "wire", "case" or "shift", optional
        How it is written: see `decoder_forms`, whose first is the default.
    encoding : "twos_complement" or "sign_magnitude"
        Of an integer: the output ``value``, or the outputs ``sign`` and ``magnitude``, in which -0
        has the sign 1.
    specials : "zero" or "flag"
        NaN and infinities decode to the integer 0. With "flag" the outputs ``nan``,
        ``positive_inf`` and ``negative_inf`` tell them, as far as the format has them. A float has
        its own. Codes without a value, which a codebook may have, are 0; the one that a symmetric
        integer leaves unused is read as two's complement.

    Returns
    -------
    Circuit
        The input is ``code``.

    Raises
    ------
    ValueError
        If the format is wider than 8 bits or has not this form, or the float cannot hold its
        values.

    Examples
    --------
    >>> from minifloat import hardware
    >>> print(hardware.decoder("e2m1", encoding="sign_magnitude").verilog)
    module decoder_e2m1_fixed_case_sign_magnitude (
        input [3:0] code,
        output sign,
        output [3:0] magnitude
    );
        wire x_sign = code[3];
        reg [3:0] x_magnitude;
        always @* case (code[2:0])
            3'h1: x_magnitude = 4'h1;
            3'h2: x_magnitude = 4'h2;
            3'h3: x_magnitude = 4'h3;
            3'h4: x_magnitude = 4'h4;
            3'h5: x_magnitude = 4'h6;
            3'h6: x_magnitude = 4'h8;
            3'h7: x_magnitude = 4'hc;
            default: x_magnitude = 4'h0;
        endcase
        assign sign = x_sign;
        assign magnitude = x_magnitude;
    endmodule
    <BLANKLINE>
    """
    fmt = parse(fmt)
    one_of("target", target, TARGETS)
    one_of("encoding", encoding, ENCODINGS)
    one_of("specials", specials, SPECIALS)
    forms = decoder_forms(fmt, target)
    if encoding == "sign_magnitude" and target == "fixed":
        forms = [name for name in forms if name != "wire"]
    chosen = form_of(form, forms)
    x = integers(fmt)
    if target != "fixed":
        return _float_decoder(x, target, chosen)
    return _fixed_decoder(x, chosen, encoding, specials)


def _fixed_decoder(x: Integers, form: str, encoding: Encoding, specials: Specials) -> Circuit:
    module = Module(
        identifier(
            "decoder", x.fmt.name, "fixed", form, encoding, "flag" if specials == "flag" else ""
        )
    )
    module.input("code", x.bits)
    if encoding == "sign_magnitude":
        part = magnitude(module, x, "code", "x", form)
        module.output("sign", 1, part.sign)
        module.output("magnitude", part.width, part.magnitude)
    else:
        module.output("value", x.width, twos_complement(module, x, "code", "x", form))
    if specials == "flag":
        for flag, condition in operands.flags_of(x, "code").items():
            module.output(flag, 1, condition)
    outputs = module.outputs
    meaning = partial(_decoded, x, outputs)
    return Circuit(module.name, module.text(), module.inputs, outputs, x.unit, 0, meaning)


def _decoded(x: Integers, outputs: Mapping[str, int], words: PortWords) -> dict[str, Words]:
    """Return what a decoder to integers computes."""
    codes = operands.port(words, "code")
    numbers = operands.decoded(x)[codes]
    found: dict[str, Words] = {
        "value": numbers,
        "sign": operands.signs(x)[codes],
        "magnitude": abs(numbers),
        **operands.flag_words(x, codes),
    }
    return {name: to_words(found[name], width) for name, width in outputs.items()}


def magnitude(module: Module, x: Integers, code: str, name: str, form: str) -> operands.Magnitude:
    """Add the sign and the magnitude of a code, in a decoder's form."""
    if form == "shift":
        return operands.magnitude_by_shift(module, x, code, name)
    return operands.magnitude_by_table(module, x, code, name)


def twos_complement(module: Module, x: Integers, code: str, name: str, form: str) -> str:
    """Add the value of a code in two's complement, in a decoder's form, and return its name."""
    if form == "wire":
        padded = code if x.width == x.bits else f"{{{x.width - x.bits}'h0, {code}}}"
        return module.wire(f"{name}_value", x.width, padded, signed=True)
    if form == "case":
        rows = {literal(number, x.bits): value for number, value in enumerate(x.values)}
        unsigned = {pattern: value % (1 << x.width) for pattern, value in rows.items()}
        word = module.table(f"{name}_word", x.width, code, unsigned)
        return module.wire(f"{name}_value", x.width, word, signed=True)
    part = operands.magnitude_by_shift(module, x, code, name)
    return signed_of(module, part, x.width, f"{name}_value")


def signed_of(module: Module, part: operands.Magnitude, width: int, name: str) -> str:
    """Add a sign and magnitude as two's complement, and return its name."""
    wide = module.wire(f"{name}_positive", width, part.magnitude)
    return module.wire(name, width, f"{part.sign} ? -{wide} : {wide}", signed=True)


def has_shift(fmt: NumberFormat, target: Target) -> bool:
    """Whether a decoder can be written with fields that are shifted or moved."""
    if not isinstance(fmt, Format):
        return False
    if target == "fixed":
        return True
    wide = parse(target)
    assert isinstance(wide, Format)
    # Normal values stay normal, and field 0 holds subnormals.
    return fmt.subnormals and fmt.emin >= wide.emin and fmt.mantissa_bits <= wide.mantissa_bits


def _float_decoder(x: Integers, target: Target, form: str) -> Circuit:
    fmt, wide = x.fmt, parse(target)
    assert isinstance(wide, Format)
    bits = float_words(x, target)
    module = Module(identifier("decoder", fmt.name, target, form))
    module.input("code", x.bits)
    if form == "case":
        rows = {literal(code, x.bits): word for code, word in enumerate(bits)}
        module.output("value", 16, module.table("word", 16, "code", rows))
    else:
        module.output("value", 16, _moved_fields(module, x, wide, bits))
    meaning = partial(_looked_up, bits)
    return Circuit(module.name, module.text(), module.inputs, module.outputs, None, 0, meaning)


def _looked_up(bits: list[int], words: PortWords) -> dict[str, Words]:
    """Return what a decoder to floats computes."""
    return {"value": np.array(bits, np.uint64)[operands.port(words, "code")]}


def float_words(x: Integers, name: str) -> list[int]:
    """Return the word of a wider float for each code; a code without a value is 0.

    Raises
    ------
    ValueError
        If the float cannot hold every value.
    """
    wide = parse(name)
    values = operands.floats(x)
    words = encode(values, wide, overflow="saturate_finite")
    if not np.array_equal(decode(words, wide, dtype=np.float64), values, equal_nan=True):
        raise ValueError(
            f'target must hold every value of {x.fmt}, got {wide.name}; "fixed" holds any'
        )
    return [int(word) for word in words]


def _moved_fields(module: Module, x: Integers, wide: Format, words: list[int]) -> str:
    """Add a float from the fields of a code: the exponent plus a constant, the mantissa padded.

    Subnormals are a table of the mantissa, and NaN and infinities are constants.
    """
    fmt = x.fmt
    assert isinstance(fmt, Format)
    e, m, (bits, width) = fmt.exponent_bits, fmt.mantissa_bits, operands.magnitude_bits(x, "code")
    magnitude = module.wire("bits", width, bits)
    field = module.wire("field", e, f"{magnitude}[{width - 1}:{m}]" if width > 1 else magnitude)
    offset = literal(wide.bias - fmt.bias, wide.exponent_bits)
    exponent = module.wire("exponent", wide.exponent_bits, f"{field} + {offset}")
    zeros = wide.mantissa_bits - m
    parts = [exponent]
    if m:
        parts.append(f"{magnitude}[{m - 1}:0]" if m > 1 else f"{magnitude}[0]")
    if zeros:
        parts.append(literal(0, zeros))
    normal = f"{{{', '.join(parts)}}}"
    if m:
        rows = {literal(low, m): words[low] & 0x7FFF for low in range(1 << m)}
        low = module.table("low", 15, parts[1], rows)
    else:
        low = literal(words[0] & 0x7FFF, 15)
    module.wire("finite", 15, f"{field} == {literal(0, e)} ? {low} : {normal}")
    sign = operands.sign_of(module, x, "code", "sign")
    value = f"{{{sign}, finite}}"
    for flag, condition in operands.flags_of(x, "code").items():
        word = words[x.codes_of_kind(flag)[0]]
        value = f"{condition} ? {literal(word, 16)} : {value}"
    return value
