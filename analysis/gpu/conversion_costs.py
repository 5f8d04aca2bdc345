"""The cost of conversion to float16, format by format: the model's count and the machine's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from analysis.gpu.device_function import DeviceFunction
from analysis.gpu.machine_code import MachineCost, machine_cost
from minifloat import registers
from minifloat.formats import NumberFormat

ARCHITECTURES = ("sm_80", "sm_90", "sm_100")


@dataclass(frozen=True)
class ConversionCost:
    """The cheapest known conversion of a format, counted twice.

    Parameters
    ----------
    row : CostRow
        The programs, and the model's count: instructions per group of codes.
    folded, whole : dict of str to MachineCost
        The compiler's code for ``row.folded`` (the power of two is left to the scale) and for
        ``row.whole``, by architecture; the latter is empty if there is no such program.
    """

    row: registers.CostRow
    folded: dict[str, MachineCost]
    whole: dict[str, MachineCost]


def conversion_costs(
    formats: Iterable[NumberFormat | str] | None = None,
    architectures: Sequence[str] = ARCHITECTURES,
    *,
    progress: Callable[[int, int], object] | None = None,
) -> list[ConversionCost]:
    """Search the cheapest program of each format, compile it, and count its machine instructions.

    Parameters
    ----------
    formats : iterable of formats or str, optional
        Default: the formats of `minifloat.registers.costs`.
    architectures : sequence of str
        Targets of the compiler.
    progress : callable, optional
        Called with the number of formats done and of all formats.

    Returns
    -------
    list of ConversionCost

    Raises
    ------
    RuntimeError
        If there is no CUDA toolkit.

    Examples
    --------
    >>> from analysis.gpu.conversion_costs import conversion_costs
    >>> cost, = conversion_costs(["e5m2"], architectures=[])
    >>> cost.row.cost.total, cost.row.cost.weights
    (2, 4)
    """
    return [
        ConversionCost(row, _counted(row.folded, architectures), _counted(row.whole, architectures))
        for row in registers.costs(formats, progress=progress)
    ]


def _counted(
    program: registers.Program | None, architectures: Sequence[str]
) -> dict[str, MachineCost]:
    if program is None:
        return {}
    function = DeviceFunction.of(program)
    return {arch: machine_cost(function, arch) for arch in architectures}
