"""Turn the docstrings of this project into reStructuredText.

Lists of names with their meaning, in two columns, become definition lists. Indented paragraphs
become literal blocks, as they look in an editor.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from enum import Enum
from itertools import groupby
from typing import Any

BAR = re.compile(r"\|(?=\w)")
CONSTANT = re.compile(r"=([A-Z][A-Z0-9_]+)\b(?!\.)")
ENTRY = re.compile(r"(\S(?:.*?\S)?) {2,}(\S.*)")


def definition_list(lines: list[str]) -> list[str] | None:
    """Return a paragraph of two columns as a definition list; None for other paragraphs."""
    first = ENTRY.match(lines[0])
    if not first:
        return None
    column = first.start(2)
    entries: list[str] = []
    for line in lines:
        left, right = line[:column].rstrip(), line[column:]
        if right[:1].isspace() or (left and line[column - 2 : column].strip()):
            return None
        if left:
            entries += ["", f"``{left}``"]
        entries.append(f"    {right}")
    return [*entries[1:], ""] if len(entries) > 2 else None


def escape_bars(line: str) -> str:
    """Escape the bars of magnitudes, outside of ``code``, so that they are printed."""
    parts = line.split("``")
    return "``".join(
        [BAR.sub(r"\\|", part) if i % 2 == 0 else part for i, part in enumerate(parts)]
    )


def converted(lines: list[str]) -> Iterator[str]:
    """Yield the lines of a docstring, its paragraphs converted."""
    in_sections = False
    for blank, group in groupby(lines, key=lambda line: not line.strip()):
        paragraph = list(group)
        in_sections |= len(paragraph) > 1 and set(paragraph[1].strip()) == {"-"}
        if blank or in_sections:
            yield from map(escape_bars, paragraph)
        elif all(line.startswith("    ") for line in paragraph):
            yield from ["::", "", *paragraph]
        else:
            yield from map(escape_bars, definition_list(paragraph) or paragraph)


def process_docstring(
    app: Any, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Convert a docstring in place."""
    lines[:] = converted(lines)


def process_signature(
    app: Any, what: str, name: str, obj: object, options: object, signature: str, returns: str
) -> tuple[str, str] | None:
    """Hide the signature of an Enum's class; show the values of constants elsewhere."""
    if isinstance(obj, type) and issubclass(obj, Enum):
        return "", ""
    if not signature:
        return None
    known = getattr(inspect.unwrap(obj), "__globals__", {}) if callable(obj) else {}

    def value(match: re.Match[str]) -> str:
        return f"={known[match[1]]!r}" if match[1] in known else match[0]

    return CONSTANT.sub(value, signature), returns


def skip_member(
    app: Any, what: str, name: str, obj: object, skip: bool, options: object
) -> bool | None:
    """Hide the fields of a named tuple, whose docstrings give only their number."""
    return True if str(obj.__doc__).startswith("Alias for field number") else None


def setup(app: Any) -> dict[str, bool]:
    """Connect the functions above."""
    app.connect("autodoc-process-docstring", process_docstring, priority=400)  # then napoleon
    app.connect("autodoc-process-signature", process_signature)
    app.connect("autodoc-skip-member", skip_member)
    return {"parallel_read_safe": True}
