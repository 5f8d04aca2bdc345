"""Dot products: products of many lanes, added exactly, accumulated exactly or in a float."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minifloat import arithmetic
from minifloat.formats import NumberFormat
from minifloat.formats.base import check_int, shown
from minifloat.formats.names import parse
from minifloat.hardware import operands
from minifloat.hardware.bit_counts import COUNTS, can_count, count_planes
from minifloat.hardware.circuits import Circuit, PortWords, Words, split_lanes, to_words
from minifloat.hardware.float_sums import FloatSum, add_float
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
from minifloat.hardware.sums import Adders, Term
from minifloat.hardware.verilog import Module, identifier, span

DotForm: TypeAlias = ProductForm | Literal["counts"]

MAX_TERMS = 1 << 24


@dataclass(frozen=True)
class FixedSum:
    """An accumulator in fixed point: a register wide enough for so many products.

    Parameters
    ----------
    terms : int
        The sum of so many products is exact, 1 to 2**24; more of them may wrap around.
    cut : int
        Low bits of each product that are dropped before it is added, at least 0: toward zero where
        the form of the product keeps its sign apart, downward where it is two's complement.

    Raises
    ------
    ValueError, TypeError
        If a number is out of range or not an integer.

    Examples
    --------
    >>> from minifloat.hardware import FixedSum
    >>> FixedSum()
    FixedSum(terms=4096, cut=0)
    """

    terms: int = 4096
    cut: int = 0

    def __post_init__(self) -> None:
        check_int("terms", self.terms, 1, MAX_TERMS)
        check_int("cut", self.cut, 0)


def dot_forms(a: NumberFormat | str, b: NumberFormat | str) -> list[str]:
    """Return the forms that a dot product of two formats can have, the default one first.

    They are those of its products, see `multiplier_forms`, and of bipolar integers ``counts``: the
    bits that agree, counted across all lanes for each pair of planes.

    Examples
    --------
    >>> from minifloat.hardware import dot_forms
    >>> dot_forms("bipolar_int2", "bipolar_int2")
    ['magnitudes', 'integer', 'booth', 'table', 'shifts', 'planes', 'counts']
    """
    x, y = integers(parse(a, "a")), integers(parse(b, "b"))
    return [*product_forms(x, y), *[COUNTS] * can_count(x, y)]


def dot(
    a: NumberFormat | str,
    b: NumberFormat | str,
    lanes: int = 16,
    *,
    form: DotForm | None = None,
    accumulator: FixedSum | FloatSum | None = FixedSum(),
    specials: Specials = "zero",
) -> Circuit:
    """Return a circuit that multiplies lane by lane and adds exactly.

    Products of sign and magnitude enter the tree of adders as they are or inverted, and their
    signs as the adders' carries.

    Parameters
    ----------
    a, b : format or str
        Of at most 8 bits each.
    lanes : int
        Products in each clock cycle, 1 to 256. Lane 0 is at the lowest bits of the inputs.
    form : str, optional
        How it is written: see `dot_forms`, whose first is the default.
    accumulator : FixedSum, FloatSum or None
        A register to which each cycle's products are added, in fixed point without rounding or as
        a float, rounded once in each cycle; None for a circuit without one.
    specials : "zero" or "flag"
        NaN and infinities count as 0. With "flag" the outputs ``nan``, ``positive_inf`` and
        ``negative_inf``, those that can occur, say what IEEE 754 makes of all that was added; the
        sum goes on without them.

    Returns
    -------
    Circuit
        The inputs are ``a`` and ``b``, and with an accumulator ``first``, which is 1 in the cycle
        that begins a new sum, and ``clock``. The output is ``sum``: an integer times ``unit``, or
        the bits of the float.

    Raises
    ------
    ValueError
        If a format is wider than 8 bits, the float does not hold multiples of the products' unit,
        or an option has no such value.
    TypeError
        If ``accumulator`` is something else.

    Examples
    --------
    >>> from minifloat import hardware
    >>> hardware.dot("e2m1", "e2m1").outputs, hardware.dot("int4", "int4").outputs
    ({'sum': 21}, {'sum': 20})
    >>> hardware.dot("e2m1", "e2m1", accumulator=hardware.FloatSum("float32")).outputs
    {'sum': 32}
    """
    x, y = integers(parse(a, "a")), integers(parse(b, "b"))
    lanes = check_int("lanes", lanes, 1, MAX_LANES)
    one_of("specials", specials, SPECIALS)
    if accumulator is not None and not isinstance(accumulator, FixedSum | FloatSum):
        raise TypeError(
            f"accumulator must be a FixedSum, a FloatSum or None, got {shown(accumulator)}; "
            'such as FloatSum("float32")'
        )
    chosen = form_of(form, dot_forms(x.fmt, y.fmt))
    name = identifier(
        "dot", x.fmt.name, y.fmt.name, f"{lanes}x", chosen, *_words_of(accumulator),
        "flag" if specials == "flag" else "",
    )  # fmt: skip
    cut = accumulator.cut if isinstance(accumulator, FixedSum) else 0
    counted = chosen == COUNTS
    if counted and cut:
        raise ValueError(f"cut must be 0 in the form {COUNTS}, which has no products, got {cut}")
    product_form = "planes" if counted else chosen
    lane = lane_of(f"{name}_lane", x, y, product_form, cut, flags=specials == "flag")
    module, tree = Module(name), Adders(name)
    module.input("a", x.bits * lanes)
    module.input("b", y.bits * lanes)
    if accumulator:
        module.input("first", 1)
        module.clock()
    carries: list[str] = []
    flags: dict[str, str] = {}
    if counted:
        found, part = count_planes(module, tree, x, y, lanes)
        terms = [found]
    else:
        terms, carries, flags = add_lanes(module, lane, lanes)
        part = lane.body.text()
    unit: Fraction | None = x.unit * y.unit * (1 << lane.cut)
    if accumulator is None:
        total = lane.exact * lanes
        module.output("sum", total.width, add_all(module, tree, terms, carries, total))
    elif isinstance(accumulator, FixedSum):
        total = lane.exact * accumulator.terms
        module.line(f"reg signed {span(total.width)}register;")
        old = module.wire(
            "old", total.width, f"register & {{{total.width}{{~first}}}}", signed=True
        )
        after = add_all(module, tree, terms, carries, total, Term(old, total))
        module.line(f"always @(posedge clock) register <= {after};")
        module.output("sum", total.width, "register")
    else:
        width, total = accumulator.width, lane.exact * lanes
        sums = Term(add_all(module, tree, terms, carries, total), total)
        module.line(f"reg {span(width)}register;")
        old = module.wire("old", width, f"register & {{{width}{{~first}}}}")
        after = add_float(module, tree, sums, x.unit * y.unit, old, accumulator)
        module.line(f"always @(posedge clock) register <= {after};")
        module.output("sum", width, "register")
        unit = None
    if accumulator:
        flags = {flag: _sticky(module, flag, condition) for flag, condition in flags.items()}
    for flag, condition in resolved(module, flags).items():
        module.output(flag, 1, condition)
    text = "\n".join([module.text(), part, tree.text()])
    meaning = _Meaning(lane, lanes, accumulator, dict(module.outputs))
    corners = {"a": extremes(x, lanes), "b": extremes(y, lanes)}
    latency = int(accumulator is not None)
    starts = {}
    if isinstance(accumulator, FloatSum):
        starts["sum"] = accumulator.starts(x.unit * y.unit)
    return Circuit(
        name, text, module.inputs, module.outputs, unit, latency, meaning, corners, starts
    )


def _words_of(accumulator: FixedSum | FloatSum | None) -> tuple[object, ...]:
    """Return an accumulator as words of a name."""
    if accumulator is None:
        return ()
    if isinstance(accumulator, FixedSum):
        return f"sum_of_{accumulator.terms}", accumulator.cut and f"cut_{accumulator.cut}"
    return "in", accumulator.fmt, accumulator.rounding, accumulator.overflow


def _sticky(module: Module, flag: str, condition: str) -> str:
    """Add a register that keeps a flag until a sum begins."""
    module.line(f"reg kept_{flag};")
    module.line(f"always @(posedge clock) kept_{flag} <= {condition} | (kept_{flag} & ~first);")
    return f"kept_{flag}"


@dataclass(frozen=True)
class _Meaning:
    """What a dot product computes, by the library's decoded values."""

    lane: Lane
    lanes: int
    accumulator: FixedSum | FloatSum | None
    outputs: dict[str, int]

    def __call__(self, words: PortWords) -> dict[str, Words]:
        lane = self.lane
        i, j = (
            split_lanes(words[name], x.bits, self.lanes).astype(np.int64)
            for name, x in (("a", lane.a), ("b", lane.b))
        )
        flags = flags_of_products(lane.a, lane.b, i, j)
        raised: dict[str, Words] = {flag: np.any(v, axis=-1) for flag, v in flags.items()}
        sums: Words
        if isinstance(self.accumulator, FloatSum):
            numbers = _finite(lane.a)[i], _finite(lane.b)[j]
            sums = _rounded(*numbers, words, self.accumulator)
        else:
            sums = lane.numbers(i, j).sum(axis=-1)
        if self.accumulator is not None:
            first = np.asarray(words["first"]).astype(bool)
            if isinstance(self.accumulator, FixedSum):
                sums = _running(sums, first)
            raised = {flag: _running_flag(value, first) for flag, value in raised.items()}
        found = {**resolved_words(raised), "sum": sums}
        return {name: to_words(found[name], width) for name, width in self.outputs.items()}


