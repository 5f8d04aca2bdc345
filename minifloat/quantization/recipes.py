"""Published ways to quantize, as options of `minifloat.quantize`: one line each.

    mf.quantize(w, **mf.PRESETS["nvfp4"])
    mf.quantize(w, **mf.PRESETS["nvfp4"] | {"rule": "mse"}, axis=0)

``PRESETS`` maps a name to options. Those of the MX formats take the scale's exponent by its
standard's rule, "floor"; elements beyond the format saturate. FPE2M2's own code also keeps scales
from falling below 1e-5, which its preset does not.
"""

from __future__ import annotations

from typing import Any

Options = dict[str, Any]


def mx(fmt: str) -> Options:
    """Return the options of an OCP Microscaling 1.0 format: 32 elements to a power of two.

    Parameters
    ----------
    fmt : str
        Of the elements.

    Returns
    -------
    dict

    Raises
    ------
    Nothing; `minifloat.quantize` says what is wrong with a format.

    Examples
    --------
    >>> import minifloat as mf
    >>> from minifloat.quantization.recipes import mx
    >>> mf.quantize([1.9, -0.4], **mx("e2m2"))
    <Quantized e2m2 (2,): 9 bits per weight, axis 0, block_size 32, scales e8m0>
    """
    return {"fmt": fmt, "block_size": 32, "scale": "e8m0", "scale_rounding": "floor"}


def nv(fmt: str) -> Options:
    """Return the options of NVFP4's kind: 16 elements to an E4M3 scale, and a float32 tensor scale.

    The tensor scale is absmax / (448 max), a block's scale E4M3(its absmax / max / tensor scale).

    Parameters
    ----------
    fmt : str
        Of the elements.

    Returns
    -------
    dict

    Raises
    ------
    Nothing; `minifloat.quantize` says what is wrong with a format.

    Examples
    --------
    >>> import minifloat as mf
    >>> from minifloat.quantization.recipes import nv
    >>> mf.quantize([2688.0, -448.0], **nv("e2m1"))
    <Quantized e2m1 (2,): 24 bits per weight, axis 0, block_size 16, scales e4m3fn x 1>
    """
    return {"fmt": fmt, "block_size": 16, "scale": "e4m3fn", "tensor_scale": True}


def bfp(bits: int, block_size: int) -> Options:
    """Return the options of block floating point: integers that share an exponent of 8 bits.

    The exponent is the least with which nothing saturates.

    Parameters
    ----------
    bits : int
        Of an integer, its sign among them: 2 to 16.
    block_size : int
        Elements that share the exponent.

    Returns
    -------
    dict

    Raises
    ------
    Nothing; `minifloat.quantize` says what is wrong with a width.

    References
    ----------
    arXiv 2403.20137, where BFP16_64 is ``bfp(8, 64)`` and BFP12_128 ``bfp(4, 128)``.

    Examples
    --------
    >>> import minifloat as mf
    >>> from minifloat.quantization.recipes import bfp
    >>> mf.quantize([127.0, -3.0], **bfp(8, 64)).dequantize()
    array([127.,  -3.], dtype=float32)
    """
    return {"fmt": f"int{bits}", "block_size": block_size, "scale": "e8m0", "scale_rounding": "up"}


# fmt: off
PRESETS: dict[str, Options] = {
    "mxfp8e4m3": mx("e4m3fn"),  # OCP Microscaling 1.0
    "mxfp8e5m2": mx("e5m2"),  # OCP Microscaling 1.0
    "mxfp6e2m3": mx("e2m3"),  # OCP Microscaling 1.0
    "mxfp6e3m2": mx("e3m2"),  # OCP Microscaling 1.0
    "mxfp4": mx("e2m1"),  # OCP Microscaling 1.0
    "mxint8": mx("mxint8"),  # OCP Microscaling 1.0
    "nvfp4": nv("e2m1"),  # NVIDIA, NVFP4
    "nvint4": nv("int4"),  # INT v.s. FP (2025): NVFP4's scales, integers -7 .. 7
    "nf4": {"fmt": "nf4", "block_size": 64, "scale": "float32"},  # QLoRA, arXiv 2305.14314
    "qlora": {"fmt": "nf4", "block_size": 64, "scale": "float32", "double_quantize": True},  # same
    "bfp16_64": bfp(8, 64),  # arXiv 2403.20137
    "bfp12_64": bfp(4, 64),  # arXiv 2403.20137
    "fpe2m2": {"fmt": "e2m2b0", "block_size": None, "scale": "bfloat16"},  # ACL 2025
    "fp6_llm": {"fmt": "e3m2", "block_size": None, "scale": "float16"},  # arXiv 2401.14112
}
# fmt: on
