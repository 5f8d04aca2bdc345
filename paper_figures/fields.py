"""The fields of a code, and the drawing of a bit."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from minifloat.formats import Format, Integer, NumberFormat
from paper_figures import style

MEANINGS = {"S": "sign", "E": "exponent", "M": "mantissa", "I": "integer", "#": "index of a table"}
COLOURS = {"S": style.BLACK, "E": style.SKY, "M": style.YELLOW, "I": "white", "#": style.PALE}


def fields(fmt: NumberFormat) -> str:
    """Return a letter for each bit of a code, the most significant first.

    Parameters
    ----------
    fmt : format

    Returns
    -------
    str
        Letters of `MEANINGS`.

    Examples
    --------
    >>> import minifloat as mf
    >>> from paper_figures.fields import fields
    >>> fields(mf.parse("e2m2")), fields(mf.parse("int4"))
    ('SEEMM', 'IIII')
    """
    if isinstance(fmt, Format):
        return "S" * fmt.signed + "E" * fmt.exponent_bits + "M" * fmt.mantissa_bits
    return ("I" if isinstance(fmt, Integer) else "#") * fmt.bits


def draw_bit(
    axes: Axes,
    x: float,
    y: float,
    text: str = "",
    *,
    colour: str = "white",
    edge: str = "black",
    ink: str | None = None,
    hatch: str | None = None,
) -> None:
    """Draw a bit as a box with a letter or a digit.

    Parameters
    ----------
    axes : Axes
    x, y : float
        The middle of its left edge. It is 1 wide and 0.4 high.
    text : str
    colour, edge, ink : str
        Of the box, its edge and the text. Default text: white on black, otherwise black.
    hatch : str, optional
    """
    ink = ink or ("white" if colour == style.BLACK else "black")
    axes.add_patch(
        Rectangle(
            (x, y - 0.2), 1, 0.4, facecolor=colour, edgecolor=edge, linewidth=0.5, hatch=hatch
        )
    )
    axes.text(x + 0.5, y - 0.01, text, ha="center", va="center", color=ink)
