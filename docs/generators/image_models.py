"""Print docs/image_models.md: what recipes cost a network that sees.

python -m docs.generators.image_models > docs/image_models.md
"""

from __future__ import annotations

from collections.abc import Iterable

from analysis.claims import images
from analysis.claims.figures import figure, verdict
from analysis.claims.recipes import PAIR, title
from analysis.models.evaluation import REFERENCE
from analysis.records import Rows
from docs.generators.claims import (
    digits,
    how_many_bits,
    lead_sentence,
    leads,
    lossless_table,
    methods_table,
    named,
    speed_table,
    with_half,
)  # fmt: skip
from docs.generators.policies import table
from paper_figures.studies import saved

CLASSIFIER = 1280  # weights of a row of the largest matrix
BEFORE = """\
# Models of images

EfficientNet-Lite0 (4.6 million weights, which its package ships in float32) runs in plain NumPy,
with batch norms folded into the convolutions, as where it is deployed. Its 1x1 convolutions and its
classifier read packed weights: 96 % of them. The stem and the depthwise convolutions, whose rows
have 9 to 27 weights, stay float32 unless it is said. PyTorch and onnxruntime give the same logits,
within 0.0001.

    pip install --no-deps foolbox==3.3.4 scikit-image==0.26.0 scikit-learn==1.9.1 imgaug==0.4.0
    python -m analysis.claims images --csv FILE   # ten minutes on one core; goes on where FILE ends
    python -m analysis.claims images_speed        # images in a second, memory, and onnxruntime
    python -m analysis.models classify FILE.png   # the five likeliest classes
    python -m docs.generators.image_models        # this page, from docs/data/claims

The items are 35 photos that packages ship, with six crops of each: the middle, the middle mirrored,
and the four corners, 210 crops in all. Twenty are photos of ImageNet with their classes, and fp32
misses two of these. The design is crossed: every grouping of the channels is measured on the same
photos. A ± is half of an interval of 95 %, by Student's quantile, of the larger of two errors, over
photos and between groupings ([what the verdicts mean](models.md#what-the-verdicts-mean)). A recipe
is nearly lossless ("yes") if at most 1 % of the first classes change and the divergence from fp32
is at most 0.01 nats, with their intervals; "no" if one interval lies above its limit, otherwise
"open"."""

READING = """\
- Blocks have 128 weights and float16 scales where nothing else is said. FPE2M2 and recipes by row
  have no blocks, so all groupings are the same. Bits are those of the classifier's rows.
- **No recipe is nearly lossless**, and E2M2 is far from it: one first class in five changes. INT8
  meets the limit of the divergence, but changes 3 % of the classes; where it does so in the order
  of the file, the two likeliest classes lie within 0.03 of each other. So eight bits do not suffice
  here. E4M3FN, with three fraction bits like E2M3, has no advantage over six bits.
- **The photos are hard.** Where fp32 gives its first class a probability of at least one half, in
  124 of the 210 crops, INT8 changes none and E2M2 6 %, in the order of the file; in the others 6 %
  and 42 %. Of ImageNet's own photos E2M2 changes 9 %.
- **Within a width, rms does not rank the damage**, though over all widths it nearly does (rank
  correlation 0.95). NF5 has 12 % less rms error than E2M2, and not less divergence. E2M2 in blocks
  of 256 with E4M3FN scales has 3 % more, and the least divergence of all recipes of five bits.
- **One scale for a row against blocks, at equal bits**: by the criterion (both metrics resolved)
  neither is better, but blocks of 256 with short scales are ahead in the divergence. Blocks of 128
  with float16 scales cost 0.1 bit more and gain E2M2 nothing.
- The study runs the rounded weights in onnxruntime, for its speed; the packed ones give the same
  logits in NumPy."""

