"""Weights in a file of their own: `save` and `load`.

Files are taken as untrusted: nothing in them is ever executed, every field is checked, and
everything that is wrong with one is a `minifloat.files.WeightsError`, which is a ValueError.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any, TypeAlias

from minifloat.files import complex_weights, composites
from minifloat.files import quantized as plain
from minifloat.files.arrays import Arrays, checked_path, read_arrays, write_arrays
from minifloat.quantization.complex_weights import ComplexQuantized
from minifloat.quantization.composite import Composite
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.widely_linear import WidelyLinear

Weights: TypeAlias = Quantized | Composite | ComplexQuantized | WidelyLinear


def save(quantized: Weights, path: str | os.PathLike[str]) -> None:
    """Write quantized weights to a file, whole or not at all.

    The file holds the arrays

        codes             uint8, the codes in C order as `minifloat.pack` has them: bit b of code i
                          is bit (i * bits + b) % 8 of byte (i * bits + b) // 8
        scales            float32, float16, or uint16, the words of bfloat16; of another format
                          uint8, its codes in C order, packed as codes are; of a format of tables
                          (lut4) the values of each block's codes in place of its scale. If the
                          recipe has the flag "sign", the sign of a scale says whether its block is
                          the second candidate
        choices           uint8, the number of each block's candidate, packed likewise; if the
                          recipe has the flag "bits"
        zero_points       uint8, the codes that mean 0, packed likewise; if the recipe has them
        scales_of_scales  float32, a scale for each 256 scales; if the recipe is double: the scales
                          are E4M3FN codes then, worth value * scale of scales + scale_mean, each
                          operation rounded to float32
        codebook          float64, the value of each code; if the format is a `Codebook`;
                          codebook1, codebook2, ... of its alternatives, if they are

    and a JSON text named "minifloat": in .npz a string array, in .safetensors an entry of the
    metadata. It has version (3), format (the recipe's text up to the first slash), bits, scaling
    (the text behind it), shape and axis (of the weights), tensor_scale and scale_mean (null where
    there is none), layout ("dense") and bit_order ("little"). A weight is its code's value times
    its block's scale; a scale that is NaN makes its block NaN. `numpy.load` and
    `safetensors.numpy.load_file` read the files as they are.

    Of a `Composite` there are

        dense.codes ...      the arrays above of the dense part
        left.codes ...       those of the two thin matrices, left and right; if there are two
        order                uint8, the input of each column of the dense part, packed as codes are
                             in ceil(log2 inputs) bits (at least 1); if the order is another one
        sparse.values        float16, row after row
        sparse.gaps          uint8, packed likewise in gap_bits bits
        sparse.row_lengths   uint8, the entries of each row, packed likewise in the bits that hold
                             the number of inputs
        input_factors        float16
        bias                 float32

    and the JSON text has composite (1), dense, left and right (each a text as above, or null) and
    gap_bits (null without a sparse part).

    Of complex codes there are

        complex.values       float64, (n, 2), the real and the imaginary part of each code's value
        z.codes, z.scales    uint8, the codes, packed likewise, and float32, (..., 2), a scale of
                             the real and one of the imaginary parts; of a `ComplexQuantized`
        u0.codes ...         the same of both matrices of each stage, u0, w0, u1, w1 ...; of a
                             `WidelyLinear`

    and the JSON text has complex (1), format (the codebook's name) and shape (of the complex
    weights).

    Parameters
    ----------
    quantized : Quantized, Composite, ComplexQuantized or WidelyLinear
    path : path
        Ends in .npz or .safetensors. A file that is there is replaced at the end, by one that was
        written beside it and has its permissions; of a symbolic link the target. If the process is
        killed, that file stays: ``.weights.npz.<hex digits>.new`` beside ``weights.npz``, which
        may be removed.

    Raises
    ------
    TypeError
        If ``quantized`` or ``path`` is something else.
    ValueError
        If ``path`` is empty, has a NUL, or ends otherwise, or its writer is not installed.
    OSError
        If the file cannot be written, such as a read-only one; it names ``path``.

    Examples
    --------
    >>> import os, tempfile
    >>> import minifloat as mf
    >>> q = mf.quantize([[0.7, -0.1, 0.02]], "e2m2")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "weights.npz")
    ...     mf.save(q, path)
    ...     bool((mf.load(path).dequantize() == q.dequantize()).all())
    True
    """
    if not isinstance(quantized, Weights):
        raise TypeError(
            f"quantized must be Quantized, Composite or of complex codes, got "
            f"{type(quantized).__name__}; minifloat.quantize makes one"
        )
    path = checked_path(path)  # before the work
    if isinstance(quantized, Quantized):
        write_arrays(path, *plain.to_arrays(quantized))
    elif isinstance(quantized, Composite):
        write_arrays(path, *composites.to_arrays(quantized))
    else:
        write_arrays(path, *complex_weights.to_arrays(quantized))


def load(path: str | os.PathLike[str]) -> Weights:
    """Read quantized weights that `save` wrote.

    Parameters
    ----------
    path : path
        Ends in .npz or .safetensors.

    Returns
    -------
    Quantized, Composite, ComplexQuantized or WidelyLinear
        Bit for bit the one that was saved.

    Raises
    ------
    ValueError
        If the file is missing, damaged, hostile, of another kind or of another version, or its
        reader is not installed. The message names the file and the reason.

    Examples
    --------
    >>> import os, tempfile
    >>> import minifloat as mf
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "weights.npz")
    ...     mf.save(mf.quantize([1.0, -0.5], "nf4"), path)
    ...     mf.load(path)
    <Quantized nf4/64/float32 (2,): 20 bits per weight, axis 0>
    """
    return read_arrays(path, lambda names: _kind(names).check_names(names), _weights)


def _weights(arrays: Arrays, text: str) -> Weights:
    weights: Weights = _kind(arrays).from_arrays(arrays, text)
    return weights


def _kind(names: Collection[str]) -> Any:
    """Return the module of the kind of weights that has arrays of these names."""
    if "dense.codes" in names:
        return composites
    return complex_weights if complex_weights.VALUES in names else plain
