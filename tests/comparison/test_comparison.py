"""The figures of `compare`, against their definitions, in every executor."""

from __future__ import annotations

import csv
import gc
import io
import json
import math
import pickle
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from fractions import Fraction
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minifloat.comparison import compare
from minifloat.comparison.records import RecipeError, TensorErrors
from minifloat.files import WeightsError
from minifloat.formats import Codebook
from minifloat.formats.catalogue import CATALOGUE
from minifloat.quantization import quantize
from minifloat.quantization.errors import CHUNK
from minifloat.quantization.recipes import Recipe

TWO = ("e2m2", "int4")
TEXTS = ("e2m2/128/float16", "int4/128/float16")
module = import_module("minifloat.comparison")


def normal(shape: tuple[int, ...], seed: int = 1, dtype: Any = np.float32) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.npz"
    arrays = {
        "w": normal((40, 200)),
        "bias": normal((7,)),
        "one": normal(()),
        "none": normal((0, 3)),
    }
    np.savez(path, **arrays, big=normal((300, 1100)), h=normal((5, 64), dtype=np.float16), step=3)
    return path


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("scaling", ["", "/32", "/channel", "/tensor/float32", "/4x4/e8m0:up/mse"])
def test_figures_are_their_definitions(dtype: Any, scaling: str) -> None:
    weights = normal((600, 500), dtype=dtype)  # more than one chunk
    recipes = [name + scaling for name in TWO] + ["nvfp4"]
    result = compare(weights, recipes)
    assert [tensor.name for tensor in result.tensors] == ["array"]
    assert result.recipes == tuple(map(Recipe.parse, recipes))
    for recipe, error in zip(recipes, result.tensors[0].errors, strict=True):
        quantized = quantize(weights, recipe)
        assert error.recipe == str(Recipe.parse(recipe))
        exact = weights.astype(np.float64)
        deviation = exact - quantized.dequantize().astype(np.float64)
        assert error.bits_per_weight == quantized.bits_per_weight
        assert error.parameters == 300_000
        assert error.relative_rms == pytest.approx(
            math.sqrt((deviation**2).sum() / (exact**2).sum()), rel=1e-12
        )
        assert error.sqnr_db == pytest.approx(-20 * math.log10(error.relative_rms), rel=1e-12)
        assert error.max_abs_error == np.abs(deviation).max()
        assert error.max_abs_error_relative == np.abs(deviation).max() / np.abs(exact).max()


def test_total_sums_over_parameters(model: Path) -> None:
    result = compare(model, TWO)
    sizes = {tensor.name: tensor.parameters for tensor in result.tensors}
    assert sizes == {"w": 8000, "bias": 7, "one": 1, "none": 0, "big": 330_000, "h": 320}
    assert [(skipped.name, skipped.reason) for skipped in result.skipped] == [
        ("step", "not a float tensor")
    ]
    for recipe in TWO:
        errors = [tensor.error(recipe) for tensor in result.tensors]
        total = result.total.error(recipe)
        squares = sum(error.squared_error for error in errors)
        assert total.parameters == sum(sizes.values())
        assert total.relative_rms == pytest.approx(
            math.sqrt(squares / sum(error.squared_weight for error in errors))
        )
        assert total.bits_per_weight == pytest.approx(
            sum(error.bits_per_weight * error.parameters for error in errors) / total.parameters
        )
        assert total.max_abs_error == max(error.max_abs_error for error in errors)
    assert result.total.best == (), "of formats of 5 and 4 bits neither has a rival"


def test_empty_zero_and_exact_tensors_divide_nothing_by_zero() -> None:
    arrays = {
        "empty": np.zeros((0, 4), np.float32),
        "zero": np.zeros((3, 4), np.float32),
        "exact": np.array([1.0, -1.0, 0.0], np.float32),
    }
    recipes = tuple(f"{fmt}/128/float32" for fmt in TWO)
    result = compare(arrays, recipes)
    for tensor in result.tensors[:2]:
        for error in tensor.errors:
            assert (error.relative_rms, error.max_abs_error, error.sqnr_db) == (0, 0, math.inf)
    assert json.loads(result.to_json())["tensors"][0]["sqnr_db"] is None
    nothing = compare({"empty": arrays["empty"]}, TWO)
    assert [error.bits_per_weight for error in nothing.total.errors] == [5, 4]


