"""Every recipe that can be made does what the slow quantizer does, or is refused like it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import minifloat as mf
from tests.quantization import slow_quantizer as slow

FORMATS = ["e2m2", "e2m1", "int4", "int5", "nf4", "e4m3fn", "ue4m3", "uint3", "uint4", "int4full",
           "bipolar_int2", "e5m2", "e3m0", "mxint8", "uint1"]  # fmt: skip
SEARCHED_SCALES = ["e4m3fn", "e8m0", "e4m2", "ue4m3", "e3m3"]  # all their values are tried
SCALES = [*SEARCHED_SCALES, "float32", "float16", "bfloat16", "tf32", "e6m9", "e5m0_nosub"]


@st.composite
def recipes(draw: st.DrawFn) -> mf.Recipe:
    """Any recipe whose searches are small enough to be judged."""
    search = draw(st.sampled_from(["absmax", "mse", "percentile", "absmean", "shrink"]))
    scale = draw(st.sampled_from(SEARCHED_SCALES if search == "mse" else SCALES))
    fields: dict[str, Any] = {
        "fmt": mf.parse(draw(st.sampled_from(FORMATS))),
        "block": draw(
            st.one_of(
                st.integers(1, 9),
                st.tuples(st.integers(1, 4), st.integers(1, 5)),
                st.sampled_from(["channel", "tensor"]),
            )
        ),
        "scale": scale,
        "search": search,
        "percentile": draw(st.floats(0, 100)) if search == "percentile" else None,
        "scale_rounding": draw(st.sampled_from([None, *mf.ScaleRounding])),
        "tensor_scale": draw(st.booleans()),
        "absmax_at": draw(st.sampled_from([None, None, 0.75, 3.0, 4.0])),
        "zero_point": draw(st.booleans()),
        "double": draw(st.booleans()) if scale == "float32" else False,
    }
    if fields["zero_point"] and search == "mse":
        fields["fmt"] = mf.parse(draw(st.sampled_from(["uint1", "uint3"])))
    elif fields["zero_point"]:
        fields["fmt"] = mf.parse(draw(st.sampled_from(["uint1", "uint3", "uint4"])))
    if fields["tensor_scale"]:
        fields["largest_scale"] = draw(st.sampled_from([None, None, 1.0, 0.75, 256.0]))
    try:
        return mf.Recipe(**fields)
    except ValueError:
        assume(False)
        raise


@st.composite
def weights(draw: st.DrawFn, shape: tuple[int, ...], recipe: mf.Recipe) -> np.ndarray:
    size = int(np.prod(shape))
    numbers = st.one_of(st.floats(-8, 8, width=32), st.sampled_from([0.0, -0.0, 1.0, 2.0**-20]))
    w = np.array(draw(st.lists(numbers, min_size=size, max_size=size)), np.float32).reshape(shape)
    return w if recipe.fmt.min < 0 or recipe.zero_point else np.abs(w)


def check(w: np.ndarray, q: mf.Quantized, axis: int, factors: np.ndarray | None = None) -> None:
    """Compare every scale, zero point, code and value with the slow quantizer's."""
    recipe = q.recipe
    blocks = slow.blocks_of(recipe, w.shape, axis)
    assert set(blocks) == set(np.ndindex(q.scales.shape)) or not w.size
    tensor = 1.0
    if recipe.tensor_scale:
        plain = replaced_percentile(recipe)
        ranges = [slow.block_range(plain, values(w, block)) for block in blocks.values()]
        tensor = slow.tensor_scale_of(recipe, [high - low for low, high in ranges])
        assert q.tensor_scale == tensor
    expected = np.empty_like(q.scales)
    for index, block in blocks.items():
        check_scale(w, q, index, values(w, block), tensor, expected, factors, block)
    if recipe.double:
        expected = slow.double_scales(expected.ravel()).reshape(expected.shape)
    np.testing.assert_array_equal(q.scales, expected)
    codes, back = q.codes, q.dequantize()
    for index, block in blocks.items():
        scale, _, zero = slow.parts(q, index)
        for place in block:
            code = int(codes[place])
            assert code == slow.code_of(recipe, float(w[place]), scale, tensor, zero)
            value = slow.value_of(recipe, code, scale, tensor, zero)
            assert back[place] == np.float32(value)


def values(w: np.ndarray, block: list[tuple[int, ...]]) -> list[float]:
    return [float(w[place]) for place in block]