METHODS = """\
## GPTQ, the two best methods, mixed precision

At equal bits, everything counted, from the records of [the table of methods](methods.md): the
divergence in nats on 23 of the photos; the 12 others are for calibration, whose crops GPTQ sees. A
± is two errors of the mean, over photos and groupings; where there is one grouping its deviation is
that of other methods. *Allocated* is mixed precision: each matrix gets 2.25 to 6.25 bits, so that
the network loses least within the mean. Matrices with fewer than 64 inputs, 1 % of the weights,
stay float32 here. The verdict is by the divergence alone."""
GAINS = """\
GPTQ takes six sevenths of what E2M1 loses in 4.25 bits, a rotation with the normal codebook and
8-bit scales two thirds of the rest: four bits by these lose less than five by rounding to nearest.
In 5.25 bits an allocated budget brings the divergence below a hundredth of a nat."""

SPEED = """\
## Speed

An image at a time (`python -m analysis.claims images_speed`), with onnxruntime in the same run; on
one thread in time of the CPU, on two by the clock. Divergence and classes are over the middles of
the photos, in the order of the file.

"""
COLUMNS = {
    "bits": ("bits per weight", 1, 2),
    "threads": ("threads", 1, 0),
    "images_per_second": ("images per second", 1, 0),
    "stored": ("stored, MB", 1e-6, 1),
    "peak": ("in memory while working, MB", 1e-6, 1),
    images.DIVERGENCE: ("divergence from fp32", 1, 4),
    images.CHANGES: ("first classes that change, %", 100, 1),
}
AFTER = """\
onnxruntime is several times as fast as NumPy's products and sums, packed or not: unpacking costs
little, since a matrix has up to 12544 vectors. So five bits save memory here, and no time; a second
thread has nothing to do, since a small matrix is unpacked and multiplied in one piece. The row
of INT8 with activations is what its own tools make of the network, with ranges from the corners of
the same photos."""


def page() -> str:
    """Return the page."""
    return "\n\n".join([BEFORE, *parts()]) + "\n"


def parts() -> Iterable[str]:
    """Yield what follows the introduction."""
    every = saved("images", "claims")
    rows = named(every)
    yield lossless_table(
        rows, images.DIVERGENCE, images.CHANGES, images.LIMITS, "divergence from fp32", CLASSIFIER
    )
    yield how_many_bits(rows, images.LIMITS, "images by this network")
    yield "## Leads\n\n" + leads(rows, images.DIVERGENCE, "divergence")
    yield leads(rows, images.CHANGES, "first classes that change")
    yield f"""\
- By the divergence, {lead_sentence(rows, images.DIVERGENCE, "nats")}
- By the first classes, {lead_sentence(rows, images.CHANGES, "of all")}"""
    yield READING
    yield small_convolutions(every)
    yield METHODS
    yield methods_table({"EfficientNet-Lite0": images.LIMITS[images.DIVERGENCE]}, (4.25, 5.25))
    yield GAINS
    yield SPEED + speed_table(saved("images_speed", "claims"), COLUMNS)
    yield AFTER


def small_convolutions(rows: Rows) -> str:
    """Return what happens where the stem and the depthwise convolutions are quantized, too."""
    have = {row["recipe"] for row in rows}
    lines = []
    for name in (name + images.DEPTHWISE for name in PAIR):
        if name in have:
            found, beside = (figure(rows, m, name, REFERENCE) for m in images.METRICS)
            lines.append([
                title(name.removesuffix(images.DEPTHWISE)), str(len(found.draws)),
                with_half(found), digits(found.over_items), digits(found.over_draws),
                with_half(beside), verdict(rows, name, images.LIMITS),
            ])  # fmt: skip
    head = [
        "weights", "groupings", "divergence from fp32", "over items", "over groupings",
        images.CHANGES, "nearly lossless?",
    ]  # fmt: skip
    return f"""\
## The small convolutions, too

The stem and the depthwise convolutions are 4 % of the weights. If they are quantized as well, both
formats do far more damage, and E2M2 is not better than INT5:

{table(head, lines)}"""


if __name__ == "__main__":
    print(page(), end="")