def test_error_without_weights_is_infinite() -> None:
    squares = {"squared_error": Fraction(1), "squared_weight": Fraction(0)}
    error = RecipeError("e8m0", 8, 1, 8, **squares, max_abs_error=1, max_abs_error_relative=0)
    assert (error.relative_rms, error.sqnr_db) == (math.inf, -math.inf)
    row = TensorErrors("", "w", "float32", (1,), (error,)).rows()[0]
    assert (row["relative_rms"], row["sqnr_db"]) == (math.inf, -math.inf)


def test_axis_of_small_tensors_is_the_last() -> None:
    arrays = {"w": normal((6, 10)), "b": normal((10,))}
    result = compare(arrays, ["int4/3"], axis=0)
    expected = quantize(arrays["w"], "int4/3", axis=0).dequantize()
    squares = (arrays["w"].astype(np.float64) - expected) ** 2
    assert result.tensors[0].errors[0].squared_error == pytest.approx(squares.sum())
    along = compare({"b": arrays["b"]}, ["int4/3"])
    assert result.tensors[1].errors == along.tensors[0].errors


def test_an_axis_that_no_tensor_has_is_an_error() -> None:
    arrays = {"w": normal((6, 10)), "b": normal((10,))}
    for axis in (2, -3, 5, 10**30):
        with pytest.raises(ValueError, match=rf"axis must be in -2\.\.1, .* got {axis}"):
            compare(arrays, ["int4/3"], axis=axis)
    assert "axis 0, float16" in str(compare(arrays, ["int4/3"], axis=0))
    assert "axis -2 (in tensors without it, the last)" in str(compare(arrays, ["int4"], axis=-2))
    with pytest.raises(ValueError, match="axis must be -1 for tiles"):
        compare(arrays, ["int4/3", "int4/2x2"], axis=0)
    assert compare(arrays["b"], ["int4/2x2"], axis=0).total.parameters == 10


def test_patterns_choose_tensors(model: Path) -> None:
    def names(**options: Any) -> list[str]:
        return [tensor.name for tensor in compare(model, TWO, **options).tensors]

    assert names(include="b*") == ["bias", "big"]
    assert names(include=["w", "h"]) == ["w", "h"]
    assert names(exclude=("b*", "none")) == ["w", "one", "h"]
    assert names(include="b*", exclude="*s") == ["big"]
    result = compare(model, TWO, include=["w", "b*"], exclude="bias", min_size=9000)
    assert {skipped.name: skipped.reason for skipped in result.skipped} == {
        "step": "not a float tensor",
        "one": "not included by name",
        "none": "not included by name",
        "h": "not included by name",
        "bias": "excluded by name",
        "w": "fewer than 9000 elements",
    }
    assert [t.name for t in compare({"a[0]": normal((3,))}, TWO, include="a[0]").tensors] == [
        "a[0]"
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"include": "biass"},
            r"include must match the name of a tensor, got 'biass'; did you mean",
        ),
        ({"exclude": ["w", "zzz"]}, r"exclude must .* got 'zzz'; the first names are 'w', 'bias'"),
        (
            {"include": "step"},
            r"source must hold a float tensor .*'step' of int64: not a float tens",
        ),
        ({"exclude": "*"}, r"can quantize, got .*'w' of float32: excluded by name"),
    ],
)
def test_a_pattern_that_matches_nothing_is_an_error(
    model: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        compare(model, TWO, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"axis": True}, "axis must be an int, got True"),
        ({"min_size": "5"}, "min_size must be an int, got '5'"),
        ({"min_size": True}, "min_size must be an int, got True"),
        ({"seed": 1.5}, "seed must be an int, got 1.5"),
        ({"progress": 5}, "progress must be a function or None, got 5"),
        ({"executor": 5}, "executor must be a concurrent.futures.Executor or None, got 5"),
        ({"include": 5}, "include must be a str or a sequence of str, got 5"),
        ({"exclude": [b"w"]}, r"exclude must be a str or a sequence of str, got \[b'w'\]"),
    ],
)
def test_arguments_of_another_type_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        compare(normal((2, 3)), TWO, **options)


