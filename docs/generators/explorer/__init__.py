"""The tables of the explorer, written by the library.

`python -m docs.generators.explorer > minifloat/explorer/page/core/tables.js` (two minutes).
"""

from __future__ import annotations

import json
from typing import Any

from docs.generators.explorer import formats, layouts, programs, units

HEAD = "// Written by `python -m docs.generators.explorer`; do not edit.\n"


def tables() -> dict[str, Any]:
    """Return all tables."""
    return {
        **formats.formats(),
        "recipes": formats.recipes(),
        "sqnr": formats.sqnr(),
        "costs": formats.costs(),
        "units": units.units(),
        "programs": programs.programs(),
        "layouts": layouts.layouts(),
    }


def script(found: dict[str, Any]) -> str:
    """Return tables as a script; each row of the large ones has a line."""
    lines = [f"  {json.dumps(name)}: {_value(value)}" for name, value in found.items()]
    body = ",\n".join(lines)
    return f'{HEAD}"use strict";\nconst TABLES = {{\n{body}\n}};\n'


def _value(value: Any) -> str:
    compact = json.dumps(value, separators=(",", ":"), allow_nan=False)
    if len(compact) < 1000:
        return compact
    row = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
    if isinstance(value, dict):
        rows = [f"{json.dumps(name)}:{row(each)}" for name, each in value.items()]
        return "{\n    " + ",\n    ".join(rows) + "\n  }"
    return "[\n    " + ",\n    ".join(map(row, value)) + "\n  ]"
