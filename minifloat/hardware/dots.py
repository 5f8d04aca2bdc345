"""Dot products: the products of many lanes, added exactly, and perhaps accumulated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minifloat.formats import NumberFormat
from minifloat.formats.base import check_int, shown
from minifloat.formats.names import parse
from minifloat.hardware import operands
from minifloat.hardware.circuits import Circuit, PortWords, Words, split_lanes, to_words
from minifloat.hardware.decoders import SPECIALS, Specials, one_of
from minifloat.hardware.integers import Integers, integers
from minifloat.hardware.multipliers import flags_of_products
from minifloat.hardware.operands import FLAGS
from minifloat.hardware.products import (
    ProductForm,
    a_max,
    product,
    product_flags,
    product_forms,
    product_range,
)
from minifloat.hardware.sums import Adders, Range, Term, add_tree
from minifloat.hardware.verilog import Module, identifier, span

MAX_LANES = 256
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


def dot(
    a: NumberFormat | str,
    b: NumberFormat | str,
    lanes: int = 16,
    *,
    form: ProductForm | None = None,
    accumulator: FixedSum | None = FixedSum(),
    specials: Specials = "zero",
) -> Circuit:
    """Return a circuit that multiplies lane by lane and adds, without rounding.

    Products of sign and magnitude enter the tree of adders as they are or inverted, and their
    signs as the adders' carries.

    Parameters
    ----------
    a, b : format or str
        Of at most 8 bits each.
    lanes : int
        Products in each clock cycle, 1 to 256. Lane 0 is at the lowest bits of the inputs.
    form : str, optional
        How products are written: see `multiplier_forms`, whose first is the default.
    accumulator : FixedSum or None
        A register to which each cycle's products are added; None for a circuit without one.
    specials : "zero" or "flag"
        NaN and infinities count as 0. With "flag" the outputs ``nan``, ``positive_inf`` and
        ``negative_inf``, those that can occur, say what IEEE 754 makes of all that was added.

    Returns
    -------
    Circuit
        The inputs are ``a`` and ``b``, and with an accumulator ``first``, which is 1 in the cycle
        that begins a new sum, and ``clock``. The output is ``sum``.

    Raises
    ------
    ValueError
        If a format is wider than 8 bits, or an option has no such value.
    TypeError
        If ``accumulator`` is something else.

    Examples
    --------
    >>> from minifloat import hardware
    >>> hardware.dot("e2m1", "e2m1").outputs, hardware.dot("int4", "int4").outputs
    ({'sum': 21}, {'sum': 20})
    """
    x, y = integers(parse(a, "a")), integers(parse(b, "b"))
    lanes = check_int("lanes", lanes, 1, MAX_LANES)
    one_of("specials", specials, SPECIALS)
    if accumulator is not None and not isinstance(accumulator, FixedSum):
        raise TypeError(f"accumulator must be a FixedSum or None, got {shown(accumulator)}")
    forms = product_forms(x, y)
    chosen = one_of("form", form or forms[0], forms)
    name = identifier(
        "dot", x.fmt.name, y.fmt.name, f"{lanes}x", chosen,
        accumulator and f"sum_of_{accumulator.terms}",
        accumulator and accumulator.cut and f"cut_{accumulator.cut}",
        "flag" if specials == "flag" else "",
    )  # fmt: skip
    cut = accumulator.cut if accumulator else 0
    lane = lane_of(f"{name}_lane", x, y, chosen, cut, flags=specials == "flag")
    module, tree = Module(name), Adders(name)
    module.input("a", x.bits * lanes)
    module.input("b", y.bits * lanes)
    if accumulator:
        module.input("first", 1)
        module.clock()
    terms, carries, flags = add_lanes(module, lane, lanes)
    total = lane.exact * (accumulator.terms if accumulator else lanes)
    if accumulator:
        module.line(f"reg signed {span(total.width)}register;")
        old = module.wire(
            "old", total.width, f"register & {{{total.width}{{~first}}}}", signed=True
        )
        after = add_all(module, tree, terms, carries, total, Term(old, total))
        module.line(f"always @(posedge clock) register <= {after};")
        module.output("sum", total.width, "register")
        flags = {flag: _sticky(module, flag, condition) for flag, condition in flags.items()}
    else:
        module.output("sum", total.width, add_all(module, tree, terms, carries, total))
    for flag, condition in resolved(module, flags).items():
        module.output(flag, 1, condition)
    text = "\n".join([module.text(), lane.body.text(), tree.text()])
    meaning = _Meaning(lane, lanes, accumulator, dict(module.outputs))
    corners = {"a": extremes(x, lanes), "b": extremes(y, lanes)}
    unit = x.unit * y.unit * (1 << lane.cut)
    latency = int(accumulator is not None)
    return Circuit(name, text, module.inputs, module.outputs, unit, latency, meaning, corners)


@dataclass(frozen=True)
class Lane:
    """One product of a dot product: a number to add, and where signs are apart a carry.

    Attributes
    ----------
    a, b : Integers
    cut : int
        Low bits that are dropped.
    toward_zero : bool
        Whether they are cut toward zero, not downward.
    body : Module
        With the outputs ``value``, perhaps ``sign``, and flags.
    exact : Range
        Of the product, less its cut bits.
    range : Range
        Of ``value``; the product is this plus ``sign``.
    """

    a: Integers
    b: Integers
    cut: int
    toward_zero: bool
    body: Module
    exact: Range
    range: Range

    @property
    def signs_apart(self) -> bool:
        """Whether there is the output ``sign``."""
        return "sign" in self.body.outputs

    def numbers(self, i: Words, j: Words) -> Words:
        """Return the products of two arrays of codes in the unit of the circuit, as integers."""
        value = operands.decoded(self.a)[i] * operands.decoded(self.b)[j]
        if self.exact.width + self.cut < 40:  # so sums fit, too
            value = value.astype(np.int64)
        if not self.toward_zero:
            return np.asarray(value >> self.cut)
        return np.asarray(np.where(value < 0, -(-value >> self.cut), value >> self.cut))


def lane_of(
    name: str, x: Integers, y: Integers, form: str, cut: int = 0, *, flags: bool = False
) -> Lane:
    """Return the lane of a dot product, as a module of this name.

    Raises
    ------
    ValueError
        If no bit is left.
    """
    top = (a_max(x) * a_max(y)).bit_length()
    if cut >= top:
        raise ValueError(f"cut must be below the {top} bits of a product, got {cut}")
    body = Module(name)
    body.input("a", x.bits)
    body.input("b", y.bits)
    found = product(body, x, y, form)
    low, high = product_range(x, y)
    if found.parts is None:
        exact = ends = Range(low >> cut, high >> cut)
        body.output("value", ends.width, f"{found.value} >>> {cut}" if cut else str(found.value))
    else:
        exact = Range(-(-low >> cut) if low < 0 else low >> cut, high >> cut)
        sign, magnitude, width = found.parts
        if cut:
            magnitude, width = f"{magnitude}[{width - 1}:{cut}]", width - cut
        if low < 0:
            ends = Range(exact.low - 1, exact.high)
            wide = body.wire("kept", ends.width, magnitude)
            body.output("value", ends.width, f"{wide} ^ {{{ends.width}{{{sign}}}}}")
            body.output("sign", 1, sign)
        else:
            ends = exact
            body.output("value", ends.width, f"{{1'h0, {magnitude}}}")
    if flags:
        for flag, condition in product_flags(x, y).items():
            body.output(flag, 1, condition)
    return Lane(x, y, cut, found.parts is not None, body, exact, ends)


def add_lanes(
    module: Module, lane: Lane, lanes: int
) -> tuple[list[Term], list[str], dict[str, str]]:
    """Add all lanes; return the terms to add, the signs that count 1 each, and the flags."""
    terms, carries = [], []
    flags: dict[str, list[str]] = {}
    for i in range(lanes):
        ports = {}
        for code, x in (("a", lane.a), ("b", lane.b)):
            low = i * x.bits
            whole = lanes * x.bits == 1
            ports[code] = code if whole else f"{code}[{low + x.bits - 1}:{low}]"
        module.line(f"wire signed {span(lane.range.width)}value{i};")
        ports["value"] = f"value{i}"
        terms.append(Term(f"value{i}", lane.range))
        if lane.signs_apart:
            module.line(f"wire sign{i};")
            ports["sign"] = f"sign{i}"
            carries.append(f"sign{i}")
        for flag in FLAGS:
            if flag in lane.body.outputs:
                module.line(f"wire {flag}{i};")
                ports[flag] = f"{flag}{i}"
                flags.setdefault(flag, []).append(f"{flag}{i}")
        module.instance(lane.body.name, f"lane{i}", ports)
    some = {flag: module.wire(f"some_{flag}", 1, " | ".join(nets)) for flag, nets in flags.items()}
    return terms, carries, some


def add_all(
    module: Module,
    tree: Adders,
    terms: list[Term],
    carries: list[str],
    total: Range,
    more: Term | None = None,
) -> str:
    """Add the sum of terms, carries and one more term; return its net, which holds ``total``."""
    term, left = add_tree(tree, module, terms, carries)
    if more is None and not left:
        return term.net
    other = more or Term("1'h0", Range(0, 0))
    return tree.add(module, "after", term, other, total, left[0] if left else None).net


def resolved(module: Module, flags: dict[str, str], nan: str = "") -> dict[str, str]:
    """Return flags of which one at most is raised: NaN by both infinities, or a condition."""
    infinities = [flags[flag] for flag in ("positive_inf", "negative_inf") if flag in flags]
    conditions = [flags.get("nan", ""), " & ".join(infinities) * (len(infinities) == 2), nan]
    some = [f"({condition})" for condition in conditions if condition]
    if not some:
        return {}
    net = module.wire("is_nan", 1, " | ".join(some))
    return {"nan": net} | {flag: f"{flags[flag]} & ~{net}" for flag in flags if flag != "nan"}


def _sticky(module: Module, flag: str, condition: str) -> str:
    """Add a register that keeps a flag until a sum begins."""
    module.line(f"reg kept_{flag};")
    module.line(f"always @(posedge clock) kept_{flag} <= {condition} | (kept_{flag} & ~first);")
    return f"kept_{flag}"


def extremes(x: Integers, lanes: int) -> tuple[int, ...]:
    """Return the words of an input with the same extreme code in all lanes.

    They are the codes of the lowest, the highest and the smallest values, of -0, and of what is no
    number.
    """
    order = sorted(range(len(x.values)), key=lambda code: (x.values[code], code))
    above = [code for code in order if x.values[code] > 0]
    codes = {order[0], order[-1], above[0], *x.codes_of_kind("zero")}
    for flag in FLAGS:
        codes.update(x.codes_of_kind(flag)[:2])
    ones = sum(1 << lane * x.bits for lane in range(lanes))
    return tuple(code * ones for code in sorted(codes))


@dataclass(frozen=True)
class _Meaning:
    """What a dot product computes, by the library's decoded values."""

    lane: Lane
    lanes: int
    accumulator: FixedSum | None
    outputs: dict[str, int]

    def __call__(self, words: PortWords) -> dict[str, Words]:
        lane = self.lane
        i, j = (
            split_lanes(words[name], x.bits, self.lanes).astype(np.int64)
            for name, x in (("a", lane.a), ("b", lane.b))
        )
        sums = lane.numbers(i, j).sum(axis=-1)
        flags = flags_of_products(lane.a, lane.b, i, j)
        raised: dict[str, Words] = {flag: np.any(v, axis=-1) for flag, v in flags.items()}
        if self.accumulator is not None:
            first = np.asarray(words["first"]).astype(bool)
            sums = _running(sums, first)
            raised = {flag: _running_flag(value, first) for flag, value in raised.items()}
        found = {**resolved_words(raised), "sum": sums}
        return {name: to_words(found[name], width) for name, width in self.outputs.items()}


def resolved_words(raised: dict[str, Words]) -> dict[str, Words]:
    """Return flags of which one at most is raised, as `resolved`."""
    nan = raised["nan"] | (raised["positive_inf"] & raised["negative_inf"])
    return {flag: value & ~nan for flag, value in raised.items()} | {"nan": nan}


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
