"""What is measured: one `Case` each, with the ratio it is meant to reach."""

from __future__ import annotations

from collections.abc import Iterator

from tests.benchmarks.cases.arithmetic import arithmetic_cases
from tests.benchmarks.cases.arrays import array_cases
from tests.benchmarks.cases.case import Case, Inputs, Thunk
from tests.benchmarks.cases.codec import (
    FORMATS,
    codebook_cases,
    main_cases,
    option_cases,
    small_cases,
    source_cases,
    thread_cases,
)
from tests.benchmarks.cases.integer_products import integer_product_cases
from tests.benchmarks.cases.packing import packing_cases, register_cases
from tests.benchmarks.cases.peers import peer_cases
from tests.benchmarks.cases.products import product_cases
from tests.benchmarks.cases.quantization import dequantize_cases, quantize_cases


def every_case() -> Iterator[Case]:
    """All of them, in the table's order."""
    for fmt in FORMATS:
        yield from main_cases(fmt)
    yield from small_cases()
    yield from packing_cases("little", range(2, 9))
    yield from packing_cases("big", (4, 5, 8))
    yield from quantize_cases()
    yield from dequantize_cases()
    yield from product_cases()
    yield from integer_product_cases()
    yield from register_cases()
    yield from arithmetic_cases()
    yield from array_cases()
    yield from peer_cases()
    for fmt in FORMATS:
        yield from option_cases(fmt)
        yield from source_cases(fmt)
    yield from codebook_cases()
    yield from thread_cases("e4m3fn")


CASES = tuple(every_case())

__all__ = ["CASES", "Case", "Inputs", "Thunk"]
