"""The fields of a recipe, one by one: their types, and what a recipe takes for each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from numbers import Real
from typing import Any, Literal, SupportsIndex, TypeAlias, TypedDict

from minifloat.formats import Format, NumberFormat
from minifloat.formats.base import check_int, shown
from minifloat.formats.grammar import lowered
from minifloat.formats.rounding import choose
from minifloat.quantization.alternatives import AlternativeLike, FlagLike
from minifloat.quantization.rotations import Rotation
from minifloat.quantization.scales import (
    ScaleFormat,
    ScaleRounding,
    ScaleRoundingLike,
    ScaleSearch,
    ScaleSearchLike,
)

Block: TypeAlias = int | tuple[int, int] | Literal["channel", "tensor"]
ArithmeticLike: TypeAlias = Literal["exact", "authors"]
BlockLike: TypeAlias = SupportsIndex | tuple[SupportsIndex, SupportsIndex] | str


class Scaling(TypedDict, total=False):
    """The fields of a recipe, except its format, as `Recipe` takes them.

    ``tensor_scale`` is a bool in a recipe; `minifloat.quantize` and `minifloat.gptq` take a number,
    too.
    """

    block: BlockLike
    scale: ScaleFormat | Format | str
    scale_rounding: ScaleRoundingLike | None
    search: ScaleSearchLike
    percentile: float | None
    tensor_scale: bool | float
    largest_scale: float | None
    double: bool
    zero_point: bool
    arithmetic: ArithmeticLike
    rotation: Rotation | str | None
    absmax_at: float | None
    alternatives: Sequence[AlternativeLike]
    one_scale: bool
    flag: FlagLike | None


class RecipeFields(Scaling, total=False):
    """The fields of a recipe, as `Recipe` takes them."""

    fmt: NumberFormat | str


ARITHMETICS = ("exact", "authors")
SWITCHES = ("tensor_scale", "double", "zero_point", "one_scale")
WHOLE: tuple[Literal["channel"], Literal["tensor"]] = ("channel", "tensor")
PERCENTILE = 99.9
MAX_SIZE = 1 << 62  # rows or columns of a block: what the kernels' integers hold
_TILE = re.compile(r"([0-9]+)x([0-9]+)")
_PERCENTILE = re.compile(r"percentile([0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?)")  # in a text
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?(e-?[0-9]+)?")


def block_of(block: object) -> Block:
    """Return a block of what a recipe takes."""
    if isinstance(block, str):
        text = lowered(block)
        for word in WHOLE:
            if text == word:
                return word
        if match := _TILE.fullmatch(text[:60]):  # more digits are too many, and int refuses 4301
            block = (int(match[1]), int(match[2]))
        elif text.isascii() and text.isdecimal():
            block = int(text[:60])
    sizes: tuple[Any, ...] = block if isinstance(block, tuple) else (1, block)
    try:
        rows, columns = (check_int("block", size, 1, MAX_SIZE) for size in sizes)
    except (TypeError, ValueError):
        large = any(isinstance(size, int) and size > MAX_SIZE for size in sizes)
        raise ValueError(
            "block must be a positive int, two of them (or RxC), channel or tensor, got "
            f"{shown(block)}{'; use at most 2**62, or channel' if large else ''}"
        ) from None
    return (rows, columns) if rows > 1 else columns


def search_of(search: object) -> ScaleSearch:
    """Return a search of what a recipe takes."""
    if isinstance(search, str) and (match := _PERCENTILE.fullmatch(search)):
        raise ValueError(
            f"search must be one of {', '.join(ScaleSearch)}, got {search!r}; use "
            f'search="percentile", percentile={match[1]}'
        )
    return choose(ScaleSearch, "search", search)


def percentile_of(percentile: float) -> float:
    """Return a percentile, or raise unless it is a number in 0..100."""
    if not isinstance(percentile, Real) or isinstance(percentile, bool):
        raise TypeError(f"percentile must be a number in 0..100, got {shown(percentile)}")
    if not 0 <= percentile <= 100:
        raise ValueError(f"percentile must be in 0..100, got {shown(percentile)}")
    return float(percentile)


def scale_of(
    scale: ScaleFormat | Format | str, rounding: ScaleRounding | str | None
) -> tuple[ScaleFormat, ScaleRounding]:
    """Return the format of scales and their rounding, which the text of a scale may have."""
    if isinstance(scale, str):
        scale, colon, after = scale.partition(":")
        if colon:
            if rounding is not None:
                raise ValueError(
                    f"scale_rounding must not be given twice, got {rounding!s} and {after}"
                )
            rounding = after.strip(" ")
    scale_format = ScaleFormat.parse(scale)
    if rounding is None:
        return scale_format, scale_format.default_rounding
    return scale_format, choose(ScaleRounding, "scale_rounding", rounding)


def options_of(text: str) -> dict[str, Any]:
    """Return the fields that the last part of a recipe's text means."""
    changes: dict[str, Any] = {}
    for option in text.split("+"):
        word = option.strip(" ")
        if word.startswith("percentile"):
            new: dict[str, Any] = {"search": "percentile"}
            if word != "percentile":
                number = word.removeprefix("percentile")
                if not _NUMBER.fullmatch(number):
                    new = {}
                else:
                    new["percentile"] = float(number)
        elif word in list(ScaleSearch):
            new = {"search": word}
        elif word.replace("-", "_") in SWITCHES:
            new = {word.replace("-", "_"): True}
        elif _NUMBER.fullmatch(number := word.removeprefix("tensor-scale")):
            new = {"tensor_scale": True, "largest_scale": float(number)}
        elif word == "flag-bits":
            new = {"flag": "bits"}
        elif word in ARITHMETICS:
            new = {"arithmetic": word}
        elif word.startswith("hadamard"):
            new = {"rotation": word}
        else:
            new = {}
        if not new or not changes.keys().isdisjoint(new):
            raise ValueError(
                "options must be mse, shrink, percentile99.9, tensor-scale, double, zero-point, "
                "one-scale, flag-bits, authors or hadamard128, each kind once, joined by +, got "
                f"{text!r}"
            )
        changes |= new
    return changes
