"""Every kind of file gives back exactly what was stored, one tensor at a time."""

from __future__ import annotations

import json
import pickle
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from minifloat.files import TensorInfo, WeightsError, open_weights

Array = NDArray[Any]

safetensors_numpy = pytest.importorskip("safetensors.numpy")

FLOAT8 = {
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E5M2": ml_dtypes.float8_e5m2,
    "F8_E8M0": ml_dtypes.float8_e8m0fnu,
    "F8_E4M3FNUZ": ml_dtypes.float8_e4m3fnuz,
    "F8_E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
}


def write_safetensors(
    path: Path, tensors: dict[str, tuple[str, list[int], bytes]], align: int = 8
) -> None:
    """Write a file with dtypes that NumPy does not have."""
    header, start = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        offsets = [start, start + len(data)]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
        start += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % align)
    data = b"".join(data for _, _, data in tensors.values())
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def assert_same(got: Array, expected: Array) -> None:
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    np.testing.assert_array_equal(got, expected, strict=True)


def random(shape: tuple[int, ...], dtype: Any = np.float32) -> Array:
    return np.random.default_rng(1).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (0, 4), (2, 3, 4)])
def test_safetensors_floats(tmp_path: Path, dtype: Any, shape: tuple[int, ...]) -> None:
    path = tmp_path / "model.safetensors"
    safetensors_numpy.save_file({"w": random(shape, dtype)}, path, metadata={"format": "np"})
    weights = open_weights(path)
    assert weights.names() == ("w",)
    assert weights.tensors[0].shape == shape
    assert_same(weights.load("w"), random(shape, dtype))


def test_safetensors_bfloat16_is_widened_exactly(tmp_path: Path) -> None:
    words = np.arange(1 << 16, dtype="<u2")
    path = tmp_path / "model.safetensors"
    write_safetensors(path, {"w": ("BF16", [256, 256], words.tobytes())})
    got = open_weights(path).load("w")
    expected = words.view(ml_dtypes.bfloat16).reshape(256, 256)
    assert got.dtype == np.float32
    same = (got == expected.astype(np.float32)) | np.isnan(expected.astype(np.float32))
    assert same.all()
    assert ((got.view(np.uint32).reshape(-1) >> 16) == words).all()


@pytest.mark.parametrize("dtype", FLOAT8)
def test_safetensors_float8_is_widened_exactly(tmp_path: Path, dtype: str) -> None:
    codes = np.arange(256, dtype=np.uint8)
    path = tmp_path / "model.safetensors"
    write_safetensors(path, {"w": (dtype, [256], codes.tobytes())})
    assert_same(open_weights(path).load("w"), codes.view(FLOAT8[dtype]).astype(np.float32))


