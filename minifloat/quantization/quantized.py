"""`Quantized`: weights as packed codes, with the scales of their blocks."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, SupportsIndex, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from minifloat import products
from minifloat._arrays import Codes, check_codes, source_array
from minifloat._tensors import AnyTensor, Tensor
from minifloat._threads import check_threads
from minifloat.codec import FloatDtype
from minifloat.formats import Integer, NumberFormat
from minifloat.formats.base import shown
from minifloat.packing import byte_count, pack_words, unpack
from minifloat.packing.layouts import Layout, parse_layout
from minifloat.quantization import checks, picking
from minifloat.quantization.blocks import Blocks
from minifloat.quantization.dequantizing import dequantize, is_target
from minifloat.quantization.errors import max_and_squares
from minifloat.quantization.recipes import DOUBLE_RECIPE, Recipe
from minifloat.quantization.rotations import Rotation

T = TypeVar("T", bound=np.generic)
Out = TypeVar("Out", bound=NDArray[Any] | AnyTensor)


@dataclass(frozen=True)
class DoubleScales:
    """Scales that are quantized themselves, after their mean is subtracted (QLoRA).

    Attributes
    ----------
    quantized : Quantized
        The differences from the mean, in C order: E4M3FN in blocks of 256 with float32 scales.
    mean : float
        A float32 number.

    Raises
    ------
    ValueError
        If ``quantized`` has another recipe or is not 1-d, or the mean is no finite float32 number.
    TypeError
        If ``quantized`` is something else.
    """

    quantized: Quantized
    mean: float

    def __post_init__(self) -> None:
        codes = self.quantized
        if not isinstance(codes, Quantized):
            raise TypeError(f"quantized must be Quantized, got {type(codes).__name__}")
        if codes.recipe != DOUBLE_RECIPE or codes.axis != 0 or len(codes.shape) != 1:
            raise ValueError(f"quantized must be 1-d and {DOUBLE_RECIPE}, got {codes!r}")
        if not checks.is_float32(self.mean):
            raise ValueError(f"mean must be a finite float32 number, got {shown(self.mean)}")
        object.__setattr__(self, "mean", float(self.mean))

    def values(self) -> NDArray[np.float32]:
        """Return the scales: difference plus mean, both float32, rounded to float32.

        Returns
        -------
        ndarray of float32, 1-d

        Raises
        ------
        ValueError
            If a code is not one of its format's.

        Examples
        --------
        >>> import minifloat as mf
        >>> from minifloat.quantization.quantized import DoubleScales
        >>> q = mf.quantize([0.5, -1.0], "e4m3fn/256/float32")
        >>> DoubleScales(q, 2.0).values()
        array([2.5, 1. ], dtype=float32)
        """
        with np.errstate(over="ignore"):
            return self.quantized.dequantize() + np.float32(self.mean)

    @property
    def bits(self) -> int:
        """Bits of storage: codes, scales of the scales, and the mean."""
        return self.quantized.bits + 32

    @property
    def nbytes(self) -> int:
        """Bytes of storage."""
        return self.quantized.nbytes + 4


@dataclass(frozen=True, eq=False, repr=False)
class Quantized:
    """Weights as packed codes and scales; equal to another one with the same codes and scales.

    ``np.asarray(q)`` dequantizes, ``q[rows]`` are some rows, still packed, and ``q @ x`` and
    ``x @ q`` multiply without making floats of all weights. The arrays are read-only.

    Attributes
    ----------
    packed : ndarray of uint8
        The codes in C order, as `minifloat.pack` has them (little-endian).
    scales : ndarray of float32
        Values of ``recipe.scale``, not negative nor infinite; the shape of the weights with a scale
        in place of the weights of a block, or 0-d for one scale. 0 for a block of zeros, or the
        smallest value of a format without zero. NaN, if the format has it, makes all weights of
        the block NaN (OCP Microscaling 1.0); `quantize` does not write it. With a format of tables
        (lut4) there is one axis more: for each block the values that its codes mean.
    recipe : Recipe
        How the weights became codes.
    shape : tuple of int
        Shape of the weights.
    axis : int or None
        The axis that blocks run along, which may be given from the end; None: one scale for the
        tensor.
    tensor_scale : float, optional
        A float32 number by which all scales are multiplied.
    zero_points : ndarray of unsigned integers, optional
        For each scale the code that means 0, of the codes' dtype.
    double : DoubleScales, optional
        The scales as they are stored, if they are quantized themselves.
    choices : ndarray of uint8, optional
        For each scale the number of its block's format in ``recipe.candidates``, if the recipe has
        a flag.

    Raises
    ------
    ValueError
        If the size, the dtype or a number of an array contradicts the recipe or the shape. What is
        accepted can be saved, and loaded again.
    TypeError
        If a part is no array, recipe, shape or axis.
    """

    packed: NDArray[np.uint8]
    scales: NDArray[np.float32]
    recipe: Recipe
    shape: tuple[int, ...]
    axis: int | None
    tensor_scale: float | None = None
    zero_points: Codes | None = None
    double: DoubleScales | None = None
    choices: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        recipe = self.recipe
        if not isinstance(recipe, Recipe):
            raise TypeError(f"recipe must be a Recipe, got {shown(recipe)}; use Recipe.parse")
        self._set("shape", checks.checked_shape(self.shape))
        self._set("axis", self._checked_axis())
        for name, asked in (
            ("tensor_scale", recipe.tensor_scale),
            ("zero_points", recipe.zero_point),
            ("double", recipe.double),
            ("choices", recipe.flag is not None),
        ):
            part = getattr(self, name)
            if (part is not None) != asked:
                given = "none" if asked else shown(part) if name == "tensor_scale" else "some"
                raise ValueError(f"{name} must be as the recipe {recipe} says, got {given}")
        if recipe.rotation is not None:
            recipe.rotation.check_length(self.blocks.length)
        shape = self.blocks.scale_shape
        if self.choices is not None:
            count = len(recipe.candidates)
            self._set("choices", checks.checked_choices(self.choices, shape, count))
        self._set("packed", self._checked_packed())
        if recipe.fmt.is_lookup:
            shape += recipe.table_shape
            self._set("scales", checks.checked_tables(self.scales, shape, recipe.scale))
        else:
            self._set("scales", checks.checked_scales(self.scales, shape, recipe.scale))
        if self.tensor_scale is not None:
            self._set("tensor_scale", checks.checked_tensor_scale(self.tensor_scale))
        if self.zero_points is not None:
            self._set("zero_points", checks.checked_zero_points(self.zero_points, shape, self.fmt))
        if self.double is not None:
            self._check_double(self.double)

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _checked_packed(self) -> NDArray[np.uint8]:
        """Return packed codes, each one of its block's format."""
        if self.choices is None:
            return checks.checked_codes(self.packed, self.size, self.fmt)
        formats = {each.fmt for each in self.recipe.candidates}
        if any(map(checks.has_unused_codes, formats)):
            codes, choices = self.codes, self.blocks.every_weight(self.choices)
            for k, each in enumerate(self.recipe.candidates):
                check_codes(codes[choices == k], each.fmt)
        return checks.checked_bytes(self.packed, self.size, self.fmt)

    def _checked_axis(self) -> int | None:
        """Return the axis, not negative; None for one scale and for weights without axes."""
        if self.recipe.block != "tensor" and self.shape:
            return checks.checked_axis(self.axis, self.shape, self.recipe.block)
        if self.axis is not None:
            raise ValueError(f"axis must be None for one scale, got {shown(self.axis)}")
        return None

    def _check_double(self, double: DoubleScales) -> None:
        if not isinstance(double, DoubleScales):
            raise TypeError(f"double must be DoubleScales, got {type(double).__name__}")
        size = double.quantized.size
        if size != self.scales.size:
            raise ValueError(f"double must be of {self.scales.size} scales, got {size}")
        values = double.values().reshape(self.scales.shape)
        wrong = (values != self.scales) & ~(np.isnan(values) & np.isnan(self.scales))
        if wrong.any():
            index = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise ValueError(
                f"scales must be double.values(), got {self.scales[index]} at index {index}, where "
                f"that is {values[index]}; pass double.values(), in the shape of the scales"
            )

    @classmethod
    def of_checked(cls, **parts: Any) -> Quantized:
        """Return weights of parts that need no check: just computed, or those of another."""
        q = object.__new__(cls)
        for field in fields(cls):
            part = parts.get(field.name)
            q._set(field.name, checks.read_only(part) if isinstance(part, np.ndarray) else part)
        return q

    @property
    def fmt(self) -> NumberFormat:
        """Format of the codes; with choices, that of blocks whose choice is 0."""
        return self.recipe.fmt

    def readings(self) -> tuple[Quantized, ...]:
        """Return these weights as each candidate of the recipe reads them.

        Returns
        -------
        tuple of Quantized
            Without choices, of the same codes and scales: right where the block is this candidate.
        """
        if self.choices is None:
            return (self,)
        every = zip(self.recipe.candidates, self.recipe.factors(self.tensor_scale), strict=True)
        return tuple(
            Quantized.of_checked(
                packed=self.packed, scales=self.scales, shape=self.shape, axis=self.axis,
                recipe=recipe.replace(tensor_scale=True), tensor_scale=factor,
            )
            for recipe, factor in every
        )  # fmt: skip

    def addends(self) -> tuple[Quantized, ...] | None:
        """Return plain weights that make these ones when they are added, for products.

        Returns
        -------
        tuple of Quantized or None
            One for each candidate of the recipe, with scale 0 where a block is another. None if a
            code of one of them may mean no number, which a scale of 0 does not silence.
        """
        if self.choices is None:
            return (self,)
        parts = []
        zero = np.float32(0)
        for k, reading in enumerate(self.readings()):
            fmt = reading.fmt
            if isinstance(fmt, Integer):  # the code that is unused may be one of another candidate
                fmt = Integer(fmt.bits, signed=fmt.signed, symmetric=False)
            if fmt.code_count < 1 << fmt.bits or not np.isfinite(fmt.values()).all():
                return None
            parts.append(
                Quantized.of_checked(
                    packed=self.packed, scales=np.where(self.choices == k, self.scales, zero),
                    shape=self.shape, axis=self.axis, tensor_scale=reading.tensor_scale,
                    recipe=reading.recipe.replace(fmt=fmt),
                )
            )  # fmt: skip
        return tuple(parts)

    @cached_property
    def blocks(self) -> Blocks:
        """Which weights share a scale."""
        return Blocks.of(self.recipe.block, self.shape, self.axis)

    @property
    def rotation(self) -> Rotation | None:
        """How the weights were rotated along ``axis`` before they became codes."""
        return self.recipe.rotation

    @cached_property
    def stored(self) -> Quantized:
        """The weights that the codes mean, which are rotated if the recipe has a rotation."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        return Quantized.of_checked(**parts | {"recipe": self.recipe.replace(rotation=None)})

    @cached_property
    def product_forms(self) -> dict[Any, Any]:
        """These weights as products compute with them: views of the arrays, no floats of codes."""
        return {}

    @property
    def size(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)

    @property
    def codes(self) -> Codes:
        """The codes in the shape of the weights, uint8 to 8 bits; a new array at each call."""
        return unpack(self.packed, self.fmt.bits, self.size).reshape(self.shape)

    @property
    def bits_per_weight(self) -> float:
        """Bits of storage per weight, all scales, zero points and flags counted.

        Without weights it is the width of a code. The bits that are left in an array's last byte
        are not counted.
        """
        if not self.size:
            return float(self.fmt.bits)
        return self.fmt.bits + self._bits_beside_codes() / self.size

    @property
    def bits(self) -> int:
        """Bits of storage, counted as for `bits_per_weight`; 0 without weights."""
        return self.size * self.fmt.bits + self._bits_beside_codes() if self.size else 0

    def _bits_beside_codes(self) -> int:
        if self.double is not None:
            bits = self.double.bits
        else:
            bits = self.scales.size * self.recipe.scale.bits
        if self.tensor_scale is not None:
            bits += 32
        if self.zero_points is not None:
            bits += self.zero_points.size * self.fmt.bits
        return bits + self.scales.size * self.recipe.flag_bits

    @property
    def nbytes(self) -> int:
        """Bytes of storage: packed codes, scales in their format's width, zero points, flags."""
        total = self.packed.nbytes
        if self.double is not None:
            total += self.double.nbytes
        else:
            total += byte_count(self.scales.size, self.recipe.scale.bits)
        if self.tensor_scale is not None:
            total += 4
        if self.zero_points is not None:
            total += byte_count(self.zero_points.size, self.fmt.bits)
        if self.recipe.flag_bits:
            total += byte_count(self.scales.size, self.recipe.flag_bits)
        return total

    def words(self, layout: Layout | str) -> NDArray[np.uint32]:
        """Return the codes in 32-bit words, packed along the last axis, for kernels to read.

        Parameters
        ----------
        layout : Layout or str
            A layout for codes of ``fmt.bits`` bits, or its name, such as "1+4".

        Returns
        -------
        ndarray of uint32
            As `minifloat.pack_words` gives it.

        Raises
        ------
        ValueError
            If there is no such layout, or it is for codes of another width, or the weights are 0-d.

        Examples
        --------
        >>> import minifloat as mf
        >>> mf.quantize([[1.0, -0.5, 0.1, 0.02]] * 3, "e2m2").words("1+4").shape
        (3, 5)
        """
        return pack_words(self.codes, parse_layout(layout, self.fmt.bits))

    def row_scales(self, rows: slice | None = None) -> NDArray[np.float32]:
        """Return the scales as a row for each row of the weights along ``axis``.

        Parameters
        ----------
        rows : slice, optional
            Of these rows; default all.

        Returns
        -------
        ndarray of float32, (rows, blocks of a row)
        """
        return self._of_rows(self.scales, rows)

    def row_zero_points(self, rows: slice | None = None) -> Codes | None:
        """Return the zero points as `row_scales` returns the scales, or None."""
        return None if self.zero_points is None else self._of_rows(self.zero_points, rows)

    def _of_rows(self, scales: NDArray[Any], rows: slice | None) -> NDArray[Any]:
        blocks = self.blocks
        index = slice(0, blocks.row_count) if rows is None else rows
        return np.asarray(blocks.scale_rows(scales)[blocks.group_of(index)])

    @overload
    def dequantize(
        self, dtype: type[np.float32] = ..., *, threads: SupportsIndex = 1
    ) -> NDArray[np.float32]: ...
    @overload
    def dequantize(
        self, dtype: type[T] | np.dtype[T], *, threads: SupportsIndex = 1
    ) -> NDArray[T]: ...
    @overload
    def dequantize(
        self, dtype: FloatDtype = ..., *, out: Out, threads: SupportsIndex = 1
    ) -> Out: ...
    def dequantize(
        self, dtype: FloatDtype = np.float32, *, out: Any = None, threads: SupportsIndex = 1
    ) -> Any:
        """Return the weights that the codes mean: value times scale, rounded once.

        Rounding is to nearest even, from the exact product: to float16 and bfloat16 the weights are
        not rounded to float32 on the way. With a tensor scale the product of all three is computed
        in float64 before that, where it is exact for values and scales of at most 29 bits of
        precision together (NVFP4's have 6, NF4's with E4M3FN scales 28).

        Rotated weights are those of ``stored``, as float32, rotated back in float64 and rounded
        once.

        Parameters
        ----------
        dtype : dtype
            float32, float16 or bfloat16 (of ml_dtypes), as text, or as a dtype of NumPy or PyTorch.
        out : ndarray or tensor, optional
            Where to put the weights: of their shape, of ``dtype``. It may be a `numpy.memmap`.
        threads : int
            Threads to share the weights among; the result does not depend on it.

        Returns
        -------
        ndarray of ``dtype``, in the shape of the weights
            ``out``, if it is given.

        Raises
        ------
        ValueError
            If ``dtype`` is another one, or ``out`` has another shape or is read-only.
        TypeError
            If ``out`` is no array of ``dtype``.

        Notes
        -----
        Beside the result, memory holds the codes of a row; of weights that are rotated along the
        first axis, all of them in float64. An ``out`` that is not contiguous, or
        that shares memory with the weights, is filled from a result of its own. To dequantize some
        rows, pick them first: ``q[start:stop].dequantize()`` does not touch the others.

        Examples
        --------
        >>> import minifloat as mf
        >>> import numpy as np
        >>> q = mf.quantize([1.0, -0.4, 0.3], "e2m1", scale="float32")
        >>> q.dequantize()
        array([ 1.        , -0.33333334,  0.33333334], dtype=float32)
        >>> q.dequantize(np.float16)
        array([ 1.    , -0.3333,  0.3333], dtype=float16)
        """
        return dequantize(self, dtype, out, check_threads(threads))

    def sqnr(self, w: ArrayLike | AnyTensor) -> float:
        """Return the signal to quantization noise ratio, ``10 log10(sum w**2 / sum (w - w')**2)``.

        Parameters
        ----------
        w : array_like
            The weights before quantization, in their shape.

        Returns
        -------
        float
            In dB; infinite without error, NaN for zeros without error.

        Raises
        ------
        ValueError
            If ``w`` has another shape.
        TypeError
            If ``w`` is not numeric.

        Examples
        --------
        >>> import minifloat as mf
        >>> w = [1.0, -0.4, 0.3]
        >>> round(mf.quantize(w, "e2m1").sqnr(w), 2)
        23.52
        """
        given = source_array(w, "w")[0]
        if given.shape != self.shape:
            raise ValueError(f"w must have shape {self.shape}, got {given.shape}")
        flat = given.reshape(-1)
        _, signal = max_and_squares(flat)
        largest, noise = max_and_squares(flat, self.dequantize().reshape(-1))
        if not math.isfinite(largest):
            return math.nan
        if noise == 0:
            return math.inf if signal else math.nan
        if signal == 0:
            return -math.inf
        ratio = signal / noise  # may lie beyond float64
        return 10 * (math.log10(ratio.numerator) - math.log10(ratio.denominator))

    def __getitem__(self, rows: picking.Rows) -> Quantized:
        """Return some weights along the first axis, packed.

        Where blocks run along the first axis, or are tiles, each row keeps a scale of its own for
        each block. Scales that were quantized themselves become float32.

        Parameters
        ----------
        rows : int, slice, or array of int or bool
            As NumPy takes them.

        Returns
        -------
        Quantized

        Examples
        --------
        >>> import minifloat as mf
        >>> q = mf.quantize([[1.0, 2.0], [3.0, -3.5], [5.0, 6.0]], "e2m2")
        >>> q[1:].shape, q[1].dequantize()
        ((2, 2), array([ 3. , -3.5], dtype=float32))
        """
        return Quantized.of_checked(**picking.parts_of(self, rows))

    @overload
    def __array__(self, dtype: None = None, copy: bool | None = None) -> NDArray[np.float32]: ...
    @overload
    def __array__(self, dtype: np.dtype[T], copy: bool | None = None) -> NDArray[T]: ...
    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the dequantized weights; see `dequantize`."""
        if copy is False:
            raise ValueError("copy must not be False: dequantizing makes a new array")
        target = np.dtype(np.float32 if dtype is None else dtype)
        return self.dequantize(target) if is_target(target) else self.dequantize().astype(target)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        """Let NumPy compute with the dequantized weights; ``x @ q`` uses the packed ones."""
        if ufunc is np.matmul and method == "__call__" and not options:
            x, q = inputs
            return q.__rmatmul__(x) if isinstance(q, Quantized) else x @ q
        if method == "at" or any(isinstance(x, Quantized) for x in options.get("out", ())):
            raise TypeError("out must be an array, got Quantized, whose weights are read-only")
        arrays = [np.asarray(x) if isinstance(x, Quantized) else x for x in inputs]
        return getattr(ufunc, method)(*arrays, **options)

    @overload
    def __matmul__(self, x: Tensor) -> Tensor: ...
    @overload
    def __matmul__(self, x: ArrayLike) -> NDArray[np.float32]: ...
    def __matmul__(self, x: Any) -> Any:
        """Return ``dequantize() @ x`` from the packed codes; see `minifloat.products.matmul`."""
        return products.matmul(self, x)

    @overload
    def __rmatmul__(self, x: Tensor) -> Tensor: ...
    @overload
    def __rmatmul__(self, x: ArrayLike) -> NDArray[np.float32]: ...
    def __rmatmul__(self, x: Any) -> Any:
        """Return ``x @ dequantize()``; see `minifloat.products.vecmat`."""
        return products.vecmat(x, self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Quantized):
            return NotImplemented
        return all(
            np.array_equal(a, b, equal_nan=True) if isinstance(a, np.ndarray) else a == b
            for a, b in ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        )

    __hash__ = None  # type: ignore[assignment]  # as of arrays

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by the fields: arrays that come back would be writeable otherwise."""
        return type(self), tuple(getattr(self, f.name) for f in fields(self))

    def __repr__(self) -> str:
        blocks = "" if self.axis is None else f", axis {self.axis}"
        return (
            f"<Quantized {self.recipe} {self.shape}: {self.bits_per_weight:.4g} bits per weight"
            f"{blocks}>"
        )

    def _repr_html_(self) -> str:
        facts = {
            "shape": " x ".join(map(str, self.shape)) or "()",
            "bits per weight": f"{self.bits_per_weight:.4g}",
            "bytes": f"{self.nbytes}",
            "axis": "all" if self.axis is None else str(self.axis),
            "scales": f"{self.scales.size} of {self.recipe.scale}",
        }
        if self.tensor_scale is not None:
            facts["tensor scale"] = f"{self.tensor_scale:.6g}"
        rows = "".join(f"<tr><th>{name}</th><td>{fact}</td></tr>" for name, fact in facts.items())
        caption = html.escape(f"Quantized {self.recipe}")
        return f"<table><caption>{caption}</caption>{rows}</table>"
