"""Converters: from a code of one format to a code of another, rounded once."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np

from minifloat.codec import encode
from minifloat.formats import NumberFormat
from minifloat.formats.names import parse
from minifloat.formats.rounding import (
    NaNPolicy,
    NaNPolicyLike,
    Overflow,
    OverflowLike,
    Rounding,
    RoundingLike,
)
from minifloat.hardware import operands
from minifloat.hardware.circuits import Circuit, PortWords, Words
from minifloat.hardware.decoders import decoder, float_words
from minifloat.hardware.encoders import check_policies, encoder
from minifloat.hardware.integers import integers
from minifloat.hardware.options import form_of
from minifloat.hardware.verilog import Module, identifier, literal, span

ConverterForm: TypeAlias = Literal["case", "float16", "bfloat16"]


def converter_forms(a: NumberFormat | str, b: NumberFormat | str) -> list[str]:
    """Return the forms that a converter can have, the default one first.

    case                a table of all codes
    float16, bfloat16   a decoder to this float and an encoder from it, if it holds every value of
                        ``a``

    Examples
    --------
    >>> from minifloat.hardware import converter_forms
    >>> converter_forms("e4m3fn", "e2m1"), converter_forms("nf4", "e2m1")
    (['case', 'float16', 'bfloat16'], ['case'])
    """
    x = integers(parse(a, "a"))
    integers(parse(b, "b"))
    forms = ["case"]
    for name in ("float16", "bfloat16"):
        try:
            float_words(x, name)
        except ValueError:
            continue
        forms.append(name)
    return forms


def converter(
    a: NumberFormat | str,
    b: NumberFormat | str,
    *,
    rounding: RoundingLike = Rounding.NEAREST_EVEN,
    overflow: OverflowLike = Overflow.SATURATE,
    nan: NaNPolicyLike = NaNPolicy.ZERO,
    form: ConverterForm | None = None,
) -> Circuit:
    """Return a circuit that turns a code of one format into a code of another.

    Parameters
    ----------
    a, b : format or str
        From and to: of at most 8 bits each.
    rounding, overflow, nan
        As for `encoder`; no stochastic mode.
    form : str, optional
        How it is written: see `converter_forms`, whose first is the default.

    Returns
    -------
    Circuit
        The input ``code`` is of ``a``, the output ``result`` of ``b``. -0, infinities and NaN stay
        what they are as far as ``b`` has them.

    Raises
    ------
    ValueError
        If a format is wider than 8 bits, or an option has no such value.

    Examples
    --------
    >>> import numpy as np
    >>> from minifloat import hardware
    >>> circuit = hardware.converter("e4m3fn", "e2m1")
    >>> circuit.meaning({"code": np.array([0x38, 0xC4])})["result"].tolist()  # 1 and -3
    [2, 13]
    """
    x, y = integers(parse(a, "a")), integers(parse(b, "b"))
    mode, policy, nan_policy = check_policies(rounding, overflow, nan)
    if mode.is_stochastic:
        raise ValueError(f"rounding must be a deterministic mode in a converter, got {mode}")
    forms = converter_forms(x.fmt, y.fmt)
    chosen: Any = form_of(form, forms)
    numbers = operands.floats(x)
    results = encode(numbers, y.fmt, rounding=mode, overflow=policy, nan=nan_policy)
    name = identifier("converter", x.fmt.name, y.fmt.name, mode, policy, nan_policy, chosen)
    module = Module(name)
    module.input("code", x.bits)
    texts = []
    if chosen == "case":
        rows = {literal(code, x.bits): int(word) for code, word in enumerate(results)}
        module.output("result", y.bits, module.table("found", y.bits, "code", rows))
    else:
        parts = {
            f"{name}_decoder": decoder(x.fmt, chosen),
            f"{name}_encoder": encoder(
                y.fmt, chosen, rounding=mode, overflow=policy, nan=nan_policy
            ),
        }
        texts = [part.verilog.replace(part.name, own) for own, part in parts.items()]
        module.line("wire [15:0] between;")
        module.line(f"wire {span(y.bits)}found;")
        module.instance(f"{name}_decoder", "decode", {"code": "code", "value": "between"})
        module.instance(f"{name}_encoder", "encode", {"value": "between", "code": "found"})
        module.output("result", y.bits, "found")

    text = "\n".join([module.text(), *texts])
    meaning = partial(_converted, results)
    return Circuit(name, text, module.inputs, module.outputs, None, 0, meaning)


def _converted(results: Words, words: PortWords) -> dict[str, Words]:
    """Return what a converter computes, which gives these results."""
    return {"result": results[operands.port(words, "code")].astype(np.uint64)}
