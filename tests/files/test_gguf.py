"""GGUF files as the package gguf writes and reads them; a header costs little whatever is in it."""

from __future__ import annotations

import pickle
import struct
import sys
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from minifloat.files import WeightsError, open_weights
from tests.files.test_hostile_files import gguf_array, gguf_blob, gguf_tensor, gguf_text

Array = NDArray[Any]

gguf = pytest.importorskip("gguf")

KINDS = gguf.GGMLQuantizationType
BLOCKS = [
    kind for kind in KINDS if kind.name not in ("F16", "F32", "F64", "I8", "I16", "I32", "I64")
]


def random(shape: tuple[int, ...], dtype: Any = np.float32) -> Array:
    return np.random.default_rng(1).standard_normal(shape).astype(dtype)


def write(path: Path, tensors: dict[str, tuple[Array, Any]], **facts: Any) -> None:
    """Write tensors by the package gguf: arrays, or bytes with their type."""
    writer = gguf.GGUFWriter(path, "test")
    for name, value in facts.items():
        getattr(writer, f"add_{name}")(*value)
    for name, (array, kind) in tensors.items():
        writer.add_tensor(name, array, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def same(got: Array, expected: Array) -> None:
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    np.testing.assert_array_equal(got, expected, strict=True)


def random_blocks(kind: Any, shape: tuple[int, ...]) -> Array:
    block, size = gguf.GGML_QUANT_SIZES[kind]
    rng = np.random.default_rng(int(kind))
    return rng.integers(0, 256, (*shape[:-1], shape[-1] // block * size), np.uint8)


@pytest.mark.parametrize("shape", [(), (7,), (3, 5), (2, 3, 4), (2, 1, 3, 4), (0, 4)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats(tmp_path: Path, dtype: Any, shape: tuple[int, ...]) -> None:
    write(tmp_path / "m.gguf", {"w": (random(shape, dtype), None)})
    same(open_weights(tmp_path / "m.gguf").load("w"), random(shape, dtype))


@pytest.mark.parametrize("kind", BLOCKS, ids=lambda kind: kind.name)
def test_every_type_that_the_package_decodes(tmp_path: Path, kind: Any) -> None:
    path = tmp_path / "m.gguf"
    raw = random_blocks(kind, (3, 512))
    tensors = {
        "before": (random((5,)), None),
        "w": (raw, kind),
        "row": (random_blocks(kind, (256,)), kind),
        "after": (random((2, 3)), None),
    }
    write(path, tensors)
    weights = open_weights(path)
    same(weights.load("before"), random((5,)))
    same(weights.load("after"), random((2, 3)))
    infos = {info.name: info for info in (*weights.tensors, *weights.skipped)}
    assert (infos["w"].shape, infos["w"].dtype) == ((3, 512), kind.name)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            expected = gguf.dequantize(raw, kind)
        except NotImplementedError:
            reason = f"of type {kind.name}, which the package gguf does not decode"
            assert [info.skipped for info in weights.skipped] == [reason, reason]
            return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = weights.load("w")  # scales of random bits may be NaN or infinite
    same(got, expected)
    assert weights.load("row").shape == (256,)


def test_the_list_is_that_of_the_package(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    facts: dict[str, Any] = {
        "array": ("tokenizer.ggml.tokens", ["a", "", "\N{SNOWMAN}" * 1000]),
        "uint8": ("a", 1),
        "int64": ("b", -1),
        "float64": ("c", 0.5),
        "bool": ("d", True),
        "string": ("e", "x" * 5000),
        "custom_alignment": (64,),
    }
    tensors = {f"blk.{index}": (random((index, 3)), None) for index in range(1, 20)}
    tensors["ids"] = (np.arange(8, dtype=np.int32), None)
    write(path, tensors, **facts)
    weights = open_weights(path)
    reader = gguf.GGUFReader(path)
    assert weights.names() == tuple(tensor.name for tensor in reader.tensors)[:-1]
    for tensor in reader.tensors[:-1]:
        same(weights.load(tensor.name), np.asarray(tensor.data))
    assert [(info.name, info.skipped) for info in weights.skipped] == [
        ("ids", "not a float tensor")
    ]


@pytest.mark.parametrize("number", [4, 5, 31, 36, 42, 43, 999, 2**32 - 1])
def test_an_unknown_type_hides_no_other_tensor(tmp_path: Path, number: int) -> None:
    path = tmp_path / "m.gguf"
    listed = gguf_tensor(b"odd", [7], number, 0) + gguf_tensor(b"w", [4], 0, 32)
    blob = gguf_blob(listed, tensors=2)
    blob += bytes(-len(blob) % 32) + bytes(32) + random((4,)).tobytes()
    path.write_bytes(blob)
    weights = open_weights(path)
    same(weights.load("w"), random((4,)))
    [odd] = weights.skipped
    assert (odd.name, odd.dtype) == ("odd", f"type {number}")
    assert odd.skipped == f"of the type {number}, which the package gguf does not know"
    with pytest.raises(ValueError, match=rf"got 'odd' \(of the type {number},"):
        weights.load("odd")


def test_only_block_types_need_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plain.gguf"
    words = np.arange(64, dtype=np.uint16)
    write(path, {"w": (random((3, 4)), None), "b": (words.view(np.uint8), KINDS.BF16)})
    blocks = tmp_path / "blocks.gguf"
    write(blocks, {"q": (random_blocks(KINDS.Q4_0, (2, 64)), KINDS.Q4_0)})
    monkeypatch.setitem(sys.modules, "gguf", None)
    same(open_weights(path).load("w"), random((3, 4)))
    same(open_weights(path).load("b"), (words.astype(np.uint32) << 16).view(np.float32))
    with pytest.raises(WeightsError, match=r'needs the package gguf; .*minifloat\[gguf\]"'):
        open_weights(blocks)


def test_other_versions_and_byte_orders_say_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    for blob, match in (
        (gguf_blob(version=1), "has GGUF version 1, and versions 2 and 3 are read; convert"),
        (gguf_blob(version=4), "has GGUF version 4"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "other byte order; use gguf-convert-endian"),
    ):
        path.write_bytes(blob)
        with pytest.raises(WeightsError, match=match):
            open_weights(path)
    path.write_bytes(gguf_blob(version=2))
    assert open_weights(path).names() == ()


MANY = 100_000
LARGE = {
    "1 MB of bytes": gguf_blob(gguf_array(0, 10**6) + bytes(10**6), 1),
    "10 MB of bytes": gguf_blob(gguf_array(0, 10**7) + bytes(10**7), 1),
    "bools": gguf_blob(gguf_array(7, 10**7) + bytes(10**7), 1),
    "numbers": gguf_blob(gguf_array(12, 10**6) + bytes(8 * 10**6), 1),
    "300 000 empty strings": gguf_blob(gguf_array(8, 300_000) + bytes(8 * 300_000), 1),
    "100 000 empty arrays": gguf_blob(gguf_array(9, MANY) + bytes(12 * MANY), 1),
    "arrays of strings": gguf_blob(
        gguf_array(9, 10_000) + (struct.pack("<IQ", 8, 2) + gguf_text(b"a") * 2) * 10_000, 1
    ),
    "one long string": gguf_blob(
        gguf_text(b"k") + struct.pack("<I", 8) + gguf_text(bytes(10**7)), 1
    ),
    "100 000 keys": gguf_blob((gguf_text(b"k") + struct.pack("<IB", 0, 0)) * MANY, MANY),
}


@pytest.mark.parametrize("case", LARGE)
def test_metadata_are_stepped_over(tmp_path: Path, case: str) -> None:
    """The package makes NumPy objects of each element: some 700 bytes for a byte."""
    path = tmp_path / "m.gguf"
    path.write_bytes(LARGE[case])
    tracemalloc.start()
    try:
        assert open_weights(path).names() == ()
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_tensor_in_the_list_costs_little(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    count = 10_000
    listed = [gguf_tensor(b"%06d" % index, [8], 0, 32 * index) for index in range(count)]
    blob = gguf_blob(b"".join(listed), tensors=count)
    path.write_bytes(blob + bytes(-len(blob) % 32 + 32 * count))
    tracemalloc.start()
    try:
        weights = open_weights(path)
        assert tracemalloc.get_traced_memory()[1] < 1000 * count
    finally:
        tracemalloc.stop()
    assert len(weights.names()) == count
    assert len(pickle.dumps(weights.loader("000000"))) < 1000
