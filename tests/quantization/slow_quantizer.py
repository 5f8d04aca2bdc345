"""A slow quantizer that is obviously right: one block after another, one weight after another.

Weights are rounded in exact arithmetic, by the oracle of `minifloat.testing`. Scales come from
float64 quotients, as the library documents. Searches are judged, not repeated: `search_errors` has
the error of every scale (and zero point) that a block may have.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

import minifloat as mf
from minifloat.testing import exact_encode

Index = tuple[int, ...]


class ScaleTooLarge(Exception):
    """A block's scale is beyond the scale format."""


def blocks_of(recipe: mf.Recipe, shape: Index, axis: int) -> dict[Index, list[Index]]:
    """Return the indices of each block's weights, by the index of its scale."""
    blocks: dict[Index, list[Index]] = {}
    for index in np.ndindex(shape):
        place = list(index)
        if recipe.block == "tensor" or not shape:
            place = []
        elif recipe.block == "channel":
            place[axis] = 0
        elif isinstance(recipe.block, int):
            place[axis] //= recipe.block
        else:
            place[-1] //= recipe.block[1]
            if len(place) > 1:
                place[-2] //= recipe.block[0]
        blocks.setdefault(tuple(place), []).append(index)
    return blocks


def scale_values(recipe: mf.Recipe) -> tuple[bool, float, float]:
    """Return whether the scale format has a zero, its smallest positive and its largest value."""
    if recipe.scale.name == "float32":
        return True, 2.0**-149, float(np.finfo(np.float32).max)
    fmt = mf.parse(recipe.scale.name)
    return fmt.has_zero, fmt.smallest, fmt.max


def nearest_scale(recipe: mf.Recipe, wanted: float) -> float:
    """Round to the nearest scale, never to 0."""
    _, smallest, largest = scale_values(recipe)
    if recipe.scale.name == "float32":
        with np.errstate(over="ignore"):
            scale = float(np.float32(wanted))
    else:
        fmt = mf.parse(recipe.scale.name)
        assert isinstance(fmt, mf.Format)
        last = (fmt.grid_value(fmt.max_magnitude) + fmt.grid_value(fmt.max_magnitude + 1)) / 2
        if wanted > last or (wanted == last and fmt.max_code & 1):
            raise ScaleTooLarge
        scale = fmt.value(exact_encode(Fraction(wanted), fmt, overflow="saturate"))
    if scale > largest:
        raise ScaleTooLarge
    return max(scale, smallest)


def power_scale(recipe: mf.Recipe, absmax: float, tensor: float) -> float:
    """Round a block's scale to a power of two, from the formulas of `mf.ScaleRounding`."""
    largest = recipe.absmax_at
    rounding = str(recipe.scale_rounding)
    exact, emax = Fraction(absmax) / Fraction(tensor), exponent(Fraction(largest))
    low = exponent(exact)
    significand = exact / Fraction(2) ** low
    if rounding in ("up", "down"):
        ratio = Fraction(absmax) / Fraction(tensor * largest)
        k = exponent(ratio)
        k += rounding == "up" and ratio != Fraction(2) ** k
    elif rounding == "floor":
        k = low - emax
    elif rounding == "ceil":
        k = low + (significand != 1) - emax
    elif rounding == "nearest":
        k = low + (significand >= Fraction(3, 2)) - emax
    else:
        assert rounding == "even"
        precision = recipe.fmt.precision
        k = low + (significand >= 2 - Fraction(1, 2**precision)) - emax
    _, smallest, most = scale_values(recipe)
    if k > exponent(Fraction(most)):
        raise ScaleTooLarge
    lowest = exponent(Fraction(smallest))
    lowest += Fraction(smallest) != Fraction(2) ** lowest
    return max(float(Fraction(2) ** max(k, lowest)), smallest)


def exponent(x: Fraction) -> int:
    """Return floor(log2 x), exactly."""
    e = x.numerator.bit_length() - x.denominator.bit_length()
    while Fraction(2) ** e > x:
        e -= 1
    while Fraction(2) ** (e + 1) <= x:
        e += 1
    return e


def scale_of(recipe: mf.Recipe, absmax: float, tensor: float) -> float:
    """Return the scale for a block's absmax (with zero points: for the length of its range)."""
    has_zero, smallest, _ = scale_values(recipe)
    if absmax == 0:
        return 0.0 if has_zero else smallest
    if recipe.scale_rounding == mf.ScaleRounding.NEAREST_EVEN:
        wanted = absmax / (recipe.absmax_at * tensor)
        return nearest_scale(recipe, wanted) if wanted > 0 else smallest
    return power_scale(recipe, absmax, tensor)


def block_range(recipe: mf.Recipe, block: list[float]) -> tuple[float, float]:
    """Return a block's lowest and highest number, with 0; without zero points 0 and absmax."""
    if not recipe.zero_point:
        absmax = max(map(abs, block))
        if recipe.percentile is not None:
            absmax = float(np.percentile(np.abs(block), recipe.percentile)) or absmax
        if recipe.search == mf.ScaleSearch.ABSMEAN:
            mean = float(sum(Fraction(abs(x)) for x in block) / len(block))
            absmax = mean * recipe.absmax_at or absmax
        return 0.0, absmax
    if recipe.percentile is not None:
        ends = np.percentile(block, [100 - recipe.percentile, recipe.percentile])
        low, high = min(0.0, float(ends[0])), max(0.0, float(ends[1]))
        if low < high:
            return low, high
    return min(0.0, *block), max(0.0, *block)


