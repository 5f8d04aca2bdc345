"""`audit`: a quantized checkpoint against the weights that it was made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._text import printable
from minifloat.auditing import verdicts
from minifloat.auditing.records import Audit, TensorAudit, Verdict
from minifloat.auditing.sources import Source, Tensors, floats
from minifloat.comparison.selection import check_matches, matches, patterns
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipes import Recipe

Array = NDArray[Any]

SEARCHED_BITS = 4  # least squares is computed for formats of so few bits without `best` ...
SEARCHED_SIZE = 1 << 18  # ... and for rows of so many weights in all
ROUNDED_DB = 40.0  # numbers that are not quantized have a higher SQNR if they are only rounded
SAMPLES = 4096  # of a tensor, by which others that are like it are found


def audit(
    quantized: Source,
    original: Source,
    *,
    best: bool = False,
    include: str | Sequence[str] | None = None,
    exclude: str | Sequence[str] = (),
    progress: Callable[[int, int], object] | None = None,
) -> Audit:
    """Hold a quantized checkpoint against the original, tensor by tensor.

    Each quantized tensor is compared with the original's of the same name, and with what its
    recipe gives for it. Where its error is far above that, known mistakes of writers are undone one
    after another, and the one whose undoing restores the weights is named: nibbles swapped, scales
    inverted, a zero point off by one, scales along the wrong axis or shifted by one block, a sign
    flipped, weights transposed, another tensor's weights ... `minifloat.auditing.verdicts` has the
    thresholds, and `Verdict` the words.

    Tensors that are not quantized are compared too. Memory is a few times the largest tensor.

    Parameters
    ----------
    quantized : path, or mapping of names to weights
        As `minifloat.files.checkpoints.open_checkpoint` takes it; values of a mapping may be
        `Quantized`.
    original : path, or mapping of names to weights
    best : bool
        Compute for all tensors what least squares (the search "mse") gives, which may take long;
        otherwise in formats of up to 4 bits, without zero points: for those of up to 2**18 weights,
        and of larger ones for some rows, whose gain over absmax counts for all.
    include, exclude : str, or sequence of str, optional
        Names of tensors, or shell patterns for them: those to compare (default: all), and those of
        them to leave out.
    progress : callable, optional
        Called after each tensor with the tensors done and all tensors.

    Returns
    -------
    Audit

    Raises
    ------
    WeightsError
        If a file cannot be opened.
    ValueError
        If no name is in both, or a pattern matches nothing.
    TypeError
        If an argument has another type.

    Examples
    --------
    >>> import numpy as np
    >>> import minifloat as mf
    >>> from minifloat.auditing import audit
    >>> w = np.random.default_rng(0).standard_normal((64, 64), np.float32)
    >>> [tensor] = audit({"w": mf.quantize(w, "nvfp4")}, {"w": w}).tensors
    >>> tensor.text, round(tensor.sqnr_db, 1), tensor.equal_codes
    ('as the rule gives', 20.4, 1.0)
    >>> [tensor] = audit({"w": mf.quantize(-w, "nvfp4")}, {"w": w}).wrong
    >>> tensor.text
    'wrong: sign flipped'
    """
    held, wanted = Tensors("quantized", quantized), Tensors("original", original)
    names = list(dict.fromkeys([*held.names, *held.unreadable, *wanted.names]))
    names = _chosen(names, include, exclude)
    if not names:
        raise ValueError("include and exclude must leave a tensor to audit, got none that is left")
    if not any(name in wanted for name in names if name in held):
        raise ValueError(
            f"original must have tensors of the names that {printable(held.source)} has, got "
            f"none in {printable(wanted.source)}; the first names are "
            f"{', '.join(map(repr, held.names[:2]))} and {', '.join(map(repr, wanted.names[:2]))}"
        )
    others = _Others(wanted)
    tensors = []
    for name in names:
        tensors.append(_audited(name, held, wanted, others, best))
        if progress is not None:
            progress(len(tensors), len(names))
    return Audit(held.source, wanted.source, tuple(tensors))


def _chosen(
    names: Sequence[str], include: str | Sequence[str] | None, exclude: str | Sequence[str]
) -> list[str]:
    wanted = None if include is None else patterns("include", include)
    unwanted = patterns("exclude", exclude)
    for argument, several in (("include", wanted or []), ("exclude", unwanted)):
        for pattern in several:
            check_matches(argument, pattern, names)
    return [
        name
        for name in names
        if (wanted is None or matches(name, wanted)) and not matches(name, unwanted)
    ]


@dataclass
class _Others:
    """Looks for the tensor of the original whose weights stand under another's name."""

    wanted: Tensors

    def __post_init__(self) -> None:
        self._samples: dict[str, Array] = {}

    def like(self, name: str, held: Array) -> Iterator[tuple[str, Array]]:
        """Yield other tensors of this shape that are like the weights, with their names."""
        mine = _sample(held)
        if not np.isfinite(mine).all():
            return
        for other in self.wanted.names:
            if other == name or self.wanted.shape(other) != held.shape:
                continue
            try:
                if other not in self._samples:
                    self._samples[other] = _sample(floats(self.wanted.load(other)))
                if verdicts.correlation(mine, self._samples[other]) >= verdicts.ALIKE:
                    yield other, floats(self.wanted.load(other))
            except ValueError:  # it is reported under its own name
                continue


