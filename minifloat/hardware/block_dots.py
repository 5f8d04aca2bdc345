"""Dot products of blocks with a scale each: Microscaling, NVFP4 and their kin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minifloat.formats import Format, NumberFormat
from minifloat.formats.base import check_bool, check_int
from minifloat.formats.names import parse
from minifloat.hardware import operands
from minifloat.hardware.circuits import Circuit, PortWords, Words, split_lanes, to_words
from minifloat.hardware.integers import Integers, integers
from minifloat.hardware.lanes import (
    MAX_LANES,
    Lane,
    add_all,
    add_lanes,
    extremes,
    lane_of,
    resolved,
    resolved_words,
)
from minifloat.hardware.multipliers import flags_of_products
from minifloat.hardware.options import SPECIALS, Specials, form_of, one_of
from minifloat.hardware.products import ProductForm, product_forms
from minifloat.hardware.sums import Adders, Range
from minifloat.hardware.verilog import Module, identifier, is_one_of

MAX_WIDTH = 128  # of an aligned sum


def block_dot(
    a: NumberFormat | str,
    b: NumberFormat | str,
    scale: Format | str = "e8m0",
    block: int = 32,
    *,
    form: ProductForm | None = None,
    aligned: bool = False,
    specials: Specials = "zero",
) -> Circuit:
    """Return a circuit for the exact dot product of two blocks that have a scale each.

    The elements are multiplied and added as in `dot`, the significands of the two scales multiply
    the sum, and their exponents are added. An E8M0 scale has no significand: it costs an adder of
    exponents.

    Parameters
    ----------
    a, b : format or str
        Of the elements, of at most 8 bits.
    scale : Format or str
        Of both scales, without a sign: "e8m0" (Microscaling), "ue4m3" (NVFP4).
    block : int
        Elements of a block, 1 to 256: 32 in Microscaling, 16 in NVFP4.
    form : str, optional
        How products are written: see `multiplier_forms`, whose first is the default.
    aligned : bool
        Whether the sum is shifted by the exponent, so that there is one integer; to 128 bits.
    specials : "zero" or "flag"
        NaN and infinities, of scales too, count as 0. With "flag" the outputs ``nan``,
        ``positive_inf`` and ``negative_inf``, those that can occur, say what IEEE 754 makes of
        them.

    Returns
    -------
    Circuit
        The inputs are ``a``, ``b``, ``scale_a`` and ``scale_b``; the result is
        ``sum * unit * 2**exponent``, by the outputs ``sum`` and, unless it is aligned,
        ``exponent``, which is not negative. Of a scale that is NaN the exponent is 0.

    Raises
    ------
    ValueError
        If a format is wider than 8 bits, ``scale`` has a sign or is no `Format`, the aligned sum is
        too wide, or an option has no such value.

    Examples
    --------
    >>> from minifloat import hardware
    >>> hardware.block_dot("e2m1", "e2m1").outputs
    {'sum': 14, 'exponent': 9}
    >>> hardware.block_dot("e2m1", "e2m1", "ue4m3", 16, aligned=True).outputs
    {'sum': 48}
    """
    x, y = integers(parse(a, "a")), integers(parse(b, "b"))
    scale_format = parse(scale, "scale")
    if not isinstance(scale_format, Format) or scale_format.signed:
        raise ValueError(
            f"scale must be a Format without a sign, got {scale_format}; such as e8m0 or ue4m3"
        )
    if scale_format.has_inf:
        raise ValueError(f"scale must not have an infinity, got {scale_format}; such as ue4m3")
    s = integers(scale_format)
    block = check_int("block", block, 1, MAX_LANES)
    one_of("specials", specials, SPECIALS)
    check_bool("aligned", aligned)
    forms = product_forms(x, y)
    chosen = form_of(form, forms)
    name = identifier(
        "block_dot", x.fmt.name, y.fmt.name, s.fmt.name, f"{block}x", chosen,
        aligned and "aligned", specials == "flag" and "flag",
    )  # fmt: skip
    lane = lane_of(f"{name}_lane", x, y, chosen, flags=specials == "flag")
    module, tree = Module(name), Adders(name)
    module.input("a", x.bits * block)
    module.input("b", y.bits * block)
    module.input("scale_a", s.bits)
    module.input("scale_b", s.bits)
    terms, carries, flags = add_lanes(module, lane, block)
    ends = lane.exact * block
    whole = add_all(module, tree, terms, carries, ends)
    parts = [operands.significand(module, s, port, port) for port in ("scale_a", "scale_b")]
    width, top = parts[0].width, parts[0].exponent_max
    largest = ((1 << width) - 1) ** 2
    total = Range(min(ends.low * largest, 0), ends.high * largest)
    factor = module.wire("factor", 2 * width, f"{parts[0].significand} * {parts[1].significand}")
    net = module.wire(
        "scaled", total.width, f"$signed({whole}) * $signed({{1'h0, {factor}}})", signed=True
    )
    nans = [is_one_of(port, s.bits, s.codes_of_kind("nan")) for port in ("scale_a", "scale_b")]
    exponents = [
        module.wire(f"{port}_power", part.exponent_width, f"{nan} ? 0 : {part.exponent}")
        for port, part, nan in zip(("scale_a", "scale_b"), parts, nans, strict=True)
    ]
    exponent = module.wire("power", max(1, (2 * top).bit_length()), " + ".join(exponents))
    if aligned:
        total = total * (1 << 2 * top)
        if total.width > MAX_WIDTH:
            raise ValueError(
                f"scale must give an aligned sum of at most {MAX_WIDTH} bits, got {s.fmt}, which "
                f"gives {total.width}; leave out aligned"
            )
        wide = module.wire("wide", total.width, net, signed=True)
        module.output("sum", total.width, f"{wide} << {exponent}")
    else:
        module.output("sum", total.width, net)
        module.output("exponent", max(1, (2 * top).bit_length()), exponent)
    if specials == "flag":
        for flag, condition in _flags(module, s, flags, nans).items():
            module.output(flag, 1, condition)
    text = "\n".join([module.text(), lane.body.text(), tree.text()])
    meaning = _Meaning(lane, block, s, aligned, dict(module.outputs))
    corners = {"a": extremes(x, block), "b": extremes(y, block)}
    corners |= dict.fromkeys(("scale_a", "scale_b"), extremes(s, 1))
    unit = x.unit * y.unit * s.unit * s.unit
    return Circuit(name, text, module.inputs, module.outputs, unit, 0, meaning, corners)


def _flags(module: Module, s: Integers, flags: dict[str, str], nans: list[str]) -> dict[str, str]:
    """Return the flags of a scaled sum: NaN too by a scale, and by 0 times an infinite sum."""
    infinities = [flags[flag] for flag in flags if flag != "nan"]
    zeros = s.codes_of_kind("zero")
    terms = nans if s.codes_of_kind("nan") else []
    if infinities and zeros:
        is_zero = [is_one_of(port, s.bits, zeros) for port in ("scale_a", "scale_b")]
        terms = [*terms, f"({' | '.join(is_zero)}) & ({' | '.join(infinities)})"]
    return resolved(module, flags, " | ".join(terms))


@dataclass(frozen=True)
class _Meaning:
    """What a dot product of blocks computes, by the library's decoded values."""

    lane: Lane
    block: int
    scale: Integers
    aligned: bool
    outputs: dict[str, int]

    def __call__(self, words: PortWords) -> dict[str, Words]:
        lane, s = self.lane, self.scale
        i, j = (
            split_lanes(words[name], x.bits, self.block).astype(np.int64)
            for name, x in (("a", lane.a), ("b", lane.b))
        )
        scales = [operands.port(words, name) for name in ("scale_a", "scale_b")]
        numbers = operands.decoded(s)
        sums = lane.numbers(i, j).sum(axis=-1).astype(object)
        powers = np.array([_power(s, int(number)) for number in numbers], object)
        exponent = powers[scales[0]] + powers[scales[1]]
        exact = sums * numbers[scales[0]] * numbers[scales[1]]
        flags = flags_of_products(lane.a, lane.b, i, j)
        raised: dict[str, Words] = {flag: np.any(v, axis=-1) for flag, v in flags.items()}
        nan, zero = (np.isin(scales, s.codes_of_kind(kind)) for kind in ("nan", "zero"))
        infinite = raised["positive_inf"] | raised["negative_inf"]
        raised["nan"] = raised["nan"] | nan.any(axis=0) | (zero.any(axis=0) & infinite)
        found: dict[str, Words] = {
            "sum": exact if self.aligned else exact >> exponent,
            "exponent": exponent,
            **resolved_words(raised),
        }
        return {name: to_words(found[name], width) for name, width in self.outputs.items()}


def _power(scale: Integers, number: int) -> int:
    """Return the exponent of a scale that is an integer: that of its last significand bit."""
    assert scale.fmt.precision is not None
    return max(number.bit_length() - scale.fmt.precision, 0)
