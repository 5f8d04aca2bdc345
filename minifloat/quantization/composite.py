"""`Composite`: quantized weights, and what is added to them or done to their inputs."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

from minifloat.packing import byte_count
from minifloat.quantization.checks import checked_array, read_only
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.sparse import Sparse, holds_in_float16

T = TypeVar("T", bound=np.generic)

FACTOR_BITS = 16
BIAS_BITS = 32


@dataclass(frozen=True, eq=False, repr=False)
class Composite:
    """Weights of a layer in several parts; all but the first may be None.

    The weights are

        (dequantize(dense)[:, inverse of order] + sparse + left @ right) / input_factors

    where ``low_rank`` is left and right, and `minifloat.linear` adds ``bias`` to their products.
    ``np.asarray(c)`` dequantizes. Two are equal if all parts are. The arrays are read-only.

    Attributes
    ----------
    dense : Quantized, (outputs, inputs)
    order : ndarray of int64, (inputs,), optional
        A permutation: column k of ``dense`` belongs to input ``order[k]``. Any dtype of integers
        may be given.
    sparse : Sparse, (outputs, inputs), optional
    low_rank : (Quantized, Quantized), optional
        Of shapes (outputs, rank) and (rank, inputs), each of a recipe of its own.
    input_factors : ndarray of float32, (inputs,), optional
        What the weights were multiplied by before they were quantized: positive numbers that
        float16 holds. In products the inputs are divided by them.
    bias : ndarray of float32, (outputs,), optional
        Finite numbers.

    Raises
    ------
    ValueError
        If the shape, the dtype or a number of a part contradicts the above. What is accepted can be
        saved, and loaded again.
    TypeError
        If a part is of another kind.

    Examples
    --------
    >>> import numpy as np
    >>> import minifloat as mf
    >>> w = np.array([[0.5, 3.0, 0.25, -2.0]], np.float32)
    >>> order = np.argsort(abs(w[0]))
    >>> c = mf.Composite(mf.quantize(w[:, order], "e2m1/2/e8m0"), order=order)
    >>> c.dequantize()
    array([[ 0.5 ,  3.  ,  0.25, -2.  ]], dtype=float32)
    >>> c.parts
    {'dense': 32, 'order': 8}
    >>> c
    <Composite e2m1/2/e8m0 (1, 4): 10 bits per weight; order>
    """

    dense: Quantized
    order: NDArray[np.int64] | None = None
    sparse: Sparse | None = None
    low_rank: tuple[Quantized, Quantized] | None = None
    input_factors: NDArray[np.float32] | None = None
    bias: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.dense, Quantized):
            raise TypeError(
                f"dense must be Quantized, got {type(self.dense).__name__}; minifloat.quantize "
                "makes it of weights"
            )
        if len(self.dense.shape) != 2:
            raise ValueError(f"dense must be of shape (outputs, inputs), got {self.dense.shape}")
        outputs, inputs = self.shape
        if self.order is not None:
            self._set("order", _checked_order(self.order, inputs))
        if self.sparse is not None:
            if not isinstance(self.sparse, Sparse):
                raise TypeError(
                    f"sparse must be Sparse, got {type(self.sparse).__name__}; Sparse.of makes it"
                )
            if self.sparse.shape != self.shape:
                raise ValueError(f"sparse must have shape {self.shape}, got {self.sparse.shape}")
        if self.low_rank is not None:
            self._set("low_rank", _checked_factors(self.low_rank, self.shape))
        if self.input_factors is not None:
            factors = checked_array("input_factors", self.input_factors, np.float32, (inputs,))
            wrong = ~(holds_in_float16(factors) & (factors > 0))
            if wrong.any():
                raise ValueError(
                    f"input_factors must be above 0 and of float16, got {factors[wrong][0]}; round "
                    "them to it before the weights are multiplied by them"
                )
            self._set("input_factors", factors)
        if self.bias is not None:
            bias = checked_array("bias", self.bias, np.float32, (outputs,))
            if not np.isfinite(bias).all():
                raise ValueError(f"bias must be finite, got {bias[~np.isfinite(bias)][0]}")
            self._set("bias", bias)

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the weights, (outputs, inputs)."""
        outputs, inputs = self.dense.shape
        return outputs, inputs

    @property
    def size(self) -> int:
        """Number of weights."""
        return self.dense.size

    @property
    def parts(self) -> dict[str, int]:
        """Bits of storage of each part that is there, all that it needs counted.

        An order takes ceil(log2 inputs) bits an input, factors 16 bits an input, a bias 32 bits an
        output.
        """
        return {name: bits for name, (bits, _) in self._storage().items()}

    @property
    def bits_per_weight(self) -> float:
        """Bits of storage per weight, all parts counted; without weights those of a code."""
        if not self.size:
            return self.dense.bits_per_weight
        others = sum(bits for name, bits in self.parts.items() if name != "dense")
        return self.dense.bits_per_weight + others / self.size

    @property
    def nbytes(self) -> int:
        """Bytes of storage, each array in whole bytes."""
        return sum(nbytes for _, nbytes in self._storage().values())

    def _storage(self) -> dict[str, tuple[int, int]]:
        """Return the bits and the bytes of each part."""
        outputs, inputs = self.shape
        storage = {"dense": (self.dense.bits, self.dense.nbytes)}
        if self.order is not None:
            storage["order"] = _of_array(inputs, order_bits(inputs))
        if self.sparse is not None:
            storage["sparse"] = (self.sparse.bits, self.sparse.nbytes)
        if self.low_rank is not None:
            left, right = self.low_rank
            storage["low_rank"] = (left.bits + right.bits, left.nbytes + right.nbytes)
        if self.input_factors is not None:
            storage["input_factors"] = _of_array(inputs, FACTOR_BITS)
        if self.bias is not None:
            storage["bias"] = _of_array(outputs, BIAS_BITS)
        return storage

    def dequantize(self) -> NDArray[np.float32]:
        """Return the weights that all parts mean together.

        The parts are those that `Quantized.dequantize` gives, as float32; they are multiplied,
        added and divided in float64, and the result is rounded once.

        Returns
        -------
        ndarray of float32, (outputs, inputs)

        Examples
        --------
        >>> import minifloat as mf
        >>> left = mf.quantize([[1.0], [2.0]], "int4/1/e8m0")
        >>> right = mf.quantize([[1.0, -1.0]], "int2/2/e8m0")
        >>> zeros = mf.quantize([[0.0, 0.0], [0.0, 0.0]], "e2m2")
        >>> mf.Composite(zeros, low_rank=(left, right)).dequantize()
        array([[ 1., -1.],
               [ 2., -2.]], dtype=float32)
        """
        weights = self.dense.dequantize()
        if self.order is not None:
            weights = weights[:, np.argsort(self.order)]
        if all(part is None for part in (self.sparse, self.low_rank, self.input_factors)):
            return weights
        wide = weights.astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            if self.sparse is not None:
                wide += self.sparse.dequantize()
            if self.low_rank is not None:
                left, right = (q.dequantize().astype(np.float64) for q in self.low_rank)
                wide += left @ right
            if self.input_factors is not None:
                wide /= self.input_factors
            return wide.astype(np.float32)

    @overload
    def __array__(self, dtype: None = None, copy: bool | None = None) -> NDArray[np.float32]: ...
    @overload
    def __array__(self, dtype: np.dtype[T], copy: bool | None = None) -> NDArray[T]: ...
    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the dequantized weights; see `dequantize`."""
        if copy is False:
            raise ValueError("copy must not be False: dequantizing makes a new array")
        return self.dequantize().astype(np.float32 if dtype is None else dtype, copy=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Composite):
            return NotImplemented
        return all(
            np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b
            for a, b in ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        )

    __hash__ = None  # type: ignore[assignment]  # as of arrays

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by the fields: arrays that come back would be writeable otherwise."""
        return type(self), tuple(getattr(self, f.name) for f in fields(self))

    def __repr__(self) -> str:
        others = ", ".join(name.replace("_", " ") for name in self.parts if name != "dense")
        return (
            f"<Composite {self.dense.recipe} {self.shape}: {self.bits_per_weight:.4g} bits per "
            f"weight; {others or 'dense alone'}>"
        )