def test_negative_numbers_are_refused_and_those_of_numpy_taken() -> None:
    for name in ("min_size", "seed"):
        with pytest.raises(ValueError, match=f"{name} must be at least 0, got -1"):
            compare(normal((2, 3)), TWO, **{name: -1})
    result = compare(normal((2, 3)), TWO, axis=np.int8(-1), min_size=np.uint8(6))
    assert type(result.axis) is int


def errors(**of_recipes: tuple[float, float]) -> TensorErrors:
    """Return the errors of recipes with these bits per weight and relative errors."""
    records = [
        RecipeError(name, int(bits), 1, bits, Fraction(error) ** 2, Fraction(1), error, error)
        for name, (bits, error) in of_recipes.items()
    ]
    return TensorErrors("", "w", "float32", (1,), tuple(records))


def test_formats_compete_at_equal_bits() -> None:
    tensor = errors(a=(5, 0.5), b=(4, 0.75), c=(5, 0.25), d=(4, 1.0), alone=(8, 0.125))
    assert tensor.best == ("b", "c")
    assert errors(a=(4, 0.5), b=(4, 0.5), c=(4, 0.75)).best == (), "a tie"
    assert errors(a=(4, 0.5)).best == ()
    near = errors(far=(4.25, 0.5), a=(4.5, 0.25), b=(4.508, 0.375), c=(4.516, 0.125))
    assert [[other.recipe for other in rivals] for rivals in near.rivals()] == [
        [], ["b"], ["a", "c"], ["b"],
    ]  # fmt: skip
    assert near.best == ("a", "c"), "each races b alone"
    total = str(compare({"w": normal((8, 64)), "zero": np.zeros(9)}, ["e2m2", "int5", "int8"]))
    wins = [line.split()[-1] for line in total.splitlines() if line.endswith((" 0", " 1", " -"))]
    assert sorted(wins) == ["-", "0", "1"], "zeros count for none"


@pytest.mark.parametrize("exponent", [-1074, -1040, -600, -80, 0, 80])
def test_sums_of_squares_neither_overflow_nor_vanish(exponent: int) -> None:
    """Against exact fractions, from subnormal float64 numbers on."""
    weights = np.array([1.0, -3.0, 0.0, 5.0]) * 2.0**exponent
    with np.errstate(all="raise"):
        tensor = compare({"w": weights}, "e2m2/4/float32").tensors[0]
    exact = [Fraction(float(w)) for w in weights]
    rounded = map(float, quantize(weights, "e2m2/4/float32").dequantize())
    squares = sum((w - Fraction(r)) ** 2 for w, r in zip(exact, rounded, strict=True))
    error = tensor.errors[0]
    assert error.squared_weight == sum(w**2 for w in exact) > 0
    assert error.squared_error == pytest.approx(squares, rel=1e-15)
    relative = (squares / error.squared_weight).limit_denominator(10**15)
    assert error.relative_rms == pytest.approx(math.sqrt(relative), rel=1e-12)


def test_a_total_is_right_over_tensors_of_extreme_sizes() -> None:
    arrays = {"large": np.array([1e30, 3e30]), "small": np.array([1e-200, -1e-180])}
    result = compare(arrays, ["int4/2/float32"])
    large, small = (tensor.errors[0] for tensor in result.tensors)
    total = result.total.errors[0]
    assert total.squared_weight == large.squared_weight + small.squared_weight
    assert small.squared_weight > 0
    assert total.relative_rms == pytest.approx(large.relative_rms)
    huge = {"w": np.array([1e300, -2e300])}
    with pytest.raises(ValueError, match="scale must hold every block's scale"):
        compare(huge, ["int4/2/float32"])


def test_csv_has_no_formulas_and_no_control_characters() -> None:
    names = [
        "=HYPERLINK(1)",
        "+1",
        "-1",
        "@x",
        "\t=1",
        "\r",
        "\x1b[2J",
        "a\nb",
        "\u202ecba",
        "plain",
    ]
    result = compare({name: normal((3,)) for name in names}, ["int4"])
    cells = [row["tensor"] for row in csv.DictReader(io.StringIO(result.to_csv()))][:-1]
    assert cells == [
        "'=HYPERLINK(1)", "'+1", "'-1", "'@x", "'\\t=1", "'\\r", "\\x1b[2J", "a\\nb", "\\u202ecba",
        "plain",
    ]  # fmt: skip
    assert all(text.isprintable() for text in result.to_csv().splitlines())
    assert [tensor.name for tensor in result.tensors] == names


