"""The verdict on weights: what they lose against their original, and which mistake explains it.

Errors are measured as SQNR, in dB. A *loss* is the SQNR of what the recipe gives by absmax less
that of the checkpoint; both count as 50 dB where they are higher. An error of any more than the
thresholds below is no proof of a mistake, and none is a proof of none:

    as the rule gives   every code, scale and zero point is that of the recipe (zeros of both signs
                        are alike; the tensor scale may differ by 2**-20 of it). A tensor scale may
                        be larger, as layers that are fused share one, with a loss of at most 3 dB:
                        then codes and scales are those of the recipe with it. Zero points that are
                        all 2**(bits - 1) may be those of symmetric integers
    another method      the loss is at most 3 dB; or at most 12 dB, with an SQNR above 0 dB, and no
                        mistake explains it. From 8 dB the verdict says how much it is. Where the
                        rule itself has less than 10 dB (codes of 2 bits), GPTQ may have less than
                        0: there the correlation with the original must be at least 0.3 instead
    wrong: MISTAKE      the loss is above 3 dB, or the SQNR below 0 dB, and weights without the
                        mistake gain at least 3 dB and lose at most 8 dB. Or they gain 10 dB and
                        have 6 dB: a wrong number may have lost digits in its format, and what
                        GPTQ gives may have mistakes too
    wrong: errors of one sign
                        the same, without the mean error of each row
    another method: inputs scaled
                        the same, but what explains it is a positive factor for each column (and
                        row): AWQ and SmoothQuant multiply weights and divide what is before them
    wrong: unlike       what is left

Of large weights, mistakes are tried on the rows that are furthest off (`minifloat.auditing.parts`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat.auditing.mistakes import mistakes
from minifloat.auditing.parts import Part, worst_part
from minifloat.auditing.records import Verdict
from minifloat.formats import Integer
from minifloat.packing import pack
from minifloat.quantization import quantize
from minifloat.quantization.errors import max_and_squares
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipes import Recipe

Array = NDArray[Any]

TRIED_DB = 3.0  # a loss from which mistakes are tried
GAINED_DB = 3.0  # what weights without the mistake must gain
SOUND_DB = 8.0  # their loss at most; and from which a loss is told
FAR_DB = 12.0  # a loss that no method is known to have
RESCUED_DB = 10.0  # a gain that tells a mistake even if they lose more ...
LEFT_DB = 6.0  # ... if they have this SQNR
COARSE_DB = 10.0  # an SQNR of the rule below which errors tell little
ALIKE = 0.3  # the least correlation of weights with their original, and of samples of both
EXACT_DB = 50.0  # a higher SQNR counts as this
TENSOR_SCALE = 2.0**-20
ROWS = 16  # at least, or columns, to tell what they have in common
EVEN = 1.1  # the largest factor over the smallest, of factors that are all alike
OFFSETS = "errors of one sign, as of a zero point"
STEPS = 8  # of the fit of factors


@dataclass(frozen=True)
class Rule:
    """What a recipe gives for the original, and what of it the checkpoint has."""

    sqnr_db: float
    equal_codes: float
    equal_scales: float
    is_equal: bool


def sqnr(w: Array, held: Array) -> float:
    """Return the SQNR in dB: inf without error, -inf where a weight is not finite."""
    largest, noise = max_and_squares(w.reshape(-1), held.reshape(-1))
    if not math.isfinite(largest):
        return -math.inf
    if noise == 0:
        return math.inf
    signal = max_and_squares(w.reshape(-1))[1]
    if signal == 0:
        return -math.inf
    ratio = signal / noise
    return 10 * (math.log10(ratio.numerator) - math.log10(ratio.denominator))


def rule_of(q: Quantized, w: Array) -> Rule:
    """Quantize the original by the recipe, and compare codes and scales.

    Raises
    ------
    ValueError
        If the recipe cannot quantize it.
    """
    own = given(w, q.recipe, q.axis)
    rule = _compared(q, w, own)
    if rule.is_equal:
        return rule
    rules = _other_rules(q, w, own, rule.sqnr_db)
    others = (_compared(each, w, wanted) for each, wanted in rules)
    return next((other for other in others if other.is_equal), rule)


def _other_rules(
    q: Quantized, w: Array, own: Quantized, own_db: float
) -> Iterator[tuple[Quantized, Quantized]]:
    """Yield other names of the weights, or the weights, with what other rules give for them.

    A constant zero point is that of symmetric integers, where a layout has no others. A tensor
    scale may be shared by tensors of larger weights; its inverse in a file rounds it, so that its
    neighbours may be meant.
    """
    if q.zero_points is not None and (q.zero_points == 1 << (q.fmt.bits - 1)).all():
        for symmetric in (True, False):
            fmt = Integer(q.fmt.bits, symmetric=symmetric)
            recipe = q.recipe.replace(fmt=fmt, zero_point=False)
            codes = q.codes ^ np.uint8(1 << (q.fmt.bits - 1))
            if fmt.unused_code is None or not (codes == fmt.unused_code).any():
                packed = pack(codes.reshape(-1), q.fmt.bits)
                named = replace(q, packed=packed, recipe=recipe, zero_points=None)
                yield named, given(w, recipe, q.axis)
    if q.tensor_scale is not None and own.tensor_scale is not None:
        number = np.float32(q.tensor_scale)
        for scale in (number, *(np.nextafter(number, np.float32(to)) for to in (0, np.inf))):
            if scale > own.tensor_scale:
                shared = given(w, q.recipe, q.axis, tensor_scale=float(scale))
                if loss(own_db, sqnr(w, shared.dequantize())) <= TRIED_DB:
                    yield q, shared


def _compared(q: Quantized, w: Array, rule: Quantized) -> Rule:
    """Compare codes and scales with those that the rule gives."""
    codes, wanted = q.codes, rule.codes
    same = codes == wanted
    if not (same.all() or q.fmt.is_lookup):
        is_zero = q.fmt.values() == 0
        same |= is_zero[codes] & is_zero[wanted]  # of two signs
    scales = (q.scales == rule.scales) | (np.isnan(q.scales) & np.isnan(rule.scales))
    if q.zero_points is not None:
        scales &= q.zero_points == rule.zero_points
    if q.choices is not None:
        scales &= q.choices == rule.choices
    near = True
    if q.tensor_scale is not None and rule.tensor_scale is not None:
        near = math.isclose(q.tensor_scale, rule.tensor_scale, rel_tol=TENSOR_SCALE)
    is_equal = bool(same.all() and scales.all() and near)
    return Rule(sqnr(w, rule.dequantize()), _share(same), _share(scales), is_equal)


def given(w: Array, recipe: Recipe, axis: int | None, **changes: Any) -> Quantized:
    """Quantize weights along an axis, or as one block."""
    return quantize(w, recipe, axis=-1 if axis is None else axis, **changes)


def correlation(a: Array, b: Array) -> float:
    """Return the cosine of the angle between weights; NaN where one of them is 0 or not finite."""
    with np.errstate(all="ignore"):
        x, y = a.reshape(-1).astype(np.float64), b.reshape(-1).astype(np.float64)
        return float((x @ y) / np.sqrt((x @ x) * (y @ y)))


def loss(rule_db: float, held_db: float) -> float:
    """Return how much less one SQNR is than another, both at most `EXACT_DB`."""
    return min(rule_db, EXACT_DB) - min(held_db, EXACT_DB)


def is_suspect(rule_db: float, held_db: float) -> bool:
    """Return whether an error asks for a reason."""
    return loss(rule_db, held_db) > TRIED_DB or held_db < 0


def verdict(
    weights: Quantized | Array,
    held: Array,
    w: Array,
    rule_db: float,
    held_db: float,
    others: Iterable[tuple[str, Array]] = (),
) -> tuple[Verdict, str]:
    """Return the verdict on weights that are not what the rule gives, and its reason.

    Parameters
    ----------
    weights : Quantized or ndarray
    held : ndarray
        The weights, dequantized.
    w : ndarray
        The original.
    rule_db, held_db : float
        The SQNR that the recipe gives, and that of the weights.
    others : iterable of (str, ndarray)
        Other tensors of the original that the weights may be, with their names.
    """
    if not is_suspect(rule_db, held_db):
        return Verdict.METHOD, ""
    part = worst_part(w, held)
    a, b = part.of(w), part.of(held)
    part_db = sqnr(a, b)
    if name := _mistake(weights, held, w, part, rule_db, part_db):
        return Verdict.WRONG, name
    for other, its in others:
        if explains(rule_db, part_db, sqnr(part.of(its), b)):
            return Verdict.WRONG, f"weights of {other}"
    if explains(rule_db, part_db, sqnr(a, _without_offsets(b, a))):
        return Verdict.WRONG, OFFSETS
    if factors := _factors(weights, b, a, rule_db, part_db):
        return factors
    if np.isnan(held).any():
        return Verdict.WRONG, f"{int(np.isnan(held).sum())} weights are NaN"
    lost = loss(rule_db, held_db)
    if rule_db < COARSE_DB:
        is_unlike = not correlation(a, b) >= ALIKE
    else:
        is_unlike = held_db < 0 or lost > FAR_DB
    if is_unlike:
        return Verdict.WRONG, "unlike the original"
    return Verdict.METHOD, f"{lost:.1f} dB worse than the rule" if lost > SOUND_DB else ""


def _mistake(
    weights: Quantized | Array, held: Array, w: Array, part: Part, rule_db: float, held_db: float
) -> str:
    """Return the mistake without which the weights are nearest to the original, if one is near.

    The first without which they raise no suspicion ends the search.
    """
    best_db, best = -math.inf, ""
    wanted = part.of(w)
    for name, undone in mistakes(weights, held, part):
        undone_db = sqnr(wanted, undone())
        if not is_suspect(rule_db, undone_db) and explains(rule_db, held_db, undone_db):
            return name
        if undone_db > best_db:
            best_db, best = undone_db, name
    return best if explains(rule_db, held_db, best_db) else ""


def explains(rule_db: float, held_db: float, undone_db: float) -> bool:
    """Return whether weights without a mistake are so much better that the mistake was made."""
    gain = undone_db - held_db
    if math.isnan(gain) or gain < GAINED_DB:
        return False
    is_rescued = gain >= RESCUED_DB and undone_db >= LEFT_DB
    return loss(rule_db, undone_db) <= SOUND_DB or is_rescued


def _without_offsets(held: Array, w: Array) -> Array:
    """Return weights less the mean of their errors, of each row: it is far from 0 in no method."""
    if w.shape[-1] < ROWS:
        return held
    with np.errstate(all="ignore"):
        errors = (held - w).mean(axis=-1, keepdims=True, dtype=np.float64)
        return np.asarray(held - errors, held.dtype)


def _factors(
    weights: Quantized | Array, held: Array, w: Array, rule_db: float, held_db: float
) -> tuple[Verdict, str] | None:
    """Return the verdict on weights that are the original times factors, or None."""
    if not np.isfinite(held).all():
        return None
    a, b = w if w.dtype in (np.float32, np.float64) else w.astype(np.float32), held
    factor = float(_fit(a.reshape(1, -1), b.reshape(1, -1), 1).item())
    if explains(rule_db, held_db, sqnr(a * a.dtype.type(factor), b)):
        return Verdict.WRONG, f"all weights times {factor:.3g}"
    if w.ndim != 2 or min(w.shape) < ROWS:
        return None
    columns = _fit(a, b, 0)
    rows = np.ones((len(a), 1), a.dtype)
    words = "inputs scaled"
    explained = sqnr(a * columns, b)
    is_channel = isinstance(weights, Quantized) and isinstance(weights.recipe.block, str)
    if not explains(rule_db, held_db, explained) and not is_channel:
        words = "inputs and outputs scaled"
        for _ in range(STEPS):
            rows = _fit(a * columns, b, 1)
            columns = _fit(a * rows, b, 0)
        explained = sqnr(a * rows * columns, b)
    if not explains(rule_db, held_db, explained):
        return None
    ends = np.outer([rows.min(), rows.max()], [columns.min(), columns.max()])
    low, high = float(ends.min()), float(ends.max())
    if low <= 0 or high < EVEN * low:
        return None
    return Verdict.METHOD, f"{words}, by {low:.3g} to {high:.3g}"


def _fit(a: Array, b: Array, axis: int) -> Array:
    """Return factors of the columns (axis 0) or rows of a with which it is nearest to b.

    They are 1 where a is 0.
    """
    sums = ("ij,ij->j", "ij,ij->i")[axis]
    with np.errstate(all="ignore"):
        squares = np.einsum(sums, a, a, dtype=np.float64)
        products = np.einsum(sums, a, b, dtype=np.float64)
        factors = np.divide(products, squares, out=np.ones_like(squares), where=squares > 0)
        return np.asarray(np.expand_dims(factors, axis), a.dtype)


def _share(same: Iterable[bool] | Array) -> float:
    mask = np.asarray(same)
    return float(mask.mean()) if mask.size else 1.0