def order_bits(inputs: int) -> int:
    """Return the bits of one number of a permutation of so many."""
    return max(inputs - 1, 0).bit_length()


def _of_array(count: int, bits: int) -> tuple[int, int]:
    return count * bits, byte_count(count, bits)


def _checked_order(order: object, inputs: int) -> NDArray[np.int64]:
    """Return a permutation, read-only."""
    if not isinstance(order, np.ndarray) or order.dtype.kind not in "iu":
        got = order.dtype if isinstance(order, np.ndarray) else type(order).__name__
        raise TypeError(f"order must be an array of integers, got {got}")
    if order.shape != (inputs,) or not np.array_equal(np.sort(order), np.arange(inputs)):
        raise ValueError(
            f"order must have each of 0..{inputs - 1} once, got an array of shape {order.shape} "
            "that has not"
        )
    return read_only(order.astype(np.int64))


def _checked_factors(low_rank: object, shape: tuple[int, int]) -> tuple[Quantized, Quantized]:
    """Return the factors of a product of this shape."""
    rule = f"low_rank must be two Quantized, ({shape[0]}, rank) and (rank, {shape[1]})"
    if not isinstance(low_rank, tuple | list) or len(low_rank) != 2:
        raise TypeError(f"{rule}, got {type(low_rank).__name__}")
    left, right = low_rank
    if not (isinstance(left, Quantized) and isinstance(right, Quantized)):
        raise TypeError(f"{rule}, got {type(left).__name__} and {type(right).__name__}")
    fits = len(left.shape) == len(right.shape) == 2 and left.shape[1] == right.shape[0]
    if not fits or (left.shape[0], right.shape[1]) != shape:
        raise ValueError(f"{rule}, got shapes {left.shape} and {right.shape}")
    return left, right
