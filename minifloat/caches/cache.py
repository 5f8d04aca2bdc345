"""A key-value cache of one layer: keys and values come in, attention goes out."""

from __future__ import annotations

import json
import math
import os
from copy import copy
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat import _arrays
from minifloat._tensors import AnyTensor
from minifloat.caches import stored
from minifloat.caches.heavy import HeavyTokens, Integers
from minifloat.caches.packed import PackedTokens
from minifloat.caches.pieces import Floats
from minifloat.caches.recipe import CacheRecipe
from minifloat.files.arrays import Arrays, description, read_arrays, write_arrays
from minifloat.formats.base import check_int, shown

WIDE_BITS = 16  # of float16
MARK, VERSION = "cache", 1
FIELDS = {MARK, "recipe", "heads", "length", "tokens", "balanced", "packed", "heavy"}
IMPORTANCE_BITS = 32  # of a token's attention so far


class KeyValueCache:
    """Keys and values of the tokens so far, of one layer, packed by a recipe.

    Tokens are packed when the next ones come, or by `pack`: so a text that is appended at once
    attends to itself with wide keys and values, as in KIVI, and token by token the result is the
    same as ``recipe.step`` tokens at a time.

    ``copy.copy`` of a cache is another one that begins with its tokens, whose packed ones both
    share, such as for each of several answers to one text.

    Parameters
    ----------
    recipe : CacheRecipe
    heads, length : int
        Heads of keys and values, and channels of each.
    balancer : array_like of float, (heads, length), optional
        Positive factors of the channels of keys before they are packed, rounded to float16;
        `channel_balancer` finds them. Queries are divided by them.

    Attributes
    ----------
    recipe : CacheRecipe
    heads, length : int
    tokens : int
        So far.

    Examples
    --------
    >>> import numpy as np
    >>> from minifloat.caches import CacheRecipe, KeyValueCache
    >>> cache = KeyValueCache(CacheRecipe("int4/8/float16", "int4/8/float16", step=8), 1, 8)
    >>> for token in 7 * np.eye(8):
    ...     cache.append([[token]], [[token]])
    >>> cache.pack()
    >>> bool((cache.keys() == 7 * np.eye(8)).all()), cache.bits_per_value
    (True, 6.0)
    """

    def __init__(
        self,
        recipe: CacheRecipe,
        heads: SupportsIndex,
        length: SupportsIndex,
        *,
        balancer: ArrayLike | AnyTensor | None = None,
    ) -> None:
        if not isinstance(recipe, CacheRecipe):
            raise TypeError(f"recipe must be a CacheRecipe, got {shown(recipe)}")
        self.recipe = recipe
        self.heads = check_int("heads", heads, 1)
        self.length = check_int("length", length, 1)
        for kind, rotation, along in (
            ("keys", recipe.keys.rotation, recipe.keys_along),
            ("values", recipe.values.rotation, recipe.values_along),
        ):
            if rotation is not None and along == "channels":
                try:
                    rotation.check_length(self.length)
                except ValueError as error:
                    raise ValueError(f"recipe must rotate parts of the {kind}: {error}") from None
        self.tokens = 0
        self._balancer = None if balancer is None else self._checked_balancer(balancer)
        self._wide_keys = np.empty((self.heads, 0, self.length), np.float16)
        self._wide_values = self._wide_keys
        self._importance = np.empty((self.heads, 0))  # of the wide tokens
        self._packed = PackedTokens(self.heads, self.length, recipe)
        self._heavy = HeavyTokens(self.heads, self.length, recipe.heavy_recipe)

    def __copy__(self) -> KeyValueCache:
        copied = object.__new__(type(self))
        copied.__dict__ |= self.__dict__
        copied._packed, copied._heavy = copy(self._packed), copy(self._heavy)
        return copied

    def append(self, keys: ArrayLike | AnyTensor, values: ArrayLike | AnyTensor) -> None:
        """Add tokens, after packing those which the window need not hold.

        Parameters
        ----------
        keys, values : array_like of float, (heads, n, length)
            Finite; rounded to float16.

        Raises
        ------
        ValueError
            If a shape does not fit, a number is beyond float16 or not finite, or tokens cannot be
            packed (a scale is beyond its format). Nothing is added.
        TypeError
            If they are not numeric.
        """
        new_keys, new_values = self._half("keys", keys), self._half("values", values)
        if new_keys.shape[1] != new_values.shape[1]:
            raise ValueError(
                f"values must be of {new_keys.shape[1]} tokens as keys, got {new_values.shape[1]}"
            )
        self.pack()
        count = new_keys.shape[1]
        self._wide_keys = np.concatenate([self._wide_keys, new_keys], axis=1)
        self._wide_values = np.concatenate([self._wide_values, new_values], axis=1)
        self._importance = np.pad(self._importance, ((0, 0), (0, count)))
        self.tokens += count

    def pack(self) -> None:
        """Pack the tokens which the window need not hold, ``recipe.step`` at a time.

        Raises
        ------
        ValueError
            As `minifloat.quantize`.
        """
        first, step = self.recipe.first, self.recipe.step
        while self._wide_keys.shape[1] >= first + self.recipe.window + step:
            leaving = slice(first, first + step)
            start = self.tokens - self._wide_keys.shape[1] + first
            positions = np.tile(np.arange(start, start + step), (self.heads, 1))
            heavy, keys, values, positions = self._heavy.compete(
                self.recipe.heavy,
                self._wide_keys[:, leaving],
                self._wide_values[:, leaving],
                positions,
                self._importance[:, leaving],
            )
            if positions.size:
                self._packed.add(self._balanced(keys), values, positions)
            self._heavy = heavy
            self._wide_keys = np.delete(self._wide_keys, leaving, axis=1)
            self._wide_values = np.delete(self._wide_values, leaving, axis=1)
            self._importance = np.delete(self._importance, leaving, axis=1)

    def attend(self, queries: ArrayLike | AnyTensor) -> Floats:
        """Return attention's output: the softmax of q k / sqrt(length), times the values.

        Products are sums in float32. Those of up to 4 queries a head read packed tokens; for more,
        packed tokens are dequantized, those of a step at a time.

        Parameters
        ----------
        queries : array_like of float, (query_heads, n, length)
            Of the last n tokens, in their order: none sees those after it. Each head of keys serves
            ``query_heads / heads`` neighbours.

        Returns
        -------
        ndarray of float32, (query_heads, n, length)

        Raises
        ------
        ValueError
            If the shape does not fit, or n is above the number of tokens in the window.
        TypeError
            If they are not numeric.
        """
        q = np.asarray(_arrays.source_array(queries, "queries")[0], np.float32)
        if q.ndim != 3 or q.shape[2] != self.length or not len(q) or len(q) % self.heads:
            raise ValueError(
                f"queries must be of shape (a multiple of {self.heads}, n, {self.length}), got "
                f"{q.shape}"
            )
        n, last = q.shape[1], self._wide_keys.shape[1]
        if last < self.tokens:
            last -= self.recipe.first  # before the packed ones
        if n > last or not n:
            raise ValueError(f"queries must be of 1 to {last} last tokens, got {n}; append first")
        grouped = q.reshape(self.heads, -1, self.length)
        shares = self._shares(grouped, n)
        if self.recipe.heavy:
            self._weigh(shares)
        return self._mixed(shares).reshape(len(q), n, self.length)

    def keys(self) -> Floats:
        """Return the dequantized keys, (heads, tokens, length), in the order of tokens."""
        packed = self._unbalanced(self._packed.keys())
        return self._ordered([packed, self._heavy.keys(), self._wide_keys])

    def values(self) -> Floats:
        """Return the dequantized values, (heads, tokens, length), in the order of tokens."""
        return self._ordered([self._packed.values(), self._heavy.values(), self._wide_values])

    @property
    def packed_tokens(self) -> int:
        """Tokens that are packed, of each head."""
        return int(self._packed.positions.shape[1])

    @property
    def bits(self) -> int:
        """Bits of storage.

        Counted are packed keys and values with their scales and all else, wide ones, and the
        balancer; with heavy tokens, for each head, ceil(log2(tokens)) bits for the position of each
        token that is packed or heavy, and 32 for the attention to each that is heavy or wide.
        """
        bits = self._packed.bits + self._heavy.bits + 2 * WIDE_BITS * self._wide_keys.size
        if self._balancer is not None:
            bits += WIDE_BITS * self._balancer.size
        if self.recipe.heavy:
            heavy, wide = self._heavy.positions.shape[1], self._wide_keys.shape[1]
            index = max(self.tokens - 1, 0).bit_length()
            bits += self.heads * index * (self.packed_tokens + heavy)
            bits += self.heads * IMPORTANCE_BITS * (heavy + wide)
        return bits

    @property
    def bits_per_value(self) -> float:
        """Bits of storage for each number of the keys and values; NaN without tokens."""
        size = 2 * self.heads * self.length * self.tokens
        return self.bits / size if size else math.nan

    @property
    def nbytes(self) -> int:
        """Bytes of storage: `bits` in whole bytes."""
        return -(-self.bits // 8)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the cache to a file, whole or not at all, to go on with it later.

        A text that many prompts begin with is read once so. The file holds the packed pieces as
        `minifloat.save` writes weights, by the names ``keys.0.codes`` and so on, the wide tokens in
        float16, and of heavy tokens the positions and the attention so far.

        Parameters
        ----------
        path : path
            Ends in .npz or .safetensors. A file that is there is replaced.

        Raises
        ------
        ValueError, TypeError, OSError
            As `minifloat.save`.

        Examples
        --------
        >>> import os, tempfile
        >>> import numpy as np
        >>> from minifloat.caches import CacheRecipe, KeyValueCache
        >>> cache = KeyValueCache(CacheRecipe("int4/8/float16", "int4/8/float16", step=8), 1, 8)
        >>> cache.append(np.eye(8)[None], np.eye(8)[None])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     cache.save(os.path.join(folder, "prompt.npz"))
        ...     KeyValueCache.load(os.path.join(folder, "prompt.npz"))
        <KeyValueCache 1 heads of 8, 8 tokens of which 0 are packed: 16 bits per value>
        """
        arrays: Arrays = {
            "wide_keys": self._wide_keys,
            "wide_values": self._wide_values,
            "importance": self._importance,
        }
        if self._balancer is not None:
            arrays["balancer"] = self._balancer[:, 0].astype(np.float16)
        described = {
            MARK: VERSION,
            "recipe": stored.put_recipe(self.recipe, arrays),
            "heads": self.heads,
            "length": self.length,
            "tokens": self.tokens,
            "balanced": self._balancer is not None,
            "packed": self._packed.to_arrays(arrays),
            "heavy": self._heavy.to_arrays(arrays),
        }
        write_arrays(path, arrays, json.dumps(described))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> KeyValueCache:
        """Return the cache that `save` wrote; what is appended then gives the same bits.

        Parameters
        ----------
        path : path

        Returns
        -------
        KeyValueCache

        Raises
        ------
        ValueError
            If the file is missing, damaged, hostile, of another kind or of another version. The
            message names the file and the reason.
        """
        return read_arrays(path, lambda names: None, cls._of_arrays)

    @classmethod
    def _of_arrays(cls, arrays: Arrays, text: str) -> KeyValueCache:
        told = description(text, FIELDS, VERSION, MARK, " of caches")
        recipe = stored.take_recipe(told["recipe"], arrays)
        if told["balanced"] != ("balancer" in arrays):
            raise ValueError("balancer must be there if keys are balanced, and only then")
        balancer = arrays.pop("balancer", None)
        cache = cls(recipe, told["heads"], told["length"], balancer=balancer)
        cache.tokens = check_int("tokens", told["tokens"], 0)
        heads, length = cache.heads, cache.length
        cache._packed = PackedTokens.from_arrays(heads, length, recipe, told["packed"], arrays)
        cache._heavy = HeavyTokens.from_arrays(
            heads, length, recipe.heavy_recipe, told["heavy"], arrays
        )
        cache._wide_keys, cache._wide_values = arrays.pop("wide_keys"), arrays.pop("wide_values")
        cache._importance = arrays.pop("importance")
        wide = cache.tokens - cache.packed_tokens - cache._heavy.positions.shape[1]
        stored.check("wide_keys", cache._wide_keys, np.float16, (heads, wide, length))
        stored.check("wide_values", cache._wide_values, np.float16, (heads, wide, length))
        stored.check("importance", cache._importance, np.float64, (heads, wide))
        if not (np.sort(cache._places(), axis=1) == np.arange(cache.tokens)).all():
            raise ValueError("positions must be those of all tokens, each once")
        if arrays:
            raise ValueError(f"it must hold the arrays that it describes alone, got {list(arrays)}")
        return cache

    def __repr__(self) -> str:
        return (
            f"<KeyValueCache {self.heads} heads of {self.length}, {self.tokens} tokens of which "
            f"{self.packed_tokens} are packed: {self.bits_per_value:.3g} bits per value>"
        )

    def _shares(self, queries: Floats, n: int) -> Floats:
        """Return the softmax, (heads, queries, tokens): packed tokens, heavy ones, wide ones."""
        parts = self._packed.dots(self._unbalanced(queries))
        parts.append(queries @ self._heavy.keys().swapaxes(1, 2))
        parts.append(queries @ self._wide_keys.astype(np.float32).swapaxes(1, 2))
        scores = np.concatenate(parts, axis=2)
        scores *= np.float32(self.length**-0.5)
        late = np.arange(n) > np.arange(n)[:, None]
        by_query = scores.reshape(self.heads, -1, n, self.tokens)
        by_query[..., self.tokens - n :][:, :, late] = -np.inf
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=-1, keepdims=True)
        return scores

    def _mixed(self, shares: Floats) -> Floats:
        """Return the sum of all values, each times its share."""
        wide = self._wide_keys.shape[1]
        mixed: Floats = shares[:, :, -wide:] @ self._wide_values.astype(np.float32)
        self._packed.add_values(mixed, shares)
        if self.recipe.heavy:
            mixed += shares[:, :, self.packed_tokens : -wide] @ self._heavy.values()
        return mixed

    def _weigh(self, shares: Floats) -> None:
        """Add the attention of these queries to what each token has got."""
        attention = shares.sum(axis=1, dtype=np.float64)
        heavy = self._heavy.importance
        self._importance = (
            self._importance + attention[:, attention.shape[1] - self._wide_keys.shape[1] :]
        )
        start = self.packed_tokens
        self._heavy.importance = heavy + attention[:, start : start + heavy.shape[1]]

    def _balanced(self, x: Floats) -> Floats:
        return x if self._balancer is None else x * self._balancer

    def _unbalanced(self, x: Floats) -> Floats:
        return x if self._balancer is None else x / self._balancer

    def _ordered(self, parts: list[NDArray[Any]]) -> Floats:
        order = np.argsort(self._places(), axis=1)
        vectors = np.concatenate(parts, axis=1, dtype=np.float32)
        return np.take_along_axis(vectors, order[:, :, None], axis=1)

    def _places(self) -> Integers:
        """Return the positions of packed, heavy and wide tokens, (heads, tokens)."""
        wide = self._wide_keys.shape[1]
        first = min(self.recipe.first, wide)
        last = np.r_[np.arange(first), np.arange(self.tokens - wide + first, self.tokens)]
        return np.concatenate(
            [
                self._packed.positions,
                self._heavy.positions,
                np.tile(last, (self.heads, 1)),
            ],
            axis=1,
        )

    def _half(self, name: str, x: ArrayLike | AnyTensor) -> NDArray[np.float16]:
        given = _arrays.source_array(x, name)[0]
        if given.ndim != 3 or (given.shape[0], given.shape[2]) != (self.heads, self.length):
            raise ValueError(
                f"{name} must be of shape ({self.heads}, n, {self.length}), got {given.shape}"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            half = given.astype(np.float16)
        if not np.isfinite(half).all():
            raise ValueError(f"{name} must be finite and within float16, got one that is not")
        return half

    def _checked_balancer(self, given: ArrayLike | AnyTensor) -> Floats:
        """Return the factors, (heads, 1, length), as the float16 numbers that are stored."""
        array = _arrays.source_array(given, "balancer")[0]
        if array.shape != (self.heads, self.length):
            raise ValueError(
                f"balancer must be of shape ({self.heads}, {self.length}), got {array.shape}"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            half = array.astype(np.float16)
        if not (np.isfinite(half) & (half > 0)).all():
            raise ValueError("balancer must be positive numbers of float16, got others")
        return half[:, None].astype(np.float32)
