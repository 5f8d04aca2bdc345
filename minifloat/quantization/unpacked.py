"""A quantized matrix taken apart, for methods that change its codes: all in float64."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat import _arrays
from minifloat._tensors import AnyTensor
from minifloat.packing import pack
from minifloat.quantization.hessians import checked_hessian, damped, rotated
from minifloat.quantization.quantized import Quantized

Array = NDArray[Any]


@dataclass(frozen=True)
class Unpacked:
    """The codes of a matrix and what they mean, as `Quantized.stored` has them.

    A weight is ``unit * scale * factor``, and its unit a format's value minus a zero point.

    Attributes
    ----------
    q : Quantized
        Whose codes these are.
    wanted : ndarray of float64, (outputs, inputs)
        The weights before quantization, rotated if the recipe says so.
    codes, units : ndarray, (outputs, inputs)
    scales, zeros, choices : ndarray, (groups of rows, blocks)
        The zero points are 0 where there are none.
    factors : ndarray of float64
        Of each candidate of the recipe.
    hessian : ndarray of float64, (inputs, inputs)
        Damped; all 0 for inputs that are always 0.
    """

    q: Quantized
    wanted: Array
    codes: Array
    units: Array
    scales: Array
    zeros: Array
    choices: Array
    factors: Array
    hessian: Array

    @classmethod
    def of(
        cls, w: ArrayLike | AnyTensor, q: Quantized, hessian: ArrayLike | AnyTensor, damp: float
    ) -> Unpacked:
        """Take a matrix apart.

        Raises
        ------
        TypeError, ValueError
            If ``q`` is not a matrix with blocks along its inputs, a scale and a format with values
            for each; if ``w`` has another shape or is not finite; if the Hessian is none.
        """
        _arrays.check_cpu()
        if not isinstance(q, Quantized):
            raise TypeError(f"q must be Quantized, got {type(q).__name__}; use quantize or gptq")
        if len(q.shape) != 2 or q.axis != 1:
            raise ValueError(
                "q must be of shape (outputs, inputs), in blocks along the inputs, got "
                f"{q.recipe} of shape {q.shape}, axis {q.axis}"
            )
        if q.fmt.is_lookup:
            raise ValueError(
                f"q must have a format with values of its own, got {q.recipe}, whose blocks have "
                "tables"
            )
        given = _arrays.source_array(w, "w")[0]
        if given.shape != q.shape:
            raise ValueError(f"w must have the shape of q, {q.shape}, got {given.shape}")
        with np.errstate(invalid="ignore"):  # of a signalling NaN
            wanted = np.array(given, np.float64, order="C")
        if not np.isfinite(wanted).all():
            raise ValueError("w must be finite; replace infinite weights and NaN")
        if q.rotation is not None:
            q.rotation.transform(wanted)
        inputs = q.shape[1]
        matrix, dead = damped(checked_hessian(rotated(hessian, q.rotation, inputs), inputs), damp)
        matrix[dead, dead] = 0
        blocks, codes = q.blocks, q.codes
        scales = blocks.scale_rows(q.scales).astype(np.float64)
        zeros, choices = np.zeros(scales.shape), np.zeros(scales.shape, np.uint8)
        if q.zero_points is not None:
            zeros = blocks.scale_rows(q.zero_points).astype(np.float64)
        if q.choices is not None:
            choices = np.array(blocks.scale_rows(q.choices), np.uint8, order="C")
        factors = np.array(q.recipe.factors(q.tensor_scale))
        contiguous = np.ascontiguousarray(matrix)
        parts = cls(q, wanted, codes, np.empty(0), scales, zeros, choices, factors, contiguous)
        units, every = np.empty(codes.shape), parts.every(choices)
        for k, candidate in enumerate(q.recipe.candidates):
            is_this = every == k
            units[is_this] = candidate.fmt.values()[codes[is_this]]
        units -= parts.every(zeros)
        if not (np.isfinite(units).all() and np.isfinite(scales).all()):
            raise ValueError("q must be of finite weights, got infinite ones or NaN")
        return replace(parts, units=units)

    def every(self, numbers: Array) -> Array:
        """Return for each weight the number of its block."""
        blocks = self.q.blocks
        if not self.q.size:
            return np.zeros(self.q.shape, numbers.dtype)
        rows = numbers[blocks.group_of(slice(0, blocks.row_count))]
        return np.repeat(rows, blocks.width, axis=1)[:, : blocks.length]

    def every_scale(self) -> Array:
        """Return for each weight its scale times its factor."""
        return self.every(self.scales * self.factors[self.choices])

    def losses(self, weights: Array, rows: slice) -> NDArray[np.float64]:
        """Return the losses d H d^T of some rows with these weights, d = weights - wanted."""
        differences = weights - self.wanted[rows]
        return np.asarray(np.einsum("ij,ij->i", differences @ self.hessian, differences))

    def result(self, codes: Array, scales: Array | None = None) -> Quantized:
        """Return the weights with other codes, and scales.

        Raises
        ------
        ValueError
            If a weight is then beyond float32.
        """
        parts: dict[str, Any] = {"packed": pack(codes.reshape(-1), self.q.fmt.bits)}
        if scales is not None:
            parts["scales"] = self.q.blocks.restore_scales(scales.astype(np.float32))
        result = replace(self.q, **parts)
        if not np.isfinite(result.dequantize()).all():
            raise ValueError("w must stay within float32's 3.4e+38, got more; scale w down")
        return result
