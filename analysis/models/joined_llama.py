"""A Llama model whose matrices of one input are one: fewer calls for each token, the same results.

Rows are quantized each for itself by recipes whose blocks lie along rows, so codes are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from analysis.models.layers import Array
from analysis.models.llama import ATTENTION, GATED, Llama
from analysis.models.matrices import Matrix, dense

JOIN = "+"  # between the names of matrices


class JoinedLlama(Llama):
    """A model with ``blk.0.attn_q+attn_k+attn_v.weight`` for these three, and so on.

    See `joined`; its matrices may be quantized.
    """

    @property
    def head_length(self) -> int:
        """Length of a head."""
        rows = self.matrices[_name(0, ATTENTION)].shape[0]
        return rows // (self.shape.heads + 2 * self.shape.kv_heads)

    def products(self, index: int, names: tuple[str, ...], x: Array) -> Sequence[Array]:
        """Return the products of an input with matrices of a layer; see `Llama.products`."""
        y = self.multiply(x, self.matrices[_name(index, names)])
        if names == GATED:
            half = y.shape[-1] // 2
            return y[:, :half], y[:, half:]
        if names == ATTENTION:
            first, width = (n * self.head_length for n in (self.shape.heads, self.shape.kv_heads))
            return y[:, :first], y[:, first : first + width], y[:, first + width :]
        return [y]


def joined(model: Llama) -> JoinedLlama:
    """Return a model with its float32 matrices of one input joined.

    Parameters
    ----------
    model : Llama

    Returns
    -------
    JoinedLlama
    """
    matrices: dict[str, Matrix] = dict(model.matrices)
    for index in range(model.shape.layers):
        for names in (ATTENTION, GATED):
            parts = [dense(matrices.pop(_name(index, (name,)))) for name in names]
            matrices[_name(index, names)] = np.concatenate(parts)
    return JoinedLlama(
        shape=model.shape, matrices=matrices, vectors=model.vectors, multiply=model.multiply
    )


@lru_cache(maxsize=1024)
def _name(index: int, names: tuple[str, ...]) -> str:
    return f"blk.{index}.{JOIN.join(names)}.weight"