def test_min_size_leaves_out_and_says_so(model: Path) -> None:
    result = compare(model, TWO, min_size=1000)
    assert [tensor.name for tensor in result.tensors] == ["w", "big"]
    assert ("bias", "fewer than 1000 elements") in [(s.name, s.reason) for s in result.skipped]


def test_without_a_source_a_seeded_gaussian(monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.GAUSSIAN_SHAPE == (4096, 4096)
    monkeypatch.setattr(module, "GAUSSIAN_SHAPE", (64, 256))
    result = compare(recipes=TWO, seed=5)
    assert result.source == "64 x 256 standard normals (no file given), seed 5"
    same = compare(np.random.default_rng(5).standard_normal((64, 256), np.float32), TWO)
    assert result.total == same.total
    assert compare(recipes=TWO, seed=6).total != result.total


def test_sources(model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", normal((40, 200)))
    one = compare(str(model), TWO)
    two = compare([model, str(tmp_path / "w.npy")], TWO)
    assert two.tensors[: len(one.tensors)] == one.tensors
    assert two.tensors[-1].file == str(tmp_path / "w.npy")
    assert two.tensors[-1].errors == one.tensors[0].errors
    with np.load(model) as arrays:
        mapping = compare(arrays, TWO)
    assert [t.errors for t in mapping.tensors] == [t.errors for t in one.tensors]
    assert [skipped.name for skipped in mapping.skipped] == ["step"]


def test_relative_paths(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model.parent)
    result = compare("model.npz", TWO)
    assert result.tensors[0].file == "model.npz"


def test_recipes_may_be_formats_texts_names_or_recipes() -> None:
    mine = Codebook([-1.0, -0.25, 0.0, 0.25, 1.0], "mine")
    recipes = [mine, CATALOGUE["nf4"], "mxfp4", Recipe("e2m2b0", block=32), "int5/16/e4m3fn"]
    result = compare(normal((4, 64)), recipes)
    texts = ["mine/128/float16", "nf4/128/float16", "e2m1/32/e8m0", "e2m2b0/32/float16"]
    assert [error.recipe for error in result.total.errors] == [*texts, "int5/16/e4m3fn"]
    for recipe, error in zip(["mine/128/float16", *recipes[1:]], result.total.errors, strict=True):
        assert result.total.error(recipe) is error
    for one in ("e2m2", CATALOGUE["e2m2"], Recipe("e2m2")):
        assert compare(normal((4, 64)), one).total.errors[0].recipe == "e2m2/128/float16"


def test_bad_arguments(model: Path) -> None:
    with pytest.raises(ValueError, match=r"recipes must be one or more, each once, got e4m3fn"):
        compare(model, ["e4m3fn", "e4m3"])
    with pytest.raises(ValueError, match="recipes must be one or more"):
        compare(model, [])
    with pytest.raises(ValueError, match="fmt must be a known format name"):
        compare(model, ["e9q"])
    with pytest.raises(
        ValueError, match=r"recipes must have a text of their own.*codebook/128/flo"
    ):
        compare(model, [Codebook([-1.0, 0.0, 1.0]), Codebook([-1.0, 0.0, 0.5, 1.0])])
    with pytest.raises(TypeError, match="recipes must be a recipe or several, got 5"):
        compare(model, 5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="axis must be an int, got 'rows'"):
        compare(model, axis="rows")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"source must be a path.*got int"):
        compare(3)  # type: ignore[arg-type]
    with pytest.raises(
        ValueError,
        match=r"source must hold a float tensor that every recipe can quantize, got arrays in "
        r"memory \('array' of int64: not a float tensor\); name another file",
    ):
        compare(np.arange(10), TWO)
    np.savez(model.with_name("empty.npz"))
    with pytest.raises(ValueError, match=r"source must hold a float tensor .*got \S+\.npz; name"):
        compare(model.with_name("empty.npz"), TWO)
    with pytest.raises(
        ValueError,
        match=r"min_size must be at most 330000, the elements of the largest float tensor of "
        r".*model\.npz, got 10000000",
    ):
        compare(model, TWO, min_size=10_000_000)
    with pytest.raises(WeightsError, match="No such file"):
        compare("missing.npy", TWO)
    with pytest.raises(
        ValueError, match=r"recipe must be one of e2m2/128/float16, int4/128/float16, got nf4/64/f"
    ):
        compare(model, TWO).total.error("nf4")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_tensor_that_is_not_finite_is_skipped_and_named(tmp_path: Path, bad: float) -> None:
    weights = normal((4, 64))
    weights[2, 3] = bad
    np.savez(tmp_path / "m.npz", fine=normal((4,)), broken=weights)
    for source in (tmp_path / "m.npz", {"broken": weights, "fine": normal((4,))}):
        result = compare(source, TWO)
        assert [tensor.name for tensor in result.tensors] == ["fine"]
        assert result.total.parameters == 4
        (skipped,) = result.skipped
        assert skipped.name == "broken"
        assert skipped.reason == (
            f"w must be finite, got {bad} at index (2, 3); replace it before quantizing"
        )
    with pytest.raises(ValueError, match=r"can quantize, got .*'broken' of float32: w must be fin"):
        compare({"broken": weights}, TWO)


def test_a_tensor_that_one_recipe_cannot_quantize_is_skipped_for_all() -> None:
    arrays = {"mask": np.full((2, 8), -1e9, np.float32), "w": normal((2, 8))}
    result = compare(arrays, ["int4/8/float32", "int4/8/float16"])
    assert [tensor.name for tensor in result.tensors] == ["w"]
    assert {error.parameters for error in result.total.errors} == {16}
    assert result.skipped[0].reason.startswith("int4/8/float16: scale must hold every block's")
    assert compare(arrays, ["int4/8/float32"]).skipped == ()


def test_a_damaged_tensor_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    arrays = {"first": normal((1 << 14,)), "second": normal((64,), 2)}
    np.savez(path, **arrays)
    data = bytearray(path.read_bytes())
    start = data.index(arrays["first"][-8:].tobytes())
    data[start] ^= 1  # its checksum is now wrong
    path.write_bytes(data)
    result = compare(path, TWO)
    assert [tensor.name for tensor in result.tensors] == ["second"]
    assert [skipped.name for skipped in result.skipped] == ["first"]
    assert "is damaged" in result.skipped[0].reason


def test_json_and_csv_hold_everything(model: Path) -> None:
    result = compare(model, TWO)
    content = json.loads(result.to_json())
    rows = list(csv.DictReader(io.StringIO(result.to_csv())))
    assert len(content["tensors"]) == len(TWO) * len(result.tensors)
    assert len(rows) == len(content["tensors"]) + len(content["total"])
    assert (content["recipes"], content["axis"]) == (list(TEXTS), -1)
    first = content["tensors"][0]
    assert first["shape"] == [40, 200]
    assert first["relative_rms"] == result.tensors[0].errors[0].relative_rms
    assert float(rows[0]["relative_rms"]) == first["relative_rms"]
    assert rows[0]["shape"] == "40x200"
    assert rows[-1]["level"] == "total"
    assert [record["element_bits"] for record in content["total"]] == [5, 4]
    three = json.loads(compare(model, ["e2m2", "int5", "int4"]).to_json())["total"]
    assert [record["best"] for record in three] == [True, False, False]


def test_scales_count_in_a_race() -> None:
    """Codes of four bits with scales of their own: those of as many bits of storage compete."""
    weights = {"w": normal((64, 512))}
    recipes = ["mxfp4", "nvfp4", "int4/32/float16", "int4/64/float16", "e2m1/32/float32"]
    found = compare(weights, recipes)
    bits = [Fraction(4 * 512 * 64 + scales, 512 * 64) for scales in (8192, 16416, 16384, 8192)]
    assert [error.bits_per_weight for error in found.total.errors[:-1]] == bits
    better = {0: 3, 1: 2}  # what races what
    for one, two in better.items():
        pair = sorted((found.total.errors[k] for k in (one, two)), key=lambda e: e.squared_error)
        assert pair[0].recipe in found.total.best
        assert pair[1].recipe not in found.total.best
    text = str(found)
    assert "; * marks the best at equal bits/weight\n" in text
    last = next(line for line in text.splitlines() if line.startswith("e2m1/32/float32"))
    assert last.endswith(" -"), "of 5 bits there is no other"
    assert "*" not in str(compare(weights, ["mxfp4", "nvfp4"]))


def test_a_table_says_which_recipe_a_row_is() -> None:
    weights = {"w": normal((8, 128))}
    alike = str(compare(weights, ["e2m1", "nf4/128/float16"])).splitlines()
    assert alike[1].startswith("blocks of 128 along axis -1, float16 scales; ")
    assert alike[2] == "nf4 is nf4/128/float16 here; the recipe nf4 is nf4/64/float32"
    assert alike[5].split()[0] == "format"
    for recipes in (["nf4"], ["nf4/64/float32", "e2m1/64/float32"], ["nf4", "nf4/128/float16"]):
        lines = str(compare(weights, recipes)).splitlines()
        assert lines[2] == "", "nf4 alone is the recipe"
    assert lines[4].split()[0] == "recipe"
    assert [line.split()[0] for line in lines[5:7]] == ["nf4", "nf4/128/float16"]


def test_a_comparison_prints_as_tables(model: Path) -> None:
    lines = str(compare(model, ["e2m2", "int4"])).splitlines()
    assert lines[0] == str(model)
    assert lines[1] == "blocks of 128 along axis -1, float16 scales"
    assert lines[4].split() == ["tensor", "parameters", "e2m2", "int4"]
    assert [line.split()[0] for line in lines[5:11]] == ["w", "bias", "one", "none", "big", "h"]
    assert "Total: tensors 6, parameters 338328" in lines
    assert "SQNR dB       -20 log10 of the relative rms" in lines
    assert lines[-1] == "  step: not a float tensor"


def test_ten_tensors_are_printed_and_the_others_counted() -> None:
    result = compare({f"t{index}": normal((2, 64), index) for index in range(13)}, TWO)
    for text in (repr(result), result._repr_html_()):
        assert "t9" in text
        assert "t10" not in text
        assert "... and 3 more" in text
    assert len(result.tensors) == 13


@pytest.mark.parametrize(
    ("recipes", "labels", "words"),
    [
        (
            ["e2m1/16", "e2m1|int4/16", "e2m1|e3m0/16", "e2m1@4/16"],
            ["e2m1", "e2m1|int4", "e2m1|e3m0", "e2m1@4"],
            "blocks of 16 along axis -1, float16 scales",
        ),
        (["e2m2", "nf4/128/float16"], ["e2m2", "nf4"], "blocks of 128 along axis -1, float16 s"),
        (["int4/channel"], ["int4"], "one scale to a channel along axis -1, float16 scales"),
        (["int4/tensor/float32"], ["int4"], "one scale to a tensor, float32 scales"),
        (["int4/8x16/e8m0:up/mse"], ["int4"], "tiles of 8x16 of the last two axes, e8m0 scales "),
        (["mxfp4", "e2m2", "nvfp4"], ["mxfp4", "e2m2/128/float16", "nvfp4"], "FORMAT/BLOCK/SCALE"),
    ],
)
def test_recipes_are_named_as_shortly_as_they_can_be(
    recipes: list[str], labels: list[str], words: str
) -> None:
    lines = str(compare(normal((4, 64)), recipes)).splitlines()
    assert words in lines[1]
    kind = "recipe " if "FORMAT" in words else "format "
    start = next(index for index, line in enumerate(lines) if line.startswith(kind))
    assert [line.split()[0] for line in lines[start + 1 :][: len(labels)]] == labels


def test_names_cannot_steer_a_terminal_or_a_notebook() -> None:
    result = compare({"\x1b[2J": normal((3,)), "<script>": normal((3,))}, TWO)
    assert "\x1b" not in repr(result)
    assert "\\x1b[2J" in repr(result)
    assert "<script>" not in result._repr_html_()
    assert "&lt;script&gt;" in result._repr_html_()


def test_rows_are_flat_and_feed_a_data_frame(model: Path) -> None:
    result = compare(model, TWO)
    rows = result.rows()
    assert [row["recipe"] for row in rows] == [*TEXTS] * len(result.tensors)
    assert rows[0]["shape"] == (40, 200)
    assert len({tuple(row) for row in rows}) == 1, "all rows have the same columns"
    pandas = pytest.importorskip("pandas")
    assert len(pandas.DataFrame(rows)) == len(rows)


def test_no_file_stays_open(tmp_path: Path) -> None:
    process = Path("/proc/self")
    if not process.exists():
        pytest.skip("needs /proc")
    np.save(tmp_path / "held.npy", normal((40, 200)))
    with ThreadPoolExecutor(2) as executor:
        compare(tmp_path / "held.npy", TWO, executor=executor)
    gc.collect()
    assert "held.npy" not in (process / "maps").read_text()
    links = [link for link in (process / "fd").iterdir() if link.is_symlink()]
    assert not any(link.readlink().name == "held.npy" for link in links)


def test_progress_counts_parameters(model: Path) -> None:
    calls: list[tuple[int, int]] = []
    result = compare(model, TWO, progress=lambda done, total: calls.append((done, total)))
    assert len(calls) == len(result.tensors) * len(TWO)
    assert calls[-1] == (result.total.parameters, result.total.parameters)
    assert calls == sorted(calls)


@contextmanager
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(3) as pool:
        yield pool


@contextmanager
def processes() -> Iterator[Executor]:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        yield pool


@contextmanager
def dask_cluster() -> Iterator[Executor]:
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True}
    with (
        distributed.LocalCluster(**options, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
        client.get_executor() as executor,
    ):
        yield executor


@pytest.mark.filterwarnings("ignore")  # of the cluster, about ports and its own shutdown
@pytest.mark.parametrize("pool", [threads, processes, dask_cluster])
def test_any_executor_gives_the_same_result(model: Path, pool: Any) -> None:
    recipes = [*TWO, "nf4", "nvfp4"]  # a codebook travels too
    arrays = {f"w{index}": normal((10, 64), index) for index in range(20)}
    broken = {**arrays, "bad": np.full((3,), np.nan, np.float32)}
    with pool() as executor:
        assert compare(model, recipes, executor=executor) == compare(model, recipes)
        assert compare(arrays, recipes, executor=executor) == compare(arrays, recipes)
        result = compare(broken, recipes, executor=executor)
        assert result == compare(broken, recipes)
        assert [skipped.name for skipped in result.skipped] == ["bad"]


class CountingExecutor(ThreadPoolExecutor):
    """Counts the futures that are not yet done, and keeps the maximum."""

    def __init__(self) -> None:
        super().__init__(1)
        self.unread: list[Future[Any]] = []
        self.maximum = 0

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        self.unread = [future for future in self.unread if not future.done()]
        self.unread.append(super().submit(*args, **kwargs))
        self.maximum = max(self.maximum, len(self.unread))
        return self.unread[-1]


def test_few_arrays_are_in_flight() -> None:
    arrays = {f"w{index}": normal((2, 64), index) for index in range(40)}
    with CountingExecutor() as executor:
        compare(arrays, TWO, executor=executor)
        assert executor.maximum <= module.ARRAYS_IN_FLIGHT


def test_results_can_be_pickled(model: Path) -> None:
    result = compare(model, TWO)
    assert pickle.loads(pickle.dumps(result)) == result


def test_memory_is_bounded_by_the_largest_tensor(tmp_path: Path) -> None:
    size = 1 << 22  # bytes of each tensor
    for index in range(6):
        np.save(tmp_path / f"{index}.npy", normal((1024, size >> 12), index))
    paths = [tmp_path / f"{index}.npy" for index in range(6)]
    compare(paths[:1], TWO)  # compiles
    tracemalloc.start()
    try:
        compare(paths, TWO)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5 * size + 8 * 8 * CHUNK


def test_fp8_weights_whose_scales_are_not_applied_are_noted() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    weight = np.ones((4, 32), ml_dtypes.float8_e4m3fn)
    result = compare({"l.weight": weight, "l.weight_scale": np.ones(1), "w": np.ones(8)}, "int4")
    line = "To note:\n  l.weight: codes compared as values: the scales beside them are not applied"
    assert line in repr(result)
    (note,) = json.loads(result.to_json())["notes"]
    assert note["name"] == "l.weight"
    assert "To note" not in repr(compare({"w": np.ones(8)}, "int4"))
