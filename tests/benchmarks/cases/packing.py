"""Packing, and the register programs that read packed words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

import minifloat as mf
from minifloat import registers
from minifloat.typing import BitOrder
from tests.benchmarks.cases.case import Case, Inputs, Thunk, copy_codes, over_copy


def pack(bits: int, bit_order: BitOrder) -> Callable[[Inputs], Thunk]:
    """Pack codes to bytes."""

    def prepare(inputs: Inputs) -> Thunk:
        codes = inputs.codes_of(bits)
        out = np.zeros_like(mf.pack(codes, bits))
        return lambda: mf.pack(codes, bits, bit_order=bit_order, out=out)

    return prepare


def unpack(bits: int, bit_order: BitOrder) -> Callable[[Inputs], Thunk]:
    """Unpack codes from bytes."""

    def prepare(inputs: Inputs) -> Thunk:
        packed = mf.pack(inputs.codes_of(bits), bits, bit_order=bit_order)
        count, out = inputs.size, inputs.empty(np.uint8)
        return lambda: mf.unpack(packed, bits, count, bit_order=bit_order, out=out)

    return prepare


def run_program(fmt: str, layout: str, *, fold_scale: bool = False) -> Callable[[Inputs], Thunk]:
    """Run the register program that converts packed codes to float16."""
    program = registers.to_half(fmt, layout, fold_scale=fold_scale)

    def prepare(inputs: Inputs) -> Thunk:
        words = mf.pack_words(inputs.codes_of(program.layout.bits), program.layout)
        out = np.zeros_like(registers.run(program, words))
        return lambda: registers.run(program, words, out=out)

    return prepare


def packing_cases(bit_order: BitOrder, widths: Sequence[int]) -> Iterator[Case]:
    """Packing against a copy of the codes, one byte each."""
    for task, make in (("pack", pack), ("unpack", unpack)):
        for bits in widths:
            name = f"{task} {bit_order}-endian"
            yield Case(
                name, f"{bits} bits", 0.2, make(bits, bit_order), copy_codes, moves=1 + bits / 8
            )


def register_cases() -> Iterator[Case]:
    """Register programs; 5 ns an element are 200 M weights/s."""
    layouts = {"e2m2": "1+4", "e2m1": "4", "e4m3fn": "8", "int5": "1+4", "nf5": "dense"}
    for fmt, layout in layouts.items():
        yield over_copy("registers.run", fmt, None, run_program(fmt, layout))
    folded = run_program("e2m2", "1+4", fold_scale=True)
    yield over_copy("registers.run, fold_scale", "e2m2", None, folded)
