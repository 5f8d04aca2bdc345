"""Time steps in small formats: Euler's method, the heat equation, and Lorenz' trajectories.

Lines without marks are the theory: in grey truncation, the power -1/4, and chaos.
"""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.numerics import heat_equation, time_steps
from analysis.numerics.arithmetics import NEAREST
from paper_figures import style
from paper_figures.rows import Progress, Rows
from paper_figures.studies import ROUNDINGS, averaged, curve, of

SHOWN = "bfloat16"  # of the first two panels


def data(progress: Progress) -> Rows:
    """Return means over draws, from the records of both studies."""
    rows = averaged("time_steps", (time_steps.EULER, time_steps.DEPARTS))
    progress(1, 2)
    rows += averaged("heat_equation", (heat_equation.ERROR,))
    progress(2, 2)
    return rows


def draw(rows: Rows) -> Figure:
    """Draw a panel for each quantity."""
    figure = style.new_figure(style.PAGE, 2.9)
    euler, heat, lorenz = figure.subplots(1, 3)
    _euler(euler, of(rows, quantity=time_steps.EULER, format=SHOWN))
    _heat(heat, of(rows, quantity=heat_equation.ERROR, format=SHOWN))
    _lorenz(lorenz, of(rows, quantity=time_steps.DEPARTS))
    lorenz.plot([], [], color=style.GREY, linewidth=0.8, label="truncation, power −1/4, chaos")
    lorenz.plot([], [], "--", color="black", linewidth=0.8, label="rounding, in theory")
    handles, names = lorenz.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=5)
    return figure


def _euler(axes: Axes, rows: Rows) -> None:
    for rounding, (_, look) in ROUNDINGS.items():
        mine = of(rows, rounding=rounding)
        curve(axes, mine, look._replace(line=""))
        if rounding != NEAREST:  # whose rounding has the same law as toward zero, half as large
            axes.plot(
                [row["at"] for row in mine],
                [row["theory"] for row in mine],
                color=look.colour,
                linestyle=look.line,
                linewidth=0.8,
            )
    steps = sorted({row["at"] for row in rows})
    axes.plot(steps, [h / (2 * math.e) for h in steps], color=style.GREY, linewidth=0.8)
    axes.set(xscale="log", yscale="log", ylim=(5e-4, 2), xlabel="step h")
    axes.set_ylabel("error at t = 1")
    axes.set_title(f"Euler, {style.title(SHOWN)}")


def _heat(axes: Axes, rows: Rows) -> None:
    for rounding, (name, look) in ROUNDINGS.items():
        curve(axes, of(rows, rounding=rounding), look, name)
    steps = sorted({row["at"] for row in rows})
    stochastic = of(rows, rounding="stochastic")
    first = stochastic[-1]["mean"] * stochastic[-1]["at"] ** 0.25
    axes.plot(steps, [first * dt**-0.25 for dt in steps], color=style.GREY, linewidth=0.8)
    axes.set(xscale="log", yscale="log", xlabel="step dt", ylabel="error at t = 1/8 over u")
    axes.set_title(f"heat equation, {style.title(SHOWN)}")


def _lorenz(axes: Axes, rows: Rows) -> None:
    for rounding, (name, look) in ROUNDINGS.items():
        curve(axes, of(rows, rounding=rounding), look._replace(line=""), name)
    bits = sorted({row["at"] for row in rows})
    theory = [row["theory"] for row in of(rows, rounding=NEAREST)]
    axes.plot(bits, theory, color=style.GREY, linewidth=0.8)
    axes.set(xlabel="bits of the mantissa", ylabel="time until departure")
    axes.set_title("Lorenz")
