"""What a product by a format takes of a circuit, as a cost for `minifloat.allocate`."""

from __future__ import annotations

from collections.abc import Iterable

from analysis.hardware.circuits import DOT, EXACT, ITSELF
from analysis.hardware.errors import DATA
from analysis.hardware.tradeoff import MEASURES
from analysis.records import from_csv
from minifloat.hardware.targets import Target


def cost_per_product(
    formats: Iterable[str], *, activations: str = ITSELF, target: Target = "xc7"
) -> dict[str, float]:
    """Return what a lane of a dot product takes: LUTs of an FPGA, or transistors.

    Parameters
    ----------
    formats : iterable of str
        Of the weights.
    activations : str
        As `analysis.hardware.circuits` names them: "itself" for the weights' format, "e4m3fn".
    target : str
        "xc7" for LUTs with six inputs, "cmos" for transistors.

    Returns
    -------
    dict of str to float
        The stored count of a dot product with an exact sum, over its lanes.

    Raises
    ------
    ValueError
        If a format has not been counted so.

    Examples
    --------
    >>> from analysis.hardware.allocation_costs import cost_per_product
    >>> cost_per_product(["e2m1"])
    {'e2m1': 16.0}
    """
    wanted = (activations, DOT, EXACT, target)
    counted = {
        row["fmt"]: row[MEASURES[target]] / row["lanes"]
        for row in from_csv((DATA / "counts.csv").read_text("utf-8"))
        if (row["activations"], row["unit"], row["accumulator"], row["target"]) == wanted
    }
    found = {}
    for fmt in formats:
        if fmt not in counted:
            raise ValueError(f"formats must be of {', '.join(counted)}, got {fmt!r}")
        found[fmt] = counted[fmt]
    return found
