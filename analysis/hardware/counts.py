"""What circuits take, by Yosys, each counted in the best of its forms and checked.

All forms of a circuit's multiplier are counted, mapped in all ways of the target. Of those with
signs apart and of those in two's complement, whose trees of adders differ, the best one is tried in
the circuit, unless its multiplier takes far more, and the circuit that takes less is the one.
Floats whose integers have more than `MAX_DECODED` bits are written with significands alone: decoded
first they take several times as much. A multiplier has its product as its form has it, in two's
complement or as sign and magnitude. The netlist that was counted is compared with the library.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import as_completed
from functools import cache
from typing import cast

from analysis.hardware import circuits
from analysis.hardware.circuits import ITSELF, LANES, Job, format_of, jobs
from analysis.records import Row
from minifloat.formats import NumberFormat
from minifloat.hardware import (
    Circuit,
    Counts,
    best,
    block_dot,
    check,
    dot,
    multiplier,
    multiplier_forms,
)
from minifloat.hardware.counts import count, mapped_in, ways_without_dsp
from minifloat.hardware.integers import integers
from minifloat.hardware.operands import has_significand, significand
from minifloat.hardware.options import Encoding
from minifloat.hardware.pools import stoppable_pool
from minifloat.hardware.products import ProductForm
from minifloat.hardware.synthesis import SynthesisError, netlist, tool
from minifloat.hardware.targets import Target
from minifloat.hardware.verilog import Module, identifier

MAX_DECODED = 9  # E3M1 is counted in all forms
CLOSE = 1.5  # between forms of multipliers, for the dot product to be counted in both
Progress = Callable[[int, int], object]


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
        The fields of a `Job`, ``lanes``, ``form`` (None for a significand), ``width`` of outputs,
        ``transistors``, ``lut6``, ``carry``, ``flip_flops``, ``levels`` of all lanes together,
        ``checked`` (words that the netlist was compared at; 0 for a significand) and ``tool``.

    Raises
    ------
    ModuleNotFoundError
        If Yosys is not installed.
    RuntimeError
        If a netlist does not compute what the library does.
    SynthesisError
        When all others are done, if Yosys has failed or run out of time.
    """
    tool()
    missing = [job for job in jobs(quick=quick) if job not in set(known)]
    failed: list[str] = []
    with stoppable_pool(workers) as pool:
        running = {pool.submit(record, job): job for job in missing}
        for done, each in enumerate(as_completed(running), 1):
            try:
                yield each.result()
            except SynthesisError as error:
                failed.append(f"{'/'.join(map(str, running[each]))}: {error}")
            if progress is not None:
                progress(done, len(missing))
    if failed:
        raise SynthesisError(f"{len(failed)} circuits were not counted: " + "; ".join(failed))


def record(job: Job) -> Row:
    """Count one circuit in its best form."""
    if job.unit == circuits.DECODER:
        name, width, checked = None, 0, 0
        counts = _decoder(job.fmt, job.target)
    else:
        name, circuit, counts = _counted(job)
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


def _counted(job: Job) -> tuple[str, Circuit, Counts]:
    """Return the best form of a circuit, the circuit, and what it takes."""
    if job.unit == circuits.TO_FLOAT:
        choice = best("decoder", format_of(job.fmt), target="float16", on=job.target)
        return choice.form, choice.circuit, choice.counts
    if job.unit == circuits.SUM:  # in the form of the whole dot product, whose part it is
        whole = job._replace(unit=circuits.DOT, accumulator=circuits.EXACT)
        form, way = _best(whole)
    else:
        form, way = _best(job)
    circuit = _circuit(job, form)
    return form, circuit, mapped_in(circuit, job.target, way)


def _best(job: Job) -> tuple[ProductForm, str]:
    """Return the form of a circuit that takes the least, and the way in which it is mapped."""
    found = best_products(*_factors(job), job.target)
    if len(found) == 1:
        return found[0]

    def taken(each: tuple[ProductForm, str]) -> int:
        form, way = each
        return _size(mapped_in(_circuit(job, form), job.target, way))

    return min(found, key=taken)


@cache
def best_products(
    a: NumberFormat, b: NumberFormat, target: Target
) -> list[tuple[ProductForm, str]]:
    """Return the forms whose multipliers take the least, and the ways in which Yosys maps them so.

    Returns
    -------
    list of (str, str)
        The best form of those with signs apart and the best of those in two's complement, the
        better one first; one alone if the other's multiplier takes more than `CLOSE` times as much.
    """
    sizes: dict[Encoding, tuple[int, ProductForm, str]] = {}
    forms = cast(list[ProductForm], multiplier_forms(a, b))
    if forms[0] == "significands" and max(integers(a).width, integers(b).width) > MAX_DECODED:
        forms = forms[:1]
    for form in forms:
        encoding, circuit = _encoding(a, b, form), _multiplier(a, b, form)
        for way in ways_without_dsp(circuit, target):
            size = _size(mapped_in(circuit, target, way))
            if encoding not in sizes or size < sizes[encoding][0]:
                sizes[encoding] = size, form, way
    least = min(size for size, _, _ in sizes.values())
    close = sorted(found for found in sizes.values() if found[0] <= CLOSE * least)
    return [(form, way) for _, form, way in close]


def _size(counts: Counts) -> int:
    return counts.transistors or counts.lut6


def _encoding(a: NumberFormat, b: NumberFormat, form: ProductForm) -> Encoding:
    apart = form in ("significands", "magnitudes")
    if form == "table":  # with signs of their own where both codes have a sign bit
        apart = all(integers(fmt).sign_bit for fmt in (a, b))
    return "sign_magnitude" if apart else "twos_complement"


def _multiplier(a: NumberFormat, b: NumberFormat, form: ProductForm) -> Circuit:
    """Return a multiplier with its product as the form has it, without a conversion."""
    return multiplier(a, b, form=form, encoding=_encoding(a, b, form))


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
    register = circuits.ACCUMULATORS[job.accumulator] if job.accumulator else None
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
