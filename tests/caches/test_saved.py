"""Caches in files: what goes on after loading is what goes on without, and damage is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.caches import CacheRecipe, KeyValueCache
from tests.caches.test_caches import BALANCER, CASES, HEADS, LENGTH, draws

BOOK = mf.Codebook([-1, -0.4, 0, 0.3, 0.8], "mine")
OWN: dict[str, tuple[CacheRecipe, np.ndarray | None]] = {
    "codebooks": (CacheRecipe(mf.Recipe(BOOK, block=8), "nf4|int4/8/float16", step=8), None),
    "tensor scales": (CacheRecipe("nvfp4", "nvfp4", step=16, window=1), None),
}
EVERY = CASES | OWN
CUT = 29  # tokens before saving


def begun(case: str) -> KeyValueCache:
    recipe, balancer = EVERY[case]
    cache = KeyValueCache(recipe, HEADS, LENGTH, balancer=balancer)
    go_on(cache, 0, CUT)
    return cache


def go_on(cache: KeyValueCache, start: int, stop: int) -> list[np.ndarray]:
    keys, values, queries = draws()
    outputs = []
    for t in range(start, stop):
        cache.append(keys[:, [t]], values[:, [t]])
        outputs.append(cache.attend(queries[:, [t]]))
    return outputs


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
@pytest.mark.parametrize("case", EVERY)
def test_a_loaded_cache_goes_on_with_the_same_bits(case: str, suffix: str, tmp_path: Path) -> None:
    cache = begun(case)
    cache.save(tmp_path / f"cache.{suffix}")
    loaded = KeyValueCache.load(tmp_path / f"cache.{suffix}")
    assert (loaded.recipe, loaded.bits, repr(loaded)) == (cache.recipe, cache.bits, repr(cache))
    assert np.array_equal(loaded.keys(), cache.keys())
    assert np.array_equal(loaded.values(), cache.values())
    assert np.array_equal(go_on(loaded, CUT, 44), go_on(cache, CUT, 44))
    assert (loaded.bits, loaded.packed_tokens) == (cache.bits, cache.packed_tokens)


def test_a_new_cache_is_saved(tmp_path: Path) -> None:
    cache = KeyValueCache(CASES["heavy"][0], HEADS, LENGTH, balancer=BALANCER)
    cache.save(tmp_path / "cache.npz")
    loaded = KeyValueCache.load(tmp_path / "cache.npz")
    assert loaded.tokens == 0
    assert np.array_equal(go_on(loaded, 0, 9), go_on(cache, 0, 9))


def members(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    return arrays, json.loads(str(arrays.pop("minifloat")))


def negative(x: np.ndarray) -> np.ndarray:
    return -1 - x


@pytest.mark.parametrize("case", ["heavy", "heavy in int8", "kivi"])
def test_every_damage_is_refused_by_name(case: str, tmp_path: Path) -> None:
    """Each array missing, cut, of another type, with other numbers; each field missing or other."""
    path = tmp_path / "cache.npz"
    begun(case).save(path)
    arrays, text = members(path)

    def refused(arrays: dict[str, np.ndarray], text: dict[str, Any]) -> None:
        np.savez(path, **arrays, minifloat=np.array(json.dumps(text)))  # type: ignore[arg-type]
        with pytest.raises(mf.files.WeightsError, match=r"cache\.npz"):
            KeyValueCache.load(path)

    refused(arrays | {"more": np.zeros(3)}, text)
    for name, array in arrays.items():
        if array.size:
            refused(arrays | {name: array[..., :-1]}, text)
        refused(arrays | {name: array.astype(np.complex64)}, text)
        refused({other: arrays[other] for other in arrays if other != name}, text)
        if array.size and ("positions" in name or "rows" in name):
            refused(arrays | {name: negative(array)}, text)
            refused(arrays | {name: np.zeros_like(array)}, text)
        if array.size and array.dtype.kind == "f" and ".scales" not in name:
            refused(arrays | {name: np.full_like(array, np.nan)}, text)
    for field, value in text.items():
        refused(arrays, {other: text[other] for other in text if other != field})
        refused(arrays, text | {field: None})
        if isinstance(value, int):
            refused(arrays, text | {field: value + 1})
    for option, value in text["recipe"].items():
        if option not in ("window", "first", "heavy", "step"):  # others change what comes later
            other = ["e3m0", "8/float16"] if isinstance(value, list) else "heads"
            refused(arrays, text | {"recipe": text["recipe"] | {option: other}})
        refused(arrays, text | {"recipe": text["recipe"] | {option: -1}})


def test_other_files_are_refused(tmp_path: Path) -> None:
    mf.save(mf.quantize(np.eye(8), "int4"), tmp_path / "weights.npz")
    with pytest.raises(mf.files.WeightsError, match=r"has version None of caches"):
        KeyValueCache.load(tmp_path / "weights.npz")
    begun("kivi").save(tmp_path / "cache.npz")
    with pytest.raises(mf.files.WeightsError, match="codes"):
        mf.load(tmp_path / "cache.npz")
    with pytest.raises(ValueError, match=r"must end in \.npz or \.safetensors"):
        begun("kivi").save(tmp_path / "cache.bin")