def zero_point_of(recipe: mf.Recipe, low: float, scale: float, tensor: float) -> int:
    divisor = Fraction(scale or 1.0) * Fraction(tensor)
    return min(max(round(Fraction(-low) / divisor), 0), int(recipe.fmt.max))


def tensor_scale_of(recipe: mf.Recipe, maxima: list[float]) -> float:
    """Return the factor of all scales, from each block's absmax or length of range."""
    nearest = recipe.scale_rounding == mf.ScaleRounding.NEAREST_EVEN
    powers = not nearest or recipe.scale.values.mantissa_bits == 0
    most = recipe.largest_scale or (1.0 if powers else scale_values(recipe)[2])
    exact = max(maxima) / recipe.absmax_at / most
    tensor = np.float32(exact)
    if recipe.scale_rounding == mf.ScaleRounding.DOWN and float(tensor) > exact:
        tensor = np.nextafter(tensor, np.float32(0))
    if recipe.scale_rounding == mf.ScaleRounding.UP and float(tensor) < exact:
        tensor = np.nextafter(tensor, np.float32(np.inf))
    if not tensor:
        return 1.0 if exact == 0 else 2.0**-149
    try:
        scale_of(recipe, max(maxima), float(tensor))
    except ScaleTooLarge:  # since T was rounded down
        tensor = np.nextafter(tensor, np.float32(np.inf))
    return float(tensor)


def code_of(recipe: mf.Recipe, w: float, scale: float, tensor: float, zero: int | None) -> int:
    """Return the code of one weight, rounded once from the exact quotient."""
    divisor = Fraction(scale or 1.0) * Fraction(tensor)
    if zero is not None:
        return min(max(round(Fraction(w) / divisor) + zero, 0), int(recipe.fmt.max))
    return exact_encode(Fraction(w) / divisor if w else w, recipe.fmt)


def value_of(recipe: mf.Recipe, code: int, scale: float, tensor: float, zero: int | None) -> float:
    return (recipe.fmt.value(code) - (zero or 0)) * scale * tensor


def error_of(
    recipe: mf.Recipe,
    block: list[float],
    factors: list[float],
    scale: float,
    tensor: float,
    zero: int | None,
    power: float = 2.0,
) -> float:
    """Return the error of a block under one scale and zero point."""
    rests = (
        abs(w - value_of(recipe, code_of(recipe, w, scale, tensor, zero), scale, tensor, zero))
        for w in block
    )
    return math.fsum(f * rest**power for f, rest in zip(factors, rests, strict=True))


def candidates(
    recipe: mf.Recipe, block: list[float], tensor: float
) -> Iterator[tuple[float, int | None]]:
    """Yield the scales and zero points that the recipe's search looks at."""
    low, high = block_range(recipe, block)
    if recipe.search == mf.ScaleSearch.SHRINK:
        for k in range(80):
            scale = scale_of(recipe, (high - low) * (1 - k * 0.01), tensor)
            zero = None
            if recipe.zero_point:
                zero = zero_point_of(recipe, low * (1 - k * 0.01), scale, tensor)
            yield scale, zero
        return
    fmt = mf.parse(recipe.scale.name)
    scales = [v for v in fmt.values().tolist() if math.isfinite(v) and v > 0]
    if recipe.scale_rounding != mf.ScaleRounding.NEAREST_EVEN:
        scales = [v for v in scales if math.frexp(v)[0] == 0.5]
    for scale in sorted(set(scales)):
        for zero in range(recipe.fmt.code_count) if recipe.zero_point else [None]:
            yield scale, zero


def double_scales(scales: np.ndarray) -> np.ndarray:
    """Return float32 scales as they come back from E4M3FN in blocks of 256, less their mean."""
    mean = np.float32(scales.mean(dtype=np.float64)) if scales.size else np.float32(0)
    back = np.empty_like(scales)
    positive = [v for v in mf.parse("e4m3fn").values().tolist() if v == v]
    ordered = sorted({v + 0.0 for v in positive})
    for start in range(0, scales.size, 256):
        rest = scales[start : start + 256] - mean
        size = np.float32(np.abs(rest).max() / np.float64(448)) if np.abs(rest).max() else 0
        for i, x in enumerate(rest):
            value = 0.0
            if size:
                code = exact_encode(Fraction(float(x)) / Fraction(float(size)), "e4m3fn")
                value = mf.parse("e4m3fn").value(code)
            k = ordered.index(value + 0.0)
            wanted = scales[start + i] > 0
            while True:
                scale = np.float32(np.float32(ordered[k]) * np.float32(size)) + mean
                if scale > 0 or (scale == 0 and not wanted):
                    break
                k += 1
            back[start + i] = scale
    return back


def parts(q: mf.Quantized, scale_index: Index) -> tuple[float, float, Any]:
    """Return the scale, the tensor scale and the zero point of a block."""
    zero = None if q.zero_points is None else int(q.zero_points[scale_index])
    return float(q.scales[scale_index]), q.tensor_scale or 1.0, zero
