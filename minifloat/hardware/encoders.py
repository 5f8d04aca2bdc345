"""Encoders: from a float or an integer to a code, rounded once, in any mode."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from typing import Literal, SupportsIndex, TypeAlias

import numpy as np

from minifloat.codec import EncodeOptions, encode
from minifloat.codec.special_codes import SpecialCodes, special_codes
from minifloat.formats import NumberFormat
from minifloat.formats.base import check_int, shown
from minifloat.formats.names import parse
from minifloat.formats.rounding import (
    NaNPolicy,
    NaNPolicyLike,
    Overflow,
    OverflowLike,
    Rounding,
    RoundingLike,
    choose,
)
from minifloat.hardware.circuits import Circuit, PortWords, Words, to_words
from minifloat.hardware.integers import integers
from minifloat.hardware.options import ENCODINGS, Encoding, form_of, one_of
from minifloat.hardware.rounders import can_round, magnitude_code
from minifloat.hardware.sources import FLOATS, Source, float_source, is_nan, steps
from minifloat.hardware.verilog import Module, identifier, literal, tree

SourceName: TypeAlias = Literal["float16", "bfloat16", "float32", "fixed"]
EncoderForm: TypeAlias = Literal["tree", "round"]

MAX_WIDTH = 53  # of an integer, which is a float64 to the library
MAX_RANDOM_BITS = 28  # as in `minifloat.encode`
TREE_BITS = 6  # a tree of more thresholds than such a format has is larger than shifts


def encoder_forms(fmt: NumberFormat | str, source: SourceName = "float16") -> list[str]:
    """Return the forms that an encoder of a format can have, the default one first.

    tree    a tree of comparisons with the numbers at which the code changes
    round   the significand shifted, its last bit rounded: formats with equal steps or subnormals

    Examples
    --------
    >>> from minifloat.hardware import encoder_forms
    >>> encoder_forms("e2m1"), encoder_forms("e4m3fn"), encoder_forms("nf4")
    (['tree', 'round'], ['round', 'tree'], ['tree'])
    """
    fmt = parse(fmt)
    one_of("source", source, [*FLOATS, "fixed"])
    given = Source("fixed", 2, None) if source == "fixed" else float_source(source)
    if fmt.binary_grid is None or not can_round(given, fmt.binary_grid):
        return ["tree"]
    return ["tree", "round"] if fmt.bits <= TREE_BITS else ["round", "tree"]


def encoder(
    fmt: NumberFormat | str,
    source: SourceName = "float16",
    *,
    rounding: RoundingLike = Rounding.NEAREST_EVEN,
    overflow: OverflowLike = Overflow.SATURATE,
    nan: NaNPolicyLike = NaNPolicy.ZERO,
    form: EncoderForm | None = None,
    width: SupportsIndex = 16,
    unit: Fraction | float | None = None,
    encoding: Encoding = "twos_complement",
    random_bits: SupportsIndex = 8,
) -> Circuit:
    """Return a circuit that does what `minifloat.encode` does with one number.

    Parameters
    ----------
    fmt : format or str
        Of at most 8 bits.
    source : "float16", "bfloat16", "float32" or "fixed"
        What the input is: the bits of a float, or an integer times ``unit``.
    rounding : Rounding or str
        As for `minifloat.encode`. A stochastic mode has another input, ``random``.
    overflow : Overflow or str
        As for `minifloat.encode`, but not "raise".
    nan : NaNPolicy or str
        The code of NaN in a format without NaN: "zero" or "max".
    form : "tree" or "round", optional
        How it is written: see `encoder_forms`, whose first is the default. Stochastic modes need
        "round".
    width : int
        Bits of a fixed input, 2 to 53.
    unit : Fraction or float, optional
        What 1 means in a fixed input: a power of two; default 1.
    encoding : "twos_complement" or "sign_magnitude"
        Of a fixed input: ``value``, or ``sign`` and ``magnitude`` (of ``width`` bits), in which 0
        with the sign 1 is -0.
    random_bits : int
        Bits of ``random``, 1 to 28.

    Returns
    -------
    Circuit
        The input is ``value``, the output ``code``.

    Raises
    ------
    ValueError
        If the format is wider than 8 bits or has not this form, or an option has no such value.

    Examples
    --------
    >>> from minifloat import hardware
    >>> hardware.encoder("e2m1").inputs
    {'value': 16}
    >>> hardware.encoder("e4m3fn", "float32", rounding="stochastic", random_bits=4).inputs
    {'value': 32, 'random': 4}
    """
    fmt = parse(fmt)
    integers(fmt)  # refuses wide formats
    mode, policy, nan_policy = check_policies(rounding, overflow, nan)
    given = _source(source, width, unit, encoding)
    forms = encoder_forms(fmt, source)
    if mode.is_stochastic:
        forms = [name for name in forms if name == "round"]
        if not forms:
            raise ValueError(f"rounding must not be stochastic for {fmt}, whose steps differ")
    chosen = form_of(form, forms)
    random_bits = check_int("random_bits", random_bits, 1, MAX_RANDOM_BITS)
    special = special_codes(fmt, mode, policy, nan_policy)
    module = Module(
        identifier(
            "encoder", fmt.name, given.name, given.fields is None and f"{given.width}_{given.unit}",
            given.sign_apart and encoding, mode, policy, nan_policy, chosen,
            mode.is_stochastic and f"{random_bits}_bits",
        )
    )  # fmt: skip
    sign, magnitude = given.add_to(module)
    if mode.is_stochastic:
        module.input("random", random_bits)

    how = Rounding.TOWARD_ZERO if mode.is_stochastic else mode  # stochastic modes have its steps
    options: EncodeOptions = {"rounding": how, "overflow": policy, "nan": nan_policy}
    codes_of = partial(encode, fmt=fmt, **options)
    by_sign = [steps(given, codes_of, negative=negative) for negative in (False, True)]
    if chosen == "round":
        code = _rounded(module, fmt, given, mode, random_bits, special, sign, magnitude)
    else:
        code = _thresholds(module, fmt, given, by_sign, sign, magnitude)
    nans = is_nan(given, magnitude)
    if nans is not None:
        code = f"{nans} ? {literal(special.nan, fmt.bits)} : {code}"
    module.output("code", fmt.bits, code)

    options["rounding"] = mode
    if mode.is_stochastic:
        options["random_bits"] = random_bits
    meaning = partial(_encoded, given, fmt, options)
    starts = {start for found, _ in by_sign for start in found}
    near = sorted({m for start in starts for m in (start - 1, start, start + 1) if m >= 0})
    most = (1 << given.magnitude_width) - 1
    corners = given.word_corners([m for m in {*near, given.last, most} if m <= most])
    return Circuit(
        module.name, module.text(), module.inputs, module.outputs, None, 0, meaning, corners
    )


def _encoded(
    given: Source, fmt: NumberFormat, options: EncodeOptions, words: PortWords
) -> dict[str, Words]:
    """Return what an encoder computes."""
    if "random" in words:
        options = {**options, "random": np.asarray(words["random"])}
    codes: Words = encode(given.read(words), fmt, **options)
    return {"code": to_words(codes, fmt.bits)}


def check_policies(
    rounding: RoundingLike, overflow: OverflowLike, nan: NaNPolicyLike
) -> tuple[Rounding, Overflow, NaNPolicy]:
    """Return the policies of an encoder, or raise unless every number gets a code."""
    mode = choose(Rounding, "rounding", rounding)
    policy = choose(Overflow, "overflow", overflow)
    nan_policy = choose(NaNPolicy, "nan", nan)
    if policy is Overflow.RAISE or nan_policy is NaNPolicy.RAISE:
        raise ValueError(
            "overflow and nan must give every number a code in a circuit, got raise; "
            'pass overflow="saturate" or nan="zero"'
        )
    return mode, policy, nan_policy


def _source(
    name: str, width: SupportsIndex, unit: Fraction | float | None, encoding: str
) -> Source:
    one_of("source", name, [*FLOATS, "fixed"])
    one_of("encoding", encoding, ENCODINGS)
    if name != "fixed":
        return float_source(name)
    bits = check_int("width", width, 2, MAX_WIDTH)
    try:
        exact = Fraction(1 if unit is None else unit)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"unit must be a power of two, got {shown(unit)}") from None
    parts = (exact.numerator, exact.denominator)
    if exact <= 0 or any(part & (part - 1) for part in parts) or max(parts) > 1 << 900:
        raise ValueError(f"unit must be a power of two, got {shown(unit)}")
    return Source(name, bits, None, exact, encoding == "sign_magnitude")


def _thresholds(
    module: Module,
    fmt: NumberFormat,
    source: Source,
    by_sign: Sequence[tuple[list[int], list[int]]],
    sign: str,
    magnitude: str,
) -> str:
    """Add a tree of comparisons for each sign, or one for both if the sign is a bit of the code."""
    (starts, codes), (negative_starts, negative_codes) = by_sign
    width, top = source.magnitude_width, 1 << (fmt.bits - 1)
    is_top = starts == negative_starts and [code + top for code in codes] == negative_codes
    if is_top and fmt.bits == 1:
        return sign
    if is_top:
        values = [literal(code, fmt.bits - 1) for code in codes]
        net = module.wire("below_sign", fmt.bits - 1, tree(magnitude, width, starts, values))
        return f"{{{sign}, {net}}}"
    nets = []
    for name, (places, numbers) in zip(("positive", "negated"), by_sign, strict=True):
        values = [literal(code, fmt.bits) for code in numbers]
        nets.append(module.wire(name, fmt.bits, tree(magnitude, width, places, values)))
    return f"({sign} ? {nets[1]} : {nets[0]})"


def _rounded(
    module: Module,
    fmt: NumberFormat,
    source: Source,
    mode: Rounding,
    random_bits: int,
    special: SpecialCodes,
    sign: str,
    magnitude: str,
) -> str:
    """Add the rounded magnitude with its sign, and the codes beyond both ends."""
    grid = fmt.binary_grid
    assert grid is not None
    bits = fmt.bits
    rounded, width, beyond = magnitude_code(
        module, source, grid, mode, random_bits, sign, magnitude
    )
    ends = [
        f"{rounded} > {literal(limit, max(width, limit.bit_length()))}"
        for limit in (grid.limit, grid.negative_limit)
    ]
    if ends[0] == ends[1]:
        over = module.wire("over", 1, f"{beyond} | {ends[0]}")
    else:
        over = module.wire("over", 1, f"{beyond} | ({sign} ? {ends[1]} : {ends[0]})")
    wide = module.wire("code_bits", max(bits, width), rounded)
    if grid.twos_complement:
        finite = f"({sign} ? -{wide} : {wide})"
    elif fmt.min < 0:
        top = sign if fmt.has_negative_zero else f"{sign} & {rounded} != 0"
        low = f"{wide}[{bits - 2}:0]" if bits > 2 else f"{wide}[0]"
        finite = f"{{{top}, {low}}}"
    else:
        finite = wide
    net = module.wire("finite", bits, finite)
    above, below = literal(special.over_above, bits), literal(special.over_below, bits)
    code = f"({over} ? ({sign} ? {below} : {above}) : {net})"
    if source.fields is not None:
        infinite = f"{magnitude} == {literal(source.fields.infinity, source.magnitude_width)}"
        above, below = literal(special.inf_above, bits), literal(special.inf_below, bits)
        code = f"({infinite} ? ({sign} ? {below} : {above}) : {code})"
    return module.wire("number", bits, code)
