"""Whether E2M2 is better than INT5, and nearly lossless, on images, and how many bits that takes.

The network is EfficientNet-Lite0; metrics are those of `analysis.models.images`, and photos those
of `analysis.models.photos`. Every recipe is measured in `GROUPINGS` groupings of the input
channels, which are the draws of the rounding errors; one with a scale for a row gives the same
weights in all of them, and is measured once. The rounded weights run in onnxruntime, which gives
the logits that the packed ones give in NumPy, within 0.001, in a sixth of the time.

**Criteria**

They were written down before the measurement.

- Means, errors and verdicts are those of `analysis.claims.figures`; an item is a photo.
- A recipe is nearly lossless on images if at most 1 % of the first classes change, and the
  divergence is at most 0.01 nats. The divergence is by how much -ln p rises, for classes drawn from
  what fp32 predicts, so this limit is that of the language models: 1 % of a perplexity. Formats of
  eight bits are judged by the same.
- Where no class changes in n crops, the share is only known to be below 3 / n.
- One scale for a row is *better* than blocks, or worse, if the lead in both metrics is resolved at
  equal total bits: the blocks of `EQUAL` are longer, with smaller scales, and have no more bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from analysis.models.efficientnet import load
from analysis.models.efficientnet_onnx import Session
from analysis.models.evaluation import REFERENCE, Progress
from analysis.models.groupings import regrouped
from analysis.models.images import METRICS, figures
from analysis.models.layers import Array
from analysis.models.photos import Photo, photos
from analysis.records import Row, Rows
from minifloat import Recipe

PAIR = ("e2m2/128/float16", "int5/128/float16")
BY_ROW = ("fpe2m2", "e2m2/channel/float16", "int5/channel/float16")
OTHERS = (
    "int8/128/float16", "e4m3fn/128/float16", "e2m3/128/float16", "int6/128/float16", "mxfp6e2m3",
    "nf5/128/float16", "uint5/128/float16/zero-point", "e3m1/128/float16", "nf4/128/float16",
    "e2m1/128/float16", "int4/128/float16", "mxfp4", "nvfp4",
)  # fmt: skip
EQUAL = ("e2m2/256/e4m3fn/tensor-scale", "int5/256/e4m3fn/tensor-scale")
DEPTHWISE = " + depthwise"  # after a recipe: the stem and the depthwise convolutions too
GROUPINGS = 8
DIVERGENCE, CHANGES = METRICS
LIMITS = {DIVERGENCE: 0.01, CHANGES: 0.01}
QUICK = 2  # photos

Case = tuple[str, int]  # a recipe, with `DEPTHWISE` after it where that is meant, and a grouping


def cases() -> list[Case]:
    """Return each recipe and grouping to measure, the most important first.

    Returns
    -------
    list of (str, int)
    """
    pair, rest = (
        [str(Recipe.parse(recipe)) for recipe in group]
        for group in (PAIR, (*OTHERS, *BY_ROW, *EQUAL))
    )
    depthwise = [recipe + DEPTHWISE for recipe in pair]
    parts = pair, rest, depthwise
    return [(recipe, n) for recipes in parts for n in range(GROUPINGS) for recipe in recipes]


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
        photo, and each of `METRICS`.

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
    done: dict[Case, Rows] = {}
    for row in known:
        done.setdefault((row["recipe"], row["grouping"]), []).append(row)
    done[REFERENCE, 0] = _rows((REFERENCE, 0), pictures, exact, exact)
    for count, case in enumerate(todo, 1):
        if case not in done:
            recipe, grouping = Recipe.parse(case[0].removesuffix(DEPTHWISE)), case[1]
            if grouping and recipe.block == "channel":  # the same weights
                done[case] = [row | {"grouping": grouping} for row in done[case[0], 0]]
            else:
                rounded = regrouped(models[case[0].endswith(DEPTHWISE)], recipe, grouping)
                done[case] = _rows(case, pictures, list(map(Session(rounded).seen, crops)), exact)
            yield _ordered(done, todo)
        if progress is not None:
            progress(count, len(todo))
    yield _ordered(done, todo)


def _rows(
    case: Case, pictures: Sequence[Photo], ours: Sequence[Array], exact: Sequence[Array]
) -> Rows:
    rows: list[Row] = []
    for photo, now, then in zip(pictures, ours, exact, strict=True):
        row: Row = {"recipe": case[0], "grouping": case[1], "photo": photo.name}
        rows.append(row | dict(zip(METRICS, figures(now, then), strict=True)))
    return rows


def _ordered(done: dict[Case, Rows], todo: Sequence[Case]) -> Rows:
    return [row for case in ((REFERENCE, 0), *todo) if case in done for row in done[case]]