def _finite(x: Integers) -> NDArray[np.float64]:
    """Return the value of each code, 0 for codes without a number."""
    return operands.decoded(x).astype(np.float64) * float(x.unit)


def _rounded(
    a: NDArray[np.float64], b: NDArray[np.float64], words: PortWords, to: FloatSum
) -> Words:
    """Return running dot products along the first axis, as emulated arithmetic adds them."""
    accumulator = to.accumulator(a.shape[-1])
    first = np.asarray(words["first"], bool)
    total = to.numbers(words["sum"]) if "sum" in words else np.zeros(first.shape[1:])
    rows = []
    for x, y, begins in zip(a, b, first, strict=True):
        total = arithmetic.dot(x, y, np.where(begins, 0, total), accumulator=accumulator)
        rows.append(to.words(np.asarray(total)))
    return np.stack(rows)


def _running(sums: Words, first: Words) -> Words:
    """Return running sums along the first axis."""
    total = np.zeros(sums.shape[1:], sums.dtype)
    rows = []
    for row, begins in zip(sums, first, strict=True):
        total = np.where(begins, 0, total) + row
        rows.append(total)
    return np.stack(rows)


def _running_flag(raised: Words, first: Words) -> Words:
    total = np.zeros(raised.shape[1:], bool)
    rows = []
    for row, begins in zip(raised, first, strict=True):
        total = row | (total & ~begins)
        rows.append(total)
    return np.stack(rows)
