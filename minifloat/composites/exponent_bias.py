"""LLM-FP4's pre-shifted exponent bias: each input has a power of two (arXiv 2310.16836).

Inputs are quantized with one scale for all, found once (static). Those that are small next to
others would be rounded to few values: so input j is multiplied by 2**k_j first, k_j from 0 to
2**E - 1 with the E exponent bits of the inputs' format, and its column of quantized weights is
divided by 2**k_j. That is a shift of the weights' exponents, and costs them nothing.

A real-valued exponent bias b stands for a scale: scale = 2**(bias of the format - b). The search
takes the biases of rows of weights and that of the inputs in turn, and measures the outputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat._arrays import check_cpu, source_array
from minifloat._tensors import AnyTensor
from minifloat.codec import round_to
from minifloat.composites.fixed_scales import plain_rule, quantize_by
from minifloat.composites.input_factors import checked_layer
from minifloat.composites.power_of_two_scales import shifted_codes
from minifloat.formats import Format, NumberFormat
from minifloat.formats.base import check_bool
from minifloat.formats.names import parse
from minifloat.packing import pack
from minifloat.quantization.composite import Composite
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipes import Recipe

Array = NDArray[Any]

ROUNDS = 3
STEPS = tuple(0.01 + k * (1.2 - 0.01) / 100 for k in range(100))  # times the bias of absmax


@dataclass(frozen=True, eq=False)
class PreShifted:
    """A layer's weights, and how its inputs are quantized; `shift_exponents` makes one.

    Attributes
    ----------
    weights : Quantized, (outputs, inputs)
        With a scale for each row.
    fmt : Format
        Of inputs.
    shifts : ndarray of int64, (inputs,)
        k, from 0 to 2**E - 1.
    input_scale : float
        A float32 number.
    """

    weights: Quantized
    fmt: Format
    shifts: NDArray[np.int64]
    input_scale: float

    @property
    def bits_per_weight(self) -> float:
        """Bits of storage per weight: with E bits of each k, and 32 of the inputs' scale."""
        bits = self.shifts.size * self.fmt.exponent_bits + 32
        return self.weights.bits_per_weight + bits / self.weights.size

    def shifted(self, x: ArrayLike | AnyTensor) -> NDArray[np.float64]:
        """Return inputs times 2**k, quantized: what `folded` weights are multiplied by.

        Parameters
        ----------
        x : array_like, (..., inputs)

        Returns
        -------
        ndarray of float64, (..., inputs)
        """
        given = source_array(x, "x")[0].astype(np.float64)
        if given.shape[-1:] != self.shifts.shape:
            raise ValueError(f"x must have {self.shifts.size} inputs, got shape {given.shape}")
        return _quantized_inputs(given, self.shifts, self.input_scale, self.fmt)

    def quantize_inputs(self, x: ArrayLike | AnyTensor) -> NDArray[np.float64]:
        """Return quantized inputs: what `weights` are multiplied by; as `shifted`, over 2**k."""
        return np.asarray(np.ldexp(self.shifted(x), -self.shifts))

    def folded(self, fmt: NumberFormat | str) -> Composite:
        """Return the weights with the shifts in their exponents, without an error.

        Parameters
        ----------
        fmt : format or str
            Which has each value of the weights' format over 2**k.

        Returns
        -------
        Composite
            Of the scales of ``weights``, with the factors 2**-k of inputs: its dense part times
            `shifted` inputs are ``weights`` times `quantize_inputs`.

        Raises
        ------
        ValueError
            If the format does not have a value, or k is beyond 24.
        """
        q, wide = self.weights, parse(fmt)
        every = np.broadcast_to(self.shifts, q.shape)
        codes = shifted_codes(q.codes, every, q.fmt, wide)
        dense = Quantized(
            packed=pack(codes.reshape(-1), wide.bits),
            scales=q.scales,
            recipe=q.recipe.replace(fmt=wide),
            shape=q.shape,
            axis=1,
        )
        return Composite(dense, input_factors=np.ldexp(np.float32(1), -self.shifts))


