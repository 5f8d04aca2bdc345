"""Records of numbers, and the CSV file that holds them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]  # str, int, float or None by column
Rows = list[Row]

_INTEGER = re.compile(r"-?[0-9]+")


def to_csv(rows: Sequence[Row], command: str) -> str:
    """Return rows as the text of a CSV file, below the command that computes them.

    Parameters
    ----------
    rows : sequence of dict
        All with the same keys in the same order; at least one.
    command : str
        For the first line, a comment.

    Returns
    -------
    str
        Floats are written such that `from_csv` reads the same ones back.

    Raises
    ------
    ValueError
        If there are no rows or their keys differ, or a value would read back as another.

    Examples
    --------
    >>> from analysis.records import from_csv, to_csv
    >>> text = to_csv([{"format": "e2m2", "mse": 0.5, "codes": 32}], "python -m paper_figures")
    >>> print(text)
    # python -m paper_figures
    format,mse,codes
    e2m2,0.5,32
    <BLANKLINE>
    >>> from_csv(text)
    [{'format': 'e2m2', 'mse': 0.5, 'codes': 32}]
    """
    if not rows:
        raise ValueError("rows must be at least one, got none")
    columns = list(rows[0])
    text = io.StringIO()
    text.write(f"# {command}\n")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        if list(row) != columns:
            raise ValueError(f"rows must all have the columns {columns}, got {list(row)}")
        cells = [_text(value) for value in row.values()]
        for value, cell in zip(row.values(), cells, strict=True):
            if type(_value(cell)) is not type(value) or repr(_value(cell)) != repr(value):
                raise ValueError(f"a value must read back as itself, got {value!r}")
        writer.writerow(cells)
    return text.getvalue()


def from_csv(text: str) -> Rows:
    """Return the rows of a CSV file: integers, floats, None for an empty cell, else strings.

    Parameters
    ----------
    text : str
        As `to_csv` writes it.

    Returns
    -------
    list of dict

    Raises
    ------
    ValueError
        If there are no rows, or a row has not as many cells as there are columns.
    """
    if text.startswith("#"):
        text = text.partition("\n")[2]
    columns, *cells = list(csv.reader(io.StringIO(text))) or [[]]
    if not cells:
        raise ValueError("text must have a line of columns and at least one row below it")
    for number, row in enumerate(cells, 1):
        if len(row) != len(columns):
            raise ValueError(
                f"row {number} must have {len(columns)} cells as the columns, got {len(row)}"
            )
    return [dict(zip(columns, map(_value, row), strict=True)) for row in cells]


def _text(value: Any) -> str:
    if value is None:
        return ""
    return repr(value) if isinstance(value, float) else str(value)


def _value(cell: str) -> Any:
    if cell == "":
        return None
    if _INTEGER.fullmatch(cell):
        return int(cell)
    try:
        return float(cell)
    except ValueError:
        return cell