def replaced_percentile(recipe: mf.Recipe) -> mf.Recipe:
    """A tensor scale is found from whole blocks, whatever the search of their scales."""
    return recipe.replace(search="absmax")


def check_scale(
    w: np.ndarray,
    q: mf.Quantized,
    index: tuple[int, ...],
    block: list[float],
    tensor: float,
    expected: np.ndarray,
    factors: np.ndarray | None,
    places: list[tuple[int, ...]],
) -> None:
    """Check a block's zero point, and its scale unless it is double; note the scale wanted."""
    recipe = q.recipe
    low, high = slow.block_range(recipe, block)
    size = high - low
    own = slow.scale_of(recipe, size, tensor)
    expected[index] = own
    own_zero = slow.zero_point_of(recipe, low, own, tensor) if recipe.zero_point else None
    if recipe.search in ("absmax", "percentile", "absmean"):
        if recipe.zero_point and not recipe.double:
            assert q.zero_points is not None
            assert int(q.zero_points[index]) == own_zero
        return
    importance = [1.0] * len(block) if factors is None else [float(factors[i]) for i in places]
    scale, _, zero = slow.parts(q, index)
    if size == 0:
        return
    power = 2.4 if recipe.search == "shrink" else 2.0
    error = slow.error_of(recipe, block, importance, scale, tensor, zero, power)
    errors = [
        slow.error_of(recipe, block, importance, s, tensor, z, power)
        for s, z in slow.candidates(recipe, block, tensor)
    ]
    assert error <= min(errors) * (1 + 1e-9) + 1e-300
    expected[index] = scale


@settings(max_examples=250, deadline=None)
@given(data=st.data())
def test_every_recipe(data: st.DataObject) -> None:
    recipe = data.draw(recipes().filter(lambda r: not (r.double and r.search != "absmax")))
    shape = data.draw(st.sampled_from([(), (1,), (7,), (3, 5), (5, 8), (2, 3, 4), (1, 9)]))
    axis = -1
    if not isinstance(recipe.block, tuple) and shape:
        axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    w = data.draw(weights(shape, recipe))
    if scales_fit(w, recipe, axis):
        check(w, mf.quantize(w, recipe, axis=axis), axis)
    else:
        with pytest.raises(ValueError, match="scale must hold every block's scale"):
            mf.quantize(w, recipe, axis=axis)


@pytest.mark.parametrize("absmax", [0.75, 3.0, 7.0])
def test_a_tensor_scale_that_was_rounded_down_becomes_the_next(absmax: float) -> None:
    """The largest block's scale is a tie between powers of two; the larger one is too much."""
    recipe = mf.Recipe(
        "e2m2", block=1, scale="e4m3fn", tensor_scale=True, largest_scale=256, absmax_at=0.75,
        scale_rounding="nearest",
    )  # fmt: skip
    w = np.array([absmax, absmax / 3], np.float32)
    check(w, mf.quantize(w, recipe), 0)


def scales_fit(w: np.ndarray, recipe: mf.Recipe, axis: int) -> bool:
    """Return whether no block's scale is beyond the scale format."""
    blocks = [values(w, block) for block in slow.blocks_of(recipe, w.shape, axis).values()]
    tensor = 1.0
    if recipe.tensor_scale:
        ranges = [slow.block_range(replaced_percentile(recipe), block) for block in blocks]
        tensor = slow.tensor_scale_of(recipe, [high - low for low, high in ranges])
    try:
        for block in blocks:
            low, high = slow.block_range(recipe, block)
            slow.scale_of(recipe, high - low, tensor)
    except slow.ScaleTooLarge:
        return False
    return True


@settings(max_examples=60, deadline=None)
@given(data=st.data(), zero_point=st.booleans(), tile=st.booleans())
def test_importance_weighs_the_squared_errors(
    data: st.DataObject, zero_point: bool, tile: bool
) -> None:
    fmt = "uint3" if zero_point else "e2m1"
    block = (2, 3) if tile else 3
    recipe = mf.Recipe(fmt, block=block, scale="e4m2", search="mse", zero_point=zero_point)
    w = data.draw(weights((3, 4), recipe))
    factors = np.array(data.draw(st.lists(st.sampled_from([0.0, 1.0, 5.0]), min_size=12,
                                          max_size=12))).reshape(3, 4)  # fmt: skip
    q = mf.quantize(w, recipe, importance=factors)
    check(w, q, -1, factors)
    for unit in (2.0**1021, 2.0**-1071):  # whose squares, and sums, are beyond float64
        assert mf.quantize(w, recipe, importance=factors * unit) == q


