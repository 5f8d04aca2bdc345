"""Every kind of file gives back exactly what was stored, one tensor at a time."""

from __future__ import annotations

import json
import pickle
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


@pytest.mark.parametrize("dtype", ["<f4", ">f8"])
@pytest.mark.parametrize("shape", [(30, 50), (2, 3, 4), (0, 3)])
def test_fortran_order(tmp_path: Path, shape: tuple[int, ...], dtype: str) -> None:
    array = np.asfortranarray(random(shape, dtype))
    np.save(tmp_path / "w.npy", array)
    np.savez(tmp_path / "m.npz", w=array)
    for name in ("w.npy", "m.npz"):
        got = open_weights(tmp_path / name).load("w")
        assert_same(got, random(shape, dtype).astype(array.dtype.newbyteorder("=")))


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


def test_tensor_info_counts_parameters() -> None:
    assert TensorInfo("w", (), "F32").parameters == 1
    assert TensorInfo("w", (3, 0), "F32").parameters == 0


def test_a_masked_array_in_a_mapping_is_refused() -> None:
    """NumPy would hand over what lies under the mask."""
    for masked in (np.ma.masked_greater([1.0, 9999.0], 100), np.ma.array([1.0])):
        with pytest.raises(
            TypeError, match=r"source\['m'\] must be an array without a mask.*filled"
        ):
            open_weights({"a": np.ones(3), "m": masked})


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="longdouble is float64 here")
def test_arrays_without_a_float_type_are_listed_with_the_reason() -> None:
    arrays = {
        "w": np.ones(3),
        "long": np.ones(3, np.longdouble),
        "bool": np.ones(3, bool),
        "complex": np.ones(3, complex),
        "raw": np.ones(3, ml_dtypes.bfloat16).view("V2"),
        "int4": np.ones(3, ml_dtypes.int4),
        "text": np.array(["a"]),
        "objects": np.array([None]),
        "pairs": np.zeros(3, [("a", "f4"), ("b", "f4")]),
    }
    weights = open_weights(arrays)
    assert weights.names() == ("w",)
    reasons = {info.name: info.skipped for info in weights.skipped}
    assert reasons.pop("long") == "wider than float64"
    assert reasons.pop("raw").startswith("raw bytes without a type")
    assert set(reasons.values()) == {"not a float tensor"}
    assert len(reasons) == 6


SMALL_FLOATS = [name for name in dir(ml_dtypes) if name.startswith(("float", "bfloat"))]


@pytest.mark.parametrize("name", SMALL_FLOATS)
def test_every_small_float_of_ml_dtypes_is_a_float_tensor(name: str) -> None:
    dtype = np.dtype(getattr(ml_dtypes, name))
    codes = np.arange(1 << min(ml_dtypes.finfo(dtype).bits, 16))
    array = codes.astype(np.uint16 if dtype.itemsize == 2 else np.uint8).view(dtype)
    assert_same(open_weights({"w": array}).load("w"), array.astype(np.float32))


def test_a_safetensors_dtype_that_nobody_knows_hides_no_other_tensor(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    data = random((3,)).tobytes()
    write_safetensors(path, {"new": ("F128", [1], bytes(16)), "w": ("F32", [3], data)})
    weights = open_weights(path)
    assert_same(weights.load("w"), random((3,)))
    [new] = weights.skipped
    assert (new.dtype, new.skipped) == ("F128", "of the unknown type 'F128'")


def test_more_dimensions_than_numpy_has_hide_no_other_tensor(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    data = random((3,)).tobytes()
    write_safetensors(path, {"v": ("F32", [1] * 65, bytes(4)), "w": ("F32", [3], data)})
    weights = open_weights(path)
    assert weights.names() == ("w",)
    assert weights.skipped[0].skipped == "of more than 64 dimensions"


SCALED = [  # FP8 weights of public checkpoints, with their scales
    ("layers.0.q_proj.weight", "layers.0.q_proj.weight_scale"),  # compressed-tensors, ModelOpt
    ("layers.0.q_proj.weight", "layers.0.q_proj.weight_scale_inv"),  # DeepSeek
    ("layers.0.q_proj.weight", "layers.0.q_proj.input_scale"),
    ("double_blocks.0.img_mlp.weight", "double_blocks.0.img_mlp.scale_weight"),  # ComfyUI
    ("layers.0.weight._data", "layers.0.weight._scale"),  # quanto
    ("layers.0.weight", "layers.0.weight.scale"),
    ("w", "w_scale"),
    ("w", "w.scale_inv"),
]


@pytest.mark.parametrize(("weight", "scale"), SCALED)
def test_fp8_tensors_with_scales_beside_them_say_so(
    tmp_path: Path, weight: str, scale: str
) -> None:
    path = tmp_path / "model.safetensors"
    codes = ("F8_E4M3", [4], bytes(range(4)))
    wide = ("F32", [1], random((1,)).tobytes())
    tensors = {weight: codes, scale: wide, "other.weight": codes, "wide": ("F32", [1], bytes(4))}
    write_safetensors(path, tensors)
    small = np.arange(4, dtype=np.uint8).view(ml_dtypes.float8_e4m3fn)
    arrays = {weight: small, scale: np.ones(1), "other.weight": small, "wide": np.ones(1)}
    shards = tmp_path / "shards"
    shards.mkdir()
    write_safetensors(shards / "a.safetensors", {weight: codes, "other.weight": codes})
    write_safetensors(shards / "b.safetensors", {scale: wide, "wide": wide})
    for source in (arrays, path, shards):
        notes = {info.name: info.note for info in open_weights(source).tensors}
        assert (
            notes.pop(weight) == "codes compared as values: the scales beside them are not applied"
        )
        assert not any(notes.values())


def test_scales_beside_wide_tensors_are_nothing_to_note() -> None:
    arrays = {"norm.weight": np.ones(3, ml_dtypes.bfloat16), "norm.scale": np.ones(3)}
    assert not any(info.note for info in open_weights(arrays).tensors)
    e8m0 = np.ones(3, ml_dtypes.float8_e8m0fnu)
    weights = open_weights({"w_scale": e8m0, "x.weight": e8m0, "x.weight_scale": np.ones(1)})
    assert not any(info.note for info in weights.tensors)
