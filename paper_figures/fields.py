"""The fields of a code: what each of its bits is for, and the colour it has in every picture."""

from __future__ import annotations

from minifloat.formats import Format, Integer, NumberFormat
from paper_figures import style

MEANINGS = {"S": "sign", "E": "exponent", "M": "mantissa", "I": "integer", "#": "index of a table"}
COLOURS = {"S": style.ORANGE, "E": style.SKY, "M": style.YELLOW, "I": "white", "#": style.PALE}


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
