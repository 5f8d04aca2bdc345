"""The records of `inspect` and `audit`."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from minifloat._tables import Table
from minifloat._text import printable, shortened

LISTED = 20  # tensors of a printed result


class Verdict(StrEnum):
    """What a tensor of a quantized checkpoint is to its original.

    RULE        quantized: codes and scales are those that its recipe gives
    METHOD      quantized: others, with an error as a method may have it (GPTQ, a search ...)
    EQUAL       not quantized, and equal
    ROUNDED     not quantized, and rounded to another type
    CHANGED     not quantized, and other numbers
    MISSING     not in one of the checkpoints
    UNREAD      its numbers, or the original's, cannot be read or quantized
    WRONG       not the original's weights
    """

    RULE = "as the rule gives"
    METHOD = "another method"
    EQUAL = "equal"
    ROUNDED = "rounded"
    CHANGED = "changed"
    MISSING = "missing"
    UNREAD = "unread"
    WRONG = "wrong"

    @property
    def is_wrong(self) -> bool:
        """Whether the checkpoint should not be used as it is."""
        return self in (Verdict.MISSING, Verdict.UNREAD, Verdict.WRONG)


@dataclass(frozen=True)
class TensorAudit:
    """What one tensor is to its original.

    Attributes
    ----------
    name : str
    layout : str
        How the file stores it; empty for plain numbers.
    recipe : str
        The recipe's text; empty where none expresses the weights.
    shape : tuple of int
    verdict : Verdict
    reason : str
        More of the verdict; empty for most.
    sqnr_db : float
        Signal to quantization noise against the original; infinite without error, minus infinity
        where a weight is not finite, NaN where nothing was compared.
    rule_sqnr_db, best_sqnr_db : float
        The same of what the recipe gives with scales of absmax, and of least squares; NaN if it was
        not computed.
    equal_codes, equal_scales : float
        Shares of the codes and of the scales (with their zero points) that are those that the
        recipe gives; NaN where no recipe does.
    """

    name: str
    layout: str
    recipe: str
    shape: tuple[int, ...]
    verdict: Verdict
    reason: str = ""
    sqnr_db: float = math.nan
    rule_sqnr_db: float = math.nan
    best_sqnr_db: float = math.nan
    equal_codes: float = math.nan
    equal_scales: float = math.nan

    @property
    def text(self) -> str:
        """The verdict in words, with its reason."""
        return f"{self.verdict}: {self.reason}" if self.reason else str(self.verdict)


@dataclass(frozen=True, repr=False)
class Audit:
    """The result of `audit`; prints as a table.

    Attributes
    ----------
    quantized, original : str
        The checkpoints, in words.
    tensors : tuple of TensorAudit
        In the order of the quantized checkpoint, then those that it lacks.
    """

    quantized: str
    original: str
    tensors: tuple[TensorAudit, ...]

    @property
    def wrong(self) -> tuple[TensorAudit, ...]:
        """The tensors for which the checkpoint should not be used as it is."""
        return tuple(tensor for tensor in self.tensors if tensor.verdict.is_wrong)

    def __repr__(self) -> str:
        return "\n\n".join(
            part if isinstance(part, str) else part.text() for part in self.report(LISTED)
        )

    def report(self, most: int | None = None) -> list[str | Table]:
        """Return the audit as text and a table, what is wrong first, at most so many tensors."""
        ordered = sorted(self.tensors, key=lambda tensor: not tensor.verdict.is_wrong)
        listed = ordered[:most]
        rows = [
            (
                shortened(printable(tensor.name)),
                tensor.recipe or "-",
                *map(_db, (tensor.sqnr_db, tensor.rule_sqnr_db, tensor.best_sqnr_db)),
                _share(tensor.equal_codes),
                _share(tensor.equal_scales),
                printable(tensor.text),
            )
            for tensor in listed
        ]
        columns = ("tensor", "recipe", "SQNR dB", "rule", "best", "codes", "scales", "verdict")
        counts = dict.fromkeys(Verdict, 0)
        for tensor in self.tensors:
            counts[tensor.verdict] += 1
        total = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
        head = f"{printable(self.quantized)} against {printable(self.original)}"
        left = ("tensor", "recipe", "verdict")
        more = len(self.tensors) - len(listed)
        notes = (f"... and {more} more",) if more else ()
        return [
            head,
            Table("", columns, left, rows, notes),
            f"{len(self.tensors)} tensors: {total}",
        ]

    def to_json(self) -> str:
        """Return everything as JSON; figures that are not finite are null."""
        content = {
            "quantized": self.quantized,
            "original": self.original,
            "wrong": len(self.wrong),
            "tensors": [{**_finite(vars(tensor)), "text": tensor.text} for tensor in self.tensors],
        }
        return json.dumps(content, indent=1, allow_nan=False)


@dataclass(frozen=True)
class TensorContents:
    """What one tensor of a checkpoint holds.

    Attributes
    ----------
    name, layout, recipe : str
        The last two are empty for plain numbers; the recipe also where none expresses the weights.
    dtype : str
        The type of the codes, or of the numbers, as the file calls it.
    shape : tuple of int
    bits_per_weight : float
        All parts counted.
    nbytes : int
        Bytes of storage of all parts.
    histogram : tuple of int
        How often each code of a format of up to 8 bits is used; empty for others.
    scale_min, scale_max : float
        The smallest and largest scale, times the tensor scale; without zeros and NaN. NaN if there
        is none.
    zero_scales, nan_scales : int
    saturated : float
        Share of the codes whose magnitude is the format's largest.
    saturated_blocks : int
        Blocks of at least 8 weights of which more than half are so.
    anomalies : tuple of str
        What looks odd, in words.
    """

    name: str
    layout: str
    recipe: str
    dtype: str
    shape: tuple[int, ...]
    bits_per_weight: float
    nbytes: int
    histogram: tuple[int, ...] = ()
    scale_min: float = math.nan
    scale_max: float = math.nan
    zero_scales: int = 0
    nan_scales: int = 0
    saturated: float = 0.0
    saturated_blocks: int = 0
    anomalies: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False)
class Contents:
    """The result of `inspect`; prints as a table with a picture of the codes of each format.

    Attributes
    ----------
    source : str
    layouts : tuple of str
        Each once.
    tensors : tuple of TensorContents
        In file order.
    skipped : tuple of (str, str)
        Names of tensors that cannot be read or are no weights, with the reason.
    pictures : tuple of str
        For each format a picture of how often its codes are used.
    """

    source: str
    layouts: tuple[str, ...]
    tensors: tuple[TensorContents, ...]
    skipped: tuple[tuple[str, str], ...]
    pictures: tuple[str, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of storage of all tensors."""
        return sum(tensor.nbytes for tensor in self.tensors)

    @property
    def parameters(self) -> int:
        """Number of weights of all tensors."""
        return sum(math.prod(tensor.shape) for tensor in self.tensors)

    @property
    def bits_per_weight(self) -> float:
        """Bits of storage per weight, over all tensors; 0 without weights."""
        return 8 * self.nbytes / self.parameters if self.parameters else 0.0

    def __repr__(self) -> str:
        return "\n\n".join(
            part if isinstance(part, str) else part.text() for part in self.report(LISTED)
        )

    def report(self, most: int | None = None) -> list[str | Table]:
        """Return the contents as text and a table, of at most so many tensors."""
        listed = sorted(self.tensors, key=lambda tensor: not tensor.anomalies)[:most]
        rows = [
            (
                shortened(printable(tensor.name)),
                tensor.recipe or tensor.layout or tensor.dtype,
                "x".join(map(str, tensor.shape)) or "()",
                f"{tensor.bits_per_weight:.3f}",
                str(tensor.nbytes),
                _range(tensor),
                f"{100 * tensor.saturated:.1f}%" if tensor.histogram else "-",
                "; ".join(tensor.anomalies) or "-",
            )
            for tensor in listed
        ]
        columns = ("tensor", "recipe", "shape", "bits/weight", "bytes", "scales", "at max", "odd")
        more = len(self.tensors) - len(listed)
        notes = (f"... and {more} more",) if more else ()
        left = ("tensor", "recipe", "shape", "scales", "odd")
        is_quantized = any(tensor.recipe for tensor in self.tensors)
        kind = ", ".join(self.layouts) or ("quantized" if is_quantized else "plain numbers")
        head = f"{printable(self.source)}\n{kind}"
        total = (
            f"{len(self.tensors)} tensors, {self.parameters} weights, {self.nbytes} bytes, "
            f"{self.bits_per_weight:.3f} bits per weight"
        )
        parts: list[str | Table] = [head, Table("", columns, left, rows, notes), total]
        parts += self.pictures
        if self.skipped:
            parts.append(
                "\n".join(
                    [f"Skipped {len(self.skipped)} tensors:"]
                    + [
                        f"  {shortened(printable(name))}: {printable(reason)}"
                        for name, reason in self.skipped[:LISTED]
                    ]
                )
            )
        return parts

    def to_json(self) -> str:
        """Return everything but the pictures as JSON; figures that are not finite are null."""
        content = {
            "source": self.source,
            "layouts": self.layouts,
            "parameters": self.parameters,
            "nbytes": self.nbytes,
            "bits_per_weight": self.bits_per_weight,
            "tensors": [_finite(vars(tensor)) for tensor in self.tensors],
            "skipped": [{"name": name, "reason": reason} for name, reason in self.skipped],
        }
        return json.dumps(content, indent=1, allow_nan=False)


def _range(tensor: TensorContents) -> str:
    if math.isnan(tensor.scale_min):
        return "-"
    return f"{tensor.scale_min:.3g} .. {tensor.scale_max:.3g}"


def _db(figure: float) -> str:
    return "-" if math.isnan(figure) else f"{figure:.2f}"


def _share(figure: float) -> str:
    if math.isnan(figure):
        return "-"
    return f"{math.floor(1000 * figure) / 10:.1f}%"  # 100% means all


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(figure, float) and not math.isfinite(figure) else figure
        for name, figure in row.items()
    }
