"""The records that `minifloat.compare` returns, and how they are written as JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Loss:
    """What one format loses on one tensor, or on all of them.

    Attributes
    ----------
    format : str
    parameters : int
    bits_per_weight : float
        Bits, scales counted.
    squared_error, squared_weight : float
        Sums over the parameters, in the weights' unit squared.
    worst : float
        Largest ``|w - w'|``, in the weights' unit.
    worst_relative : float
        The same over the largest ``|w|`` of its tensor, without unit.
    """

    format: str
    parameters: int
    bits_per_weight: float
    squared_error: float
    squared_weight: float
    worst: float
    worst_relative: float

    @property
    def relative_rms(self) -> float:
        """``sqrt(sum (w - w')**2 / sum w**2)``, without unit; 0 where there is no error."""
        return math.sqrt(ratio(self.squared_error, self.squared_weight))

    @property
    def sqnr_db(self) -> float:
        """Signal to quantization noise, ``-20 log10(relative_rms)`` dB; inf without error."""
        if self.relative_rms == 0:
            return math.inf
        return -20 * math.log10(self.relative_rms)


@dataclass(frozen=True)
class TensorLosses:
    """One tensor, or the total, under each format.

    Attributes
    ----------
    file, name : str
        Where it comes from (empty for arrays) and what it is called there.
    dtype : str
        As the file calls it.
    shape : tuple of int
    losses : tuple of Loss
        In the order of the formats.
    """

    file: str
    name: str
    dtype: str
    shape: tuple[int, ...]
    losses: tuple[Loss, ...]

    @property
    def parameters(self) -> int:
        """Number of elements."""
        return self.losses[0].parameters

    @property
    def winners(self) -> tuple[str, ...]:
        """The formats of lowest relative rms error; more than one when they tie."""
        least = min(loss.relative_rms for loss in self.losses)
        return tuple(loss.format for loss in self.losses if loss.relative_rms == least)

    def loss(self, fmt: str) -> Loss:
        """Return the loss of the format of that name.

        Raises
        ------
        ValueError
            If it was not compared.
        """
        names = [loss.format for loss in self.losses]
        if fmt not in names:
            raise ValueError(f"fmt must be one of {', '.join(names)}, got {fmt!r}")
        return self.losses[names.index(fmt)]

    def records(self) -> list[dict[str, Any]]:
        """Return one flat dict for each format; infinite figures are None."""
        return [
            {
                "file": self.file,
                "tensor": self.name,
                "dtype": self.dtype,
                "shape": list(self.shape),
                "parameters": self.parameters,
                "format": loss.format,
                "bits_per_weight": loss.bits_per_weight,
                "relative_rms": _finite(loss.relative_rms),
                "sqnr_db": _finite(loss.sqnr_db),
                "worst": loss.worst,
                "worst_relative": _finite(loss.worst_relative),
                "winner": loss.format in self.winners,
            }
            for loss in self.losses
        ]


@dataclass(frozen=True)
class Skipped:
    """A tensor that was not compared, and why."""

    file: str
    name: str
    dtype: str
    reason: str


@dataclass(frozen=True)
class Comparison:
    """The result of `compare`.

    Attributes
    ----------
    source : str
        What was compared, in words.
    block_size : int or None
        Weights to a scale; None for one scale along the whole axis.
    axis : int or None
        None for one scale to a tensor.
    scale : str
        Format of the scales.
    tensors : tuple of TensorLosses
        In file order.
    total : TensorLosses
        Errors summed over all parameters of all tensors.
    skipped : tuple of Skipped
        Tensors that are not floats, or smaller than ``min_size``.
    """

    source: str
    block_size: int | None
    axis: int | None
    scale: str
    tensors: tuple[TensorLosses, ...]
    total: TensorLosses
    skipped: tuple[Skipped, ...]

    def to_json(self) -> str:
        """Return everything as JSON; figures that are infinite are null."""
        content = {
            "source": self.source,
            "block_size": self.block_size,
            "axis": self.axis,
            "scale": self.scale,
            "tensors": [record for tensor in self.tensors for record in tensor.records()],
            "total": self.total.records(),
            "skipped": [vars(skipped) for skipped in self.skipped],
        }
        return json.dumps(content, indent=1, allow_nan=False)

    def to_csv(self) -> str:
        """Return one line for each tensor and format, the totals last with ``level`` total."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["level", *self.total.records()[0]])
        for level, tensors in (("tensor", self.tensors), ("total", (self.total,))):
            for record in (record for tensor in tensors for record in tensor.records()):
                shape = "x".join(map(str, record["shape"]))
                writer.writerow([level, *{**record, "shape": shape}.values()])
        return stream.getvalue()


def ratio(part: float, whole: float) -> float:
    """Return ``part / whole``; 0 for no part of nothing, inf for a part of nothing."""
    if part == 0:
        return 0.0
    return part / whole if whole else math.inf


def _finite(figure: float) -> float | None:
    return figure if math.isfinite(figure) else None
