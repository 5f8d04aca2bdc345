"""What `Quantized` accepts can be saved and loaded, whoever made it."""

from __future__ import annotations

import dataclasses
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

import minifloat as mf
from tests.quantization.made_by_hand import any_quantized

SUFFIXES = (".npz", ".safetensors")


def bits_of(q: mf.Quantized) -> tuple[bytes, list[bool]]:
    return np.nan_to_num(q.scales, nan=-1).tobytes(), np.isnan(q.scales).ravel().tolist()


@settings(max_examples=60)
@given(q=any_quantized())
def test_what_is_accepted_can_be_saved_and_loaded(
    tmp_path_factory: pytest.TempPathFactory, q: mf.Quantized
) -> None:
    pytest.importorskip("safetensors")
    for suffix in SUFFIXES:
        path = tmp_path_factory.mktemp("any") / f"w{suffix}"
        mf.save(q, path)
        back = mf.load(path)
        assert back == q
        assert bits_of(back) == bits_of(q)
        assert repr(back) == repr(q)
        np.testing.assert_array_equal(back.dequantize(), q.dequantize())


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("scale", ["float32", "float16", "bfloat16", "e8m0", "e4m3fn", "e5m2"])
def test_a_scale_may_be_nan(tmp_path: Path, scale: str, suffix: str) -> None:
    """Any NaN: of some only the lower half of the word says that it is none of the infinities."""
    pytest.importorskip("safetensors")
    q = mf.quantize(np.ones((2, 8)), f"e2m1/4/{scale}")
    for word in (0x7F800001, 0x7FC00000, 0xFFC12345, 0xFF800001):
        scales = q.scales.copy()
        scales.view(np.uint32)[1, 0] = word
        made = dataclasses.replace(q, scales=scales)
        mf.save(made, tmp_path / f"w{suffix}")
        back = mf.load(tmp_path / f"w{suffix}")
        assert back == made
        assert np.isnan(back.dequantize()).tolist() == [[False] * 8, [True] * 4 + [False] * 4]


def test_a_file_of_another_program(tmp_path: Path) -> None:
    """Byte by byte, from the docstring of `save` and the format of safetensors."""
    pytest.importorskip("safetensors")
    described = (
        '{"version": 3, "format": "e2m1", "bits": 4, "scaling": "2/e8m0", "shape": [1, 4], '
        '"axis": 1, "tensor_scale": null, "scale_mean": null, "layout": "dense", '
        '"bit_order": "little"}'
    )
    header = json.dumps({
        "__metadata__": {"minifloat": described},
        "codes": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]},
        "scales": {"dtype": "U8", "shape": [2], "data_offsets": [2, 4]},
    }).encode()  # fmt: skip
    path = tmp_path / "w.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes([0x7E, 0x21, 0x7F, 0xFF]))
    q = mf.load(path)
    assert str(q.dequantize()) == "[[-4.  6. nan nan]]"
    mf.save(q, tmp_path / "again.npz")
    assert mf.load(tmp_path / "again.npz") == q


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_numbers_of_numpy_are_saved_as_pythons(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("safetensors")
    q = mf.quantize(np.ones((2, 32)), "nvfp4")
    made = mf.Quantized(
        q.packed, q.scales, q.recipe, [np.int64(2), np.uint8(32)], np.int64(-1),  # type: ignore[arg-type]
        np.float32(q.tensor_scale),  # type: ignore[arg-type]
    )  # fmt: skip
    mf.save(made, tmp_path / f"w{suffix}")
    assert mf.load(tmp_path / f"w{suffix}") == made == q
    assert [type(length) for length in made.shape] == [int, int]
    assert (type(made.axis), type(made.tensor_scale)) == (int, float)
