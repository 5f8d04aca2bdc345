"""Recipes with alternatives: what a block becomes, by exact arithmetic, and what becomes of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import minifloat as mf
from minifloat.quantization.alternatives import Alternative
from tests.quantization import slow_quantizer as slow
from tests.quantization.test_every_recipe import scales_fit

NAMES = ("four_over_six", "if3", "if4", "if6", "if6_e3m2")
BESIDE = (
    *NAMES,
    "e2m1|int4/16/e4m3fn/tensor-scale",
    "e2m1|int4/8/float32/one-scale",
    "e2m1@4|int4full@5/3x4/e8m0:up",
    "nf4|int4|e3m0/8/float16",
    "nf4|sf4/8/bfloat16/flag-bits",
    "uint4|ue2m2/8/ue4m3",
    "e2m1|int4/channel/float32/percentile90",
    "e2m1|int4|e1m2/tensor/float32",
    "e2m1|e2m1@4/4/e4m3fn/mse+tensor-scale256",
    "int3|e2m0/8/float16/shrink",
)
DIGEST = f"""
import hashlib
import minifloat as mf
from tests.quantization.test_alternatives import weights
for name in {BESIDE!r}:
    recipe = mf.Recipe.parse(name)
    q = mf.quantize(weights(recipe), recipe)
    parts = (q.packed, q.scales, q.dequantize(), q.choices)
    print([hashlib.sha256(part.tobytes()).hexdigest() for part in parts if part is not None])
"""
TIE = Fraction(1, 2**40)  # errors that differ by less of themselves count as equal
UNSURE = Fraction(1, 2**43)  # how far a sum in float64 may be off


def weights(recipe: mf.Recipe, shape: tuple[int, ...] = (6, 24), seed: int = 1) -> np.ndarray:
    w = np.random.default_rng(seed).standard_t(4, shape).astype(np.float32)
    w[0, :8], w[1, 3] = 0, -0.0
    return np.abs(w) if recipe.fmt.min >= 0 else w


def factor_of(recipe: mf.Recipe, k: int, tensor: float) -> float:
    """Return what multiplies the scales of candidate k, from the definition."""
    if not recipe.one_scale:
        return tensor
    first, own = recipe.absmax_at, recipe.candidates[k].absmax_at
    return float(np.float32(tensor * first / own))


def exact_error(
    candidate: mf.Recipe, block: list[float], factors: list[float], scale: float, tensor: float
) -> Fraction:
    total = Fraction(0)
    for w, factor in zip(block, factors, strict=True):
        code = slow.code_of(candidate, w, scale, tensor, None)
        value = Fraction(candidate.fmt.value(code)) * Fraction(scale or 1.0) * Fraction(tensor)
        total += Fraction(factor) * (Fraction(w) - value) ** 2
    return total


def check(
    w: np.ndarray, q: mf.Quantized, axis: int = -1, importance: np.ndarray | None = None
) -> None:
    """Compare each block's scale, choice, codes and weights with exact arithmetic."""
    recipe, tensor = q.recipe, q.tensor_scale or 1.0
    blocks = slow.blocks_of(recipe, w.shape, axis)
    if recipe.tensor_scale:
        maxima = [max(abs(float(w[i])) for i in block) for block in blocks.values()]
        assert q.tensor_scale == slow.tensor_scale_of(recipe, maxima)
    scales_of_search = [
        mf.quantize(
            w, each, axis=axis, **given_tensor(recipe, tensor), importance=importance
        ).scales
        for each in recipe.candidates
        if recipe.search in ("mse", "shrink")
    ]
    codes, back = q.codes, q.dequantize()
    for index, places in blocks.items():
        block = [float(w[place]) for place in places]
        factors = [1.0 if importance is None else float(importance[i]) for i in places]
        scales, errors = [], list[Fraction]()
        for k, each in enumerate(recipe.candidates):
            ruling = recipe.candidates[0] if recipe.one_scale else each
            if scales_of_search:
                scales.append(float(scales_of_search[k][index]))
            else:
                scales.append(saturated(ruling, slow.block_range(ruling, block)[1], tensor))
            factor = factor_of(recipe, k, tensor)
            errors.append(exact_error(each, block, factors, scales[k], factor))
        best = 0
        for k, error in enumerate(errors):
            limit = errors[best] * (1 - TIE)
            if abs(error - limit) < errors[best] * UNSURE:
                assume(False)
            best = k if error < limit else best
        if q.choices is not None:
            assert q.choices[index] == best
        assert float(q.scales[index]) == scales[best]
        factor = factor_of(recipe, best, tensor)
        for place in places:
            chosen = recipe.candidates[best]
            code = slow.code_of(chosen, float(w[place]), scales[best], factor, None)
            assert int(codes[place]) == code
            value = slow.value_of(chosen, code, scales[best], factor, None)
            assert back[place].tobytes() == np.float32(value).tobytes()


