"""The forward pass of a Llama model, in NumPy, with packed or float32 matrices.

A layer computes x += O attention(rope(Q n), rope(K n), V n) with n = rms_norm(x), and then
x += D (silu(G m) * U m) with m = rms_norm(x) of the new x. Names and the order of the rows of Q and
K are those of GGUF: rope turns neighbouring pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from analysis.models.layers import Array, rms_norm, softmax
from analysis.models.matrices import MatrixModel, rows

ATTENTION, GATED = ("attn_q", "attn_k", "attn_v"), ("ffn_gate", "ffn_up")  # of one input
MATRICES = (*ATTENTION, "attn_output", *GATED, "ffn_down")
PREFILL = 256  # tokens at a time, so that attention's scores take little memory

Tokens = NDArray[np.integer[Any]]
Turns = NDArray[np.complex64]
Observer = Callable[[str, Array], object]  # called with a matrix's name and its input


@dataclass(frozen=True)
class Shape:
    """The numbers that do not follow from the weights.

    Attributes
    ----------
    layers, heads, kv_heads : int
        Each of the ``kv_heads`` heads of keys and values serves ``heads / kv_heads`` query heads.
    rope_base : float
        Pair i of a head of length d turns by ``rope_base ** (-2 i / d)`` per token.
    epsilon : float
        Added to the mean square before its root.
    rope_divisors : tuple of float
        By which each pair's turn is divided; empty for none.
    """

    layers: int
    heads: int
    kv_heads: int
    rope_base: float
    epsilon: float
    rope_divisors: tuple[float, ...] = ()


class SomeCache(Protocol):
    """Keys and values of the tokens so far: `Cache`, or another way to hold them.

    Attributes
    ----------
    length : int
        Number of tokens so far.
    free : int
        Tokens that can still be added.
    piece : int
        Tokens that pass through the model at a time.
    """

    length: int

    @property
    def free(self) -> int:
        """See above."""
        ...

    @property
    def piece(self) -> int:
        """See above."""
        ...

    def positions(self, count: int) -> NDArray[np.integer[Any]]:
        """Return the places in their text of the next tokens."""
        ...

    def attend(self, layer: int, queries: Array, keys: Array, values: Array) -> Array:
        """Add n tokens to a layer, and return attention's output of their queries.

        Parameters
        ----------
        layer : int
        queries : ndarray of float32, (heads, n, length)
        keys, values : ndarray of float32, (kv_heads, n, length)

        Returns
        -------
        ndarray of float32, (heads, n, length)
        """
        ...


class Cache:
    """Keys and values of the tokens so far, (layers, kv_heads, capacity, head length)."""

    def __init__(self, shape: Shape, capacity: int, head_length: int) -> None:
        size = (shape.layers, shape.kv_heads, capacity, head_length)
        self.keys = np.empty(size, np.float32)
        self.values = np.empty(size, np.float32)
        self.length = 0

    @property
    def free(self) -> int:
        """Tokens that can still be added."""
        return self.keys.shape[2] - self.length

    @property
    def piece(self) -> int:
        """Tokens that pass through the model at a time."""
        return PREFILL

    def positions(self, count: int) -> NDArray[np.integer[Any]]:
        """Return the places in their text of the next tokens; see `SomeCache`."""
        return np.arange(self.length, self.length + count)

    def attend(self, layer: int, queries: Array, keys: Array, values: Array) -> Array:
        """Add tokens to a layer, and return attention's output; see `SomeCache`."""
        start, stop = self.length, self.length + keys.shape[1]
        self.keys[layer, :, start:stop] = keys
        self.values[layer, :, start:stop] = values
        return _attention(queries, self.keys[layer, :, :stop], self.values[layer, :, :stop])


