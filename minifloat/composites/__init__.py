"""Weights of several parts: what a `Quantized` alone cannot hold.

    composite        the record: a dense part, and others that may be there
    sparse           a sparse matrix, of outliers
    outliers         which weights are outliers, and weights without them
    costly_weights   SpQR: GPTQ that finds outliers as it goes
    sorting          columns in an order in which blocks lose less

>>> import minifloat as mf
>>> outliers = [[0.0, -8.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
>>> rest = [[0.5, 0, 0.25, 0.125], [1.0, 0.5, -0.25, 0.75]]
>>> c = mf.Composite(mf.quantize(rest, "e2m2/4/float16"), sparse=Sparse.of(outliers))
>>> c
<Composite e2m2/4/float16 (2, 4): 11.88 bits per weight; sparse>
>>> mf.linear([1, 1, 1, 1], c).round(1)
array([-7.1,  2. ], dtype=float32)
"""

from minifloat.composites.composite import Composite
from minifloat.composites.costly_weights import spqr
from minifloat.composites.outliers import beyond_quartiles, largest, split_outliers
from minifloat.composites.sorting import sort_columns, sort_heads
from minifloat.composites.sparse import Sparse

__all__ = [
    "Composite",
    "Sparse",
    "beyond_quartiles",
    "largest",
    "sort_columns",
    "sort_heads",
    "split_outliers",
    "spqr",
]