def larger_scales(w: np.ndarray, q: mf.Quantized) -> mf.Quantized:
    return replace(q, scales=q.scales * np.float32(2))


def next_codes(w: np.ndarray, q: mf.Quantized) -> mf.Quantized:
    codes = (q.codes + 1) % q.fmt.code_count
    return replace(q, packed=mf.pack(codes.astype(np.uint8).ravel(), q.fmt.bits))


def other_zero_points(w: np.ndarray, q: mf.Quantized) -> mf.Quantized:
    assert q.zero_points is not None
    return replace(q, zero_points=((q.zero_points + 1) % q.fmt.code_count).astype(np.uint8))


def half_the_tensor_scale(w: np.ndarray, q: mf.Quantized) -> mf.Quantized:
    assert q.tensor_scale is not None
    return replace(q, tensor_scale=q.tensor_scale / 2)


@pytest.mark.parametrize(
    ("mistake", "recipe"),
    [
        (larger_scales, "e2m1/2x4/float16"),
        (larger_scales, "e2m1/2x4/e4m3fn/mse"),
        (larger_scales, "uint4/2x4/float16/zero-point+shrink"),
        (next_codes, "nf4/2x4/float16"),
        (other_zero_points, "uint4/2x4/float16/zero-point"),
        (other_zero_points, "uint3/2x4/e4m2/zero-point+mse"),
        (half_the_tensor_scale, "e2m1/4/e4m3fn/tensor-scale"),
        (larger_scales, "e2m1/4/e8m0:ceil"),
    ],
)
def test_the_slow_quantizer_rejects_mistakes(mistake: Any, recipe: str) -> None:
    w = np.random.default_rng(11).standard_normal((6, 8)).astype(np.float32)
    q = mf.quantize(w, recipe)
    check(w, q, -1)
    with pytest.raises(AssertionError):
        check(w, mistake(w, q), -1)


def test_the_slow_quantizer_rejects_other_blocks() -> None:
    w = np.random.default_rng(11).standard_normal((6, 8)).astype(np.float32)
    q = mf.quantize(w, "e2m1/2x4/float16")
    turned = mf.quantize(w.reshape(3, 16), "e2m1/1x8/float16")  # as many blocks of as many weights
    scales = turned.scales.reshape(q.scales.shape)
    with pytest.raises(AssertionError):
        check(w, replace(q, scales=scales, packed=turned.packed), -1)


DIAGONAL = [
    "e2m2/4/float16", "e2m2/2x4/float16", "uint4/3x5/float16/zero-point", "nf4/channel/float32",
    "uint3/2x4/e4m2/zero-point+mse", "e2m1/4/e4m3fn/tensor-scale", "int4/2x3/e8m0:ceil/mse",
    "uint4/4x4/float16/zero-point+shrink+tensor-scale",
]  # fmt: skip


@pytest.mark.parametrize("recipe", DIAGONAL)
def test_gptq_with_a_diagonal_hessian_is_quantize(recipe: str) -> None:
    w = np.random.default_rng(12).standard_normal((7, 13)).astype(np.float32)
    hessian = np.diag(np.linspace(1, 3, 13))
    assert mf.gptq(w, recipe, hessian) == mf.quantize(w, recipe)


@pytest.mark.parametrize("options", ["", "/zero-point+tensor-scale"])
def test_tiles_in_chunks_and_threads(options: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = f"{'uint4' if options else 'e2m2'}/3x5/float16{options}"
    w = np.random.default_rng(13).standard_normal((2, 50, 37)).astype(np.float32)
    want = mf.quantize(w, recipe)
    monkeypatch.setattr("minifloat.quantization.tasks.CHUNK", 100)
    for threads in (1, 3):
        assert mf.quantize(w, recipe, threads=threads) == want


def test_the_matrices_of_a_stack_have_tiles_of_their_own() -> None:
    w = np.random.default_rng(13).standard_normal((2, 50, 37)).astype(np.float32)
    stack = mf.quantize(w, "e2m2/3x5/float16")
    for k in range(2):
        assert mf.quantize(w[k], "e2m2/3x5/float16") == stack[k]
