"""A key-value cache of one head, token by token, in Python lists and float64."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

import minifloat as mf
from minifloat.caches import CacheRecipe


@dataclass
class Token:
    position: int
    key: np.ndarray
    value: np.ndarray
    attention: float = 0.0


def rounded(vectors: np.ndarray, recipe: mf.Recipe, along: str) -> np.ndarray:
    """Round (tokens, length), each token's vector or each channel alone."""
    lines = vectors if along == "channels" else vectors.T
    done = np.array([mf.quantize(line.astype(np.float32), recipe).dequantize() for line in lines])
    return done if along == "channels" else done.T


class SlowCache:
    """The keywords plant mistakes."""

    def __init__(
        self,
        recipe: CacheRecipe,
        length: int,
        balancer: np.ndarray | None = None,
        *,
        late: int = 0,
        last_attention_only: bool = False,
        heavy_twice: bool = False,
        values_balanced: bool = False,
    ) -> None:
        self.recipe, self.length = recipe, length
        self.balancer = np.ones(length) if balancer is None else balancer.astype(np.float64)
        self.late, self.last_attention_only = late, last_attention_only
        self.heavy_twice, self.values_balanced = heavy_twice, values_balanced
        self.first: list[Token] = []
        self.window: list[Token] = []
        self.heavy: list[Token] = []
        self.packed: list[Token] = []

    def append(self, key: np.ndarray, value: np.ndarray) -> None:
        self.pack()
        token = Token(len(self.all()), key.astype(np.float16), value.astype(np.float16))
        (self.first if token.position < self.recipe.first else self.window).append(token)

    def pack(self) -> None:
        r = self.recipe
        while len(self.window) >= r.window + r.step + self.late:
            leaving, self.window = self.window[: r.step], self.window[r.step :]
            held = [*self.heavy, *leaving]
            best = sorted(held, key=lambda t: (-t.attention, t.position))[: r.heavy]
            lost = sorted((t for t in held if t not in best), key=lambda t: t.position)
            for token in best:
                if r.heavy_recipe and (token in leaving or self.heavy_twice):
                    for part in ("key", "value"):
                        vector = getattr(token, part)[None]
                        done = rounded(vector, r.heavy_recipe, "channels")[0]
                        setattr(token, part, done / 2 if self.heavy_twice else done)
            self.heavy = sorted(best, key=lambda t: t.position)
            if lost:
                keys = np.array([t.key for t in lost], np.float32) * self.balancer
                values = np.array([t.value for t in lost], np.float32)
                keys = rounded(keys, r.keys, r.keys_along) / self.balancer
                if self.values_balanced:
                    values = values * self.balancer
                values = rounded(values, r.values, r.values_along)
                for token, key, value in zip(lost, keys, values, strict=True):
                    token.key, token.value = key, value
                self.packed += lost

    def all(self) -> list[Token]:
        every = [*self.first, *self.packed, *self.heavy, *self.window]
        return sorted(every, key=lambda t: t.position)

    def attend(self, queries: np.ndarray) -> np.ndarray:
        """Queries of the last token, (n, length)."""
        every, outputs = self.all(), []
        if self.last_attention_only:
            for token in every:
                token.attention = 0.0
        for q in queries.astype(np.float64):
            shares = [
                math.exp(q @ t.key.astype(np.float64) / math.sqrt(self.length)) for t in every
            ]
            total = math.fsum(shares)
            outputs.append(
                sum(
                    s / total * t.value.astype(np.float64)
                    for s, t in zip(shares, every, strict=True)
                )
            )
            for share, token in zip(shares, every, strict=True):
                token.attention += share / total
        return np.array(outputs)
