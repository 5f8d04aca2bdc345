"""Print docs/calibration.md: GPTQ without data.

python -m docs.generators.calibration > docs/calibration.md
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.methods import calibration_images, calibration_texts
from analysis.records import Rows
from analysis.statistics import Estimate
from docs.generators.policies import table
from paper_figures.studies import saved

INTRO = """\
# Calibration without data

GPTQ rounds a layer for its inputs, and so needs some. Where there is no data, a model can make
its own: a language model writes text (LLM-QAT), and a network with batch norms has the mean and the
standard deviation of what should enter them, to which noise can be fitted (ZeroQ). Either way
`mf.gptq` takes the X^T X of the inputs X, wherever they come from."""

TEXTS = """\
## Text that a model writes

SmolLM2, its first {layers} layers by GPTQ with `{recipe}`, each calibration of {count} texts of
{chunk} tokens. How much the loss rises, in nats per token, on {measured} chunks of each of two
texts that no calibration has seen: the mean and its standard error over chunks, which does not
cover that rounding is one draw. **Better** or **worse** than the model's own text: by more than two
standard errors of the paired differences, and {better}.

{table}

{said}"""

IMAGES = """\
## Images from batch norms

EfficientNet-Lite0, its 1x1 convolutions and its classifier by GPTQ with `{recipe}`, each
calibration of {count} images. The divergence of the predicted classes from those of the
unquantized model, in nats, the mean over {photos} photos of scikit-image and its standard error.
**Better** or **worse** than synthetic images: by more than two standard errors of the paired
differences, and a tenth.

{table}

{said}

The studies are `analysis.methods.calibration_texts` and `analysis.methods.calibration_images`,
whose docstrings have their criteria and what is ours:

```sh
python -m analysis.methods calibration_texts --csv docs/data/methods/calibration_texts.csv
python -m analysis.methods calibration_images --csv docs/data/methods/calibration_images.csv
python -m docs.generators.calibration > docs/calibration.md
```"""

TEXTS_SAID = """\
- **Real text of the same kind is best**, and text of the other kind is worse than no calibration at
  all, on both texts: GPTQ fits what it hears.
- **The model's own text** is of no kind. On the help it is better than no calibration, on the Bible
  as good, and on both better than real text of the other kind. Who has data of the kind to come
  should take that; who has none loses nothing by letting the model write.
- **Random tokens** are worse than no calibration."""
IMAGES_SAID = """\
The mean is lowest with synthetic images and highest without a calibration. But the six photos
disagree: that other photos are better than no calibration, by 0.075 ± 0.019, is the only difference
of two lines beyond two of its standard errors. These photos do not tell images made from batch
norms from other photos, nor from noise."""


def _against(ours: Sequence[float], theirs: Sequence[float], least: float) -> str:
    """Return whether the first are better (lower) than the others by the criteria."""
    difference = Estimate.of(np.subtract(ours, theirs))
    if abs(difference.mean) < max(least, 2 * difference.standard_error):
        return ""
    return " **better**" if difference.mean < 0 else " **worse**"


def texts_table(rows: Rows) -> str:
    """Return the table of calibrations of SmolLM2, a column for each text that is measured."""
    names = list(dict.fromkeys(row["text"] for row in rows))
    found: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        found.setdefault(row["calibration"], {}).setdefault(row["text"], []).append(row["loss"])
    own = found[calibration_texts.WRITTEN]
    words = {
        calibration_texts.NEAREST: "none, rounded to nearest",
        calibration_texts.WRITTEN: "the model's own text",
        calibration_texts.RANDOM: "random tokens",
    }
    lines = []
    for calibration, by_text in found.items():
        if calibration == "fp32":
            continue
        cells = []
        for name in names:
            rise = Estimate.of(np.subtract(by_text[name], found["fp32"][name]))
            against = _against(by_text[name], own[name], calibration_texts.BETTER)
            cells.append(f"{rise.mean:.3f} ± {rise.standard_error:.3f}{against}")
        lines.append([words.get(calibration, f"{calibration}, other chunks"), *cells])
    return table(["calibration", *names], lines)


def images_table(rows: Rows) -> str:
    """Return the table of calibrations of EfficientNet-Lite0."""
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(row["calibration"], []).append(row["divergence"])
    words = {
        calibration_images.NEAREST: "none, rounded to nearest",
        calibration_images.NOISE: "noise",
        calibration_images.PHOTOS: "other photos",
        calibration_images.SYNTHETIC: "synthetic images",
    }
    own = found[calibration_images.SYNTHETIC]
    lines = []
    for calibration, each in found.items():
        mean = Estimate.of(each)
        against = _against(each, own, max(float(np.mean(own)), mean.mean) / 10)
        lines.append([words[calibration], f"{mean.mean:.3f} ± {mean.standard_error:.3f}{against}"])
    return table(["calibration", "divergence"], lines)


def page() -> str:
    """Return the page."""
    texts, images = (saved(f"calibration_{kind}", "methods") for kind in ("texts", "images"))
    first = TEXTS.format(
        recipe=calibration_texts.RECIPE,
        layers=calibration_texts.LAYERS,
        count=calibration_texts.COUNT,
        chunk=calibration_texts.CHUNK,
        measured=calibration_texts.MEASURED,
        better=calibration_texts.BETTER,
        table=texts_table(texts),
        said=TEXTS_SAID,
    )
    second = IMAGES.format(
        recipe=calibration_images.RECIPE,
        count=calibration_images.COUNT,
        photos=len(calibration_images.MEASURED),
        table=images_table(images),
        said=IMAGES_SAID,
    )
    return "\n\n".join([INTRO, first, second]) + "\n"


if __name__ == "__main__":
    print(page(), end="")
