"""What circuits take, by Yosys, each counted in the best of its forms and checked.

All forms of a circuit's multiplier are counted, and the circuit is written in the form that takes
the least. Floats whose integers have more than `MAX_DECODED` bits are written with significands
alone: decoded first they take several times as much. A multiplier has its product as its form has
it, in two's complement or as sign and magnitude. The netlist that was counted is compared with the
library.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import cache
from typing import cast

from analysis.hardware import circuits
from analysis.hardware.circuits import ITSELF, LANES, Job, format_of, jobs
from analysis.records import Row, Rows
from minifloat.formats import NumberFormat
from minifloat.hardware import (
    Circuit,
    Counts,
    FixedSum,
    block_dot,
    check,
    dot,
    multiplier,
    multiplier_forms,
    synthesize,
)
from minifloat.hardware.counts import count
from minifloat.hardware.integers import integers
from minifloat.hardware.operands import has_significand, significand
from minifloat.hardware.options import Encoding
from minifloat.hardware.products import ProductForm
from minifloat.hardware.synthesis import netlist, tool
from minifloat.hardware.targets import Target
from minifloat.hardware.verilog import Module, identifier

MAX_DECODED = 9  # E3M1 is counted in all forms
Progress = Callable[[int, int], object]


def records(
    *, quick: bool = False, progress: Progress | None = None, known: Collection[Job] = ()
) -> Rows:
    """Count all circuits and return their records; see `measured`."""
    return list(measured(quick=quick, progress=progress, known=known))


def measured(
    *,
    quick: bool = False,
    progress: Progress | None = None,
    known: Collection[Job] = (),
    workers: int = 2,
) -> Iterator[Row]:
    """Count circuits and yield a record for each as soon as it is known.

    Parameters
    ----------
    quick : bool
        Two circuits.
    progress : callable, optional
        Called with the circuits done and all circuits.
    known : collection of Job
        To leave out.
    workers : int
        Runs of Yosys at once.

    Yields
    ------
    dict
        The fields of a `Job`, ``lanes``, ``form`` (None for a decoder), ``width`` of the outputs,
        ``transistors``, ``lut6``, ``carry``, ``flip_flops``, ``levels`` of all lanes together,
        ``checked`` (words that the netlist was compared at; 0 for a decoder) and ``tool``.

    Raises
    ------
    ModuleNotFoundError
        If Yosys is not installed.
    RuntimeError
        If a netlist does not compute what the library does.
    """
    tool()
    missing = [job for job in jobs(quick=quick) if job not in set(known)]
    pool = ThreadPoolExecutor(workers)
    running = [pool.submit(record, job) for job in missing]
    try:
        for done, each in enumerate(as_completed(running), 1):
            yield each.result()
            if progress is not None:
                progress(done, len(missing))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def record(job: Job) -> Row:
    """Count one circuit in its best form."""
    if job.unit == circuits.DECODER:
        name, width, counts, checked = None, 0, _decoder(job.fmt, job.target), 0
    else:
        name = form = best_form(*_factors(job), job.target)
        circuit = _circuit(job, form)
        counts = synthesize(circuit, job.target)
        result = check(circuit, job.target, netlist=counts.netlist)
        if not result:
            raise RuntimeError(f"the netlist must be right, and is not: {result}")
        width, checked = sum(circuit.outputs.values()), result.words
    return {
        **job._asdict(),
        "lanes": _lanes(job),
        "form": name,
        "width": width,
        "transistors": counts.transistors,
        "lut6": counts.lut6,
        "carry": counts.carry,
        "flip_flops": counts.flip_flops,
        "levels": counts.levels,
        "checked": checked,
        "tool": counts.tool,
    }


@cache
def best_form(a: NumberFormat, b: NumberFormat, target: Target) -> ProductForm:
    """Return the form whose multiplier takes the least."""
    sizes: dict[ProductForm, int] = {}
    forms = cast(list[ProductForm], multiplier_forms(a, b))
    if forms[0] == "significands" and max(integers(a).width, integers(b).width) > MAX_DECODED:
        forms = forms[:1]
    for form in forms:
        counts = synthesize(_multiplier(a, b, form), target)
        sizes[form] = counts.transistors or counts.lut6
    return min(sizes, key=sizes.__getitem__)


def _multiplier(a: NumberFormat, b: NumberFormat, form: ProductForm) -> Circuit:
    """Return a multiplier with its product as the form has it, without a conversion."""
    apart = form in ("significands", "magnitudes")
    if form == "table":  # with signs of their own where both codes have a sign bit
        apart = all(integers(fmt).sign_bit for fmt in (a, b))
    encoding: Encoding = "sign_magnitude" if apart else "twos_complement"
    return multiplier(a, b, form=form, encoding=encoding)


def _factors(job: Job) -> tuple[NumberFormat, NumberFormat]:
    fmt = circuits.BLOCK_FORMATS[job.fmt][0] if job.unit == circuits.BLOCK else job.fmt
    return format_of(fmt), format_of(fmt if job.activations == ITSELF else job.activations)


def _lanes(job: Job) -> int:
    if job.unit == circuits.BLOCK:
        return circuits.BLOCK_FORMATS[job.fmt][2]
    return LANES if job.unit in (circuits.SUM, circuits.DOT) else 1


def _circuit(job: Job, form: ProductForm) -> Circuit:
    a, b = _factors(job)
    if job.unit == circuits.MULTIPLIER:
        return _multiplier(a, b, form)
    if job.unit == circuits.BLOCK:
        _, scale, block = circuits.BLOCK_FORMATS[job.fmt]
        return block_dot(a, b, scale, block, form=form)
    register = FixedSum(cut=job.cut) if job.unit == circuits.DOT else None
    return dot(a, b, LANES, form=form, accumulator=register)


def _decoder(name: str, target: Target) -> Counts:
    """Count the significand and the exponent of a code; nothing for what is no float."""
    fmt = format_of(name)
    module = Module(identifier("significand", fmt.name))
    module.input("code", fmt.bits)
    if has_significand(fmt):
        part = significand(module, integers(fmt), "code", "code")
        module.output("significand", part.width, part.significand)
        module.output("exponent", part.exponent_width, part.exponent)
    else:
        module.output("value", fmt.bits, "code")
    return count(netlist(module.text(), module.name, target), target, tool())
