"""What a packed key-value cache does to SmolLM2's loss.

Texts of `TOKENS` tokens pass through the model, whose weights stay as they are; each token sees the
tokens before it as `minifloat.caches` holds them at that time. The loss is the mean of the nats per
token, beside that with a cache of float32 numbers. The cases:

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
differences of their losses over the texts is beyond two standard errors, and at least `BETTER` nats
per token. A cache *costs nothing that is seen here* if its difference to float32 is within one of
both.
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
from analysis.models.texts import TEXTS
from analysis.records import Row, Rows
from minifloat import Recipe
from minifloat.caches import CacheRecipe, channel_balancer

TOKENS = 320
CHUNKS = 4  # of each text
BETTER = 0.005  # nats per token
REFERENCE = "float32"

FORMATS = (
    "int4/32/float16", "e2m1/32/float16", "nf4/32/float16", "nvfp4", "uint4/32/e4m3fn/zero-point",
    "int2/32/float16", "uint2/32/e4m3fn/zero-point", "e2m2/32/float16", "int5/32/float16",
)  # fmt: skip
EIGHT = ("e4m3fn/channel/float16", "int8/channel/float16")
OTHERS = ("int4/32/float16", "uint2/32/e4m3fn/zero-point")  # rotated, balanced, both axes
WINDOWS = (32, 128)
MIXED = "uint2/32/e4m3fn/zero-point"  # with wide tokens chosen in several ways
CHOSEN: tuple[dict[str, Any], ...] = (
    {"window": 96},
    {"window": 64, "first": 32},
    {"window": 32, "heavy": 64},
    {"window": 32, "heavy": 112, "heavy_recipe": "int8/channel/float16"},
)


@dataclass(frozen=True)
class Case:
    """A cache that is measured; ``balanced`` with MiKV's factors of channels."""

    recipe: CacheRecipe
    balanced: bool = False


def cases() -> Iterator[Case]:
    """Yield all cases, each once."""
    for text in FORMATS:
        yield Case(CacheRecipe(text, text))
        yield Case(CacheRecipe(text, text, keys_along="channels"))
    for text in EIGHT:
        yield Case(CacheRecipe(text, text, keys_along="channels"))
    for text in OTHERS:
        rotated = Recipe.parse(text).replace(rotation="hadamard64")
        yield Case(CacheRecipe(rotated, text, keys_along="channels"))
        yield Case(CacheRecipe(text, text, keys_along="channels"), balanced=True)
        yield Case(CacheRecipe(text, text, values_along="tokens"))
    for text in ("int4/32/float16", MIXED):
        for window in WINDOWS:
            yield Case(CacheRecipe(text, text, window=window))
    for options in CHOSEN:
        yield Case(CacheRecipe(MIXED, MIXED, **options))
        yield Case(CacheRecipe(MIXED, MIXED, keys_along="channels", **options), balanced=True)


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
        (after `PackedCache.pack`), ``text``, ``chunk`` and its ``loss`` in nats per token. Those
        with ``keys`` "float32" have the model's own cache.

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
    rows = _rows({"keys": REFERENCE}, names, [smollm2.nats(model, text) for text in texts])
    step()
    for case in every:
        cache = PackedCache(
            model,
            case.recipe,
            texts.shape[1],
            texts=len(texts),
            balancers=balancers if case.balanced else None,
        )
        found = list(losses(model, texts, cache))
        cache.pack()
        rows += _rows(described(case) | {"bits": cache.bits_per_value}, names, found)
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


def losses(
    model: Llama, texts: NDArray[np.integer[Any]], cache: PackedCache
) -> NDArray[np.float64]:
    """Return the mean nats per token of each text, as `smollm2.nats` has it.

    Parameters
    ----------
    model : Llama
    texts : ndarray of integers, (texts, tokens)
    cache : PackedCache
        Empty, of so many texts.

    Returns
    -------
    ndarray of float64, (texts,)
    """
    count, length = texts.shape
    sums = np.zeros(count)
    for start in range(0, length - 1, cache.piece):
        seen = texts[:, start : min(start + cache.piece, length - 1)]
        wanted = texts[:, start + 1 : start + 1 + seen.shape[1]]
        x = model.embed(seen.reshape(-1))
        for layer in range(model.shape.layers):
            x = model.layer(layer, x, cache)
        cache.length += seen.shape[1]
        logits = model.project(x)
        logits -= logits.max(axis=-1, keepdims=True)
        chosen = logits[np.arange(len(logits)), wanted.reshape(-1)]
        total = np.exp(logits, out=logits).sum(axis=-1, dtype=np.float64)
        sums += (np.log(total) - chosen).reshape(count, -1).sum(axis=1)
    means: NDArray[np.float64] = sums / (length - 1)
    return means


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


def _rows(about: Row, names: Sequence[tuple[str, int]], found: Sequence[float]) -> Rows:
    columns = dict.fromkeys([*described(next(cases())), "bits"])
    return [
        {**columns, **about, "text": text, "chunk": chunk, "loss": float(loss)}
        for (text, chunk), loss in zip(names, found, strict=True)
    ]