def shift_exponents(
    w: ArrayLike | AnyTensor,
    inputs: ArrayLike | AnyTensor,
    recipe: Recipe | NumberFormat | str = "e2m1/channel/float32",
    fmt: Format | str = "e2m1",
    *,
    shift: bool = True,
) -> PreShifted:
    """Quantize a layer's weights and inputs as LLM-FP4 does, by a search for exponent biases.

    Let b be the bias that absmax gives, of a row of weights or of the inputs. In each of 3 rounds
    the biases (0.01 + 0.0119 n) b, n = 0 .. 99, are tried for each row, with the inputs quantized
    as they are so far; then the same for the inputs. The least squared error of the outputs wins;
    the bias so far is tried, too, so that the result is never worse than absmax.

    With c_j = the bias of input j's own absmax, and the inputs' bias b, the shift is
    k_j = min(max(round(c_j) - round(b), 0), 2**E - 1).

    Parameters
    ----------
    w : array_like, (outputs, inputs)
    inputs : array_like, (samples, inputs)
        Finite inputs that the layer gets, as float32.
    recipe : Recipe, format or str
        Of the weights: an ExMy, with blocks of a whole row and nothing else.
    fmt : Format or str
        Of the inputs, an ExMy.
    shift : bool
        False leaves all k at 0: the paper's baseline.

    Returns
    -------
    PreShifted

    Raises
    ------
    ValueError
        If shapes do not fit, a number is not finite, or a recipe or format is another.
    TypeError
        If numbers are not numeric, or an argument has another type.

    Notes
    -----
    The grid, the rounds and the shifts are those of the paper's code (nbasyl/LLM-FP4), without its
    search for the split of bits (`minifloat.search_format`). Trying the bias so far is ours: the
    grid has no 1. The grid is one of biases, not of scales: how much it widens or narrows a range
    depends on b, and so on the units of the data. It takes the time of 600 quantizations and
    products (576 x 1536 and 128 samples: 9 s on one core).

    Examples
    --------
    >>> import numpy as np
    >>> from minifloat import composites
    >>> rng = np.random.default_rng(0)
    >>> w, x = rng.standard_normal((2, 16, 16))
    >>> x[:, 3] *= 16                                        # an outlier among the inputs
    >>> p = composites.shift_exponents(w, x)
    >>> p.shifts[3], int(np.median(p.shifts))
    (np.int64(0), 3)
    >>> wide = p.folded("e4m3fn")                            # shifts are in the exponents
    >>> y = p.quantize_inputs(x) @ p.weights.dequantize().T
    >>> bool(np.allclose(p.shifted(x) @ wide.dense.dequantize().T, y))
    True
    """
    check_cpu()
    check_bool("shift", shift)
    weights, samples = checked_layer(w, inputs)
    parsed, of_inputs = Recipe.parse(recipe), parse(fmt)
    if not (isinstance(parsed.fmt, Format) and isinstance(of_inputs, Format)):
        raise ValueError(
            f"recipe and fmt must be of formats with exponents such as e2m1, got {parsed.fmt} and "
            f"{of_inputs}"
        )
    if parsed.block != "channel" or parsed.rotation is not None or plain_rule(parsed):
        raise ValueError(
            f"recipe must have blocks of a whole row and scales alone, such as "
            f"e2m1/channel/float32, got {parsed}"
        )
    return _Search(weights, samples, parsed, parsed.fmt, of_inputs, shift).run()


class _Search:
    """The search of `shift_exponents`; see there."""

    def __init__(
        self,
        weights: Array,
        inputs: Array,
        recipe: Recipe,
        weights_fmt: Format,
        fmt: Format,
        shift: bool,
    ) -> None:
        self.weights, self.inputs = weights.astype(np.float64), inputs.astype(np.float64)
        self.recipe, self.weights_fmt, self.fmt, self.shift = recipe, weights_fmt, fmt, shift
        self.exact = self.inputs @ self.weights.T
        self.own = _biases(np.abs(self.inputs).max(axis=0), fmt)  # of each input
        self.rows = _biases(np.abs(self.weights).max(axis=1), weights_fmt)
        self.bias = float(_biases(np.abs(self.inputs).max(), fmt))

    def run(self) -> PreShifted:
        row_grid = [step * self.rows for step in STEPS]
        grid = [step * self.bias for step in STEPS]
        for _ in range(ROUNDS):
            given = self.inputs_at(self.bias)
            least = np.full(len(self.rows), np.inf)
            found = self.rows
            for biases in [self.rows, *row_grid]:
                losses = np.sum((given @ self.weights_at(biases).T - self.exact) ** 2, axis=0)
                found = np.where(losses < least, biases, found)
                least = np.minimum(losses, least)
            self.rows = found
            held = self.weights_at(self.rows)
            every = [self.bias, *grid]
            losses = [np.sum((self.inputs_at(b) @ held.T - self.exact) ** 2) for b in every]
            self.bias = every[int(np.argmin(losses))]
        return PreShifted(
            weights=quantize_by(self.weights, self.row_scales(self.rows), self.recipe),
            fmt=self.fmt,
            shifts=self.shifts(self.bias),
            input_scale=self.input_scale(self.bias),
        )

    def weights_at(self, biases: Array) -> Array:
        q = quantize_by(self.weights, self.row_scales(biases), self.recipe)
        return q.dequantize().astype(np.float64)

    def row_scales(self, biases: Array) -> Array:
        scale = self.recipe.scale
        with np.errstate(over="ignore", under="ignore"):
            scales = np.exp2(self.weights_fmt.bias - biases)
            held = np.clip(scales, scale.values.smallest, scale.values.largest)
        if scale.name != "float32":
            held = round_to(held, scale.name)
        return np.asarray(held, np.float32)[:, np.newaxis]

    def shifts(self, bias: float) -> NDArray[np.int64]:
        if not self.shift:
            return np.zeros(len(self.own), np.int64)
        most = 2**self.fmt.exponent_bits - 1
        return np.asarray(np.clip(np.rint(self.own) - np.rint(bias), 0, most), np.int64)

    def input_scale(self, bias: float) -> float:
        return float(np.float32(np.exp2(np.clip(self.fmt.bias - bias, -120, 120))))

    def inputs_at(self, bias: float) -> Array:
        shifts = self.shifts(bias)
        rounded = _quantized_inputs(self.inputs, shifts, self.input_scale(bias), self.fmt)
        return np.asarray(np.ldexp(rounded, -shifts))


def _biases(absmax: Array, fmt: Format) -> Array:
    """Return the biases with which absmax is the format's largest value; of 0 as of 1."""
    return np.asarray(fmt.bias + np.log2(fmt.max_abs) - np.log2(np.where(absmax > 0, absmax, 1.0)))


def _quantized_inputs(x: Array, shifts: Array, scale: float, fmt: Format) -> NDArray[np.float64]:
    return np.asarray(round_to(np.ldexp(x, shifts) / scale, fmt) * scale, np.float64)
