"""`save` and `load`: bit for bit, whole or not at all, and no trust in files."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import minifloat as mf
from minifloat.files.weights import WeightsError
from minifloat.testing import formats
from tests.files.memory import little_memory

safetensors_numpy = pytest.importorskip("safetensors.numpy")

SUFFIXES = (".npz", ".safetensors")


THREE = mf.Codebook([-1, 0, 1], "three")


def format_of(fmt: mf.NumberFormat | str) -> mf.NumberFormat:
    return THREE if fmt == "three" else mf.parse(fmt)


def quantized(fmt: mf.NumberFormat | str = "e2m2", **options: Any) -> mf.Quantized:
    w = np.random.default_rng(5).standard_normal((3, 20)).astype(np.float32)
    return mf.quantize(w, format_of(fmt), **{"block": 8, **options})


def assert_same(one: mf.Quantized, other: mf.Quantized) -> None:
    for field in dataclasses.fields(mf.Quantized):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if field.name == "double" and a is not None:
            assert_same(a.quantized, b.quantized)
            assert a.mean == b.mean
        elif isinstance(a, np.ndarray):
            assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
        else:
            assert type(a) is type(b)
            assert a == b
    assert one.fmt.name == other.fmt.name


def round_trip(q: mf.Quantized, path: Path) -> None:
    mf.save(q, path)
    assert_same(mf.load(path), q)
    assert_same(mf.load(str(path)), q)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("scale", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(
    "fmt",
    ["e2m2", "fpe2m2", "e4m3fn", "ue4m3", "float16", "tf32", "int5", "int8full", "uint4", "nf4"],
)
def test_round_trip(tmp_path: Path, fmt: str, axis: int, scale: str, suffix: str) -> None:
    w = np.abs(np.random.default_rng(5).standard_normal((3, 20)))
    for block in (8, "channel", "tensor", *([(2, 8)] if axis == 1 else [])):
        q = mf.quantize(w, mf.parse(fmt), axis=axis, scale=scale, block=block)
        round_trip(q, tmp_path / f"w{suffix}")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", mf.RECIPES)
def test_published_recipes(tmp_path: Path, name: str, suffix: str) -> None:
    w = np.random.default_rng(6).standard_normal((3, 200)).astype(np.float32)
    round_trip(mf.quantize(w, name), tmp_path / f"w{suffix}")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_any_shape(tmp_path: Path, suffix: str) -> None:
    for shape in ((), (1,), (0,), (3, 0), (0, 3), (2, 0, 4), (2, 3, 4), (1,) * 33):
        for block in (128, "tensor", (2, 2)):
            round_trip(mf.quantize(np.ones(shape), "e2m2", block=block), tmp_path / f"w{suffix}")


RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    "e8m0": ("e2m1", {"scale": "e8m0", "scale_rounding": "floor"}),
    "six bits": ("e2m1", {"scale": "e4m2"}),
    "sixteen bits": ("e2m2", {"scale": "e6m9"}),
    "tf32": ("e2m2", {"scale": "tf32"}),
    "two levels": ("e2m1", {"scale": "e4m3fn", "tensor_scale": True}),
    "two wide levels": ("nf4", {"scale": "float16", "tensor_scale": True}),
    "zero points": ("uint4", {"zero_point": True}),
    "odd zero points": ("uint3", {"zero_point": True, "scale": "e5m2"}),
    "zero points, two levels": (
        "uint4", {"zero_point": True, "scale": "ue4m3", "tensor_scale": True, "search": "shrink"}
    ),
    "zero points of least squares": ("uint3", {"zero_point": True, "search": "mse"}),
    "double": ("nf4", {"scale": "float32", "double": True}),
    "double, zero points": ("uint4", {"scale": "float32", "double": True, "zero_point": True}),
    "percentile": ("int5", {"search": "percentile", "percentile": 97.5}),
    "usual percentile": ("int5", {"search": "percentile"}),
    "one scale": ("e2m2", {"block": "tensor", "scale": "e4m3fn", "search": "mse"}),
    "channels": ("e2m2", {"block": "channel", "search": "shrink"}),
    "custom codebook": ("three", {"search": "mse"}),
}  # fmt: skip


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("blocks", ["axis 0", "axis 1", "tiles", "tensor"])
@pytest.mark.parametrize("name", RECIPES)
def test_every_part_of_recipes(tmp_path: Path, name: str, blocks: str, suffix: str) -> None:
    fmt, options = RECIPES[name]
    path = tmp_path / f"w{suffix}"
    if blocks in ("tiles", "tensor"):
        options = {**options, "block": "tensor" if blocks == "tensor" else (2, 8)}
    for shape in ((3, 70), (0, 3), (3, 0), (2, 3)):
        w = np.random.default_rng(5).standard_normal(shape)
        axis = 0 if blocks == "axis 0" else -1
        q = mf.quantize(w, format_of(fmt), axis=axis, **{"block": 8, **options})
        round_trip(q, path)
        assert 0 < path.stat().st_size - q.nbytes < 2500
        assert mf.load(path) == q
        np.testing.assert_array_equal(mf.load(path).dequantize(), q.dequantize())


def any_recipe(fmt: mf.NumberFormat, **fields: Any) -> mf.Recipe:
    try:
        return mf.Recipe(fmt, **fields)
    except ValueError:
        reject()  # a format without values above zero has no scales


@settings(max_examples=60)
@given(fmt=formats(), suffix=st.sampled_from(SUFFIXES))
def test_any_format(
    tmp_path_factory: pytest.TempPathFactory, fmt: mf.NumberFormat, suffix: str
) -> None:
    used = [code for code in range(min(fmt.code_count, 12)) if fmt.kind(code) != "unused"]
    packed = mf.pack(np.resize(used, 11), fmt.bits)
    scales = np.float32([[2.0**-14, 1.5, 65504.0]])
    q = mf.Quantized(packed, scales, any_recipe(fmt, block=4), (1, 11), 1)
    round_trip(q, tmp_path_factory.mktemp("any") / f"w{suffix}")


@settings(max_examples=60)
@given(
    values=st.lists(
        st.floats(allow_nan=False, allow_infinity=False),
        min_size=2,
        max_size=20,
        unique_by=float.hex,
    ),
    name=st.text(min_size=1, max_size=64).filter(str.isprintable),
    suffix=st.sampled_from(SUFFIXES),
)
def test_any_codebook(
    tmp_path_factory: pytest.TempPathFactory, values: list[float], name: str, suffix: str
) -> None:
    try:
        book = mf.Codebook(values, name)
    except ValueError:
        reject()  # another format has the name
    packed = mf.pack(np.arange(9) % book.code_count, book.bits)
    recipe = any_recipe(book, block="tensor", scale="float32")
    q = mf.Quantized(packed, np.array(0.1, np.float32), recipe, (9,), None)
    round_trip(q, tmp_path_factory.mktemp("any") / f"w{suffix}")


def test_the_name_of_a_codebook_is_any_printable_text(tmp_path: Path) -> None:
    for name in ("mein Büchlein \N{SNOWMAN}", "<b>", "nf4 of mine", "x" * 64):
        for suffix in SUFFIXES:
            round_trip(quantized(mf.Codebook([-1, -0.0, 0.0, 0.1], name)), tmp_path / f"w{suffix}")
        round_trip(quantized("[-1 -0 0 0.1]"), tmp_path / f"w{suffix}")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("scale", ["float32", "float16", "bfloat16"])
def test_others_can_read_it(tmp_path: Path, scale: str, suffix: str) -> None:
    """Without this library: by NumPy alone, from the docstring of `save`."""
    path = tmp_path / f"w{suffix}"
    q = quantized("nf4", scale=scale)
    mf.save(q, path)
    if suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        facts = json.loads(str(arrays["minifloat"]))
    else:
        arrays = safetensors_numpy.load_file(path)
        with safetensors_numpy.safe_open(path, "numpy") as file:
            facts = json.loads(file.metadata()["minifloat"])
    assert facts == {
        "version": 3, "format": "nf4", "bits": 4, "scaling": f"8/{scale}", "shape": [3, 20],
        "axis": 1, "tensor_scale": None, "scale_mean": None, "layout": "dense",
        "bit_order": "little",
    }  # fmt: skip
    bits = np.unpackbits(arrays["codes"], bitorder="little").reshape(3, 20, 4)
    codes = (bits << np.arange(4, dtype=np.uint8)).sum(-1)
    scales = arrays["scales"]
    if scale == "bfloat16":
        scales = (scales.astype(np.uint32) << 16).view(np.float32)
    else:
        assert scales.dtype == scale
    spread = np.repeat(scales.astype(np.float32), 8, axis=1)[:, :20]
    weights = arrays["codebook"].astype(np.float32)[codes] * spread
    np.testing.assert_array_equal(weights, q.dequantize())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_file_is_as_small_as_it_says(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"w{suffix}"
    q = mf.quantize(np.ones((64, 1024)), "e2m2")
    mf.save(q, path)
    assert 0 < path.stat().st_size - q.nbytes < 2000


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_order_in_memory_does_not_matter(tmp_path: Path, suffix: str) -> None:
    q = quantized()
    turned = dataclasses.replace(
        q, scales=np.asfortranarray(q.scales), packed=np.repeat(q.packed, 2)[::2]
    )
    mf.save(turned, tmp_path / f"w{suffix}")
    assert_same(mf.load(tmp_path / f"w{suffix}"), q)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("at", ["writing", "syncing", "replacing"])
def test_a_failure_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str, failure: BaseException, suffix: str
) -> None:
    path = tmp_path / f"w{suffix}"
    old = quantized()
    mf.save(old, path)

    def fail(*_: Any, **__: Any) -> None:
        assert len(list(tmp_path.iterdir())) == 2, "the new file is written beside the old one"
        raise failure

    with monkeypatch.context() as patch:
        if at == "syncing":
            patch.setattr(os, "fsync", fail)
        elif at == "replacing":
            patch.setattr(Path, "replace", fail)
        else:
            patch.setattr(np, "savez", fail)
            patch.setattr(safetensors_numpy, "save", fail)
        with pytest.raises(type(failure)):
            mf.save(quantized("int5"), path)
    assert list(tmp_path.iterdir()) == [path]
    assert_same(mf.load(path), old)


def test_a_new_file_has_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"")
    for suffix in SUFFIXES:
        mf.save(quantized(), tmp_path / f"w{suffix}")
        assert (tmp_path / f"w{suffix}").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_bad_arguments_of_save(tmp_path: Path) -> None:
    q = quantized()
    with pytest.raises(
        TypeError, match=r"quantized must be Quantized, .* got ndarray; minifloat\.q"
    ):
        mf.save(np.ones(3), tmp_path / "w.npz")
    for name in ("w.bin", "w", "npz"):
        with pytest.raises(ValueError, match=r"must end in \.npz or \.safetensors; rename it"):
            mf.save(q, tmp_path / name)
    with pytest.raises(FileNotFoundError):
        mf.save(q, tmp_path / "nowhere" / "w.npz")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.safetensors"
    mf.save(quantized(), path)
    for module in ("safetensors", "safetensors.numpy"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValueError, match=r'needs the package safetensors; .*minifloat\[cli\]"'):
        mf.save(quantized(), path)
    assert_same(mf.load(path), quantized())  # only the writer is of the package
    round_trip(quantized(), tmp_path / "w.npz")


Arrays = dict[str, NDArray[Any]]
Facts = dict[str, Any]


def contents(q: mf.Quantized, folder: Path) -> tuple[Arrays, Facts]:
    mf.save(q, folder / "good.npz")
    with np.load(folder / "good.npz") as file:
        arrays = dict(file)
    return arrays, json.loads(str(arrays.pop("minifloat")))


def write(path: Path, arrays: Arrays, facts: object) -> None:
    text = facts if isinstance(facts, str) else json.dumps(facts)
    if path.suffix == ".npz":
        np.savez(path, minifloat=np.array(text), **arrays)
    else:
        safetensors_numpy.save_file(arrays, path, metadata={"minifloat": text})


def refused(path: Path, reason: str) -> None:
    with little_memory(), pytest.raises(WeightsError, match=reason) as caught:
        mf.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "; " in message, "a remedy follows"
    assert "\n" not in message


FACTS: dict[str, tuple[Facts, str]] = {
    "version 2": ({"version": 2}, "has version 2, and this minifloat reads version 3; use the"),
    "version 4": ({"version": 4, "new": 1}, "has version 4, and this minifloat reads version 3; u"),
    "version missing": ({"version": None}, "has version None"),
    "version long": ({"version": "9" * 10_000}, "has version '9999"),
    "unknown fact": ({"extra": 1}, "its description must have axis, .*, tensor_scale, version"),
    "format unknown": ({"format": "e2m2x"}, "fmt must be a known format name"),
    "format no text": ({"format": 5}, "fmt must be a format or the name of one, got 5"),
    "format null": ({"format": None}, "fmt must be"),
    "format by another name": ({"format": "fpe2m2"}, "contradicts itself"),
    "format with a remark": ({"format": "e2m2 (mine)"}, "contradicts itself"),
    "format of other bits": ({"format": "e3m2", "bits": 6}, "packed must be 45 bytes for 60 codes"),
    "format a recipe": ({"format": "mxfp4"}, "fmt must be a known format name"),
    "bits of another": ({"bits": 6}, "contradicts itself"),
    "codebook without values": ({"format": "nf4", "bits": 4}, "values of the codebook nf4 must be"),
    "shape too large": ({"shape": [3, 2**40]}, "packed must be"),
    "shape absurd": ({"shape": [2**59] * 64}, r"shape must be of at most 2\*\*59 weights"),
    "shape beyond": ({"shape": [2**63, 0]}, r"a length of shape must be in"),
    "shape negative": ({"shape": [-3, -20]}, "a length of shape must be in"),
    "shape of floats": ({"shape": [3.0, 20]}, "a length of shape must be an int"),
    "shape of bools": ({"shape": [True, 20]}, "a length of shape must be an int"),
    "shape too long": ({"shape": [1] * 65}, "shape must have at most 64 lengths, got 65"),
    "shape no list": ({"shape": 60}, "shape must be a list"),
    "shape of as many": ({"shape": [60]}, "axis must be in 0..0"),
    "shape turned": ({"shape": [20, 3]}, "scales must be float32 of shape"),
    "axis beyond": ({"axis": 2}, r"axis must be in 0\.\.1, got 2"),
    "axis negative": ({"axis": -1}, "axis must be in"),
    "axis a float": ({"axis": 1.0}, "axis must be an int"),
    "axis a bool": ({"axis": True}, "axis must be an int"),
    "axis null": ({"axis": None}, "axis must be an int, got None"),
    "axis of one scale": ({"scaling": "tensor/float16"}, "axis must be None for one scale, got 1"),
    "axis of tiles": ({"scaling": "2x8/float16", "axis": 0}, "axis must be -1 for tiles, w"),
    "block 0": ({"scaling": "0/float16"}, "block must be a positive int"),
    "block channel": ({"scaling": "channel/float16"}, "scales must be float32 of shape"),
    "block other": ({"scaling": "16/float16"}, "scales must be float32 of shape"),
    "block absent": ({"scaling": "float16"}, "block must be a positive int"),
    "scale absent": ({"scaling": "8"}, "contradicts itself"),
    "scale by another name": ({"scaling": "8/half"}, "contradicts itself"),
    "scale other": ({"scaling": "8/bfloat16"}, "scales must be uint16, the words of bfloat16, got"),
    "scale unknown": ({"scaling": "8/e8mm"}, "scale must be a known format name"),
    "scale of codes": ({"scaling": "8/e8m0"}, "packed must be a uint8|scales must be packed"),
    "scaling empty": ({"scaling": ""}, "block must be a positive int"),
    "scaling of spaces": ({"scaling": " 8 / float16"}, "contradicts itself"),
    "scaling a list": ({"scaling": []}, "is damaged or of another kind"),
    "scaling null": ({"scaling": None}, "is damaged or of another kind"),
    "scaling long": ({"scaling": "8/float16/mse/x"}, "recipe must be FORMAT/BLOCK/SCALE/OPTIONS"),
    "scaling longest": ({"scaling": "/" * 100_000}, "recipe must be FORMAT/BLOCK/SCALE/OPTIONS"),
    "option unknown": ({"scaling": "8/float16/mean"}, "options must be mse, .*, got 'mean'"),
    "option of zero points": ({"scaling": "8/float16/zero-point"}, "fmt must be an unsigned integ"),
    "option of a tensor scale": ({"scaling": "8/float16/tensor-scale"}, "tensor_scale must be as"),
    "option of another order": ({"scaling": "8/float16/+"}, "options must be"),
    "percentile large": ({"scaling": "8/float16/percentile101"}, "percentile must be in 0..100"),
    "layout other": ({"layout": "1+4"}, "contradicts itself"),
    "bit_order big": ({"bit_order": "big"}, "contradicts itself"),
}  # fmt: skip


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("case", FACTS)
def test_facts_that_do_not_fit(tmp_path: Path, case: str, suffix: str) -> None:
    arrays, facts = contents(quantized(), tmp_path)
    changed, reason = FACTS[case]
    path = tmp_path / f"w{suffix}"
    write(path, arrays, facts)
    mf.load(path)
    write(path, arrays, {**facts, **changed})
    refused(path, reason)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("fact", ["version", "format", "scaling", "shape", "axis", "layout"])
def test_facts_that_are_missing(tmp_path: Path, fact: str, suffix: str) -> None:
    arrays, facts = contents(quantized(), tmp_path)
    del facts[fact]
    write(tmp_path / f"w{suffix}", arrays, facts)
    refused(tmp_path / f"w{suffix}", "its description must have|has version None")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("text", ["", "{", "[]", "1", "null", '"text"', "[" * 100_000, "NaN"])
def test_texts_that_describe_nothing(tmp_path: Path, text: str, suffix: str) -> None:
    arrays, _ = contents(quantized(), tmp_path)
    write(tmp_path / f"w{suffix}", arrays, text)
    refused(tmp_path / f"w{suffix}", "is damaged or of another kind")


MORE_FACTS: dict[str, tuple[str, Facts, str | None]] = {
    "scale no Format": (
        "zero points", {"scaling": "8/int8/zero-point"}, "scale must be float32 or a Format"
    ),
    "scale of others": ("e8m0", {"scaling": "8/e4m3fnuz"}, None),
    "scale of other bits": ("e8m0", {"scaling": "8/e2m3"}, "packed must have 7 bytes"),
    "scale by another name": ("e8m0", {"scaling": "8/ue8m0"}, "contradicts itself"),
    "rounding given at length": ("e8m0", {"scaling": "8/e8m0:floor"}, "contradicts itself"),
    "rounding other": ("e8m0", {"scaling": "8/e8m0:up"}, None),
    "rounding unknown": ("e8m0", {"scaling": "8/e8m0:sideways"}, "scale_rounding must be one of"),
    "search other": ("e8m0", {"scaling": "8/e8m0/mse"}, None),
    "tensor scale absent": (
        "two levels", {"tensor_scale": None}, "tensor_scale must be as the recipe .* says, got none"
    ),
    "tensor scale alone": (
        "e8m0", {"tensor_scale": 1.0}, "tensor_scale must be as the recipe .* says, got 1.0"
    ),
    "tensor scale 0": ("two levels", {"tensor_scale": 0.0}, "tensor_scale must be a float32"),
    "tensor scale negative": ("two levels", {"tensor_scale": -1.0}, "tensor_scale must be"),
    "tensor scale nan": ("two levels", {"tensor_scale": float("nan")}, "tensor_scale must be"),
    "tensor scale large": ("two levels", {"tensor_scale": 1e300}, "tensor_scale must be"),
    "tensor scale long": ("two levels", {"tensor_scale": 0.1}, "tensor_scale must be"),
    "tensor scale true": ("two levels", {"tensor_scale": True}, "tensor_scale must be"),
    "tensor scale text": ("two levels", {"tensor_scale": "1"}, "tensor_scale must be"),
    "mean absent": ("double", {"scale_mean": None}, "scale_mean must be there with"),
    "mean alone": ("two levels", {"scale_mean": 1.0}, "scale_mean must be there with"),
    "mean low": ("double", {"scale_mean": -100.0}, "scales must be values of float32, neither n"),
    "mean infinite": ("double", {"scale_mean": float("inf")}, "mean must be a finite float32"),
    "mean text": ("double", {"scale_mean": "1"}, "mean must be a finite float32"),
    "double in float16": ("double", {"scaling": "8/float16/double"}, 'scale must be "float32"'),
    "double without saying so": (
        "double", {"scaling": "8/float32"}, "double must be as the recipe .* says, got some"
    ),
    "double by saying so": (
        "two wide levels", {"scaling": "8/float32/double", "tensor_scale": None},
        "scales must be float32|double must be as the recipe",
    ),
    "zero points of signed": (
        "zero points", {"format": "int4"}, "fmt must be an unsigned integer such as uint4"
    ),
    "zero points without saying so": (
        "zero points", {"scaling": "8/float16"}, "zero_points must be as the recipe .* got some"
    ),
    "another percentile": ("percentile", {"scaling": "8/float16/percentile50"}, None),
    "percentile long": ("percentile", {"scaling": "8/float16/percentile97.50"}, "contradicts"),
    "percentile nan": ("percentile", {"scaling": "8/float16/percentilenan"}, "options must be"),
}  # fmt: skip


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("case", MORE_FACTS)
def test_facts_of_recipes_that_do_not_fit(tmp_path: Path, case: str, suffix: str) -> None:
    name, changed, reason = MORE_FACTS[case]
    fmt, options = RECIPES[name]
    path = tmp_path / f"w{suffix}"
    arrays, facts = contents(quantized(fmt, **options), tmp_path)
    write(path, arrays, facts)
    mf.load(path)
    write(path, arrays, {**facts, **changed})
    if reason is None:
        mf.load(path)
    else:
        refused(path, reason)


def without(arrays: Arrays, name: str) -> Arrays:
    return {k: v for k, v in arrays.items() if k != name}


MORE_ARRAYS: dict[str, tuple[str, Callable[[Arrays], Arrays], str]] = {
    "zero points float": (
        "zero points", lambda a: {**a, "zero_points": a["zero_points"].astype(float)},
        "packed must be",
    ),
    "zero points short": (
        "zero points", lambda a: {**a, "zero_points": a["zero_points"][:-1]}, "packed must have"
    ),
    "zero points 2-d": (
        "zero points", lambda a: {**a, "zero_points": a["zero_points"][None]},
        "zero_points must be packed in one dimension",
    ),
    "no zero points": (
        "zero points", lambda a: without(a, "zero_points"), "zero_points must be as the recipe"
    ),
    "zero points of others": (
        "e8m0", lambda a: {**a, "zero_points": a["scales"]}, "packed must have|zero_points must be"
    ),
    "scales negative": (
        "two levels", lambda a: {**a, "scales": a["scales"] | 128}, "scales must be values of e4m3"
    ),
    "scales short": ("e8m0", lambda a: {**a, "scales": a["scales"][1:]}, "packed must have"),
    "scales words": (
        "e8m0", lambda a: {**a, "scales": a["scales"].view(np.int8)}, "packed must be a uint8"
    ),
    "no scales of scales": (
        "double", lambda a: without(a, "scales_of_scales"), "scale_mean must be there with"
    ),
    "scales of scales alone": (
        "e8m0", lambda a: {**a, "scales_of_scales": np.ones(1, np.float32)},
        "scale_mean must be there with",
    ),
    "scales of scales float64": (
        "double",
        lambda a: {**a, "scales_of_scales": a["scales_of_scales"].astype(float)},
        "scales must be float32",
    ),
    "scales of scales infinite": (
        "double",
        lambda a: {**a, "scales_of_scales": a["scales_of_scales"] * np.float32(np.inf)},
        "scales must be values of float32",
    ),
}  # fmt: skip


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("case", MORE_ARRAYS)
def test_arrays_of_recipes_that_do_not_fit(tmp_path: Path, case: str, suffix: str) -> None:
    name, change, reason = MORE_ARRAYS[case]
    fmt, options = RECIPES[name]
    arrays, facts = contents(quantized(fmt, **options), tmp_path)
    write(tmp_path / f"w{suffix}", change(arrays), facts)
    refused(tmp_path / f"w{suffix}", reason)


def test_recipes_by_numpy_alone(tmp_path: Path) -> None:
    """NVFP4, QLoRA's NF4 and zero points from the docstring of `save`."""
    w = np.random.default_rng(5).standard_normal((4, 64)).astype(np.float32)
    e4m3 = mf.parse("e4m3fn").values()
    for name, size in (("nvfp4", 16), ("qlora", 64), ("uint4/16/ue4m3/zero-point", 16)):
        q = mf.quantize(w, name)
        arrays, facts = contents(q, tmp_path)
        assert facts["version"] == 3
        assert facts["scaling"] == str(q.recipe).partition("/")[2]
        codes = np.stack([arrays["codes"] & 15, arrays["codes"] >> 4], -1).reshape(4, 64)
        values = arrays.get("codebook", np.arange(16.0))[codes]
        if name == "nvfp4":
            scales = e4m3[arrays["scales"]] * facts["tensor_scale"]
            values = mf.parse("e2m1").values()[codes]
        elif name == "qlora":
            scales = e4m3[arrays["scales"]]
            scales = np.float32(scales) * np.repeat(arrays["scales_of_scales"], 256)[:4]
            scales = np.float64(scales + np.float32(facts["scale_mean"]))
        else:
            bits = np.unpackbits(arrays["scales"], bitorder="little")[: 16 * 7].reshape(16, 7)
            scales = mf.parse("ue4m3").values()[np.packbits(bits, axis=1, bitorder="little")[:, 0]]
            zeros = np.stack([arrays["zero_points"] & 15, arrays["zero_points"] >> 4], -1)
            values = values - np.repeat(zeros.reshape(-1), size).reshape(4, 64)
        weights = values * np.repeat(scales, size).reshape(4, 64)
        np.testing.assert_array_equal(weights.astype(np.float32), q.dequantize())


