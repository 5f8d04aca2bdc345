"""Complex codes in files: they come back bit for bit, and what is wrong with a file is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.files.complex_weights import check_names, from_arrays, to_arrays
from minifloat.formats.complex_codebook import ComplexCodebook
from minifloat.quantization.complex_weights import quantize
from minifloat.quantization.widely_linear import fairy2i

RNG = np.random.default_rng(1)
W = RNG.standard_normal((6, 10))
Z = W + 1j * RNG.standard_normal((6, 10))
THREE = ComplexCodebook(np.exp(2j * np.pi * np.arange(3) / 3), "three phases")
SAVED = {
    "complex": quantize(Z),
    "rows": quantize(Z, block="channel"),
    "three phases": quantize(Z, THREE),
    "empty": quantize(np.zeros((0, 3))),
    "vector": quantize(Z[0]),
    "one stage": fairy2i(W, 1),
    "eight stages": fairy2i(W, 8, block="channel"),
}


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize("name", SAVED)
def test_weights_come_back(name: str, suffix: str, tmp_path: Path) -> None:
    q = SAVED[name]
    mf.save(q, tmp_path / f"w{suffix}")
    back = mf.load(tmp_path / f"w{suffix}")
    assert type(back) is type(q)
    assert back == q
    assert repr(back) == repr(q)
    np.testing.assert_array_equal(back.dequantize(), q.dequantize())


def test_linear_multiplies_what_was_loaded(tmp_path: Path) -> None:
    mf.save(fairy2i(W, 2), tmp_path / "w.npz")
    x = RNG.standard_normal((3, 10)).astype(np.float32)
    back = mf.load(tmp_path / "w.npz")
    np.testing.assert_allclose(mf.linear(x, back), x @ back.dequantize().T, atol=1e-5)
    z = mf.linear(x + 1j, SAVED["complex"], bias=np.ones(6))
    np.testing.assert_allclose(z, (x + 1j) @ SAVED["complex"].dequantize().T + 1, atol=1e-5)
    with pytest.raises(ValueError, match="activations must be None"):
        mf.linear(x, back, activations="int8/channel/float32")


def changed(name: str, **changes: Any) -> tuple[dict[str, Any], str]:
    arrays, text = to_arrays(SAVED[name])
    described = json.loads(text)
    for key, value in changes.items():
        where = arrays if key in arrays or isinstance(value, np.ndarray) else described
        where[key] = value
        if value is None:
            del where[key]
    return arrays, json.dumps(described)


@pytest.mark.parametrize(
    "changes",
    [
        {"complex": 2},
        {"complex": None},
        {"shape": [6, 11]},
        {"shape": "6"},
        {"shape": None},
        {"format": 3},
        {"format": ""},
        {"more": 1},
        {"z.codes": None},
        {"z.codes": np.zeros(15, np.int8)},
        {"z.codes": np.zeros(14, np.uint8)},
        {"z.scales": np.zeros(2, np.float32)},
        {"z.scales": np.ones(3, np.float32)},
        {"z.scales": np.ones(2)},
        {"complex.values": None},
        {"complex.values": np.ones((4, 2))},
        {"complex.values": np.ones(4)},
        {"complex.values": np.full((1, 2), 1.0)},
        {"complex.values": np.float64([[1, 0], [0, 1], [np.nan, 0], [0, -1]])},
        {"u0.codes": np.zeros(15, np.uint8)},
        {"codes": np.zeros(15, np.uint8)},
    ],
    ids=str,
)
def test_each_contradiction_is_refused(changes: dict[str, Any]) -> None:
    from_arrays(*changed("complex"))
    with pytest.raises((ValueError, TypeError, KeyError)):
        from_arrays(*changed("complex", **changes))


def test_no_array_is_there_twice() -> None:
    names = list(to_arrays(SAVED["complex"])[0])
    check_names(names)
    with pytest.raises(ValueError, match="it must hold"):
        check_names([*names, names[0]])


def test_stages_are_whole() -> None:
    for missing in ("w1.codes", "u0.scales", "w0.codes", "u1.codes"):
        arrays, text = to_arrays(fairy2i(W, 2))
        del arrays[missing]
        with pytest.raises(ValueError, match="it must hold"):
            from_arrays(arrays, text)
