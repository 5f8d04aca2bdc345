"""What formats cost in a circuit: the best form of a unit for each, checked and counted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from minifloat.arithmetic.multiplication import Variant
from minifloat.formats import Codebook, NumberFormat
from minifloat.formats.base import abridged, check_int, shown
from minifloat.formats.codebook import name_of_values
from minifloat.formats.names import parse
from minifloat.hardware.checks import Check, check
from minifloat.hardware.choices import best
from minifloat.hardware.counts import Counts
from minifloat.hardware.dots import FixedSum
from minifloat.hardware.float_sums import FloatSum
from minifloat.hardware.integers import integer_codebook, integers
from minifloat.hardware.pools import stoppable_pool
from minifloat.hardware.synthesis import tool
from minifloat.hardware.targets import Target, check_target

CostUnit: TypeAlias = Literal["dot", "multiplier", "l_mul", "decoder"]
UNITS: tuple[CostUnit, ...] = get_args(CostUnit)
EXACT = FixedSum()
OF_ONE_FORMAT = ("l_mul", "decoder")
CODEBOOK_BITS = 32  # with more, Yosys takes longer than anyone waits


@dataclass(frozen=True)
class Cost:
    """What the best form of a unit takes on one target.

    Attributes
    ----------
    fmt, activations : NumberFormat
        The formats of the two factors; a decoder has the first alone, and L-Mul has one for both.
    unit : str
        "dot", "multiplier", "l_mul" or "decoder".
    lanes : int
        Products that the unit computes at once; 1 but for "dot".
    target : str
    form : str
        The form that takes the least, see `minifloat.hardware.candidates`.
    counts : Counts
        What it takes, all lanes together.
    forms : dict of str to Counts
        What each form takes that was counted, see `minifloat.hardware.best`.
    checked : Check
        What came of checking the netlist that was counted.
    """

    fmt: NumberFormat
    activations: NumberFormat
    unit: CostUnit
    lanes: int
    target: Target
    form: str
    counts: Counts
    forms: dict[str, Counts]
    checked: Check


def _check_codebook(fmt: NumberFormat) -> None:
    """Raise unless a codebook's products are small enough to be synthesised in minutes."""
    if not isinstance(fmt, Codebook) or integers(fmt).width <= CODEBOOK_BITS:
        return
    remedy = "give a codebook of integers"
    for largest in (32767, 127):  # the fewer steps, if they keep the values apart
        with contextlib.suppress(ValueError):
            steps = name_of_values(integer_codebook(fmt, largest).codebook)
            remedy = (
                "round the values to steps, as minifloat.hardware.integer_codebook(codebook, "
                f"{largest}) does: {abridged(steps)}"
            )
    raise ValueError(
        f"formats must have values that are integers of at most {CODEBOOK_BITS} bits, times a "
        f"power of two, got {integers(fmt).width} bits by {fmt}; {remedy}"
    )


def costs(
    formats: Sequence[NumberFormat | str],
    *,
    activations: NumberFormat | str | None = None,
    unit: CostUnit = "dot",
    form: str | None = None,
    variant: Variant = "formula",
    lanes: int = 16,
    accumulator: FixedSum | FloatSum | None = EXACT,
    targets: Sequence[Target] = ("xc7", "cmos"),
    workers: int = 2,
    timeout: float = 600.0,
    progress: Callable[[int, int], object] | None = None,
) -> list[Cost]:
    """Return what each format costs on each target, in the order in which they are given.

    The forms of the unit are synthesised and counted, see `best`. The netlist of the one that takes
    the least is then compared with the library, see `check`.

    Parameters
    ----------
    formats : sequence of formats or str
        Of weights, at most 8 bits wide.
    activations : format or str, optional
        The other factor; by default each format is multiplied by itself.
    unit : "dot", "multiplier", "l_mul" or "decoder"
        A dot product, one product, L-Mul's product, or one code as a two's complement integer.
    form : str, optional
        Count this form alone, not the best one; all formats must have it.
    variant : "formula" or "addition"
        Of L-Mul.
    lanes : int
        Products of a dot product, 1 to 256.
    accumulator : FixedSum, FloatSum or None
        Of a dot product.
    targets : sequence of str
        See `synthesize`.
    workers : int
        Runs of Yosys at once.
    timeout : float
        Seconds that one of them may take.
    progress : callable, optional
        Called with what is done and what there is to do, in hundredths of a cost.

    Returns
    -------
    list of Cost

    Raises
    ------
    ModuleNotFoundError
        If Yosys is not installed.
    SynthesisError
        If a run takes longer than ``timeout``.
    RuntimeError
        If a netlist does not compute what the library does.
    ValueError
        If a format is too wide, factors have codebooks whose values are integers of more
        than `CODEBOOK_BITS` bits over a power of two, or an option has no such value.

    Examples
    --------
    >>> from minifloat import hardware
    >>> rows = hardware.costs(["e2m2", "int5"], unit="multiplier")  # doctest: +SKIP
    >>> [(row.fmt.name, row.target, row.form) for row in rows]  # doctest: +SKIP
    [('e2m2', 'xc7', 'significands'), ('e2m2', 'cmos', 'significands'), ...]
    """
    if unit not in UNITS:
        raise ValueError(f"unit must be one of {', '.join(UNITS)}, got {shown(unit)}")
    if unit in OF_ONE_FORMAT and activations is not None:
        raise ValueError(f"activations must be left out for {unit}, which has one format")
    options: dict[str, Any] = {"form": form}
    if unit == "dot":
        options |= {"lanes": check_int("lanes", lanes, 1, 256), "accumulator": accumulator}
    elif accumulator != EXACT:
        raise ValueError(f"accumulator must be left out for {unit}, got {accumulator}")
    if unit == "l_mul":
        options["variant"] = variant
    elif variant != "formula":
        raise ValueError(f"variant must be left out for {unit}, got {shown(variant)}")
    workers = check_int("workers", workers, 1)
    for target in targets:
        check_target(target)
    jobs = []
    for fmt in map(parse, formats):
        other = fmt if activations is None else parse(activations)
        if unit not in OF_ONE_FORMAT:
            _check_codebook(fmt)
            _check_codebook(other)
        jobs += [(fmt, other, target) for target in targets]
    tool()
    done = [0.0] * len(jobs)

    def report(job: int, part: float) -> None:
        done[job] = part
        if progress is not None:
            progress(round(100 * sum(done)), 100 * len(jobs))

    def cost(job: int, fmt: NumberFormat, other: NumberFormat, target: Target) -> Cost:
        def part(finished: int, steps: int) -> None:
            report(job, finished / (steps + 1))

        factors = (fmt,) if unit in OF_ONE_FORMAT else (fmt, other)
        choice = best(unit, *factors, on=target, timeout=timeout, progress=part, **options)
        checked = check(choice.circuit, target, netlist=choice.counts.netlist)
        if not checked:
            raise RuntimeError(f"the netlist must be right, and is not: {checked}")
        report(job, 1.0)
        return Cost(
            fmt,
            other,
            unit,
            options.get("lanes", 1),
            target,
            choice.form,
            choice.counts,
            choice.forms,
            checked,
        )

    with stoppable_pool(workers) as pool:
        running = [pool.submit(cost, place, *job) for place, job in enumerate(jobs)]
        for known in as_completed(running):
            known.result()
    return [known.result() for known in running]
