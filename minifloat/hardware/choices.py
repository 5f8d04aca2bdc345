"""The best form of a circuit for a target: those that can win are synthesised and counted."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

from minifloat.formats import NumberFormat
from minifloat.hardware.block_dots import block_dot
from minifloat.hardware.circuits import Circuit
from minifloat.hardware.converters import converter, converter_forms
from minifloat.hardware.counts import Counts, mapped_in, ways_without_dsp
from minifloat.hardware.decoders import decoder, decoder_forms
from minifloat.hardware.dots import dot, dot_forms
from minifloat.hardware.encoders import encoder, encoder_forms
from minifloat.hardware.l_muls import l_mul, l_mul_forms
from minifloat.hardware.multipliers import multiplier, multiplier_forms
from minifloat.hardware.options import one_of
from minifloat.hardware.targets import Target, check_target

Unit: TypeAlias = Literal[
    "decoder", "encoder", "converter", "multiplier", "l_mul", "dot", "block_dot"
]

# The function of each unit, the function that lists its forms, and how many formats both take.
UNITS: dict[str, tuple[Callable[..., Circuit], Callable[..., list[str]], int]] = {
    "decoder": (decoder, decoder_forms, 1),
    "encoder": (encoder, encoder_forms, 1),
    "converter": (converter, converter_forms, 2),
    "multiplier": (multiplier, multiplier_forms, 2),
    "l_mul": (l_mul, l_mul_forms, 1),
    "dot": (dot, dot_forms, 2),
    "block_dot": (block_dot, multiplier_forms, 2),
}

OF_LANES = ("dot", "block_dot")
MARGIN = 1.25  # a dot product is counted if its lane takes so many times the least lane, or less


class Choice(NamedTuple):
    """The form of a circuit that takes the least of a target.

    Attributes
    ----------
    form : str
        Its name.
    circuit : Circuit
    counts : Counts
        What it takes.
    forms : dict of str to Counts
        What each form takes that was counted.
    """

    form: str
    circuit: Circuit
    counts: Counts
    forms: dict[str, Counts]


def candidates(
    unit: Unit, *formats: NumberFormat | str, form: str | None = None, **options: Any
) -> dict[str, Circuit]:
    """Return a unit in each form that it can have.

    Parameters
    ----------
    unit : str
        "decoder", "encoder", "converter", "multiplier", "l_mul", "dot" or "block_dot".
    *formats : format or str
        As the function of this name takes them: one for a decoder, an encoder or L-Mul, else
        two.
    form : str, optional
        This form alone.
    **options
        The other arguments of that function.

    Returns
    -------
    dict of str to Circuit

    Raises
    ------
    ValueError
        If there is no such unit, or an argument is refused.
    TypeError
        If the number of formats is wrong.

    Examples
    --------
    >>> from minifloat import hardware
    >>> list(hardware.candidates("decoder", "e2m1"))
    ['case', 'shift']
    """
    one_of("unit", unit, list(UNITS))
    build, forms_of, count = UNITS[unit]
    if len(formats) != count:
        raise TypeError(f"formats must be {count} for a {unit}, got {len(formats)}")
    about = {name: options[name] for name in ("target", "source") if name in options}
    names = forms_of(*formats, **about)
    if unit == "decoder" and options.get("encoding") == "sign_magnitude":
        names = [name for name in names if name != "wire"]
    if unit == "encoder" and str(options.get("rounding", "")).startswith("stochastic"):
        names = [name for name in names if name == "round"]
    if form is not None:
        names = [one_of("form", form, names)]
    return {name: build(*formats, form=name, **options) for name in names}


def best(
    unit: Unit,
    *formats: NumberFormat | str,
    on: Target = "xc7",
    timeout: float = 600.0,
    progress: Callable[[int, int], object] | None = None,
    **options: Any,
) -> Choice:
    """Return the form of a unit that takes the least of a target.

    All forms are synthesised, in all ways of the target. The forms of a dot product differ in their
    lanes alone: one lane of each is synthesised first, and then the whole circuit of those whose
    lane takes at most 1.25 times the least, in the way in which the lane takes the least.

    Parameters
    ----------
    unit, *formats, **options
        As for `candidates`.
    on : str
        The target of the synthesis. The least is that of transistors ("cmos"), of LUT6 sites
        ("xc7", "xcup"), or of LUTs ("ice40", "ecp5"); of as many, that of carry blocks and then of
        levels.
    timeout : float
        Seconds that one run of Yosys may take.
    progress : callable, optional
        Called with the number of steps done and that of all: a step for each form, and for each
        form's lane.

    Returns
    -------
    Choice

    Raises
    ------
    ModuleNotFoundError
        If Yosys is not installed.
    ValueError, TypeError
        As `candidates` and `synthesize`.

    Examples
    --------
    >>> from minifloat import hardware
    >>> choice = hardware.best("multiplier", "e2m2", "e2m2", on="cmos")  # doctest: +SKIP
    >>> choice.form  # doctest: +SKIP
    'significands'
    >>> bool(hardware.check(choice.circuit, netlist=choice.counts.netlist))  # doctest: +SKIP
    True
    """
    check_target(on)
    circuits = candidates(unit, *formats, **options)
    done, total = 0, len(circuits) * (2 if unit in OF_LANES and len(circuits) > 1 else 1)

    ways = {name: ways_without_dsp(circuit, on) for name, circuit in circuits.items()}

    def counted(parts: dict[str, Circuit]) -> dict[str, Counts]:
        nonlocal done
        found = {}
        for name, circuit in parts.items():
            tried = {way: mapped_in(circuit, on, way, timeout=timeout) for way in ways[name]}
            ways[name] = (min(tried, key=lambda way: size(tried[way])),)
            found[name] = tried[ways[name][0]]
            done += 1
            if progress is not None:
                progress(done, total)
        return found

    likely = circuits
    if unit in OF_LANES and len(circuits) > 1:
        lanes = {name: size(each)[0] for name, each in counted(_lanes(circuits)).items()}
        most = MARGIN * min(lanes.values())
        likely = {n: circuit for n, circuit in circuits.items() if lanes.get(n, 0) <= most}
        done = total - len(likely)
    forms = counted(likely)
    least = min(forms, key=lambda name: size(forms[name]))
    return Choice(least, circuits[least], forms[least], forms)


def size(counts: Counts) -> tuple[int, int, int]:
    """Return what `best` compares: the cells that a target is short of, then carries and levels."""
    return (counts.transistors or counts.lut6 or counts.luts, counts.carry, counts.levels)


def _lanes(circuits: dict[str, Circuit]) -> dict[str, Circuit]:
    """Return dot products that have lanes as these: the same texts, with another top module."""
    return {
        name: dataclasses.replace(circuit, name=f"{circuit.name}_lane")
        for name, circuit in circuits.items()
        if f"module {circuit.name}_lane " in circuit.verilog
    }