def test_safetensors_data_need_not_be_aligned(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    for extra in range(4):
        data = random((7,)).tobytes()
        tensors = {"x" * (extra + 1): ("U8", [1], b"\1"), "w": ("F32", [7], data)}
        write_safetensors(path, tensors, align=1)
        got = open_weights(path).load("w")
        assert got.flags.aligned
        assert_same(got, random((7,)))


def test_safetensors_lists_the_tensors_it_skips(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write_safetensors(
        path,
        {
            "z": ("F32", [1], bytes(4)),
            "ids": ("I64", [1], bytes(8)),
            "mask": ("BOOL", [2], bytes(2)),
            "fp4": ("F4", [4], bytes(2)),
            "fp6": ("F6_E3M2", [4], bytes(3)),
            "a": ("F16", [1], bytes(2)),
        },
    )
    weights = open_weights(path)
    assert weights.names() == ("z", "a")  # file order
    reasons = {info.name: info.skipped for info in weights.skipped}
    assert list(reasons) == ["ids", "mask", "fp4", "fp6"]
    assert reasons["mask"] == "not a float tensor"
    assert "bit order" in reasons["fp4"]
    with pytest.raises(ValueError, match="bit order"):
        weights.load("fp4")
    with pytest.raises(ValueError, match=r"must be a float tensor .* got 'nope'; names\(\)"):
        weights.load("nope")


def test_shards_by_index_and_by_directory(tmp_path: Path) -> None:
    arrays = {name: random((4, index + 1)) for index, name in enumerate("abc")}
    safetensors_numpy.save_file(
        {"a": arrays["a"], "b": arrays["b"]}, tmp_path / "m-1-of-2.safetensors"
    )
    (tmp_path / "sub").mkdir()
    index = tmp_path / "model.safetensors.index.json"
    safetensors_numpy.save_file({"c": arrays["c"]}, tmp_path / "m-2-of-2.safetensors")
    for source in (index, tmp_path, tmp_path):  # the last time without the index
        if source == index:
            places = {"a": "m-1-of-2", "b": "m-1-of-2", "c": "m-2-of-2"}
            content = {"weight_map": {name: f"{x}.safetensors" for name, x in places.items()}}
            index.write_text(json.dumps(content))
        weights = open_weights(source)
        assert set(weights.names()) == {"a", "b", "c"}
        for name, array in arrays.items():
            assert_same(weights.load(name), array)
    index.unlink()
    assert set(open_weights(tmp_path).names()) == {"a", "b", "c"}


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f2", ">f4", ">f8"])
@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (0, 4)])
def test_npy(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    array = random(shape, dtype)
    np.save(tmp_path / "w.npy", array)
    weights = open_weights(tmp_path / "w.npy")
    assert weights.tensors == (TensorInfo("w", shape, str(array.dtype)),)
    assert_same(weights.load("w"), array.astype(array.dtype.newbyteorder("=")))


def test_npy_in_fortran_order_is_mapped(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.asfortranarray(random((30, 50))))
    got = open_weights(tmp_path / "w.npy").load("w")
    assert isinstance(got, np.memmap)
    assert_same(np.asarray(got), random((30, 50)))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(tmp_path: Path, save: Any) -> None:
    path = tmp_path / "model.npz"
    save(path, w=random((3, 5)), b=random((), ">f8"), e=random((0, 2)), step=np.int64(7), ok=True)
    weights = open_weights(path)
    assert weights.names() == ("w", "b", "e")
    assert [info.name for info in weights.skipped] == ["step", "ok"]
    assert_same(weights.load("w"), random((3, 5)))
    assert_same(weights.load("b"), random((), np.float64))
    assert_same(weights.load("e"), random((0, 2)))


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="longdouble is float64 here")
def test_longdouble_is_skipped(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.ones(3, np.longdouble))
    assert open_weights(tmp_path / "w.npy").skipped[0].skipped == "wider than float64"


