"""`Conversion`, the result of `convert`: printed as tables, written as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from minifloat._tables import Table
from minifloat._text import printable
from minifloat.comparison.records import Skipped
from minifloat.comparison.result import LISTED, Comparison
from minifloat.comparison.tables import with_reasons


@dataclass(frozen=True, repr=False)
class Conversion:
    """What was written, and the error of each tensor; prints as tables.

    Attributes
    ----------
    destination : str
        The directory.
    layout : str
    errors : Comparison
        Of the tensors that were quantized, with the only recipe.
    copied : tuple of Skipped
        The tensors that were copied as they are, each with the reason.
    dropped : tuple of Skipped
        Tensors of the source that the new model does not have, such as scales of activations.
    kept : tuple of str
        The shards that an interrupted conversion had written, and that were kept.
    """

    destination: str
    layout: str
    errors: Comparison
    copied: tuple[Skipped, ...]
    dropped: tuple[Skipped, ...]
    kept: tuple[str, ...]

    def __repr__(self) -> str:
        return "\n\n".join(
            part if isinstance(part, str) else part.text() for part in self.report(LISTED)
        )

    def report(self, top: int | None = None) -> list[str | Table]:
        """Return texts and tables to print, with the first ``top`` tensors or all of them."""
        errors = self.errors
        parts: list[str | Table] = [f"{printable(self.destination)}: {self.layout}"]
        if self.kept:
            parts.append(f"Kept, as they were whole: {', '.join(map(printable, self.kept))}")
        parts += errors.report(errors.tensors[:top], every_figure=True)
        if self.copied:
            count = len(errors.tensors) + len(self.copied) + len(self.dropped)
            title = f"Copied {len(self.copied)} of {count} tensors as they are:"
            parts.append(with_reasons(title, self.copied))
        if self.dropped:
            parts.append(with_reasons(f"Dropped {len(self.dropped)} tensors:", self.dropped))
        return parts

    def to_json(self) -> str:
        """Return everything as JSON; figures that are infinite are null."""
        errors: dict[str, Any] = json.loads(replace(self.errors, skipped=()).to_json())
        del errors["skipped"], errors["notes"]
        content = {
            "destination": self.destination,
            "layout": self.layout,
            **errors,
            "copied": [vars(copied) for copied in self.copied],
            "dropped": [vars(dropped) for dropped in self.dropped],
            "kept": list(self.kept),
        }
        return json.dumps(content, indent=1, allow_nan=False)
