"""What a packed key-value cache does to SmolLM2's loss.

Texts of `TOKENS` tokens pass through the model, whose weights stay as they are; each token sees the
tokens before it as `minifloat.caches` holds them at that time. Two measures: the loss, the mean of
the nats per token; and the divergence of the predicted tokens from those with a cache of float32
numbers, which so few texts measure better. The cases:

- formats of 2, 4, 5 and 8 bits, with blocks of keys along tokens and along channels, and of values
  along channels and along tokens
- keys along channels that are rotated, or have MiKV's balancer
- windows of the last tokens that stay wide
- as many wide tokens, chosen as the last ones, as the first and the last ones, and as the last ones
  and those which got most attention (MiKV)

Balancers are found on other texts. (MiKV finds them on the prompt. Here no token may know the range
of later ones.)

**Criteria**

One cache is *better* than another if it has no more bits per value, and the mean of the paired
differences of their divergences over the texts is beyond two standard errors, and at least `BETTER`
nats per token. A cache *costs nothing that is seen here* if its divergence is below `BETTER`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.models import smollm2
from analysis.models.evaluation import Progress, counter
from analysis.models.layers import Array
from analysis.models.llama import Cache, Llama, Tokens
from analysis.models.packed_cache import PackedCache
from analysis.models.predictions import divergence, log_probabilities
from analysis.models.texts import TEXTS
from analysis.records import Row, Rows
from analysis.statistics import Estimate
from minifloat import Recipe
from minifloat.caches import CacheRecipe, channel_balancer

TOKENS = 320
CHUNKS = 3  # of each text
BETTER = 0.005  # nats per token
REFERENCE = "float32"

Floats = NDArray[np.float64]

MIXED = "uint2/32/e4m3fn/zero-point"  # with wide tokens chosen in several ways
ALONG_TOKENS = (  # keys, and values along channels
    "int4/32/float16", MIXED, "nvfp4", "e2m1/32/float16", "nf4/32/float16",
    "uint4/32/e4m3fn/zero-point", "e2m2/32/float16", "int5/32/float16", "int2/32/float16",
)  # fmt: skip
ALONG_CHANNELS = (  # both
    "int4/32/float16", MIXED, "nvfp4", "uint4/32/e4m3fn/zero-point", "e4m3fn/channel/float16",
    "int8/channel/float16",
)  # fmt: skip
OTHERS = ("int4/32/float16", MIXED)  # rotated, balanced
WINDOWS = (32, 128)
CHOSEN: tuple[dict[str, Any], ...] = (
    {"window": 96},
    {"window": 32, "heavy": 64},
    {"window": 64, "first": 32},
    {"window": 32, "heavy": 112, "heavy_recipe": "int8/channel/float16"},
)


@dataclass(frozen=True)
class Case:
    """A cache that is measured; ``balanced`` with MiKV's factors of channels."""

    recipe: CacheRecipe
    balanced: bool = False


def cases() -> Iterator[Case]:
    """Yield all cases, each once."""
    for text in ALONG_TOKENS:
        yield Case(CacheRecipe(text, text))
    for text in ALONG_CHANNELS:
        yield Case(CacheRecipe(text, text, keys_along="channels"))
    for options in CHOSEN:
        yield Case(CacheRecipe(MIXED, MIXED, **options))
    for text in OTHERS:
        rotated = Recipe.parse(text).replace(rotation="hadamard64")
        yield Case(CacheRecipe(rotated, text, keys_along="channels"))
        yield Case(CacheRecipe(text, text, keys_along="channels"), balanced=True)
    for window in WINDOWS:
        yield Case(CacheRecipe(MIXED, MIXED, window=window))
    for options in CHOSEN[:2]:  # as MiKV
        yield Case(CacheRecipe(MIXED, MIXED, keys_along="channels", **options), balanced=True)
    yield Case(CacheRecipe(OTHERS[0], OTHERS[0], values_along="tokens"))


