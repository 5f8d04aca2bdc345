"""The tables of a comparison: its tensors, its total, and which tensors were left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from minifloat._tables import BEST, Table
from minifloat._text import printable, shortened
from minifloat.comparison.records import RecipeError, Skipped, TensorErrors
from minifloat.formats.base import abridged
from minifloat.quantization.recipes import RECIPES, Recipe

FIGURES = ("bits/weight", "relative rms", "SQNR dB", "max error", "max/absmax")
FIGURES_EXPLAINED = """\
bits/weight   scales included
relative rms  sqrt(sum (w - w')^2 / sum w^2), where w' are the weights after quantizing
SQNR dB       -20 log10 of the relative rms
max error     the largest |w - w'|
max/absmax    the largest |w - w'| over the largest |w| of its tensor
best in       tensors of lowest relative rms among recipes of as many bits/weight (to 0.01); ties
              count for none"""
NAMES = 3  # of tensors, for each reason
REASONS = 12

Named = Sequence[tuple[str, TensorErrors]]  # tensors with the names to print


def scale_alike(recipes: Sequence[Recipe]) -> bool:
    """Return whether the recipes differ in formats alone, which then name them."""
    return len({recipe.scaling for recipe in recipes}) == 1


def short_names(recipes: Sequence[Recipe]) -> list[str]:
    """Return the formats if all recipes scale alike, else names of `RECIPES`, or texts."""
    if scale_alike(recipes):
        return [abridged(recipe.formats) for recipe in recipes]
    names = {recipe: name for name, recipe in reversed(RECIPES.items())}
    return [names.get(recipe, f"{recipe}") for recipe in recipes]


def other_meanings(recipes: Sequence[Recipe]) -> str:
    """Return a line for each short name that, typed alone, means another recipe (nf4)."""
    return "".join(
        f"\n{name} is {recipe} here; the recipe {name} is {RECIPES[name]}"
        for name, recipe in zip(short_names(recipes), recipes, strict=True)
        if RECIPES.get(name, recipe) != recipe
    )


def scaling_in_words(
    recipes: Sequence[Recipe], axis: int, tensors: Sequence[TensorErrors] = ()
) -> str:
    """Return how the recipes scale, if all do alike, and the axis along which blocks run."""
    blocks = {recipe.block for recipe in recipes}
    along = "" if blocks == {"tensor"} else f" along axis {axis}"
    if along and any(not -rank <= axis < rank for rank in {len(t.shape) or 1 for t in tensors}):
        along += " (in tensors without it, the last)"
    if not scale_alike(recipes):
        return f"recipes are FORMAT/BLOCK/SCALE, or a published one's name; blocks{along}"
    return in_words(recipes[0], along)


def mark_in_words(total: TensorErrors) -> str:
    """Return what `BEST` marks: nothing where no two recipes have as many bits per weight."""
    rivals = total.rivals()
    if not any(rivals):
        return ""
    everyone = all(len(found) == len(rivals) - 1 for found in rivals)
    return f"; {BEST} marks the best" + ("" if everyone else " at equal bits/weight")


def in_words(recipe: Recipe, along: str = "") -> str:
    """Return a recipe's blocks, scales and options in words."""
    named = {"channel": "one scale to a channel", "tensor": "one scale to a tensor"}
    if isinstance(recipe.block, tuple):
        blocks = "tiles of {}x{}".format(*recipe.block)
        along = " of the last two axes" if along else ""
    else:
        blocks = named.get(str(recipe.block), f"blocks of {recipe.block}")
    words = [f"{blocks}{along}", f"{recipe.scale} scales"]
    if recipe.scale_rounding is not recipe.scale.default_rounding:
        words[-1] += f" rounded by {recipe.scale_rounding}"
    words += recipe.scaling.split("/")[2:]
    return ", ".join(words)


def overview(named: Named, labels: Sequence[str], more: int) -> Table:
    """Return a line for each tensor, with the relative rms error of each recipe."""
    rows = [
        (name, str(tensor.parameters), *(_percent(error, tensor, 2) for error in tensor.errors))
        for name, tensor in named
    ]
    columns = ("tensor", "parameters", *labels)
    return Table("Relative rms error", columns, ("tensor",), rows, _and_more(more))


def details(named: Named, labels: Sequence[str], more: int, kind: str) -> Table:
    """Return a line for each tensor and recipe, with all figures."""
    rows = [
        (name, label, shape, str(tensor.parameters), *_figures(error, tensor))
        for name, tensor in named
        for shape in ["x".join(map(str, tensor.shape)) or "()"]
        for label, error in zip(labels, tensor.errors, strict=True)
    ]
    columns = ("tensor", kind, "shape", "parameters", *FIGURES)
    return Table("Every tensor", columns, ("tensor", kind), rows, _and_more(more), keys=2)


def totals(
    total: TensorErrors, tensors: Sequence[TensorErrors], labels: Sequence[str], kind: str
) -> Table:
    """Return a line for each recipe, with all figures and the tensors in which it is best."""
    wins = Counter(recipe for tensor in tensors for recipe in tensor.best)
    raced = [any(several) for several in zip(*(each.rivals() for each in tensors), strict=True)]
    rows = [
        (label, *_figures(error, total), str(wins[error.recipe]) if had_rival else "-")
        for label, error, had_rival in zip(labels, total.errors, raced, strict=True)
    ]
    title = f"Total: tensors {len(tensors)}, parameters {total.parameters}"
    return Table(title, (kind, *FIGURES, "best in"), (kind,), rows)


def left_out(skipped: Sequence[Skipped], count: int) -> str:
    """Return how many of ``count`` tensors were skipped, and a line for each reason."""
    title = f"Skipped {len(skipped)} of {count} tensors, for all recipes alike:"
    return with_reasons(title, skipped)


def with_reasons(title: str, tensors: Sequence[Skipped]) -> str:
    """Return the title and a line for each reason, with the first tensors that it concerns."""
    return _grouped(title, [(tensor.file, tensor.name, tensor.reason) for tensor in tensors])


def noted(tensors: Sequence[TensorErrors]) -> str:
    """Return a line for each note, with the tensors that have it; empty without notes."""
    entries = [(tensor.file, tensor.name, tensor.note) for tensor in tensors if tensor.note]
    return _grouped("To note:", entries) if entries else ""


def _grouped(title: str, entries: Sequence[tuple[str, str, str]]) -> str:
    """Return the title and a line for each reason, with the first tensors that it concerns.

    An entry is a tensor's file, its name and the reason.
    """
    several = len({file for file, _, _ in entries}) > 1
    by_reason: dict[str, list[str]] = {}
    for file, name, reason in entries:
        full = f"{file}: {name}" if several else name
        by_reason.setdefault(reason, []).append(shortened(printable(full)))
    lines = [title]
    for reason, names in list(by_reason.items())[:REASONS]:
        more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
        lines.append(f"  {', '.join(names[:NAMES])}{more}: {printable(reason)}")
    if len(by_reason) > REASONS:
        lines.append(f"  ... and {len(by_reason) - REASONS} more reasons")
    return "\n".join(lines)


def _and_more(count: int) -> tuple[str, ...]:
    return (f"... and {count} more",) if count else ()


def _figures(error: RecipeError, tensor: TensorErrors) -> tuple[str, ...]:
    return (
        f"{error.bits_per_weight:.3f}",
        _percent(error, tensor, 3),
        f"{error.sqnr_db:.2f}",
        f"{error.max_abs_error:.4g}",
        f"{error.max_abs_error_relative:.4f}",
    )


def _percent(error: RecipeError, tensor: TensorErrors, digits: int) -> str:
    mark = BEST if error.recipe in tensor.best else ""
    return f"{mark}{100 * error.relative_rms:.{digits}f}%"
