"""Weights of several parts: what a `Quantized` alone cannot hold.

`Composite` is the record of such weights (`minifloat.quantization.composite`), `Sparse` one of its
parts. Verbs that make one, and what they need:

    outliers                        which weights are outliers, and weights without them
    costly_weights                  SpQR: GPTQ that finds outliers as it goes
    sorting                         columns in an order in which blocks lose less
    ordered                         GPTQ with columns and blocks in the order of importance
    low_rank                        two thin matrices that correct the dense part
    smoothing, activation_aware     factors of inputs: SmoothQuant, AWQ
    cross_layer                     ranges of neighbouring layers, equalized
    bias                            the mean error of outputs, put into the bias
    exponent_bias                   LLM-FP4: powers of two of inputs, searched with all scales
    power_of_two_scales             ZeroQuant-FP's M2, and its cast to FP8

>>> import minifloat as mf
>>> outliers = [[0.0, -8.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
>>> rest = [[0.5, 0, 0.25, 0.125], [1.0, 0.5, -0.25, 0.75]]
>>> c = mf.Composite(mf.quantize(rest, "e2m2/4/float16"), sparse=Sparse.of(outliers))
>>> c
<Composite e2m2/4/float16 (2, 4): 11.88 bits per weight; sparse>
>>> mf.linear([1, 1, 1, 1], c).round(1)
array([-7.1,  2. ], dtype=float32)
"""

from minifloat.composites.activation_aware import activation_aware
from minifloat.composites.bias import clipped_normal_mean, correct_bias
from minifloat.composites.costly_weights import spqr
from minifloat.composites.cross_layer import equalize_layers
from minifloat.composites.exponent_bias import PreShifted, shift_exponents
from minifloat.composites.low_rank import correct_by_low_rank
from minifloat.composites.ordered import ordered_gptq
from minifloat.composites.outliers import beyond_quartiles, largest, split_outliers
from minifloat.composites.power_of_two_scales import cast_exponents, power_of_two_ratios
from minifloat.composites.smoothing import smooth
from minifloat.composites.sorting import sort_columns, sort_heads
from minifloat.quantization.composite import Composite
from minifloat.quantization.sparse import Sparse

__all__ = [
    "Composite",
    "PreShifted",
    "Sparse",
    "activation_aware",
    "beyond_quartiles",
    "cast_exponents",
    "clipped_normal_mean",
    "correct_by_low_rank",
    "correct_bias",
    "equalize_layers",
    "largest",
    "ordered_gptq",
    "power_of_two_ratios",
    "shift_exponents",
    "smooth",
    "sort_columns",
    "sort_heads",
    "split_outliers",
    "spqr",
]