def changed_bit(packed: NDArray[np.uint8], bit: int) -> NDArray[np.uint8]:
    changed = packed.copy()
    changed[bit // 8] ^= 1 << bit % 8
    return changed


ARRAYS: dict[str, tuple[str, Callable[[Arrays], Arrays], str]] = {
    "no codes": ("e2m2", lambda a: {"scales": a["scales"]}, "must hold codes, scales and perhaps"),
    "no scales": ("e2m2", lambda a: {"codes": a["codes"]}, "must hold codes, scales and perhaps"),
    "more": ("e2m2", lambda a: {**a, "zeros": a["scales"]}, "must hold codes, scales and perhaps"),
    "codes too few": ("e2m2", lambda a: {**a, "codes": a["codes"][:-1]}, "packed must be 38 bytes"),
    "codes too many": ("e2m2", lambda a: {**a, "codes": np.append(a["codes"], a["codes"][:1])},
                       "packed must be 38 bytes"),
    "codes 2-d": ("e2m2", lambda a: {**a, "codes": a["codes"].reshape(2, 19)}, "packed must be 38"),
    "codes int8": ("e2m2", lambda a: {**a, "codes": a["codes"].view(np.int8)}, "got int8"),
    "codes float16": ("e2m2", lambda a: {**a, "codes": a["codes"].view(np.float16)}, "got float16"),
    "bits left over": (
        "e2m2", lambda a: {**a, "codes": changed_bit(a["codes"], 302)}, "must have 0 in the 4 bits"
    ),
    "unused code": (
        "int4", lambda a: {**a, "codes": np.full_like(a["codes"], 0x88)}, "not the unused 8"
    ),
    "code beyond the codebook": (
        "three", lambda a: {**a, "codes": np.full_like(a["codes"], 255)}, r"codes must be in 0\.\.2"
    ),
    "scales float64": (
        "e2m2", lambda a: {**a, "scales": a["scales"].astype(float)},
        "scales must be float16, the words of float16, got float64",
    ),
    "scales turned": ("e2m2", lambda a: {**a, "scales": a["scales"].ravel()}, "scales must be f"),
    "scales negative": ("e2m2", lambda a: {**a, "scales": -a["scales"]}, "values of float16, n"),
    "scales of -0": ("e2m2", lambda a: {**a, "scales": a["scales"] * -0.0}, "values of float16, n"),
    "scales infinite": (
        "e2m2", lambda a: {**a, "scales": a["scales"] / np.float16(0)}, "neither negative nor inf"
    ),
    "codebook short": ("three", lambda a: {**a, "codebook": a["codebook"][1:]}, "packed must be"),
    "codebook of nothing above 0": (
        "three", lambda a: {**a, "codebook": a["codebook"][:2]}, "fmt must have a value above zero"
    ),
    "codebook twice": ("three", lambda a: {**a, "codebook": np.zeros(3)}, "no value twice"),
    "codebook nan": ("three", lambda a: {**a, "codebook": np.full(3, np.nan)}, "must be finite"),
    "codebook float32": (
        "three", lambda a: {**a, "codebook": np.float32([1, 2, 3])}, "codebook must be float64"
    ),
    "codebook 0-d": (
        "three", lambda a: {**a, "codebook": np.array(1.0)}, "codebook must be float64 and 1-d"
    ),
}  # fmt: skip


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("case", ARRAYS)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_arrays_that_do_not_fit(tmp_path: Path, case: str, suffix: str) -> None:
    fmt, change, reason = ARRAYS[case]
    q = quantized(fmt)
    arrays, facts = contents(q, tmp_path)
    write(tmp_path / f"w{suffix}", change(arrays), facts)
    refused(tmp_path / f"w{suffix}", reason)


class Evil:
    """Pickled, it creates a folder when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("name", ["codes", "scales", "minifloat"])
def test_pickles_are_not_loaded(tmp_path: Path, name: str) -> None:
    arrays, facts = contents(quantized(), tmp_path)
    arrays = {**arrays, "minifloat": np.array(json.dumps(facts))}
    arrays[name] = np.array([Evil(tmp_path / "evil")], object)
    np.savez(tmp_path / "w.npz", **arrays)
    refused(tmp_path / "w.npz", "holds Python objects")
    (tmp_path / "w.npz").write_bytes(pickle.dumps(Evil(tmp_path / "evil")))
    refused(tmp_path / "w.npz", "is damaged or of another kind")
    assert not (tmp_path / "evil").exists()


def test_archives_that_grow_are_not_read(tmp_path: Path) -> None:
    arrays, facts = contents(quantized(), tmp_path)
    arrays = {**arrays, "codes": np.zeros(1 << 28, np.uint8)}
    np.savez_compressed(tmp_path / "w.npz", minifloat=np.array(json.dumps(facts)), **arrays)
    refused(tmp_path / "w.npz", "is compressed; write it with")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_other_files(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"w{suffix}"
    refused(path, "cannot be read")
    path.write_bytes(b"")
    refused(path, "is empty")
    path.write_bytes(b"this is no file of weights, only some text")
    refused(path, "is damaged or of another kind")
    path.unlink()
    path.mkdir()
    refused(path, "must be a regular file")
    with pytest.raises(WeightsError, match=r"must end in \.npz or \.safetensors"):
        mf.load(tmp_path / "w.bin")


def test_plain_weights_are_not_quantized_ones(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", w=np.ones(3))
    refused(tmp_path / "w.npz", "it has no array minifloat, which minifloat.save writes")
    safetensors_numpy.save_file({"w": np.ones(3)}, tmp_path / "w.safetensors")
    refused(tmp_path / "w.safetensors", "its metadata has no entry minifloat")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_truncated_files(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"w{suffix}"
    mf.save(quantized("nf4"), path)
    blob = path.read_bytes()
    for length in range(len(blob)):
        path.write_bytes(blob[:length])
        with pytest.raises(WeightsError):
            mf.load(path)
    path.write_bytes(blob)
    mf.load(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "name", ["int4", "nf4", "double", "double, zero points", "two levels", "percentile"]
)
def test_mutated_files(tmp_path_factory: pytest.TempPathFactory, name: str, suffix: str) -> None:
    path = tmp_path_factory.mktemp("mutated") / f"w{suffix}"
    fmt, options = RECIPES.get(name, (name, {}))
    mf.save(quantized(fmt, **options), path)
    good = path.read_bytes()
    places = st.integers(0, len(good) - 1)
    flips = st.lists(st.tuples(places, st.integers(1, 255)), min_size=1, max_size=4)

    @settings(max_examples=300)
    @given(flips, st.one_of(st.just(len(good)), places), st.binary(max_size=8))
    def check(flips: list[tuple[int, int]], length: int, tail: bytes) -> None:
        blob = bytearray(good)
        for place, bits in flips:
            blob[place] ^= bits
        path.write_bytes(blob[:length] + tail)
        with little_memory():
            try:
                loaded = mf.load(path)
            except WeightsError as error:
                assert "; " in str(error)  # noqa: PT017  # success is fine too
            else:
                loaded.dequantize()

    check()
