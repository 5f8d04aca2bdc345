"""Initializers of ONNX models, with what a DequantizeLinear makes of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.files import WeightsError
from minifloat.files.checkpoints import Dequantizable, open_checkpoint

RANDOM = np.random.default_rng(5)


def test_without_onnx_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    (tmp_path / "m.onnx").write_bytes(b"x")
    with pytest.raises(WeightsError, match=r'needs the package onnx; pip install "minifloat'):
        open_checkpoint(tmp_path / "m.onnx")


@pytest.fixture
def onnx() -> Any:
    return pytest.importorskip("onnx")


def tensor(onnx: Any, name: str, dtype: str, shape: list[int], data: bytes) -> Any:
    number = getattr(onnx.TensorProto, dtype)
    return onnx.helper.make_tensor(name, number, shape, data, raw=True)


def floats(onnx: Any, name: str, values: Any) -> Any:
    array = np.asarray(values, np.float32)
    return tensor(onnx, name, "FLOAT", list(array.shape), array.tobytes())


def save(onnx: Any, path: Path, initializers: list[Any], **attributes: int) -> Path:
    """Write a model of one DequantizeLinear, of w, w_scale and perhaps w_zero_point."""
    names = [each.name for each in initializers if each.name.startswith("w")]
    node = onnx.helper.make_node("DequantizeLinear", names, ["y"], **attributes)
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    graph = onnx.helper.make_graph([node], "g", [], [y], initializers)
    opset = [onnx.helper.make_opsetid("", 25)]
    path.write_bytes(onnx.helper.make_model(graph, opset_imports=opset).SerializeToString())
    return path


def theirs(onnx: Any, path: Path) -> Any:
    from onnx.reference import ReferenceEvaluator

    return ReferenceEvaluator(onnx.load(path)).run(None, {})[0]


CODES = {
    "INT8": ("int8full", 8),
    "UINT8": ("uint8", 8),
    "INT4": ("int4full", 4),
    "UINT4": ("uint4", 4),
    "INT2": ("int2full", 2),
    "UINT2": ("uint2", 2),
    "FLOAT8E4M3FN": ("e4m3fn", 8),
    "FLOAT8E5M2": ("e5m2", 8),
    "FLOAT4E2M1": ("e2m1", 4),
}
SCALES: dict[str, tuple[list[int], dict[str, int], str, int | None]] = {
    "one": ([], {}, "tensor", None),
    "rows": ([6], {"axis": 0}, "channel", 1),
    "columns": ([8], {"axis": 1}, "channel", 0),
    "blocks along rows": ([6, 2], {"axis": 1, "block_size": 4}, "4", 1),
    "blocks along columns": ([2, 8], {"axis": 0, "block_size": 3}, "3", 0),
}


@pytest.mark.parametrize("case", SCALES)
@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("dtype", CODES)
def test_weights_are_those_of_the_package(
    tmp_path: Path, onnx: Any, dtype: str, zeros: bool, case: str
) -> None:
    if not hasattr(onnx.TensorProto, dtype):
        pytest.skip("this onnx does not have the type")
    fmt, bits = CODES[dtype]
    if zeros and "FLOAT" in dtype:
        pytest.skip("floats have no zero points")
    shape, attributes, block, axis = SCALES[case]
    count = int(np.prod(shape))
    data = RANDOM.integers(0, 256, 6 * 8 * bits // 8, np.uint8)
    if dtype.startswith("FLOAT8"):
        data &= 0xBF  # no NaN
    scale = RANDOM.integers(1, 64, shape).astype(np.float32) / 16
    initializers = [
        tensor(onnx, "w_quantized", dtype, [6, 8], data.tobytes()),
        floats(onnx, "w_scale", scale),
    ]
    if zeros:
        packed = RANDOM.integers(0, 256, -(-count * bits // 8), np.uint8)
        if count * bits % 8:
            packed[-1] &= (1 << count * bits % 8) - 1
        initializers.append(tensor(onnx, "w_zero_point", dtype, shape, packed.tobytes()))
    path = save(onnx, tmp_path / "m.onnx", initializers, **attributes)
    checkpoint = open_checkpoint(path)
    assert list(checkpoint) == ["w"], checkpoint.skipped
    held = checkpoint["w"]
    assert isinstance(held, mf.Quantized)
    recipe = f"uint{bits}/{block}/float32/zero-point" if zeros else f"{fmt}/{block}/float32"
    assert str(held.recipe) == recipe
    assert held.axis == axis
    np.testing.assert_array_equal(held.dequantize(), theirs(onnx, path))


def test_channels_of_a_convolution_are_dequantized(tmp_path: Path, onnx: Any) -> None:
    codes = RANDOM.integers(-128, 128, (3, 2, 5, 5), np.int8)
    zero = np.array([1, -2, 3], np.int8)
    initializers = [
        tensor(onnx, "w", "INT8", [3, 2, 5, 5], codes.tobytes()),
        floats(onnx, "w_scale", [0.5, 0.25, 3]),
        tensor(onnx, "w_zero_point", "INT8", [3], zero.tobytes()),
    ]
    path = save(onnx, tmp_path / "m.onnx", initializers, axis=0)
    held = open_checkpoint(path)["w"]
    assert isinstance(held, Dequantizable)
    np.testing.assert_array_equal(held.dequantize(), theirs(onnx, path))


@pytest.mark.parametrize("dtype", ["FLOAT6E2M3", "FLOAT6E3M2", "FLOAT4E2M1", "INT4", "FLOAT8E5M2"])
def test_small_types_without_scales(tmp_path: Path, onnx: Any, dtype: str) -> None:
    if not hasattr(onnx.TensorProto, dtype):
        pytest.skip("this onnx does not have the type")
    fmt, bits = {"FLOAT6E2M3": ("e2m3", 6), "FLOAT6E3M2": ("e3m2", 6)}.get(dtype) or CODES[dtype]
    data = RANDOM.integers(0, 256, bits, np.uint8) & 0xBB
    path = save(onnx, tmp_path / "m.onnx", [tensor(onnx, "v", dtype, [8], data.tobytes())])
    held = open_checkpoint(path)["v"]
    assert str(held.recipe) == f"{fmt}/tensor/float32"
    initializer = onnx.load(path).graph.initializer[0]
    expected = onnx.numpy_helper.to_array(initializer).astype(np.float32)
    np.testing.assert_array_equal(held.dequantize(), expected)


def test_numbers_may_lie_in_other_fields(tmp_path: Path, onnx: Any) -> None:
    make, kind = onnx.helper.make_tensor, onnx.TensorProto
    values = [1, 2, 3, 0]
    initializers = [
        make(name, getattr(kind, dtype), [4], values)
        for name, dtype in {
            "f32": "FLOAT", "f64": "DOUBLE", "f16": "FLOAT16", "bf16": "BFLOAT16",
            "i8": "INT8", "u8": "UINT8", "i32": "INT32", "i64": "INT64", "u32": "UINT32",
            "u64": "UINT64", "i4": "INT4", "f8": "FLOAT8E4M3FN",
        }.items()
    ]  # fmt: skip
    checkpoint = open_checkpoint(save(onnx, tmp_path / "m.onnx", initializers))
    assert len(checkpoint) == len(initializers), checkpoint.skipped
    for name in checkpoint:
        np.testing.assert_array_equal(checkpoint.dequantize(name), values)


def test_what_cannot_be_read_is_named(tmp_path: Path, onnx: Any) -> None:
    away = tensor(onnx, "away", "FLOAT", [2], bytes(8))
    away.data_location = onnx.TensorProto.EXTERNAL
    away.external_data.add(key="location", value="../secret")
    text = onnx.helper.make_tensor("text", onnx.TensorProto.STRING, [1], [b"x"])
    short = tensor(onnx, "short", "FLOAT", [2], bytes(8))
    short.raw_data = bytes(7)
    path = save(onnx, tmp_path / "m.onnx", [away, text, short])
    checkpoint = open_checkpoint(path)
    reasons = {about.name: about.skipped for about in checkpoint.skipped}
    assert reasons == {
        "away": "of the unknown type 'F32 in another file'",
        "text": "of the unknown type 'STRING'",
    }
    with pytest.raises(WeightsError, match="'short' has another size than its dtype and shape"):
        checkpoint["short"]


BROKEN: dict[str, tuple[list[int], list[int] | None, dict[str, int], str]] = {
    "few scales": ([5], None, {"axis": 0}, "must have shape (6,)"),
    "no such axis": ([6], None, {"axis": 7}, "has no axis 7"),
    "few blocks": ([6, 1], None, {"axis": 1, "block_size": 4}, "must have shape (6, 2)"),
    "negative blocks": ([6, 1], None, {"axis": 1, "block_size": -4}, "must have a length above 0"),
    "other zero points": ([6], [5], {"axis": 0}, "must have shape (6,)"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_parts_that_do_not_fit_are_skipped_with_the_reason(
    tmp_path: Path, onnx: Any, case: str
) -> None:
    shape, zeros, attributes, reason = BROKEN[case]
    initializers = [
        tensor(onnx, "w", "INT8", [6, 8], bytes(48)),
        floats(onnx, "w_scale", np.ones(shape)),
    ]
    if zeros:
        initializers.append(tensor(onnx, "w_zero_point", "INT8", zeros, bytes(zeros[0])))
    checkpoint = open_checkpoint(save(onnx, tmp_path / "m.onnx", initializers, **attributes))
    assert list(checkpoint) == []
    (about,) = checkpoint.skipped
    assert reason in about.skipped


@pytest.mark.parametrize("content", [b"this is none", b"\x00" * 40, b"\xff" * 99])
def test_other_files_are_errors(tmp_path: Path, onnx: Any, content: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(WeightsError):
        open_checkpoint(tmp_path / "m.onnx")


def test_two_initializers_of_one_name_are_an_error(tmp_path: Path, onnx: Any) -> None:
    same = [floats(onnx, "w", [1.0]), floats(onnx, "w", [2.0])]
    with pytest.raises(WeightsError, match="holds two tensors named 'w'"):
        open_checkpoint(save(onnx, tmp_path / "m.onnx", same))
