"""The forward pass of Whisper, in NumPy, with packed or float32 matrices.

The encoder turns a log-mel spectrogram into one vector for each 20 ms: two convolutions over time,
the second of which keeps every other frame, and layers of x += O attention(Q n, K n, V n) with
n = norm(x), and then x += D gelu(U norm(x)). The decoder's layers are the same, with a second
attention between, whose keys and values are of the encoder's output. A matrix has a bias, which is
zero for keys. Names are those of CTranslate2's file, in which query, key and value are one matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.models.layers import Array, gelu, layer_norm, softmax
from analysis.models.matrices import Matrix, MatrixModel, rows

EPSILON = 1e-5
TAPS = 3  # of both convolutions
EMBEDDINGS = "decoder/embeddings/weight"

Tokens = NDArray[np.integer[Any]]


class Cache:
    """Keys and values that the decoder has computed.

    Parameters
    ----------
    heard : list of tuple of ndarray of float32
        For each layer keys and values of the encoder's output, (heads, frames, head length).
    capacity : int
        Largest number of tokens.

    Attributes
    ----------
    keys, values : ndarray of float32, (layers, heads, capacity, head length)
        Of the tokens so far.
    length : int
        Number of tokens so far.
    """

    def __init__(self, heard: list[tuple[Array, Array]], capacity: int) -> None:
        self.heard = heard
        heads, _, head_length = heard[0][0].shape
        size = (len(heard), heads, capacity, head_length)
        self.keys = np.empty(size, np.float32)
        self.values = np.empty(size, np.float32)
        self.length = 0


@dataclass(frozen=True, kw_only=True)
class Whisper(MatrixModel):
    """The model; the matrix of token embeddings is the output matrix too.

    Attributes
    ----------
    heads : int
        Of each attention.
    matrices : mapping of str to Matrix
        Convolutions are products with a matrix of (outputs, inputs * `TAPS`).
    vectors : mapping of str to ndarray of float32
        Biases and gains, and the vectors of the positions, (positions, width).
    """

    heads: int

    @classmethod
    def of(cls, tensors: Mapping[str, NDArray[Any]]) -> Whisper:
        """Return the model of the variables of CTranslate2's file.

        Parameters
        ----------
        tensors : mapping of str to ndarray

        Returns
        -------
        Whisper
        """
        matrices: dict[str, Matrix] = {}
        vectors: dict[str, Array] = {}
        for name, tensor in tensors.items():
            if name.endswith("/weight"):
                matrices[name] = tensor.reshape(len(tensor), -1).astype(np.float32)
            elif tensor.ndim:  # the rest are settings
                vectors[name] = tensor.astype(np.float32)
        return cls(matrices=matrices, vectors=vectors, heads=int(tensors["encoder/num_heads"]))

    def layers(self, part: str) -> range:
        """Return the numbers of the layers of a part, "encoder" or "decoder"."""
        start = f"{part}/layer_"
        numbers = {name.removeprefix(start).partition("/")[0] for name in self.matrices}
        return range(sum(number.isdecimal() for number in numbers))

    def encode(self, spectrogram: Array) -> Array:
        """Return the encoder's output.

        Parameters
        ----------
        spectrogram : ndarray of float32, (bands, frames)
            As of `analysis.models.log_mel.log_mel`.

        Returns
        -------
        ndarray of float32, (frames / 2, width)
        """
        x = gelu(self._convolve(spectrogram.T, "encoder/conv1"))
        x = gelu(self._convolve(x, "encoder/conv2", stride=2))
        x = x + self.vectors["encoder/position_encodings/encodings"][: len(x)]
        for layer in self.layers("encoder"):
            name = f"encoder/layer_{layer}"
            n = self._norm(x, f"{name}/self_attention/layer_norm")
            mixed = attention(*self._heads(n, f"{name}/self_attention/linear_0", 3))
            x = x + self._times(mixed, f"{name}/self_attention/linear_1")
            x = x + self._feed(x, f"{name}/ffn")
        return self._norm(x, "encoder/layer_norm")

    def cache(self, encoded: Array, capacity: int) -> Cache:
        """Return a cache without tokens: the keys and values of the encoder's output.

        Parameters
        ----------
        encoded : ndarray of float32, (frames, width)
        capacity : int
            Largest number of tokens, at most the model's number of positions.

        Returns
        -------
        Cache
        """
        heard = []
        for layer in self.layers("decoder"):
            keys, values = self._heads(encoded, f"decoder/layer_{layer}/attention/linear_1", 2)
            heard.append((keys, values))
        return Cache(heard, capacity)

    def logits(self, tokens: Tokens, cache: Cache) -> Array:
        """Return the logits of the token after each of ``tokens``.

        Parameters
        ----------
        tokens : ndarray of integers, 1-d
        cache : Cache
            Of the encoder's output and the preceding tokens; ``tokens`` are added to it.

        Returns
        -------
        ndarray of float32, (tokens, vocabulary)

        Raises
        ------
        ValueError
            If the cache is too small.
        """
        return self.project(self.hidden(tokens, cache))

    def hidden(self, tokens: Tokens, cache: Cache) -> Array:
        """Return the decoder's output, (tokens, width); arguments as for `logits`."""
        free = cache.keys.shape[2] - cache.length
        if len(tokens) > free:
            raise ValueError(
                f"tokens must be at most {free}, the free part of the cache, got {len(tokens)}; "
                "make a larger cache"
            )
        start, stop = cache.length, cache.length + len(tokens)
        x = rows(self.matrices[EMBEDDINGS], tokens)
        x = x + self.vectors["decoder/position_encodings/encodings"][start:stop]
        for layer in self.layers("decoder"):
            name = f"decoder/layer_{layer}"
            n = self._norm(x, f"{name}/self_attention/layer_norm")
            queries, keys, values = self._heads(n, f"{name}/self_attention/linear_0", 3)
            cache.keys[layer, :, start:stop] = keys
            cache.values[layer, :, start:stop] = values
            mixed = attention(
                queries, cache.keys[layer, :, :stop], cache.values[layer, :, :stop], causal=True
            )
            x = x + self._times(mixed, f"{name}/self_attention/linear_1")
            n = self._norm(x, f"{name}/attention/layer_norm")
            (queries,) = self._heads(n, f"{name}/attention/linear_0", 1)
            mixed = attention(queries, *cache.heard[layer])
            x = x + self._times(mixed, f"{name}/attention/linear_2")
            x = x + self._feed(x, f"{name}/ffn")
        cache.length = stop
        return self._norm(x, "decoder/layer_norm")

    def project(self, x: Array) -> Array:
        """Return the logits, (..., vocabulary), of the decoder's output, (..., width)."""
        return self.multiply(x, self.matrices[EMBEDDINGS])

    def _convolve(self, x: Array, name: str, stride: int = 1) -> Array:
        """Return the convolution over time, of the length of x over the stride."""
        padded = np.pad(x, ((TAPS // 2, TAPS // 2), (0, 0)))
        seen = np.lib.stride_tricks.sliding_window_view(padded, TAPS, axis=0)[::stride]
        return self._times(seen.reshape(len(seen), -1), name)

    def _heads(self, x: Array, name: str, parts: int) -> Array:
        """Return the product as (parts, heads, tokens, head length)."""
        y = self._times(x, name)
        return y.reshape(len(x), parts, self.heads, -1).transpose(1, 2, 0, 3)

    def _feed(self, x: Array, name: str) -> Array:
        n = self._norm(x, f"{name}/layer_norm")
        return self._times(gelu(self._times(n, f"{name}/linear_0")), f"{name}/linear_1")

    def _times(self, x: Array, name: str) -> Array:
        return self.multiply(x, self.matrices[f"{name}/weight"], self.vectors[f"{name}/bias"])

    def _norm(self, x: Array, name: str) -> Array:
        return layer_norm(x, self.vectors[f"{name}/gamma"], self.vectors[f"{name}/beta"], EPSILON)


def attention(queries: Array, keys: Array, values: Array, *, causal: bool = False) -> Array:
    """Return attention's output, head by head, so that the scores take little memory.

    Parameters
    ----------
    queries : ndarray of float32, (heads, n, head length)
    keys, values : ndarray of float32, (heads, m, head length)
    causal : bool, optional
        The queries are of the last n of m tokens, and do not see later ones. Default: they see all.

    Returns
    -------
    ndarray of float32, (n, heads * head length)

    Examples
    --------
    >>> one = np.ones((1, 2, 1), np.float32)
    >>> values = np.array([[[1], [3]]], np.float32)
    >>> attention(one, one, values).ravel(), attention(one, one, values, causal=True).ravel()
    (array([2., 2.], dtype=float32), array([1., 2.], dtype=float32))
    """
    heads, n, length = queries.shape
    m = keys.shape[1]
    output = np.empty((n, heads, length), np.float32)
    for head in range(heads):
        scores = queries[head] * np.float32(length**-0.5) @ keys[head].T
        if causal:
            scores[np.arange(m) > np.arange(m - n, m)[:, None]] = -np.inf
        output[:, head] = softmax(scores) @ values[head]
    return output.reshape(n, heads * length)