def records(*, quick: bool = False, progress: Progress | None = None) -> Rows:
    """Measure the loss of each text with each cache.

    Parameters
    ----------
    quick : bool
        Three caches, and one short text.
    progress : callable, optional
        Called with the steps done and all steps.

    Returns
    -------
    list of dict
        The fields of the `CacheRecipe`, ``balanced``, ``bits`` per value at the end of the text
        (after `PackedCache.pack`), ``text``, ``chunk`` and its ``loss`` and ``divergence`` in nats
        per token. Those with ``keys`` "float32" have the model's own cache.

    Raises
    ------
    MissingPackage
        If the package with the model is missing.
    """
    model, words = smollm2.load(), smollm2.tokenizer()
    names, unseen, heard = list[tuple[str, int]](), list[Tokens](), list[Tokens]()
    for name, read in list(TEXTS.items())[: 1 if quick else None]:
        evaluated, others = chunks(np.array(words.encode(read()).ids))
        names += [(name, chunk) for chunk in range(len(evaluated))]
        unseen += list(evaluated)
        heard += list(others[:1])
    texts = np.array(unseen)
    every = list(cases())
    if quick:
        names, texts, every = names[:1], texts[:1, :128], every[:3]
    balancers = balancers_of(model, heard)
    step = counter(progress, 1 + len(every))
    said = [log_probabilities(model.logits(text[:-1])) for text in texts]
    own = [
        -float(p[np.arange(len(p)), text[1:]].mean()) for p, text in zip(said, texts, strict=True)
    ]
    rows = _rows({"keys": REFERENCE}, names, own, [0.0] * len(own))
    step()
    for case in every:
        cache = PackedCache(
            model,
            case.recipe,
            texts.shape[1],
            texts=len(texts),
            balancers=balancers if case.balanced else None,
        )
        losses, divergences = measured(model, texts, cache, said)
        cache.pack()
        about = described(case) | {"bits": cache.bits_per_value}
        rows += _rows(about, names, list(losses), list(divergences))
        step()
    return rows


def described(case: Case) -> Row:
    """Return the columns that say what a case is.

    Parameters
    ----------
    case : Case

    Returns
    -------
    dict
    """
    r = case.recipe
    return {
        "keys": str(r.keys),
        "values": str(r.values),
        "keys_along": r.keys_along,
        "values_along": r.values_along,
        "balanced": int(case.balanced),
        "window": r.window,
        "first": r.first,
        "heavy": r.heavy,
        "heavy_recipe": None if r.heavy_recipe is None else str(r.heavy_recipe),
    }


def measured(
    model: Llama, texts: NDArray[np.integer[Any]], cache: PackedCache, said: Sequence[Array]
) -> tuple[Floats, Floats]:
    """Return the loss of each text, and the divergence from what another model said.

    Parameters
    ----------
    model : Llama
    texts : ndarray of integers, (texts, tokens)
    cache : PackedCache
        Empty, of so many texts.
    said : sequence of ndarray of float32, (tokens - 1, vocabulary)
        Of each text, the other model's `log_probabilities`.

    Returns
    -------
    losses, divergences : ndarray of float64, (texts,)
        The mean over tokens of -log q(next token), and of sum p log(p / q), in nats.
    """
    count, length = texts.shape
    losses, divergences = np.zeros((2, count))
    for start in range(0, length - 1, cache.piece):
        stop = min(start + cache.piece, length - 1)
        x = model.embed(texts[:, start:stop].reshape(-1))
        for layer in range(model.shape.layers):
            x = model.layer(layer, x, cache)
        cache.length += stop - start
        now = log_probabilities(model.project(x)).reshape(count, stop - start, -1)
        for i, text in enumerate(texts):
            q, p = now[i], said[i][start:stop]
            losses[i] -= q[np.arange(len(q)), text[start + 1 : stop + 1]].sum(dtype=np.float64)
            divergences[i] += divergence(q, p).sum()
    return losses / (length - 1), divergences / (length - 1)