@dataclass(frozen=True, kw_only=True)
class Llama(MatrixModel):
    """A model, or a part of one: a layer needs its own matrices and vectors only.

    Attributes
    ----------
    shape : Shape
    matrices : mapping of str to Matrix
        ``token_embd.weight``, ``blk.0.attn_q.weight`` and so on for all `MATRICES`, and
        ``output.weight``. Without the last one the embeddings are the output's matrix too.
    vectors : mapping of str to ndarray of float32
        Gains: ``output_norm.weight``, ``blk.0.attn_norm.weight``, ``blk.0.ffn_norm.weight`` and
        so on.
    """

    shape: Shape

    @property
    def head_length(self) -> int:
        """Length of a head."""
        return self.matrices["blk.0.attn_q.weight"].shape[0] // self.shape.heads

    def cache(self, capacity: int) -> Cache:
        """Return an empty cache for ``capacity`` tokens."""
        return Cache(self.shape, capacity, self.head_length)

    def logits(self, tokens: Tokens, cache: SomeCache | None = None) -> Array:
        """Return the logits of the token after each of ``tokens``.

        Parameters
        ----------
        tokens : ndarray of integers, 1-d
        cache : SomeCache, optional
            Of the preceding tokens; ``tokens`` are added to it. Default: no preceding tokens.

        Returns
        -------
        ndarray of float32, (tokens, vocabulary)

        Raises
        ------
        ValueError
            If the cache is too small.
        """
        return self.project(self.hidden(tokens, cache))

    def hidden(self, tokens: Tokens, cache: SomeCache | None = None) -> Array:
        """Return the last layer's output, (tokens, width); arguments as for `logits`."""
        cache = cache or self.cache(len(tokens))
        if len(tokens) > cache.free:
            raise ValueError(
                f"tokens must be at most {cache.free}, the free part of the cache, got "
                f"{len(tokens)}; make a larger cache"
            )
        outputs = []
        for piece in np.split(tokens, range(cache.piece, len(tokens), cache.piece)):
            x = self.embed(piece)
            for layer in range(self.shape.layers):
                x = self.layer(layer, x, cache)
            cache.length += len(piece)
            outputs.append(x)
        return np.concatenate(outputs)

    def embed(self, tokens: Tokens) -> Array:
        """Return the embeddings of tokens, (tokens, width)."""
        return rows(self.matrices["token_embd.weight"], tokens)

    def project(self, x: Array) -> Array:
        """Return the logits, (..., vocabulary), of the last layer's output, (..., width)."""
        name = "output.weight" if "output.weight" in self.matrices else "token_embd.weight"
        return self.multiply(self._norm(x, "output_norm.weight"), self.matrices[name])

    def layer(
        self, index: int, x: Array, cache: SomeCache, observe: Observer | None = None
    ) -> Array:
        """Return the output of a layer, and append its keys and values to the cache.

        Parameters
        ----------
        index : int
        x : ndarray of float32, (tokens, width)
        cache : SomeCache
            Its length is not changed.
        observe : callable, optional
            Called with the name and the input of each matrix before the product.

        Returns
        -------
        ndarray of float32, (tokens, width)
        """

        def times(names: tuple[str, ...], x: Array) -> Sequence[Array]:
            if observe is not None:
                for name in names:
                    observe(f"blk.{index}.{name}.weight", x)
            return self.products(index, names, x)

        n = self._norm(x, f"blk.{index}.attn_norm.weight")
        positions = tuple(cache.positions(len(x)).tolist())
        turns = _turns(self.shape, self.head_length, positions)
        queries, keys, values = (self._heads(y) for y in times(ATTENTION, n))
        mixed = cache.attend(index, _rope(queries, turns), _rope(keys, turns), values)
        x = x + times(("attn_output",), mixed.transpose(1, 0, 2).reshape(len(x), -1))[0]
        m = self._norm(x, f"blk.{index}.ffn_norm.weight")
        gate, up = times(GATED, m)
        return x + times(("ffn_down",), gate / (1 + np.exp(-gate)) * up)[0]

    def products(self, index: int, names: tuple[str, ...], x: Array) -> Sequence[Array]:
        """Return the products of an input with matrices of a layer.

        Parameters
        ----------
        index : int
        names : tuple of str
            `ATTENTION`, `GATED`, or one of the other `MATRICES`.
        x : ndarray of float32, (tokens, width)

        Returns
        -------
        sequence of ndarray of float32, (tokens, outputs)
        """
        return [self.multiply(x, self.matrices[f"blk.{index}.{name}.weight"]) for name in names]

    def _heads(self, x: Array) -> Array:
        """Reshape (tokens, heads * length) to (heads, tokens, length)."""
        return x.reshape(len(x), -1, self.head_length).transpose(1, 0, 2)

    def _norm(self, x: Array, name: str) -> Array:
        return rms_norm(x, self.vectors[name], self.shape.epsilon)


@lru_cache(maxsize=4)  # all layers ask for the same
def _turns(shape: Shape, length: int, positions: tuple[int, ...]) -> Turns:
    """Return each pair's turn, (tokens, length / 2), from float64 angles."""
    frequencies = np.power(shape.rope_base, -np.arange(0, length, 2) / length)
    if shape.rope_divisors:
        frequencies /= shape.rope_divisors
    angles = np.outer(positions, frequencies)
    turns: Turns = np.exp(1j * angles).astype(np.complex64)
    return turns


def _rope(x: Array, turns: Turns) -> Array:
    """Turn the pairs (x[0], x[1]), (x[2], x[3]), ... of each head and token."""
    return (x.view(np.complex64) * turns).view(np.float32)


def _attention(queries: Array, keys: Array, values: Array) -> Array:
    """Return attention's output, (heads, n, length), of n queries and m keys and values.

    Queries are (heads, n, length), keys and values (kv_heads, m, length); m - n tokens precede.
    """
    heads, n, length = queries.shape
    kv_heads, m, _ = keys.shape
    grouped = queries.reshape(kv_heads, heads // kv_heads * n, length)
    scores = (grouped @ keys.transpose(0, 2, 1)).reshape(heads, n, m)
    scores *= np.float32(length**-0.5)
    if n > 1:
        scores[:, np.arange(m) > np.arange(m - n, m)[:, None]] = -np.inf  # later tokens
    mixed: Array = np.matmul(softmax(scores).reshape(kv_heads, -1, m), values)
    return mixed.reshape(heads, n, length)
