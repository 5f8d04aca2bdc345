"""The names of formats elsewhere, against the packages that have them."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import struct
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import minifloat as mf
from minifloat.formats.dtypes import LIBRARIES, DtypeNames

INTEGERS = [
    *(mf.Integer(bits, symmetric=False) for bits in range(2, 17)),
    *(mf.Integer(bits, signed=False) for bits in range(1, 17)),
]
FORMATS = [*mf.CATALOGUE.values(), *INTEGERS]


def named(library: str) -> dict[str, mf.NumberFormat]:
    """Return the formats that have a name in a library, by it."""
    names = {getattr(fmt.names, library): fmt for fmt in FORMATS}
    return {name: fmt for name, fmt in names.items() if name is not None}


def values_of(dtype: np.dtype[Any], bits: int) -> np.ndarray:
    """Return the value of every code of a dtype."""
    codes = np.arange(1 << bits).astype(f"u{dtype.itemsize}")
    return codes.view(dtype).astype(np.float64)


@pytest.mark.parametrize("library", [np, ml_dtypes], ids=["numpy", "ml_dtypes"])
def test_numpy_and_ml_dtypes_have_the_same_values(library: Any) -> None:
    formats = named(library.__name__)
    assert len(formats) == {"numpy": 5, "ml_dtypes": 17}[library.__name__]
    for name, fmt in formats.items():
        dtype = np.dtype(getattr(library, name))
        with np.errstate(invalid="ignore"):
            np.testing.assert_array_equal(values_of(dtype, fmt.bits), fmt.values())
        assert mf.parse(dtype) == mf.parse(getattr(library, name)) == fmt


def test_every_small_type_of_ml_dtypes_has_a_format() -> None:
    for name in dir(ml_dtypes):
        kind = getattr(ml_dtypes, name)
        if isinstance(kind, type) and issubclass(kind, np.generic) and "complex" not in name:
            if name == "int1":  # -1 and 0: no positive value
                with pytest.raises(ValueError, match="fmt must be a dtype that is a format"):
                    mf.parse(kind)
            else:
                assert mf.parse(kind).names.ml_dtypes == name


def test_torch_has_the_same_values() -> None:
    torch = pytest.importorskip("torch", reason='PyTorch is not installed: extra "torch"')
    formats = named("torch")
    assert len(formats) > 20
    for name, fmt in formats.items():
        dtype = getattr(torch, name)
        assert mf.parse(dtype) == fmt
        if fmt.bits in (8, 16):
            codes = torch.arange(1 << fmt.bits, dtype=torch.int32)
            words = codes.to(torch.uint8 if fmt.bits == 8 else torch.int16)
            np.testing.assert_array_equal(words.view(dtype).double().numpy(), fmt.values())
    small = [name for name in dir(torch) if name.startswith(("float8", "float4", "bfloat"))]
    assert [name for name in small if name not in formats] == []


def test_onnx_has_the_same_values() -> None:
    onnx = pytest.importorskip("onnx")
    formats = named("onnx")
    assert len(formats) == 18
    known = dict(onnx.TensorProto.DataType.items())
    assert [name for name in known if "FLOAT" in name and name not in formats] == ["FLOAT"]
    for name, fmt in formats.items():
        if name not in known:  # the 6-bit floats and 2-bit integers are young
            continue
        dtype = onnx.helper.tensor_dtype_to_np_dtype(known[name])
        with np.errstate(invalid="ignore"):
            np.testing.assert_array_equal(values_of(np.dtype(dtype), fmt.bits), fmt.values())
        assert mf.parse(f"onnx.{name}") == fmt


def test_safetensors_knows_the_names_and_widths() -> None:
    safetensors = pytest.importorskip("safetensors")
    formats = named("safetensors")
    assert len(formats) == 14
    for name, fmt in formats.items():
        for bits in (fmt.bits, 2 * fmt.bits):
            header = {"w": {"dtype": name, "shape": [8], "data_offsets": [0, bits]}}
            text = json.dumps(header).encode()
            file = struct.pack("<Q", len(text)) + text + bytes(bits)
            if bits == fmt.bits:
                assert safetensors.deserialize(file)[0][1]["dtype"] == name
            else:
                with pytest.raises(safetensors.SafetensorError):
                    safetensors.deserialize(file)


def test_dlpack_has_the_names() -> None:
    codes = set(named("dlpack"))
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        pytest.skip('PyTorch is not installed, which has DLPack\'s header: extra "torch"')
    header = Path(spec.origin).with_name("include") / "ATen" / "dlpack.h"
    text = header.read_text(encoding="utf-8")
    for code in codes:
        assert f"{code} = " in text
    for fmt in FORMATS:  # the width is in the name, or in the type
        name = fmt.names.dlpack or ""
        assert "_" not in name or name.startswith(f"kDLFloat{fmt.bits}_")


def test_llvm_has_the_names() -> None:
    ir = pytest.importorskip("jaxlib.mlir.ir", reason='JAX is not installed: extra "jax"')
    formats = named("llvm")
    assert len(formats) == 14
    renamed = {"IEEEhalf": "F16", "BFloat": "BF16"}
    types = {name: getattr(ir, f"{renamed.get(name, name)}Type") for name in formats}
    with ir.Context():
        for name, fmt in formats.items():
            assert types[name].get().width in (fmt.bits, 32 if name == "FloatTF32" else fmt.bits)


def test_p3109_names_are_the_formats_own_and_read_back() -> None:
    assert mf.parse("e4m3fnuz").names.p3109 == "binary8p4sf"
    for name in ("binary8p3se", "binary8p1ue", "binary3p2sf", "binary16p8uf", "binary6p6uf"):
        assert mf.parse(name).names.p3109 == name
    for name in ("e2m2", "e5m2", "e8m0", "float16", "e3m2_nosub", "tf32"):
        assert mf.parse(name).names.p3109 is None
    for fmt in FORMATS:
        if fmt.names.p3109 is not None:
            assert mf.parse(fmt.names.p3109) == fmt


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_name_with_its_library_is_parsed(library: str) -> None:
    for name, fmt in named(library).items():
        assert mf.parse(f"{library}.{name}") == mf.parse(f" {library}.{name} ".upper()) == fmt
    with pytest.raises(ValueError, match=r"fmt must be a dtype that is a format, .* got .*nothing"):
        mf.parse(f"{library}.nothing")


def test_integers_of_other_libraries_have_all_codes() -> None:
    assert mf.parse("onnx.INT4") == mf.parse("int4full") != mf.parse("int4")
    assert mf.parse("int4").names == DtypeNames()
    assert mf.parse("nf4").names == DtypeNames()


def test_what_is_no_dtype_of_a_format() -> None:
    for dtype in (np.float32, np.dtype("float64"), bool, np.dtype("S3")):
        kind = TypeError if dtype is bool else ValueError
        with pytest.raises(kind, match="fmt must be a"):
            mf.parse(dtype)
    with pytest.raises(TypeError, match=r"got 17; of ONNX's dtypes pass \"onnx\.\" \+ "):
        mf.parse(17)
    with pytest.raises(TypeError, match="got array"):
        mf.parse(np.ones(3, np.int8))


def test_names_cannot_be_changed() -> None:
    names = mf.parse("e5m2").names
    with pytest.raises(dataclasses.FrozenInstanceError):
        names.torch = "other"
