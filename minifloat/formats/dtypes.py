"""The names that other libraries and standards have for a format: `DtypeNames`, as ``fmt.names``.

>>> import minifloat as mf
>>> mf.parse("e4m3fn").names.torch, mf.parse("torch.float8_e4m3fn").name
('float8_e4m3fn', 'e4m3fn')
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from minifloat.formats.base import NumberFormat
from minifloat.formats.catalogue import CATALOGUE, p3109
from minifloat.formats.exmy import Format
from minifloat.formats.integer import Integer


@dataclass(frozen=True)
class DtypeNames:
    """What a format is called elsewhere; None where there is no such type.

    Attributes
    ----------
    numpy : str, optional
        Of `numpy.dtype`.
    ml_dtypes : str, optional
        In the package ml_dtypes; JAX has the same names.
    torch : str, optional
        In PyTorch. float4_e2m1fn_x2 is a pair of codes in a byte; the integers of other widths than
        8 and 16 are names without tensors.
    onnx : str, optional
        Of ``onnx.TensorProto.DataType``.
    safetensors : str, optional
        In a file's header.
    dlpack : str, optional
        The code of a ``DLDataType``, whose bits are ``fmt.bits``.
    p3109 : str, optional
        In the IEEE P3109 report.
    llvm : str, optional
        Of an ``APFloat``'s semantics.
    """

    numpy: str | None = None
    ml_dtypes: str | None = None
    torch: str | None = None
    onnx: str | None = None
    safetensors: str | None = None
    dlpack: str | None = None
    p3109: str | None = None
    llvm: str | None = None


# ml_dtypes, torch, onnx, safetensors, dlpack, llvm
_FLOATS: dict[str, tuple[str | None, ...]] = {
    "float16": (None, "float16", "FLOAT16", "F16", "kDLFloat", "IEEEhalf"),
    "bfloat16": ("bfloat16", "bfloat16", "BFLOAT16", "BF16", "kDLBfloat", "BFloat"),
    "tf32": (None, None, None, None, None, "FloatTF32"),
    "e5m2": (
        "float8_e5m2", "float8_e5m2", "FLOAT8E5M2", "F8_E5M2", "kDLFloat8_e5m2", "Float8E5M2",
    ),
    "e4m3fn": (
        "float8_e4m3fn", "float8_e4m3fn", "FLOAT8E4M3FN", "F8_E4M3", "kDLFloat8_e4m3fn",
        "Float8E4M3FN",
    ),
    "e5m2fnuz": (
        "float8_e5m2fnuz", "float8_e5m2fnuz", "FLOAT8E5M2FNUZ", "F8_E5M2FNUZ",
        "kDLFloat8_e5m2fnuz", "Float8E5M2FNUZ",
    ),
    "e4m3fnuz": (
        "float8_e4m3fnuz", "float8_e4m3fnuz", "FLOAT8E4M3FNUZ", "F8_E4M3FNUZ",
        "kDLFloat8_e4m3fnuz", "Float8E4M3FNUZ",
    ),
    "e4m3b11fnuz": (
        "float8_e4m3b11fnuz", None, None, None, "kDLFloat8_e4m3b11fnuz", "Float8E4M3B11FNUZ",
    ),
    "e4m3ieee": ("float8_e4m3", None, None, None, "kDLFloat8_e4m3", "Float8E4M3"),
    "e3m4ieee": ("float8_e3m4", None, None, None, "kDLFloat8_e3m4", "Float8E3M4"),
    "e8m0": (
        "float8_e8m0fnu", "float8_e8m0fnu", "FLOAT8E8M0", "F8_E8M0", "kDLFloat8_e8m0fnu",
        "Float8E8M0FNU",
    ),
    "e2m3": (
        "float6_e2m3fn", None, "FLOAT6E2M3", "F6_E2M3", "kDLFloat6_e2m3fn", "Float6E2M3FN",
    ),
    "e3m2": (
        "float6_e3m2fn", None, "FLOAT6E3M2", "F6_E3M2", "kDLFloat6_e3m2fn", "Float6E3M2FN",
    ),
    "e2m1": (
        "float4_e2m1fn", "float4_e2m1fn_x2", "FLOAT4E2M1", "F4", "kDLFloat4_e2m1fn",
        "Float4E2M1FN",
    ),
}  # fmt: skip
_WIDE = (8, 16)  # bits of integers that every library has
LIBRARIES = ("numpy", "ml_dtypes", "torch", "onnx", "safetensors", "llvm")  # one format to a name
PREFIXES = tuple(f"{library}." for library in LIBRARIES)


@lru_cache(maxsize=1024)
def names_of(fmt: NumberFormat) -> DtypeNames:
    """Return a format's names elsewhere.

    Examples
    --------
    >>> import minifloat as mf
    >>> from minifloat.formats.dtypes import names_of
    >>> names_of(mf.parse("int4full")).onnx, names_of(mf.parse("e2m2")).onnx
    ('INT4', None)
    """
    if isinstance(fmt, Integer):
        return _integer_names(fmt)
    if not isinstance(fmt, Format):
        return DtypeNames()
    known = next((name for name in _FLOATS if CATALOGUE[name] == fmt), None)
    numpy = known if known == "float16" else None
    ml_dtypes, torch, onnx, safetensors, dlpack, llvm = _FLOATS.get(known or "", (None,) * 6)
    return DtypeNames(numpy, ml_dtypes, torch, onnx, safetensors, dlpack, _p3109_name(fmt), llvm)


def _integer_names(fmt: Integer) -> DtypeNames:
    if fmt.symmetric:  # one code less than the types of other libraries
        return DtypeNames()
    sign, bits = ("" if fmt.signed else "u"), fmt.bits
    name, wide = f"{sign}int{bits}", bits in _WIDE
    return DtypeNames(
        numpy=name if wide else None,
        ml_dtypes=name if bits in (1, 2, 4) else None,
        torch=name if wide or bits < 8 else None,
        onnx=name.upper() if wide or bits in (2, 4) else None,
        safetensors=f"{'I' if fmt.signed else 'U'}{bits}" if wide else None,
        dlpack="kDLInt" if fmt.signed else "kDLUInt",
    )


def _p3109_name(fmt: Format) -> str | None:
    if not 3 <= fmt.bits <= 16:
        return None
    sign = "s" if fmt.signed else "u"
    for domain in "ef":
        try:
            same = p3109(fmt.bits, fmt.precision, signed=fmt.signed, extended=domain == "e")
        except ValueError:  # no such format
            continue
        if same == fmt:
            return f"binary{fmt.bits}p{fmt.precision}{sign}{domain}"
    return None


@lru_cache(maxsize=1)
def _formats_by_name() -> dict[str, NumberFormat]:
    """Return the formats by the library and their name there: ``onnx.INT4``."""
    integers = [Integer(bits, symmetric=False) for bits in range(2, 17)]
    unsigned = [Integer(bits, signed=False) for bits in range(1, 17)]
    found: dict[str, NumberFormat] = {}
    for fmt in (*(CATALOGUE[name] for name in _FLOATS), *integers, *unsigned):
        names = names_of(fmt)
        for library in LIBRARIES:
            name = getattr(names, library)
            if name is not None:
                found[f"{library}.{name}".lower()] = fmt
    return found


def format_of_name(word: str) -> NumberFormat | None:
    """Return the format of a name with its library before it, in lower case, or None.

    Examples
    --------
    >>> from minifloat.formats.dtypes import format_of_name
    >>> format_of_name("onnx.int4"), format_of_name("int4")
    (<Integer int4full: bits 4, max 7, min -8, smallest 1>, None)
    """
    return _formats_by_name().get(word)


def name_of_dtype(dtype: object) -> str | None:
    """Return the name of a dtype of NumPy, ml_dtypes, JAX or PyTorch, its library before it.

    None if ``dtype`` is something else.

    Examples
    --------
    >>> import numpy as np
    >>> from minifloat.formats.dtypes import name_of_dtype
    >>> name_of_dtype(np.dtype("float16")), name_of_dtype(np.int8), name_of_dtype(8)
    ('numpy.float16', 'numpy.int8', None)
    """
    if type(dtype).__module__ == "torch" and type(dtype).__name__ == "dtype":
        return str(dtype)  # torch.float16
    import numpy as np

    if isinstance(dtype, type):
        is_scalar = issubclass(dtype, np.generic)
        dtype = np.dtype(dtype) if is_scalar else getattr(dtype, "dtype", None)  # of JAX's types
    if not isinstance(dtype, np.dtype):
        return None
    return f"{'ml_dtypes' if dtype.isbuiltin == 2 else 'numpy'}.{dtype.name}"
