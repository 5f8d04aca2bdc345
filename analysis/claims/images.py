"""Whether E2M2 is better than INT5, and nearly lossless, on images, and how many bits that takes.

The network is EfficientNet-Lite0; metrics are those of `analysis.models.images`, and photos those
of `analysis.models.photos`. Every recipe with blocks is measured in `GROUPINGS` groupings of the
input channels, which are the draws of the rounding errors. A recipe with one scale for a row gives
the same weights in all of them, and is measured once.

The recipes of `PAIR`, those of `MORE_BITS` and those with one scale for a row are measured on all
crops of each photo, the others on its middle alone, to keep the run below half an hour. So metrics
have two columns: over the middles, for all recipes, and over all crops.

**Criteria**

They were written down before the measurement.

- Means, errors and verdicts are those of `analysis.claims.figures`; an item is a photo.
- A recipe is nearly lossless on images if at most 1 % of the first classes change, and the
  divergence is at most 0.01 nats. The divergence is by how much -ln p rises, for classes drawn from
  what fp32 predicts, so this limit is that of the language models: 1 % of a perplexity. Formats of
  eight bits are judged by the same. The verdict is that of all crops where they were measured.
- Where no class changes in n crops, the share is only known to be below 3 / n.
- One scale for a row is *better* than blocks, or worse, if the lead is resolved at equal total
  bits: the rival's blocks, `EQUAL`, are longer, with a smaller scale, and it has no more bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from analysis.models.efficientnet import EfficientNet, load
from analysis.models.evaluation import REFERENCE, Progress
from analysis.models.groupings import regrouped
from analysis.models.images import CHANGES, DIVERGENCE, figures, seen
from analysis.models.layers import Array
from analysis.models.photos import CROPS, Photo, Pixels, photos
from analysis.records import Row, Rows
from minifloat import Recipe

PAIR = ("e2m2/128/float16", "int5/128/float16")
MORE_BITS = ("int8/128/float16", "e4m3fn/128/float16", "e2m3/128/float16", "int6/128/float16")
BY_ROW = ("fpe2m2", "e2m2/channel/float16", "int5/channel/float16")
EQUAL = ("e2m2/256/e4m3fn/tensor-scale", "int5/256/e4m3fn/tensor-scale")
OTHERS = (
    "nf5/128/float16", "uint5/128/float16/zero-point", "e3m1/128/float16", "nf4/128/float16",
    "e2m1/128/float16", "int4/128/float16", "mxfp4", "nvfp4", "mxfp6e2m3",
)  # fmt: skip
DEPTHWISE = " + depthwise"  # after a recipe: the stem and the depthwise convolutions too
GROUPINGS = 8
MIDDLE = "middle: "  # before a metric: over the middles of the photos
METRICS = (MIDDLE + DIVERGENCE, MIDDLE + CHANGES, DIVERGENCE, CHANGES)
LIMITS = {DIVERGENCE: 0.01, CHANGES: 0.01}
QUICK = 2  # photos


class Case(NamedTuple):
    """What is measured at once.

    Attributes
    ----------
    recipe : str
        Of `Recipe`, with `DEPTHWISE` after it where that is meant.
    grouping : int
    crops : int
        Of each photo: 1, the middle, or all.
    """

    recipe: str
    grouping: int
    crops: int


def cases() -> list[Case]:
    """Return each recipe and grouping to measure, the most important first.

    Returns
    -------
    list of Case
    """
    pair, more, by_row, equal, others = (
        [str(Recipe.parse(recipe)) for recipe in group]
        for group in (PAIR, MORE_BITS, BY_ROW, EQUAL, OTHERS)
    )
    depthwise = [recipe + DEPTHWISE for recipe in pair]
    plan = [(pair, CROPS), (by_row, CROPS), (others, 1), (more, CROPS), (equal, 1), (depthwise, 1)]
    return [
        Case(recipe, grouping, crops)
        for recipes, crops in plan
        for grouping in range(1 if recipes is by_row else GROUPINGS)
        for recipe in recipes
    ]


def growing(
    known: Rows, *, quick: bool = False, progress: Progress | None = None
) -> Iterator[Rows]:
    """Measure what is not known yet, and yield all records after each case.

    Parameters
    ----------
    known : list of dict
        Records of an earlier call that was stopped.
    quick : bool
        Whether to measure the first two photos in the first two cases alone.
    progress : callable, optional
        Called with the cases done and all cases.

    Yields
    ------
    list of dict
        A row for each case and photo, those of fp32 first, with the columns recipe, grouping,
        photo, and each of `METRICS`, None for all crops where the middle alone was measured.

    Raises
    ------
    MissingPackage
        If a package of the network or of the photos is not installed.
    """
    todo, pictures = cases(), photos()
    if quick:
        todo, pictures = todo[: len(PAIR)], pictures[:QUICK]
    crops = [photo.crops() for photo in pictures]
    models = {"": load(), DEPTHWISE: load(depthwise=True)}
    exact = [seen(models[""], each) for each in crops]
    done: dict[tuple[str, int], Rows] = {}
    for row in known:
        done.setdefault((row["recipe"], row["grouping"]), []).append(row)
    done[REFERENCE, 0] = _rows(Case(REFERENCE, 0, CROPS), pictures, exact, exact)
    for count, case in enumerate(todo, 1):
        key = case.recipe, case.grouping
        if len(done.get(key, ())) != len(pictures):
            model = models[DEPTHWISE if case.recipe.endswith(DEPTHWISE) else ""]
            done[key] = measured(model, case, pictures, crops, exact)
            yield _ordered(done, todo)
        if progress is not None:
            progress(count, len(todo))
    yield _ordered(done, todo)


def measured(
    model: EfficientNet,
    case: Case,
    pictures: Sequence[Photo],
    crops: Sequence[Pixels],
    exact: Sequence[Array],
) -> Rows:
    """Return the rows of one case.

    Parameters
    ----------
    model : EfficientNet
        In float32; all its matrices are rounded.
    case : Case
    pictures : sequence of Photo
    crops : sequence of ndarray of uint8, (crops, height, width, 3)
        Of each photo.
    exact : sequence of ndarray of float32, (crops, classes)
        ln p of the network in float32.

    Returns
    -------
    list of dict
    """
    rounded = regrouped(model, case.recipe.removesuffix(DEPTHWISE), case.grouping)
    ours = [seen(rounded, each[: case.crops]) for each in crops]
    return _rows(case, pictures, ours, exact)


def _rows(
    case: Case, pictures: Sequence[Photo], ours: Sequence[Array], exact: Sequence[Array]
) -> Rows:
    rows: list[Row] = []
    for photo, now, then in zip(pictures, ours, exact, strict=True):
        values = [*figures(now[:1], then[:1]), None, None]
        if case.crops == CROPS:
            values[2:] = figures(now, then)
        row: Row = {"recipe": case.recipe, "grouping": case.grouping, "photo": photo.name}
        rows.append(row | dict(zip(METRICS, values, strict=True)))
    return rows


def _ordered(done: dict[tuple[str, int], Rows], todo: Sequence[Case]) -> Rows:
    keys = [(REFERENCE, 0), *((case.recipe, case.grouping) for case in todo)]
    return [row for key in keys if key in done for row in done[key]]
