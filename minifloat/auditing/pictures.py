"""A picture of how often the codes of a format are used."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat.formats import NumberFormat

WIDTH = 64  # columns at most
HEIGHT = 6  # lines
BARS = " ▁▂▃▄▅▆▇█"
ASCII_BARS = str.maketrans(BARS, " ..::||##")  # for terminals without the bars


def picture(fmt: NumberFormat, counts: NDArray[Any]) -> str:
    """Draw how often codes are used, in the order of their values; neighbours share a column.

    Parameters
    ----------
    fmt : NumberFormat
    counts : ndarray of integers
        Of each code.

    Returns
    -------
    str
        A title, `HEIGHT` lines, and the first and the last value. A column that is used at all has
        a mark.

    Examples
    --------
    >>> import minifloat as mf
    >>> print(picture(mf.parse("int2"), np.array([8, 4, 0, 1])))
    int2: codes by value, 13 in all
        ████
        ████
        ████
        ████████
        ████████
    ▆▆▆▆████████
    -1 .. 1
    """
    values = fmt.values()
    order = [int(code) for code in np.argsort(values, kind="stable") if np.isfinite(values[code])]
    columns = _columns(counts[order])
    wide = max(1, min(4, WIDTH // len(columns)))
    top = max(int(columns.max()), 1)
    heights = [max(round(8 * HEIGHT * int(count) / top), 1 if count else 0) for count in columns]
    lines = [
        "".join(BARS[min(max(height - 8 * line, 0), 8)] * wide for height in heights).rstrip()
        for line in reversed(range(HEIGHT))
    ]
    ends = f"{values[order[0]]:g} .. {values[order[-1]]:g}"
    return "\n".join([f"{fmt}: codes by value, {int(counts.sum())} in all", *lines, ends])


def _columns(counts: NDArray[Any]) -> NDArray[Any]:
    """Add up neighbours so that at most `WIDTH` are left."""
    together = -(-len(counts) // WIDTH)
    return np.add.reduceat(counts, np.arange(0, len(counts), together))