def _sample(weights: Array) -> Array:
    flat = weights.reshape(-1)
    return flat[np.linspace(0, flat.size - 1, min(flat.size, SAMPLES)).astype(np.intp)].astype(
        np.float64
    )


def _audited(name: str, held: Tensors, wanted: Tensors, others: _Others, best: bool) -> TensorAudit:
    about = held.describe(name)
    layout = about.layout if about else ""
    recipe = str(about.recipe) if about and about.recipe else ""
    if name in held.unreadable:
        return TensorAudit(name, "", "", (), Verdict.UNREAD, held.unreadable[name])
    if name not in held:
        return TensorAudit(name, "", "", wanted.shape(name), Verdict.MISSING, "quantized lacks it")
    shape = held.shape(name)
    blank = TensorAudit(name, layout, recipe, shape, Verdict.MISSING)
    if name in wanted.unreadable:
        return replace(blank, verdict=Verdict.UNREAD, reason=f"original: {wanted.unreadable[name]}")
    if name not in wanted:
        return replace(blank, reason="original lacks it")
    try:
        value, w = held.load(name), floats(wanted.load(name))
        if isinstance(value, Quantized):
            blank = replace(blank, recipe=str(value.recipe))
            layout = layout or "in memory"
        if w.shape != shape:
            return replace(blank, verdict=Verdict.WRONG, reason=_shapes(value, w))
        if not np.isfinite(w).all():
            return replace(blank, verdict=Verdict.UNREAD, reason="original is not finite")
        if not w.size:
            return replace(blank, verdict=Verdict.EQUAL)
        if isinstance(value, np.ndarray) and not layout:
            return _plain(blank, value, w)
        known = about.recipe if about else None
        bits = about.bits_per_weight if about else 8.0
        return _quantized(blank, value, w, known, bits, others, best)
    except ValueError as error:
        return replace(blank, verdict=Verdict.UNREAD, reason=str(error))


def _shapes(value: Any, w: Array) -> str:
    held = floats(value)
    reason = f"shape {held.shape}, the original has {w.shape}"
    turned = w.T
    if held.shape == turned.shape and verdicts.sqnr(turned, held) > verdicts.LEFT_DB:
        reason += "; weights transposed"
    return reason


def _plain(blank: TensorAudit, value: Array, w: Array) -> TensorAudit:
    held_db = verdicts.sqnr(w, value)
    verdict, reason = Verdict.CHANGED, ""
    if np.array_equal(value, w):
        verdict = Verdict.EQUAL
    elif held_db > ROUNDED_DB:
        verdict = Verdict.ROUNDED
    elif not np.isfinite(value).all():
        verdict, reason = Verdict.WRONG, "not finite"
    elif w.ndim > 1 and held_db < 0:  # a matrix; norms and biases are changed by AWQ too
        verdict, reason = Verdict.WRONG, "unlike the original"
    return replace(blank, verdict=verdict, reason=reason, sqnr_db=held_db)


def _quantized(
    blank: TensorAudit,
    value: Any,
    w: Array,
    known: Recipe | None,
    bits: float,
    others: _Others,
    best: bool,
) -> TensorAudit:
    held = floats(value)
    held_db = verdicts.sqnr(w, held)
    if isinstance(value, Quantized):
        rule = verdicts.rule_of(value, w)
        best_db = _best(value, w, rule.sqnr_db, best)
        blank = replace(
            blank,
            rule_sqnr_db=rule.sqnr_db,
            best_sqnr_db=best_db,
            equal_codes=rule.equal_codes,
            equal_scales=rule.equal_scales,
        )
        if rule.is_equal:
            return replace(blank, verdict=Verdict.RULE, sqnr_db=held_db)
        rule_db = rule.sqnr_db
    else:
        recipe = known or Recipe(f"int{min(max(int(bits), 2), 8)}", block=32)
        rule_db = verdicts.sqnr(w, verdicts.given(w, recipe, w.ndim - 1).dequantize())
        blank = replace(blank, rule_sqnr_db=rule_db)
    weights = value if isinstance(value, Quantized) else held
    like = others.like(blank.name, held)
    verdict, reason = verdicts.verdict(weights, held, w, rule_db, held_db, like)
    return replace(blank, verdict=verdict, reason=reason, sqnr_db=held_db)


def _best(q: Quantized, w: Array, rule_db: float, best: bool) -> float:
    """Return the SQNR of least squares, or NaN where it is not computed."""
    is_searched = q.fmt.bits <= SEARCHED_BITS and q.zero_points is None
    if not (best or is_searched):
        return math.nan
    try:
        if best or q.size <= SEARCHED_SIZE:
            return _least_squares_db(w, q.recipe, q.axis)
        if q.axis is None or q.blocks.height > 1:
            return math.nan
        rows = q.blocks.rows(w)
        count = max(1, SEARCHED_SIZE // q.blocks.length)
        some = rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(np.intp)]
        absmax = verdicts.sqnr(some, verdicts.given(some, q.recipe, 1).dequantize())
        return rule_db + _least_squares_db(some, q.recipe, 1) - absmax
    except ValueError:  # the recipe has no such search
        return math.nan


def _least_squares_db(w: Array, recipe: Recipe, axis: int | None) -> float:
    return verdicts.sqnr(w, verdicts.given(w, recipe.replace(search="mse"), axis).dequantize())
