"""Texts of training recipes and operands; what they refuse; rounding operands."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import minifloat as mf
from analysis.training.operands import Operand, rounded, rounded_by_definition
from analysis.training.recipe import TRAINING_RECIPES, TrainingRecipe, fp4
from minifloat.quantization import block_parts

OPERANDS = [
    None,
    "mxfp4",
    "e8m3ieee",
    "stochastic(e2m1/16/e4m3fn/tensor-scale,0.75)",
    "quest(mxfp4)",
]


def test_texts_parse_back() -> None:
    for forward, weights in itertools.product(OPERANDS, repeat=2):
        for extra in ({}, {"gradient": "clipped", "backward_rotation": "hadamard32:7"},
                      {"accumulator": "float16", "places": "all"}):  # fmt: skip
            recipe = TrainingRecipe(forward, weights, weights, forward, **extra)
            assert TrainingRecipe.parse(str(recipe)) == recipe
    for name, recipe in TRAINING_RECIPES.items():
        assert TrainingRecipe.parse(str(recipe)) == TrainingRecipe.parse(name) == recipe


def test_weights_and_gradients_follow_their_pass() -> None:
    recipe = TrainingRecipe.parse("forward=mxfp4 backward=nvfp4")
    assert recipe.weights == Operand.parse("mxfp4")
    assert recipe.gradients == Operand.parse("nvfp4")
    assert TrainingRecipe.parse("forward=mxfp4 weights=none").weights is None
    assert hash(recipe) == hash(TrainingRecipe("mxfp4", "mxfp4", "nvfp4", "nvfp4"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("forward", "or KEY=VALUE"),
        ("forward=mxfp4 forward=mxfp4", "different keys"),
        ("speed=mxfp4", "or KEY=VALUE"),
        ("nvfp4", "such as forward=nvfp4 backward=nvfp4"),
        ("forward = nvfp4", "without spaces"),
        ("forward=stochastic(mxfp4, 0.75)", "without spaces"),
        ("quartet gradient=original", r"change the text of quartet: 'forward=quest\("),
        ("backward=mxfp8", "backward: operand .*did you mean mxfp8e4m3 or mxfp8e5m2"),
        ("gradients=stochastic(nvfp5)", "gradients: operand .*did you mean nvfp4"),
        ("forward=stochastic(mxfp4", r"operand must be RECIPE, ROUNDING\(RECIPE\)"),
        ("forward=stochastic(mxfp4,abc)", "factor must be a number, got 'abc'"),
        ("forward=sideways(mxfp4)", "rounding must be one of nearest"),
        ("forward=stochastic(mxfp4,2)", "factor must be above 0"),
        ("forward=stochastic(mxfp4,0)", "factor must be above 0"),
        ("forward=stochastic(mxfp4,..)", "factor must be a number"),
        ("forward=quest(e2m2)", "recipe must have scales"),
        ("forward=quest(int4/32/e8m0)", "recipe must be of e2m1"),
        ("forward=stochastic(deepseek_fp8)", "recipe must have blocks of one row"),
        ("forward=stochastic(four_over_six)", "recipe must have blocks of one row"),
        ("forward=eden(e2m1/16/float32)", "recipe must have scales of a format"),
        ("forward=e8m5", "recipe must be a format whose values float32 holds"),
        ("forward=[-1 -0.4 1]", "recipe must be a format whose values float32 holds, got .*; rou"),
        ("forward=e5m2b190", "recipe must be a format whose values float32 holds"),
        ("forward=stochastic(e8m7/16)", "recipe must be of values that float32 holds for stoch"),
        ("forward=stochastic([-1 0.4]/16)", "recipe must be of values that float32 holds for sto"),
        ("forward=nonsense", "nonsense"),
        ("gradient=mine", "gradient must be one of"),
        ("forward=deepseek_fp8 gradient=clipped", "gradient must not be clipped"),
        ("places=some", "places must be one of"),
        ("accumulator=float16:stochastic", "accumulator must not be stochastic"),
        ("forward-rotation=hadamard7", "size"),
    ],
)
def test_what_has_no_meaning_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainingRecipe.parse(text)


def test_a_codebook_named_by_its_values_stands_in_a_recipe() -> None:
    book = "[-1 -0.5 0 0.25 1]/16/float16"
    text = f"forward={book} backward=mxfp4 gradients=stochastic({book},0.5)"
    recipe = TrainingRecipe.parse(text)
    assert recipe.forward == Operand.parse(book)
    assert recipe.gradients == Operand.parse(f"stochastic({book},0.5)")
    assert TrainingRecipe.parse(str(recipe)) == recipe


@pytest.mark.parametrize("text", ["[-1 -0.4 0 0.3 1]/16/float16", "e8m7/9", "lut4/16"])
def test_values_beyond_float32_are_rounded_as_quantize_rounds_them(text: str) -> None:
    x, operand = numbers(), Operand.parse(text)
    assert np.array_equal(rounded(x, operand).values, mf.quantize(x, text).dequantize())


@pytest.mark.parametrize("value", [7, 1.5, b"mxfp4", ["mxfp4"]])
def test_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="must be text"):
        TrainingRecipe.parse(value)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="must be text"):
        Operand.parse(value)  # type: ignore[arg-type]


def test_case_and_white_space_do_not_matter() -> None:
    assert TrainingRecipe.parse(" Quartet ") == TRAINING_RECIPES["quartet"]
    lines = "FORWARD=nvfp4\n\tbackward=mxfp4"
    assert TrainingRecipe.parse(lines) == TrainingRecipe.parse("forward=nvfp4 backward=mxfp4")


def test_names_of_fp4_are_one_grid() -> None:
    assert str(fp4("ue5m3", 16)) == "forward=e2m1/16/ue5m3 backward=e2m1/16/ue5m3"
    assert fp4("e8m0:up", 32, hadamard=True, stochastic=True) == TRAINING_RECIPES["fp4_e8m0"]


def numbers(rows: int = 64, inner: int = 72) -> np.ndarray:
    draw = np.random.default_rng(7)
    return (draw.standard_normal((rows, inner)) * 10.0 ** draw.integers(-3, 3, (rows, 1))).astype(
        np.float32
    )


@pytest.mark.parametrize(
    "recipe", ["mxfp4", "e2m1/16/ue5m3", "e4m3fn/channel/float32", "int4/32/float32"]
)
def test_the_long_way_to_nearest_gives_what_quantize_gives(recipe: str) -> None:
    """72 numbers: the last block of 16, 32 and 128 is shorter than the others."""
    x = numbers()
    want = mf.quantize(x, recipe).dequantize()
    operand = Operand.parse(recipe)
    assert np.array_equal(rounded(x, operand).values, want)
    assert np.array_equal(rounded(x, operand, clipped=True).values, want)


@pytest.mark.parametrize("recipe", ["lut2/32/float16", "lut2/channel/float16"])
def test_tables_of_blocks_are_what_quantize_gives(recipe: str) -> None:
    x = numbers(12, 72)
    want = mf.quantize(x, recipe).dequantize()
    assert np.array_equal(rounded(x, Operand.parse(recipe)).values, want)
    turned = np.ascontiguousarray(x.T)
    assert np.array_equal(rounded(turned, Operand.parse(recipe), axis=-2).values, want.T)


@pytest.mark.parametrize("axis", [-1, -2])
@pytest.mark.parametrize(
    "text",
    [
        "mxfp4", "nvfp4", "e2m1/16/ue5m3", "e4m3fn/channel/float32", "nearest(mxfp4,0.75)",
        "stochastic(mxfp4)", "stochastic(nvfp4,0.94)", "stochastic(e2m1/24/ue5m3/tensor-scale)",
        "quest(mxfp4)", "quest(e2m1/24/ue5m3,0.5)", "quest(e2m1/channel/float32)",
        "quest(e2m1/16/e4m3fn)",
        "eden(e2m1/16/e4m3fn/tensor-scale256)", "eden(e2m1/24/e8m0)",
        "four_over_six", "e2m1@3|e2m1|e2m1@4/24/ue5m3",
    ],
)  # fmt: skip
def test_in_parts_it_gives_what_the_definition_gives(
    text: str, axis: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    operand, rotation = Operand.parse(text), mf.Rotation(8, 3)
    for x in (numbers(144, 72), numbers(96, 40).reshape(3, 32, 40), numbers(8, 5).T):
        for turn in (None, rotation):
            if turn is not None and x.shape[axis] % turn.size:
                continue
            turned = x if turn is None else turn.rotate(x, axis=axis)
            want = rounded_by_definition(turned, operand, 5, axis=axis).values
            for size, threads in ((1 << 16, 1), (500, 1), (500, 2), (3000, 2)):
                monkeypatch.setattr(block_parts, "PART", size)
                found = rounded(x, operand, 5, axis=axis, rotation=turn, threads=threads)
                assert found.values.tobytes() == want.tobytes()
            if operand.is_plain:
                want = rounded_by_definition(turned, operand, 5, axis=axis, clipped=True)
                found = rounded(x, operand, 5, axis=axis, rotation=turn, clipped=True, threads=2)
                assert found.values.tobytes() == want.values.tobytes()
                assert np.array_equal(found.clipped, want.clipped)


@pytest.mark.parametrize("axis", [-1, -2])
def test_in_parts_it_is_a_rotation(axis: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_parts, "PART", 700)
    rotation = mf.Rotation(24, 3)
    empty = np.empty((48, 0), np.float32) if axis == -2 else np.empty((0, 48), np.float32)
    for x in (numbers(96, 72), numbers(96, 48).reshape(2, 48, 48), numbers(72, 48).T, empty):
        assert np.array_equal(block_parts.rotated(x, rotation, axis), rotation.rotate(x, axis=axis))
        back = block_parts.rotated(x, rotation, axis, back=True, threads=2)
        assert np.array_equal(back, rotation.rotate_back(x, axis=axis))


def test_a_number_without_a_block_has_the_error_of_quantize() -> None:
    x = numbers(4, 64)
    x[2, 40] = np.nan
    for text in ("mxfp4", "e2m1/16/e4m3fn/tensor-scale", "stochastic(mxfp4)"):
        with pytest.raises(ValueError, match="must be finite"):
            rounded(x, Operand.parse(text), rotation=mf.Rotation(32), threads=2)


@pytest.mark.parametrize("text", ["mxfp4", "quest(mxfp4)", "four_over_six", "nf4", "e4m3fn"])
def test_blocks_down_columns_are_those_of_the_transposed_matrix(text: str) -> None:
    x, operand = numbers(64, 40), Operand.parse(text)
    for clipped in (False, True)[: 1 + operand.is_plain]:
        found = rounded(x, operand, axis=-2, clipped=clipped)
        wanted = rounded(np.ascontiguousarray(x.T), operand, clipped=clipped)
        assert np.array_equal(found.values, wanted.values.T)
        if found.clipped is not None and wanted.clipped is not None:
            assert np.array_equal(found.clipped, wanted.clipped.T)


def test_stochastic_rounding_goes_to_a_neighbour_and_is_right_in_the_mean() -> None:
    x = numbers(8, 64)
    operand = Operand.parse("stochastic(e2m1/32/e8m0:up)")
    draws = np.stack([rounded(x, operand, seed).values for seed in range(400)]).astype(np.float64)
    assert len({d.tobytes() for d in draws}) == 400
    blocks = np.abs(x.reshape(8, 2, 32))
    scale = 2.0 ** np.ceil(np.log2(blocks.max(-1, keepdims=True) / 6))
    grid = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    z = (blocks / scale).reshape(x.shape)
    low = grid[np.searchsorted(grid, z, "right") - 1]
    high = grid[np.minimum(np.searchsorted(grid, z, "left"), 7)]
    found = np.abs(draws) / np.repeat(scale, 32, -1).reshape(x.shape)
    assert np.all((found == low) | (found == high))
    error = (draws.mean(0) - x) / np.repeat(scale, 32, -1).reshape(x.shape)
    limit = np.where(high > low, (high - low) / 2, 0) / 20 * 5 + 1e-6  # five standard errors
    assert np.all(np.abs(error) <= limit)


def test_quest_scales_follow_the_mean_square() -> None:
    x = np.random.default_rng(0).standard_normal((2000, 64)).astype(np.float32)
    ours = rounded(x, Operand.parse("quest(e2m1/64/float32)")).values
    assert np.mean((ours - x) ** 2) == pytest.approx(0.0126849, rel=0.05)  # QuEST's table


@pytest.mark.parametrize("axis", [-1, -2])
def test_ms_eden_does_not_shrink_a_block_in_the_mean(axis: int) -> None:
    """The last block has the smallest scale of E4M3 that is not 0, which may become 0."""
    operand = Operand.parse("eden(e2m1/16/e4m3fn/tensor-scale256)")
    x = np.random.default_rng(3).standard_normal((4, 16)).astype(np.float32)
    x[-1], x[-1, 0] = 0.3, 6  # 0.3 becomes 0.5: S is below 1
    x[-1] *= np.float32(np.abs(x[:-1]).max() / 6 / 256 / 2**9)
    draws = np.array(
        [rounded(x if axis == -1 else x.T, operand, seed, axis=axis).values for seed in range(800)]
    )
    draws = draws if axis == -1 else draws.swapaxes(1, 2)
    wide = x.astype(np.float64)
    shares = (draws * wide).sum(2) / (wide * wide).sum(1)
    assert (shares[:, -1] == 0).any()
    errors = (shares.mean(0) - 1) / (shares.std(0) / np.sqrt(len(shares)))
    assert np.abs(errors).max() < 4


@pytest.mark.parametrize("name", ["quest(mxfp4)", "eden(nvfp4)", "stochastic(nvfp4)", "mxfp4"])
def test_zeros_and_extremes_stay_finite(name: str) -> None:
    x = np.zeros((4, 64), np.float32)
    assert not rounded(x, Operand.parse(name)).values.any()
    x[0], x[1, 0], x[2] = 3e38, 1e-38, -3e38
    assert np.isfinite(rounded(x * np.float32(0.1), Operand.parse(name)).values).all()
    x[3, 3] = np.nan
    with pytest.raises(ValueError, match=r"finite|NaN"):
        rounded(x, Operand.parse(name))
