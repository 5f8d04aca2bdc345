"""What conversion to float16 costs, format by format: the model's count beside the machine's."""

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
    """A format's cheapest conversion found, counted twice.

    Parameters
    ----------
    row : CostRow
        The programs, and what the model counts: instructions per group of codes.
    folded, whole : dict of str to MachineCost
        What the compiler makes of ``row.folded`` (the power of two left to the scale) and of
        ``row.whole``, by architecture; the latter empty where there is no such program.
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
    """Search each format's cheapest program, compile it, and count its machine instructions.

    Parameters
    ----------
    formats : iterable of formats or str, optional
        Default: those of `minifloat.registers.costs`.
    architectures : sequence of str
        To compile for.
    progress : callable, optional
        Called with the formats searched and their number.

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
