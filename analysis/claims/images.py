"""Whether E2M2 is better than INT5, and nearly lossless, on images, and how many bits that takes.

The network is EfficientNet-Lite0; metrics are those of `analysis.models.images`, and photos those
of `analysis.models.photos`. Every recipe with blocks is measured in `GROUPINGS` groupings of the
input channels, which are the draws of the rounding errors. A recipe with one scale for a row gives
the same weights in all of them, and is measured once. The rounded weights run in onnxruntime, which
gives the logits that the packed ones give in NumPy, within 0.001, in a sixth of the time.

Metrics are over the middles of the photos for all recipes, and over all crops for those of `PAIR`,
`BY_ROW` and `EIGHT_BITS`, so that the whole takes minutes.

**Criteria**

They were written down before the measurement.

- Means, errors and verdicts are those of `analysis.claims.figures`; an item is a photo.
- A recipe is nearly lossless on images if at most 1 % of the first classes change, and the
  divergence is at most 0.01 nats. The divergence is by how much -ln p rises, for classes drawn from
  what fp32 predicts, so this limit is that of the language models: 1 % of a perplexity. Formats of
  eight bits are judged by the same. All crops decide where they were measured, else the middles.
- Where no class changes in n crops, the share is only known to be below 3 / n.
- One scale for a row is *better* than blocks, or worse, if the lead in both metrics is resolved at
  equal total bits: the blocks of `EQUAL` are longer, with smaller scales, and have no more bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from analysis.models.efficientnet import load
from analysis.models.efficientnet_onnx import Session
from analysis.models.evaluation import REFERENCE, Progress
from analysis.models.groupings import regrouped
from analysis.models.images import CHANGES, DIVERGENCE, figures
from analysis.models.layers import Array
from analysis.models.photos import CROPS, Photo, photos
from analysis.records import Row, Rows
from minifloat import Recipe

PAIR = ("e2m2/128/float16", "int5/128/float16")
BY_ROW = ("fpe2m2", "e2m2/channel/float16", "int5/channel/float16")
EIGHT_BITS = ("int8/128/float16", "e4m3fn/128/float16")
OTHERS = (
    "e2m3/128/float16", "int6/128/float16", "mxfp6e2m3", "nf5/128/float16",
    "uint5/128/float16/zero-point", "e3m1/128/float16", "nf4/128/float16", "e2m1/128/float16",
    "int4/128/float16", "mxfp4", "nvfp4",
)  # fmt: skip
EQUAL = ("e2m2/256/e4m3fn/tensor-scale", "int5/256/e4m3fn/tensor-scale")
DEPTHWISE = " + depthwise"  # after a recipe: the stem and the depthwise convolutions too
GROUPINGS = 8
MIDDLE = "middle: "  # before a metric: over the middles of the photos, not over all crops
METRICS = (MIDDLE + DIVERGENCE, MIDDLE + CHANGES, DIVERGENCE, CHANGES)
LIMIT = 0.01  # of every metric
QUICK = 2  # photos


class Case(NamedTuple):
    """What is measured at once.

    Attributes
    ----------
    recipe : str
        With `DEPTHWISE` after it where that is meant.
    grouping : int
    crops : int
        Of each photo: 1, its middle, or `CROPS`.
    """

    recipe: str
    grouping: int
    crops: int


def cases() -> list[Case]:
    """Return all that is to be measured, the most important first.

    Returns
    -------
    list of Case
        The recipes of `EIGHT_BITS` twice: on the middles, and at last on all crops.
    """
    pair, by_row, eight, others, equal = (
        [str(Recipe.parse(recipe)) for recipe in group]
        for group in (PAIR, BY_ROW, EIGHT_BITS, OTHERS, EQUAL)
    )
    depthwise = [recipe + DEPTHWISE for recipe in pair]
    every = range(GROUPINGS)
    plan = [
        (pair, every, CROPS),
        (by_row, range(1), CROPS),
        ([*eight, *others, *equal, *depthwise], every, 1),
        (eight, every, CROPS),
    ]
    return [
        Case(recipe, grouping, crops)
        for recipes, groupings, crops in plan
        for grouping in groupings
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
        photo, and each of `METRICS`, None over all crops where the middle alone was measured.

    Raises
    ------
    MissingPackage
        If onnx, onnxruntime, or a package of the network or of the photos is not installed.
    """
    todo, pictures = cases(), photos()
    if quick:
        todo, pictures = todo[: len(PAIR)], pictures[:QUICK]
    crops = [photo.crops() for photo in pictures]
    models = {kernels: load(depthwise=kernels) for kernels in (False, True)}
    exact = list(map(Session(models[False]).seen, crops))
    done: dict[tuple[str, int], Rows] = {}
    for row in known:
        done.setdefault((row["recipe"], row["grouping"]), []).append(row)
    done[REFERENCE, 0] = _rows(Case(REFERENCE, 0, CROPS), pictures, exact, exact)
    for count, case in enumerate(todo, 1):
        rows = done.get(case[:2])
        if rows is None or (case.crops == CROPS and rows[0][DIVERGENCE] is None):
            model = models[case.recipe.endswith(DEPTHWISE)]
            rounded = regrouped(model, case.recipe.removesuffix(DEPTHWISE), case.grouping)
            session = Session(rounded)
            ours = [session.seen(each[: case.crops]) for each in crops]
            done[case[:2]] = _rows(case, pictures, ours, exact)
            yield _ordered(done, todo)
        if progress is not None:
            progress(count, len(todo))
    yield _ordered(done, todo)


def _rows(
    case: Case, pictures: Sequence[Photo], ours: Sequence[Array], exact: Sequence[Array]
) -> Rows:
    rows: list[Row] = []
    for photo, now, then in zip(pictures, ours, exact, strict=True):
        middle = figures(now[:1], then[:1])
        every = figures(now, then) if case.crops == CROPS else (None, None)
        row: Row = {"recipe": case.recipe, "grouping": case.grouping, "photo": photo.name}
        rows.append(row | dict(zip(METRICS, (*middle, *every), strict=True)))
    return rows


def _ordered(done: dict[tuple[str, int], Rows], todo: Sequence[Case]) -> Rows:
    keys = dict.fromkeys([(REFERENCE, 0), *(case[:2] for case in todo)])
    return [row for key in keys if key in done for row in done[key]]