def test_npz_loads_one_tensor_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    np.savez(path, **{f"w{index}": random((1 << 20,)) for index in range(4)})  # 4 MiB each
    tracemalloc.start()
    try:
        weights = open_weights(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
        for name in weights.names():
            weights.load(name)
        assert tracemalloc.get_traced_memory()[1] < 6 << 20
    finally:
        tracemalloc.stop()


def test_gguf(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "test")
    writer.add_array("tokenizer.ggml.tokens", ["a", "b", "ü"])
    kinds = gguf.GGMLQuantizationType
    array = random((4, 64))
    writer.add_tensor("f32", array)
    writer.add_tensor("f16", array.astype(np.float16))
    writer.add_tensor("f64", array.astype(np.float64))
    writer.add_tensor("ids", np.arange(8, dtype=np.int32))
    packed = {
        kind.name: gguf.quantize(array, kind) for kind in (kinds.Q8_0, kinds.Q4_1, kinds.BF16)
    }
    for name, data in packed.items():
        writer.add_tensor(name, data, raw_dtype=kinds[name])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    weights = open_weights(path)
    assert weights.names() == ("f32", "f16", "f64", "Q8_0", "Q4_1", "BF16")
    assert [info.name for info in weights.skipped] == ["ids"]
    assert {info.shape for info in weights.tensors} == {(4, 64)}
    assert_same(weights.load("f32"), array)
    assert_same(weights.load("f16"), array.astype(np.float16))
    assert_same(weights.load("f64"), array.astype(np.float64))
    for name, data in packed.items():
        assert_same(weights.load(name), gguf.dequantize(data, kinds[name]))


def test_gguf_types_that_cannot_be_decoded_hide_no_other_tensor(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    path = tmp_path / "model.gguf"
    kind = gguf.GGMLQuantizationType.Q8_1
    size = gguf.GGML_QUANT_SIZES[kind][1]
    writer = gguf.GGUFWriter(path, "test")
    writer.add_tensor("w", random((4, 64)))
    writer.add_tensor("q", np.zeros((4, size), np.uint8), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    weights = open_weights(path)
    assert_same(weights.load("w"), random((4, 64)))
    [skipped] = weights.skipped
    assert (skipped.name, "does not decode" in skipped.skipped) == ("q", True)


@pytest.mark.parametrize("dtype", ["float16", ">f4", "float64", "bfloat16", *FLOAT8.values()])
def test_arrays_in_memory_are_a_source_too(dtype: Any) -> None:
    array = np.abs(random((3, 5))).astype(dtype)
    weights = open_weights({"w": array, "ids": np.arange(3), 7: [[1.0]]})
    assert (weights.source, weights.names()) == ("arrays in memory", ("w", "7"))
    assert weights.tensors[0] == TensorInfo("w", (3, 5), str(array.dtype))
    assert [(info.name, info.skipped) for info in weights.skipped] == [
        ("ids", "not a float tensor")
    ]
    wide = array.dtype.newbyteorder("=") if array.dtype.kind == "f" else np.dtype(np.float32)
    wide = np.dtype(np.float32) if array.dtype.itemsize == 1 else wide
    assert_same(weights.load("w"), array.astype(wide))
    assert_same(weights.load("7"), np.array([[1.0]]))


def test_an_array_of_the_right_type_is_not_copied() -> None:
    array = random((3, 5))
    assert open_weights({"w": array}).load("w") is array


def test_a_value_that_is_no_array_is_named() -> None:
    class Tensor:
        def __array__(self, *_: Any, **__: Any) -> Any:
            raise RuntimeError("on another device")

    with pytest.raises(TypeError, match=r"source\['b'\] must be an array.*on another device"):
        open_weights({"a": np.ones(3), "b": Tensor()})


def test_bfloat16_that_numpy_saved_is_skipped_with_the_remedy(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.ones(4, ml_dtypes.bfloat16))
    [info] = open_weights(tmp_path / "w.npy").skipped
    assert info.skipped == "raw bytes without a type (save bfloat16 as float32)"


def test_loaders_travel_without_the_rest_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gguf = pytest.importorskip("gguf")
    arrays = {f"w{index}": random((40, 50)) + index for index in range(8)}
    np.savez(tmp_path / "m.npz", **arrays)
    np.save(tmp_path / "w3.npy", arrays["w3"])
    safetensors_numpy.save_file(arrays, tmp_path / "m.safetensors")
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "test")
    for name, array in arrays.items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    monkeypatch.chdir(tmp_path)
    loaders = {}
    for name in ("m.npz", "w3.npy", "m.safetensors", "m.gguf", "."):
        loaders[name] = pickle.dumps(open_weights(name).loader("w3"))
        assert len(loaders[name]) < 1000
    monkeypatch.chdir(Path(tmp_path.root))
    for blob in loaders.values():
        assert_same(pickle.loads(blob)(), arrays["w3"])
    (tmp_path / "m.safetensors").write_bytes(b"short")
    with pytest.raises(WeightsError, match=r"^m\.safetensors: "):
        pickle.loads(loaders["m.safetensors"])()


@pytest.mark.parametrize(
    ("package", "extra", "suffix"),
    [("safetensors", "cli", "safetensors"), ("gguf", "gguf", "gguf")],
)
def test_a_missing_reader_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, extra: str, suffix: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    path = tmp_path / f"model.{suffix}"
    path.write_bytes(b"x")
    with pytest.raises(WeightsError, match=rf'pip install "minifloat\[{extra}\]"'):
        open_weights(path)


def test_tensor_info_counts_parameters() -> None:
    assert TensorInfo("w", (), "F32").parameters == 1
    assert TensorInfo("w", (3, 0), "F32").parameters == 0
