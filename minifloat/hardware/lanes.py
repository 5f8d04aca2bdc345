"""Lanes of a dot product: a product each, as a number to add and a sign, and the flags of all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minifloat.hardware import operands
from minifloat.hardware.circuits import Words
from minifloat.hardware.integers import Integers
from minifloat.hardware.operands import FLAGS
from minifloat.hardware.products import largest, product, product_flags, product_range
from minifloat.hardware.sums import Adders, Range, Term, add_tree
from minifloat.hardware.verilog import Module, span

MAX_LANES = 256


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
    top = (largest(x) * largest(y)).bit_length()
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


def extremes(x: Integers, lanes: int) -> tuple[int, ...]:
    """Return the words of an input with the same extreme code in all lanes.

    They are the codes of the lowest, the highest and the smallest values, of -0, and of what is no
    number.
    """
    order = sorted(range(len(x.values)), key=lambda code: (x.values[code], code))
    above = [code for code in order if x.values[code] > 0]
    codes = {order[0], order[-1], *above[:1], *x.codes_of_kind("zero")}
    for flag in FLAGS:
        codes.update(x.codes_of_kind(flag)[:2])
    ones = sum(1 << lane * x.bits for lane in range(lanes))
    return tuple(code * ones for code in sorted(codes))


def resolved_words(raised: dict[str, Words]) -> dict[str, Words]:
    """Return flags of which one at most is raised, as `resolved`."""
    nan = raised["nan"] | (raised["positive_inf"] & raised["negative_inf"])
    return {flag: value & ~nan for flag, value in raised.items()} | {"nan": nan}