def given_tensor(recipe: mf.Recipe, tensor: float) -> dict[str, Any]:
    return {"tensor_scale": np.float32(tensor)} if recipe.tensor_scale else {}


def saturated(recipe: mf.Recipe, absmax: float, tensor: float) -> float:
    try:
        return slow.scale_of(recipe, absmax, tensor)
    except slow.ScaleTooLarge:
        return slow.scale_values(recipe)[2]


@pytest.mark.parametrize("name", BESIDE)
def test_each_block_is_the_candidate_of_least_squared_error(name: str) -> None:
    recipe = mf.Recipe.parse(name)
    w = weights(recipe)
    q = mf.quantize(w, recipe)
    check(w, q)
    if q.choices is not None:
        assert len(set(q.choices.reshape(-1).tolist())) > 1 or q.choices.size < 8


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_alternatives(data: st.DataObject) -> None:
    names = data.draw(
        st.lists(
            st.sampled_from(
                ["e2m1", "int4", "e2m1@4", "nf4", "int4full", "e1m2", "e3m0", "int4@5"]
            ),
            min_size=2, max_size=4, unique=True,
        )
    )  # fmt: skip
    block = data.draw(st.sampled_from(["3", "8", "2x3", "channel", "tensor"]))
    scale = data.draw(st.sampled_from(["float16", "e4m3fn", "e8m0", "e8m0:up", "float32"]))
    options = data.draw(st.sampled_from(["absmax", "one-scale", "tensor-scale", "percentile80"]))
    try:
        recipe = mf.Recipe.parse(f"{'|'.join(names)}/{block}/{scale}/{options}")
    except ValueError:
        assume(False)
    numbers = st.floats(-8, 8, width=32) | st.sampled_from([0.0, -0.0, 1.0, 0.5, 1.5, 2.0**-20])
    shape = data.draw(st.sampled_from([(1, 7), (3, 5), (4, 8)]))
    size = shape[0] * shape[1]
    w = np.array(data.draw(st.lists(numbers, min_size=size, max_size=size)), np.float32)
    w = w.reshape(shape)
    axis = -1 if isinstance(recipe.block, tuple) else data.draw(st.sampled_from([0, -1]))
    if not scales_fit(w, recipe.candidates[0], axis):
        with pytest.raises(ValueError, match=r"^scale must hold every block's scale"):
            mf.quantize(w, recipe, axis=axis)
    else:
        check(w, mf.quantize(w, recipe, axis=axis), axis)


def test_ties_are_the_first_ones() -> None:
    for first, second in (("e2m1", "int4"), ("int4", "e2m1")):
        q = mf.quantize([[0.0, 1.0, 2.0, 6.0]], f"{first}@6|{second}@6/4/float32")
        assert q.choices is not None
        assert q.choices.tolist() == [[0]]
    one, mirrored = mf.Codebook([-3, -1, 0, 2], "one"), mf.Codebook([3, 1, 0, -2], "mirrored")
    w = np.random.default_rng(1).standard_normal((64, 12)).astype(np.float32)
    w = np.concatenate([w, -w[:, ::-1]], axis=1)  # so the terms of both sums are in reverse order
    for first, second in ((one, mirrored), (mirrored, one)):
        q = mf.quantize(w, first, block=24, scale="float32", alternatives=[second])
        assert q.choices is not None
        assert not q.choices.any()


def test_importance_weighs_the_choice() -> None:
    w = weights(mf.RECIPES["if4"])
    recipe = mf.Recipe.parse("e2m1|int4/8/e4m3fn/mse")
    importance = np.random.default_rng(3).random(w.shape) ** 8
    q = mf.quantize(w, recipe, importance=importance)
    scaled = np.ldexp(importance, -np.frexp(importance.max())[1])
    check(w, q, importance=scaled)
    assert q != mf.quantize(w, recipe)