def balancers_of(model: Llama, texts: Sequence[Tokens]) -> list[NDArray[np.float16]]:
    """Return MiKV's factors of the channels of each layer's keys, from texts.

    Parameters
    ----------
    model : Llama
    texts : sequence of ndarray of integers, (tokens,)

    Returns
    -------
    list of ndarray of float16, (kv_heads, head length)
    """
    largest: list[list[tuple[Array, Array]]] = [[] for _ in range(model.shape.layers)]

    class Listener(Cache):
        def attend(self, layer: int, queries: Array, keys: Array, values: Array) -> Array:
            q, k = (np.abs(x).max(axis=1, keepdims=True) for x in (queries, keys))
            largest[layer].append((q, k))
            return super().attend(layer, queries, keys, values)

    for text in texts:
        model.hidden(text, Listener(model.shape, len(text), model.head_length))
    found = []
    for pairs in largest:
        queries, keys = (np.concatenate(each, axis=1) for each in zip(*pairs, strict=True))
        found.append(channel_balancer(queries, keys))
    return found


def chunks(tokens: Tokens) -> tuple[Tokens, Tokens]:
    """Return `CHUNKS` parts of a text to be measured, and others, as `smollm2.chunks` does.

    Parameters
    ----------
    tokens : ndarray of integers, (count,)

    Returns
    -------
    evaluated, others : ndarray of integers, (`CHUNKS`, `TOKENS`)
    """
    part = len(tokens) // CHUNKS
    parts = tokens[: CHUNKS * part].reshape(CHUNKS, part)
    return parts[:, :TOKENS], parts[:, part // 2 : part // 2 + TOKENS]


def _rows(
    about: Row,
    names: Sequence[tuple[str, int]],
    losses: Sequence[float],
    divergences: Sequence[float],
) -> Rows:
    columns = dict.fromkeys([*described(next(cases())), "bits"])
    return [
        {
            **columns,
            **about,
            "text": text,
            "chunk": chunk,
            "loss": float(loss),
            "divergence": float(divergence),
        }
        for (text, chunk), loss, divergence in zip(names, losses, divergences, strict=True)
    ]


@dataclass(frozen=True)
class Summary:
    """What a cache does to the texts.

    Attributes
    ----------
    about : dict
        The columns of `described`, and ``bits``.
    loss, divergence : Estimate
        Mean over texts and its standard error: of the difference of the losses to float32, and of
        the divergence from it.
    divergences : ndarray of float64, (texts,)
    """

    about: Row
    loss: Estimate
    divergence: Estimate
    divergences: Floats


def summaries(rows: Rows) -> list[Summary]:
    """Return a summary of each cache but float32's.

    Parameters
    ----------
    rows : list of dict
        As `records` returns them.

    Returns
    -------
    list of Summary
    """
    groups: dict[tuple[Any, ...], Rows] = {}
    columns = [*described(next(cases())), "bits"]
    for row in rows:
        groups.setdefault(tuple(row[name] for name in columns), []).append(row)
    own = next(group for about, group in groups.items() if about[0] == REFERENCE)
    found = []
    for about, group in groups.items():
        if group is own:
            continue
        lost = [row["loss"] - before["loss"] for row, before in zip(group, own, strict=True)]
        apart = np.array([row["divergence"] for row in group])
        found.append(
            Summary(
                dict(zip(columns, about, strict=True)), Estimate.of(lost), Estimate.of(apart), apart
            )
        )
    return found


def verdict(one: Summary, other: Summary) -> str:
    """Return "better" or "worse" as the criteria have it of ``one`` against ``other``, or "".

    Parameters
    ----------
    one, other : Summary

    Returns
    -------
    str
        Bits are not compared.
    """
    difference = Estimate.of(one.divergences - other.divergences)
    if abs(difference.mean) < max(BETTER, 2 * difference.standard_error):
        return ""
    return "better" if difference.mean < 0 else "worse"
