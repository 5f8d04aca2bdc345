"""What quantized activations and caches, and a matrix unit's sums, add to the loss of text.

The model is SmolLM2 with its weights in the order of the file (one grouping), its inputs of all
matrices, its keys and values in recipes of their own (`analysis.models.settings`). The chunks are
those of the first `ROUNDS` rounds of `analysis.claims.text`, round by round. The emulated unit,
which takes half a minute for a chunk, has the first `SLOW` of each text in the first round. With it
comes the recipe of its inputs and weights in float32 products, which parts the unit's sums from its
formats.

**Criteria**

They were written down before the measurement.

- The increase of a setting is that of the loss over the same weights with float32 activations,
  paired by chunk, with its standard error over chunks and Student's quantile for 95 %. What one
  grouping of the weights moves is in both, and is left out.
- Activations, a cache or a unit are nearly lossless if the interval of the increase lies below 0.01
  nats per token; they are not if it lies above.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from analysis.claims import text
from analysis.claims.text import scores
from analysis.models import smollm2
from analysis.models.evaluation import REFERENCE, Progress
from analysis.models.layers import Array
from analysis.models.llama import Llama, Tokens
from analysis.models.predictions import log_probabilities
from analysis.models.settings import FLOAT32, Setting
from analysis.records import Row, Rows
from analysis.studies import grown

ROUNDS, SLOW = 2, 2
E2M2, INT8, E4M3 = "e2m2/128/float16", "int8/channel/float32", "e4m3fn/channel/float32"
MXFP8, UNIT = "mxfp8e4m3", "hopper/e4m3fn/float32"


@dataclass(frozen=True)
class Case:
    """Weights and a setting; ``name`` is both, as records have them."""

    weights: str
    setting: Setting = FLOAT32

    @property
    def name(self) -> str:
        """The weights, and what is set."""
        return " + ".join(filter(None, (self.weights, self.setting.name)))


CASES = (
    *(Case(weights) for weights in (REFERENCE, E2M2, "int4/128/float16", "nvfp4", "mxfp4", E4M3)),
    *(Case(REFERENCE, Setting(activations=recipe)) for recipe in (INT8, E4M3, MXFP8, "nvfp4")),
    *(Case(E2M2, Setting(activations=recipe)) for recipe in (INT8, E4M3, MXFP8)),
    *(Case("int4/128/float16", Setting(activations=recipe)) for recipe in (INT8, E4M3)),
    *(Case("nvfp4", Setting(activations=recipe)) for recipe in (MXFP8, "nvfp4")),
    Case("mxfp4", Setting(activations="mxfp4")),
    *(Case(REFERENCE, Setting(cache=recipe)) for recipe in ("e2m2/32/float16", "nvfp4")),
    Case(E2M2, Setting(activations=INT8, cache="e2m2/32/float16")),
    Case(E4M3, Setting(activations=E4M3)),
    Case(E4M3, Setting(unit=UNIT)),
)

QUICK = (Case(REFERENCE), Case(E2M2), Case(REFERENCE, Setting(activations=INT8)))


def growing(
    known: Rows, *, quick: bool = False, progress: Progress | None = None
) -> Iterator[Rows]:
    """Measure what is not known yet, and yield all records after each case.

    Parameters
    ----------
    known : list of dict
        Records of an earlier call that was stopped.
    quick : bool
        fp32 and E2M2, with activations in INT8, on two chunks.
    progress : callable, optional

    Yields
    ------
    list of dict
        With the columns recipe (weights and setting), grouping (0), item (a chunk), and each of
        `analysis.claims.text.METRICS`.

    Raises
    ------
    MissingPackage
        If a package of the model or of the texts is not installed.
    """
    cases, rounds = (QUICK, 1) if quick else (CASES, ROUNDS)
    model = smollm2.load()
    exact: dict[str, Array] = {}
    chunks = {
        (case, number): chosen(number, 1 if quick else SLOW if case.setting.unit else text.EACH)
        for number in range(rounds)
        for case in cases
        if not (case.setting.unit and number)
    }
    todo = {(case.name, found[0][0]): (case, found) for (case, _), found in chunks.items()}

    @lru_cache(maxsize=1)
    def quantized(weights: str) -> Llama:
        return model if weights == REFERENCE else model.quantized(weights)

    def measure(key: tuple[str, str]) -> Rows:
        case, found = todo[key]
        changed = case.setting.applied(quantized(case.weights))
        rows: Rows = []
        for item, tokens in found:
            if item not in exact:
                exact[item] = log_probabilities(model.logits(tokens[:-1]))
            cache = case.setting.cache_for(changed, len(tokens) - 1)
            ours = log_probabilities(changed.logits(tokens[:-1], cache))
            row: Row = {"recipe": case.name, "grouping": 0, "item": item}
            rows.append(row | scores(ours, tokens, exact[item]))
        return rows

    yield from grown(known, list(todo), lambda row: (row["recipe"], row["item"]), measure, progress)


def chosen(number: int, each: int) -> list[tuple[str, Tokens]]:
    """Return the names and tokens of so many chunks of each text in a round."""
    every = text.chunks(number)
    pairs = list(zip(every.names, every.tokens, strict=True))
    return [pair for k, pair in enumerate(pairs) if k % text.EACH < each]