@pytest.mark.parametrize("name", ["four_over_six", "if4", "nf4|int4|e3m0/8/float16"])
def test_results_do_not_depend_on_floats_threads_or_the_axis(name: str) -> None:
    recipe = mf.Recipe.parse(name)
    w = weights(recipe, (16, 64))
    q = mf.quantize(w, recipe)
    assert mf.quantize(w.astype(np.float64), recipe) == q
    assert mf.quantize(w, recipe, threads=3) == q
    turned = mf.quantize(np.ascontiguousarray(w.T), recipe, axis=0)
    assert (q.dequantize() == turned.dequantize().T).all()


def test_without_the_jit() -> None:
    digests = []
    for disable in ("0", "1"):
        found = subprocess.run(
            [sys.executable, "-c", DIGEST], env={**os.environ, "NUMBA_DISABLE_JIT": disable},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        digests.append(found.stdout)
    assert digests[0] == digests[1] != ""


def test_four_over_six_is_that_of_its_authors() -> None:
    """Their rule (arXiv 2512.02010, and their reference), in float32 and with ml_dtypes."""
    w = np.random.default_rng(0).standard_normal((512, 256)).astype(np.float32)
    q = mf.quantize(w, "four_over_six")
    blocks, amax = w.reshape(-1, 16), np.abs(w).max()
    absmax = np.abs(blocks).max(axis=1)
    encode_scale = np.float32(6 * 256) / amax
    wanted = absmax / np.float32(6) * encode_scale
    found = []
    for factor in (np.float32(1), np.float32(1.5)):
        scales = (wanted * factor).astype(ml_dtypes.float8_e4m3fn).astype(np.float32)[:, None]
        values = (blocks * (1 / (scales * (1 / encode_scale)))).astype(ml_dtypes.float4_e2m1fn)
        restored = values.astype(np.float32) * scales * amax / np.float32(6 * 256)
        found.append((scales, values, ((restored - blocks) ** 2).sum(axis=1)))
    four = found[1][2] < found[0][2]
    scales = np.where(four[:, None], found[1][0], found[0][0])
    codes = np.where(four[:, None], found[1][1].view(np.uint8), found[0][1].view(np.uint8))
    near = np.abs(found[1][2] - found[0][2]) < 1e-6 * found[0][2]  # their float32 may err
    same = (q.scales.reshape(-1, 1) == scales)[:, 0] & (q.codes.reshape(-1, 16) == codes).all(
        axis=1
    )
    assert near.sum() <= 2
    assert (same | near).all()
    assert 0.44 < four.mean() < 0.47
    assert q.tensor_scale == pytest.approx(amax / 1536, rel=1e-7)
    assert q.bits_per_weight == 4.5 + 32 / w.size


FACTS = {  # QSNR in dB and the share of the second candidate, of 2**20 numbers of seed 0
    "normal": {"four_over_six": (21.22, 0.45), "if4": (22.11, 0.63), "nvfp4": (20.44, None)},
    "laplace": {"four_over_six": (21.19, 0.34), "if4": (21.54, 0.42), "nvfp4": (20.66, None)},
    "student": {"four_over_six": (21.24, 0.36), "if4": (21.67, 0.47), "nvfp4": (20.69, None)},
}


@pytest.mark.parametrize("law", FACTS)
def test_known_figures(law: str) -> None:
    random = np.random.default_rng(0)
    draw = {
        "normal": random.standard_normal, "laplace": lambda n: random.laplace(size=n),
        "student": lambda n: random.standard_t(5, n),
    }[law]  # fmt: skip
    w = draw(1 << 20).astype(np.float32).reshape(-1, 1 << 10)
    for name, (decibels, share) in FACTS[law].items():
        q = mf.quantize(w, name)
        assert q.sqnr(w) == pytest.approx(decibels, abs=0.03), name
        if q.choices is not None:
            assert q.choices.mean() == pytest.approx(share, abs=0.01), name


@pytest.mark.parametrize("name", BESIDE)
@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_files_hold_the_choice_where_the_recipe_says(
    name: str, suffix: str, tmp_path: Path
) -> None:
    recipe = mf.Recipe.parse(name)
    q = mf.quantize(weights(recipe), recipe)
    path = tmp_path / f"w.{suffix}"
    mf.save(q, path)
    assert mf.load(path) == q
    bits = q.nbytes * 8
    assert bits - 7 * 4 <= q.bits_per_weight * q.size <= bits
    if suffix == "npz":
        with np.load(path) as arrays:
            held = {name: arrays[name].nbytes for name in arrays.files if name != "minifloat"}
            tables = sum(held.pop(key) for key in list(held) if key.startswith("codebook"))
            assert tables == 128 * sum(each.fmt.is_table for each in recipe.candidates)
            assert sum(held.values()) + 4 * recipe.tensor_scale == q.nbytes
            assert ("choices" in held) == (recipe.flag == "bits")
            if recipe.flag == "sign" and recipe.scale.name == "e4m3fn":
                signs = mf.unpack(arrays["scales"], 8, q.scales.size) >> 7
                assert q.choices is not None
                assert (signs == q.choices.reshape(-1)).all()


def test_a_file_whose_choices_are_wrong_is_refused(tmp_path: Path) -> None:
    from minifloat.files.quantized import from_arrays, to_arrays

    recipe = mf.Recipe.parse("nf4|int4|e3m0/8/float16")
    arrays, text = to_arrays(mf.quantize(weights(recipe), recipe))
    assert from_arrays(arrays, text).recipe == recipe
    without = {name: array for name, array in arrays.items() if name != "choices"}
    with pytest.raises(ValueError, match=r"^choices must be there with flags in bits"):
        from_arrays(without, text)
    with pytest.raises(ValueError, match=r"^choices must be below 3, got 3"):
        from_arrays({**arrays, "choices": mf.pack(np.full(18, 3, np.uint8), 2)}, text)
    with pytest.raises(ValueError, match=r"^a codebook must be that of one of the formats"):
        from_arrays({**arrays, "codebook3": arrays["codebook"]}, text)
    plain, plain_text = to_arrays(mf.quantize(np.ones((1, 8), np.float32), "e2m1/8/float16"))
    with pytest.raises(ValueError, match=r"^choices must be there with flags in bits"):
        from_arrays({**plain, "choices": np.zeros(1, np.uint8)}, plain_text)


@pytest.mark.parametrize("name", BESIDE)
@pytest.mark.parametrize("vectors", [1, 5, 80])
def test_products(name: str, vectors: int) -> None:
    recipe = mf.Recipe.parse(name)
    w = weights(recipe, (40, 96))
    q = mf.quantize(w, recipe)
    x = np.random.default_rng(2).standard_normal((vectors, 96)).astype(np.float32)
    exact, size = x.astype(np.float64) @ q.dequantize().T, np.abs(x) @ np.abs(q.dequantize()).T
    for y in (mf.linear(x, q), (q @ x.T).T, mf.linear(x, q, threads=2)):
        assert (np.abs(y - exact) <= (96 + 10) * 2.0**-24 * size + 1e-30).all()
    back = np.abs(x[:, :40] @ q - x[:, :40] @ q.dequantize())
    assert (back <= 1e-4).all()
    x[0, 0] = np.inf
    with np.errstate(invalid="ignore"):
        expected = x @ q.dequantize().T
    np.testing.assert_array_equal(np.isnan(mf.linear(x, q)), np.isnan(expected))


def test_products_with_integers_are_sums_of_those_with_each_format() -> None:
    q = mf.quantize(weights(mf.RECIPES["if4"], (8, 64)), "if4")
    x = np.random.default_rng(2).standard_normal((3, 64)).astype(np.float32)
    y = mf.linear(x, q, activations="int8/16/float32")
    rounded = mf.quantize(x, "int8/16/float32").dequantize()
    np.testing.assert_allclose(y, rounded @ q.dequantize().T, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", [*NAMES, "e2m1|int4/2x8/float16", "nf4|int4|e3m0/8/e8m0"])
def test_gptq(name: str) -> None:
    recipe = mf.Recipe.parse(name)
    w = weights(recipe, (8, 48))
    assert mf.gptq(w, recipe, np.diag(np.arange(1.0, 49))) == mf.quantize(w, recipe)
    x = np.random.default_rng(1).standard_normal((64, 48)) @ np.tri(48)
    hessian = x.T @ x

    def loss(q: mf.Quantized) -> float:
        rest = q.dequantize() - w
        return float(((rest @ hessian) * rest).sum())

    nearest, corrected = mf.quantize(w, recipe), mf.gptq(w, recipe, hessian)
    assert loss(corrected) < 0.5 * loss(nearest)


def test_rows_and_other_floats() -> None:
    for name in BESIDE:
        recipe = mf.Recipe.parse(name)
        q = mf.quantize(weights(recipe), recipe)
        back = q.dequantize()
        for rows in (slice(1, 4), [5, 0, 2], 3):
            assert (q[rows].dequantize() == back[rows]).all(), name
        for dtype in (np.float16, ml_dtypes.bfloat16):
            near = q.dequantize(dtype).astype(np.float64)
            assert np.abs(near - back).max() <= np.abs(back).max() * float(
                ml_dtypes.finfo(dtype).eps
            )
        columns = mf.quantize(weights(recipe), recipe.replace(block=3), axis=0)
        assert (columns[2:].dequantize() == columns.dequantize()[2:]).all(), name


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_the_kernel_and_the_definition_dequantize_alike(dtype: type) -> None:
    from minifloat.quantization import dequantizing

    for name in BESIDE:
        recipe = mf.Recipe.parse(name)
        q = mf.quantize(weights(recipe, (40, 104)), recipe)
        out = [np.empty(q.size, dtype) for _ in range(3)]
        assert dequantizing.write_by_kernel(q, out[0], 1) or os.environ.get("NUMBA_DISABLE_JIT")
        dequantizing.write_by_kernel(q, out[1], 2)
        dequantizing.write_by_definition(q, out[2], 1)
        assert out[0].tobytes() == out[1].tobytes() == out[2].tobytes()


def test_never_worse_than_one_candidate_alone() -> None:
    w = np.random.default_rng(5).standard_normal((64, 128)).astype(np.float32)
    for name in ("four_over_six", "e2m1|int4/16/e4m3fn/tensor-scale", "nf4|int4|e3m0/32/float16"):
        q = mf.quantize(w, name)
        for each in q.recipe.candidates:
            scale = {} if q.tensor_scale is None else {"tensor_scale": q.tensor_scale}
            assert q.sqnr(w) > mf.quantize(w, each, **scale).sqnr(w)  # type: ignore[arg-type]
    table = mf.compare({"w": w}, ["nvfp4", "four_over_six", "if4"])
    errors = [table.rows()[0][key] for key in table.rows()[0] if "if4" in key or "over" in key]
    assert errors or table is not None


BAD: dict[str, str] = {
    "e2m1|int5": "alternatives must be of one width with fmt, got e2m1 and int5",
    "e2m1|e2m1": "alternatives must be at most 7, each another than fmt and the others, got e2m1 a",
    "int4|uint4": "alternatives must all have values below 0, or none with fmt, got int4 and uint4",
    "e2m1|": "fmt must be a known format name, got ''",
    "e2m1@": "fmt must have a number behind @, such as e2m1@4, got 'e2m1@'",
    "e2m1@0": "absmax_at must be finite and above 0, got 0.0",
    "e2m1@4@4": "fmt must have a number behind @",
    "e2m1@-4": "fmt must have a number behind @",
    "e2m1|int4/16/float32/double": "alternatives must come without double, got e2m1 and int4",
    "uint4|uint4@9/16/float16/zero-point": "alternatives must come without zero_point",
    "e2m1|int4/16/float16/authors": "alternatives must come without authors",
    "e2m1@4/16/float16/authors": 'arithmetic must be "exact" for scales that are more than absmax',
    "e2m1/16/float16/one-scale": "one_scale must come with alternatives, got none; leave it out",
    "e2m1/16/float16/flag-bits": "flag must come with alternatives, got none; leave it out",
    "e2m1|e2m1@4/16/float16/flag-bits": "flag must be left out where all candidates are of one",
    "e2m1|int4/16/float16/mse+one-scale": "one_scale must come with the search absmax or percenti",
    "e2m1/16/e4m3fn/tensor-scale500": "largest_scale must be above 0 and at most 448, the largest",
    "e2m1/16/e4m3fn/tensor-scale0": "largest_scale must be above 0 and at most 448",
    "e2m1/16/e4m3fn/tensor-scalex": "options must be mse, shrink, ",
}


@pytest.mark.parametrize("text", BAD)
def test_what_does_not_go_together(text: str) -> None:
    with pytest.raises(ValueError, match=r"^" + re.escape(BAD[text])):
        mf.Recipe.parse(text)


SIGN = {"alternatives": ["int4"], "flag": "sign"}


def test_hostile_fields() -> None:
    for fields, kind, message in (
        ({"alternatives": "int4"}, TypeError, "alternatives must be a sequence of formats"),
        ({"alternatives": [4]}, TypeError, "fmt must be "),
        ({"alternatives": ["int4"] * 9}, ValueError, "alternatives must be at most 7"),
        ({"absmax_at": "4"}, TypeError, "absmax_at must be a number above 0"),
        ({"absmax_at": float("nan")}, ValueError, "absmax_at must be finite and above 0"),
        ({"absmax_at": True}, TypeError, "absmax_at must be a number above 0"),
        ({"largest_scale": 4.0}, ValueError, "largest_scale must come with tensor_scale"),
        ({"largest_scale": "4"}, TypeError, "largest_scale must be a number above 0"),
        ({"one_scale": 1}, TypeError, "one_scale must be a bool"),
        ({"alternatives": ["int4"], "flag": "plane"}, ValueError, "flag must be sign or bits"),
        ({**SIGN, "scale": "e8m0"}, ValueError, "flag must be bits"),
        ({**SIGN, "scale": "e4m3fnuz"}, ValueError, "flag must be bits"),
    ):  # fmt: skip
        with pytest.raises(kind, match=r"^" + message):
            mf.Recipe("e2m1", **fields)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^alternatives must not be given twice"):
        mf.Recipe("e2m1|int4", alternatives=["e2m1@4"])
    with pytest.raises(ValueError, match=r"^absmax_at must not be given twice, got 4 and 3.0"):
        mf.Recipe("e2m1@3", absmax_at=4)
    with pytest.raises(ValueError, match=r"^absmax_at must not be given twice"):
        Alternative("e2m1@3", 4)
    with pytest.raises(
        ValueError, match=r"^activations must be a recipe of int8 by absmax, .*altern"
    ):
        mf.linear([1.0], mf.quantize([[1.0]], "e2m1"), activations="int8|e4m3fn/8/float32")


def test_changes_keep_what_goes_together() -> None:
    if4 = mf.RECIPES["if4"]
    assert if4.replace(fmt="e2m1") == mf.RECIPES["nvfp4"]
    assert mf.RECIPES["nvfp4"].replace(fmt="e2m1|int4", one_scale=True) == if4
    assert if4.replace(scale="e8m0").flag == "bits"
    assert if4.replace(flag="bits").bits_per_weight == 4.5 + 1 / 16
    assert mf.RECIPES["four_over_six"].replace(tensor_scale=True).largest_scale is None
    assert mf.Recipe("e2m1", absmax_at=6) == mf.Recipe("e2m1")
    assert str(mf.Recipe("e2m1", absmax_at=1e20)) == "e2m1@1e20/128/float16"
    for name in BESIDE:
        recipe = mf.Recipe.parse(name)
        assert mf.Recipe.parse(str(recipe)) == recipe
        assert hash(mf.Recipe.parse(str(recipe).upper())) == hash(recipe)


def test_by_hand() -> None:
    """Codes, scales and choices are checked as all parts of a `Quantized` are."""
    q = mf.quantize(weights(mf.RECIPES["if4"]), "if4")
    parts = {name: getattr(q, name) for name in ("packed", "scales", "recipe", "shape", "axis")}
    parts |= {"tensor_scale": q.tensor_scale, "choices": q.choices}
    assert mf.Quantized(**parts) == q
    with pytest.raises(ValueError, match=r"^choices must be as the recipe .* says, got none"):
        mf.Quantized(**{**parts, "choices": None})
    with pytest.raises(ValueError, match=r"^choices must be below 2, got 2"):
        mf.Quantized(**{**parts, "choices": np.full_like(q.choices, 2)})
    with pytest.raises(ValueError, match=r"^choices must be uint8 of shape"):
        mf.Quantized(**{**parts, "choices": np.zeros(3, np.uint8)})
    eights = np.full_like(q.packed, 0x88)  # -0 of E2M1, and no code of INT4
    assert mf.Quantized(**{**parts, "packed": eights, "choices": np.zeros_like(q.choices)})
    with pytest.raises(ValueError, match="int4"):
        mf.Quantized(**{**parts, "packed": eights, "choices": np.ones_like(q.choices)})
