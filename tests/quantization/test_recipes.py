"""Recipes: their text form, their errors, and the published ones."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

import minifloat as mf
from minifloat.formats.catalogue import CATALOGUE
from minifloat.quantization.recipes import RECIPE_SOURCES
from minifloat.testing import formats

BITS = {
    "mxfp8e4m3": 8.25, "mxfp8e5m2": 8.25, "mxfp6e2m3": 6.25, "mxfp6e3m2": 6.25, "mxfp4": 4.25,
    "mxint8": 8.25, "nf4": 4.5, "bfp16_64": 8.125, "bfp12_64": 4.125, "nvfp4": 4.5, "nvint4": 4.5,
    "qlora": 4.125 + 32 / (64 * 256), "fpe2m2": 5.0, "fp6_llm": 6.0,
    "deepseek_fp8": 8 + 32 / 128**2, "four_over_six": 4.5, "if3": 3.5, "if4": 4.5, "if6": 6.5,
    "if6_e3m2": 6.5, "bwn": 1.0, "bitnet_b158": 2.0, "twn": 2.0,
}  # fmt: skip
OF_512_BY_1024 = {  # bits of tensor scales and scales of channels
    "nvfp4": 32 / 2**19, "nvint4": 32 / 2**19, "qlora": 32 / 2**19, "fpe2m2": 16 / 1024,
    "fp6_llm": 16 / 1024, "bwn": 32 / 1024, "bitnet_b158": 32 / 2**19, "twn": 32 / 2**19,
    **dict.fromkeys(("four_over_six", "if3", "if4", "if6", "if6_e3m2"), 32 / 2**19),
}  # fmt: skip


@pytest.mark.parametrize("name", mf.RECIPES)
def test_bits_are_the_published_ones(name: str) -> None:
    assert mf.RECIPES[name].bits_per_weight == BITS[name]
    w = np.random.default_rng(1).standard_normal((512, 1024)).astype(np.float32)
    q = mf.quantize(w, name)
    bits = BITS[name] + OF_512_BY_1024.get(name, 0)
    assert q.bits_per_weight == pytest.approx(bits, abs=1e-12)
    assert q.nbytes * 8 == pytest.approx(bits * w.size, rel=1e-12)
    error = np.sqrt(np.square(w - q.dequantize()).sum() / np.square(w).sum())
    assert error < (0.2 if BITS[name] > 2 else 0.65)


def test_each_published_recipe_has_a_source() -> None:
    assert RECIPE_SOURCES.keys() == mf.RECIPES.keys()
    assert all(RECIPE_SOURCES.values())


@pytest.mark.parametrize("bits", [3, 8, 12])
def test_block_floating_point_saturates_nothing(bits: int) -> None:
    w = np.random.default_rng(2).standard_normal((4, 128))
    q = mf.quantize(w, f"int{bits}/64/e8m0:up")
    assert (np.abs(w - q.dequantize()) <= np.repeat(q.scales, 64, axis=1) / 2).all()


NAMED_FORMATS = formats().filter(
    lambda fmt: not isinstance(fmt, mf.Codebook) or fmt.name in CATALOGUE
)
SCALES = st.sampled_from(
    ["float32", "float16", "bfloat16", "e8m0", "e4m3fn", "ue5m3", "e5m0"]
) | formats().filter(lambda fmt: isinstance(fmt, mf.Format))
SIZES = st.integers(1, 2**40)
BLOCKS = SIZES | st.tuples(SIZES, SIZES) | st.sampled_from(["channel", "tensor"])
ROUNDINGS = st.none() | st.sampled_from(list(mf.ScaleRounding))
SEARCHES = st.sampled_from(list(mf.ScaleSearch))
PERCENTILES = st.none() | st.floats(0, 100) | st.integers(0, 100)
FLAGS = st.tuples(st.booleans(), st.booleans(), st.booleans())
ROTATED = st.sampled_from([2, 12, 64, 96, 1 << 20])
UNSIGNED = st.builds(mf.Integer, st.integers(1, 8), signed=st.just(False))


@st.composite
def recipes(draw: st.DrawFn) -> mf.Recipe:
    """Recipes of all fields; some that do not go together are left out."""
    tensor_scale, double, zero_point = draw(FLAGS)
    search = draw(SEARCHES)
    fields = {
        "fmt": draw(UNSIGNED if zero_point else NAMED_FORMATS),
        "block": draw(BLOCKS),
        "scale": "float32" if double else draw(SCALES),
        "scale_rounding": draw(ROUNDINGS),
        "search": search,
        "percentile": draw(PERCENTILES) if search == "percentile" else None,
        "tensor_scale": tensor_scale and not double,
        "double": double,
        "zero_point": zero_point,
        "arithmetic": draw(st.sampled_from(["exact", "authors"])),
        "rotation": draw(st.none() | st.builds(mf.Rotation, ROTATED, st.integers(0, 2**64 - 1))),
    }
    try:
        return mf.Recipe(**fields)
    except ValueError as error:
        rules = ("scale_rounding must not be", "fmt must have a value above", "scale must be")
        rules += ("arithmetic must be", "block must be along", "fmt must have negative")
        for rule in (*rules, "search must be another"):
            if str(error).startswith(rule):
                reject()
        raise


@settings(max_examples=400)
@given(recipe=recipes(), shout=st.booleans())
def test_every_recipe_comes_back_from_its_text(recipe: mf.Recipe, shout: bool) -> None:
    text = str(recipe).upper() if shout else str(recipe)
    again = mf.Recipe.parse(text)
    assert again == recipe
    assert hash(again) == hash(recipe)
    assert str(again) == str(recipe)
    assert mf.Recipe.scaled(recipe.fmt, recipe.scaling) == recipe
    assert pickle.loads(pickle.dumps(recipe)) == recipe
    assert recipe.replace() == recipe


@settings(max_examples=100)
@given(one=recipes(), other=recipes())
def test_different_recipes_have_different_texts(one: mf.Recipe, other: mf.Recipe) -> None:
    assert (one == other) == (str(one) == str(other))
    for name in ("block", "scale", "search", "tensor_scale", "double", "zero_point", "arithmetic"):
        try:
            changed = one.replace(**{name: getattr(other, name)})
        except ValueError:
            continue
        assert (changed == one) == (str(changed) == str(one))


@pytest.mark.parametrize("name", mf.RECIPES)
def test_a_name_and_its_text_are_one_recipe(name: str) -> None:
    recipe = mf.RECIPES[name]
    for same in (name, name.upper(), f"  {name} ", str(recipe), recipe):
        assert mf.Recipe.parse(same) == recipe
    assert "/" in str(recipe)


def test_texts() -> None:
    for text, fields in {
        "e2m2": {},
        "e2m2/64": {"block": 64},
        "E2M2 / 64 / Float16": {"block": 64},
        "e2m2/channel": {"block": "channel"},
        "e2m2/tensor/float32": {"block": "tensor", "scale": "float32"},
        "e2m2/128x128": {"block": (128, 128)},
        "e2m2/2x3/e8m0": {"block": (2, 3), "scale": "e8m0"},
        "e2m2/32/e8m0:ceil": {"block": 32, "scale": "e8m0", "scale_rounding": "ceil"},
        "e2m2/32/e8m0 : ceil": {"block": 32, "scale": "e8m0", "scale_rounding": "ceil"},
        "e2m2/128/half": {},
        "e2m2/128/float16/mse": {"search": "mse"},
        "e2m2/128/float16/absmax": {},
        "e2m2/128/float16/percentile": {"search": "percentile", "percentile": 99.9},
        "e2m2/128/float16/percentile50": {"search": "percentile", "percentile": 50},
        "e2m2/128/e4m3fn/tensor-scale + shrink": {
            "scale": "e4m3fn", "search": "shrink", "tensor_scale": True
        },
        "e2m2/128/float32/double+mse": {"scale": "float32", "double": True, "search": "mse"},
    }.items():  # fmt: skip
        assert mf.Recipe.parse(text) == mf.Recipe("e2m2", **fields), text
    assert str(mf.Recipe("e2m2", block=(1, 64))) == "e2m2/64/float16"
    assert str(mf.Recipe("e2m2", scale="e8m0:floor")) == "e2m2/128/e8m0"
    assert str(mf.Recipe("uint4", search="percentile", zero_point=True)) == (
        "uint4/128/float16/percentile99.9+zero-point"
    )
    assert mf.Recipe.parse(mf.parse("e2m2")) == mf.Recipe("e2m2")


def test_three_names_are_recipes_and_formats() -> None:
    for name in ("nf4", "mxint8", "fpe2m2"):
        assert mf.Recipe.parse(name) == mf.RECIPES[name] != mf.Recipe(name)
        assert mf.Recipe.parse(f"{name}/128/float16") == mf.Recipe(name)
        assert mf.Recipe.parse(mf.parse(name)) == mf.Recipe(name)


def test_other_fields() -> None:
    nvfp4 = mf.RECIPES["nvfp4"]
    assert nvfp4.replace(fmt="int4") == mf.RECIPES["nvint4"]
    assert nvfp4.replace(scale="e8m0").scale_rounding == "floor"
    up = mf.Recipe("e2m1", block=32, scale="e8m0:up")
    assert up.replace(block=16).scale_rounding == "up"
    assert up.replace(scale="e5m0").scale_rounding == "floor"
    assert up.replace(scale="float16").scale_rounding == "nearest_even"
    assert up.replace(scale_rounding="down").scale.name == "e8m0"
    percentile = mf.Recipe("int4", search="percentile", percentile=50)
    assert percentile.replace(search="mse").percentile is None
    assert percentile.replace(search="percentile").percentile == 99.9
    assert percentile.replace(percentile=60).percentile == 60
    assert mf.quantize([1.0], "nvfp4", fmt="int4", search="mse").recipe == nvfp4.replace(
        fmt="int4", search="mse"
    )
    with pytest.raises(AttributeError):
        nvfp4.block = 3  # type: ignore[misc]


def test_bits_of_a_large_tensor() -> None:
    for text, bits in {
        "e2m2": 5 + 16 / 128,
        "e2m2/channel/float32": 5,
        "e2m2/tensor": 5,
        "e2m2/2x8/e8m0": 5.5,
        "uint4/64/e8m0/zero-point": 4 + 12 / 64,
        "uint4/64/float32/double+zero-point": 4 + (8 + 32 / 256 + 4) / 64,
        "e2m1/16/e4m3fn/tensor-scale": 4.5,
    }.items():
        assert mf.Recipe.parse(text).bits_per_weight == bits, text


def test_repr() -> None:
    assert repr(mf.RECIPES["qlora"]) == "<Recipe nf4/64/float32/double: 4.127 bits per weight>"


NO_FORMAT = "fmt must be a known format name, got "
NO_BLOCK = r"block must be a positive int, two of them \(or RxC\), channel or tensor, got "
NO_OPTION = "options must be mse, shrink, percentile99.9, .*, each kind once, joined by \\+, got "
BAD_TEXTS = {
    "": NO_FORMAT + "''",
    "/": NO_FORMAT + "''",
    "e2mm": NO_FORMAT + "'e2mm'; did you mean",
    "e2mm2": "recipe must be a recipe or begin with a format, got 'e2mm2'; did you mean e2m2 or .*",
    "nvfp/16": "recipe must be a recipe or begin with a format, got 'nvfp'; did you mean .*nvfp4.*",
    "e2m99": r"fmt must name a format, got 'e2m99': mantissa_bits must be in 0\.\.15, got 99",
    "mxfp4/32": "recipe must begin with a format, got mxfp4, which is a recipe itself: e2m1/32/e",
    "e2m2/": NO_BLOCK + "''",
    "e2m2//float16": NO_BLOCK + "''",
    "e2m2/0": NO_BLOCK + "0",
    "e2m2/-4": NO_BLOCK + "'-4'",
    "e2m2/1.5": NO_BLOCK + "'1.5'",
    "e2m2/4x": NO_BLOCK + "'4x'",
    "e2m2/0x4": NO_BLOCK + r"\(0, 4\)",
    "e2m2/2x3x4": NO_BLOCK + "'2x3x4'",
    "e2m2/row": NO_BLOCK + "'row'",
    "e2m2/\N{SUPERSCRIPT TWO}": NO_BLOCK,
    f"e2m2/{2**62 + 1}": NO_BLOCK + str(2**62 + 1),
    "e2m2/64/": "scale must be a known format name, got ''",
    "e2m2/64/e8mm": "scale must be a known format name, got 'e8mm'; did you mean e8m0",
    "e2m2/64/int8": "scale must be float32 or a Format such as e8m0, got int8",
    "e2m2/64/nf4": "scale must be float32 or a Format such as e8m0, got nf4",
    "e2m2/64/e9m0": "scale must be a format whose values float32 holds, got e9m0",
    "e2m2/64/e8m0:up+mse": "scale must be .*, got 'e8m0:up\\+mse'; options .* slash: 'e8m0:up/mse'",
    "e2m2/64/e8m0:": "scale_rounding must be one of nearest_even, floor, .*, got ''",
    "e2m2/64/e8m0:flor": "scale_rounding must be one of .*, got 'flor'; did you mean floor?",
    "e2m2/64/e8m0:up:up": "scale_rounding must be one of .*, got 'up:up'",
    "nf4/64/e8m0:even": 'scale_rounding must not be "even" for nf4, .*; use "nearest"',
    "e2m2/\N{ARABIC-INDIC DIGIT TWO}x2": "block must be a positive int, two of them",
    "e2m2/64/float16/": NO_OPTION + "''",
    "e2m2/64/float16/+": NO_OPTION + r"'\+'",
    "e2m2/64/float16/mean": NO_OPTION + "'mean'",
    "e2m2/64/float16/mse+mse": NO_OPTION + r"'mse\+mse'",
    "e2m2/64/float16/mse+shrink": NO_OPTION + r"'mse\+shrink'",
    "e2m2/64/float16/percentile9+mse": NO_OPTION,
    "e2m2/64/float16/percentilex": NO_OPTION + "'percentilex'",
    "e2m2/64/float16/percentile101": r"percentile must be in 0\.\.100, got 101",
    "e2m2/64/float16/percentile-1": NO_OPTION + "'percentile-1'",
    "e2m2/64/float16/percentilenan": NO_OPTION + "'percentilenan'",
    "e2m2/64/float16/mse/double": "recipe must be FORMAT/BLOCK/SCALE/OPTIONS, got 4 slashes",
    "nf4/64/float16/double": 'scale must be "float32", without tensor_scale, .*, got float16; use',
    "nf4/64/float32/double+tensor-scale": 'scale must be "float32", .* float32 with tensor_scale',
    "int4/64/float16/zero-point": "fmt must be an unsigned integer such as uint4 for zero_point, g",
    "uint9/64/float16/mse+zero-point":
        'fmt must have at most 8 bits for zero_point with search="mse", .*; use search="absmax"',
}  # fmt: skip


@pytest.mark.parametrize("text", BAD_TEXTS)
def test_texts_that_mean_nothing(text: str) -> None:
    with pytest.raises(ValueError, match="^" + BAD_TEXTS[text]):
        mf.Recipe.parse(text)
    with pytest.raises(ValueError, match="^" + BAD_TEXTS[text]):
        mf.quantize([1.0], text)


BAD_FIELDS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"fmt": 5}, TypeError, "fmt must be a format or the name of one, got 5"),
    ({"fmt": None}, TypeError, "fmt must be a format or the name of one, got None"),
    ({"fmt": "e2m2/64"}, ValueError, NO_FORMAT + "'e2m2/64'"),
    ({"fmt": mf.Codebook([-1.0, -0.5])}, ValueError, "fmt must have a value above zero, got code"),
    ({"block": None}, ValueError, NO_BLOCK + "None"),
    ({"block": 0}, ValueError, NO_BLOCK + "0"),
    ({"block": 1.5}, ValueError, NO_BLOCK + "1.5"),
    ({"block": True}, ValueError, NO_BLOCK + "True"),
    ({"block": ()}, ValueError, NO_BLOCK + r"\(\)"),
    ({"block": (4,)}, ValueError, NO_BLOCK + r"\(4,\)"),
    ({"block": (4, 0)}, ValueError, NO_BLOCK + r"\(4, 0\)"),
    ({"block": (1, 2, 3)}, ValueError, NO_BLOCK + r"\(1, 2, 3\)"),
    ({"block": [4, 4]}, ValueError, NO_BLOCK + r"\[4, 4\]"),
    ({"block": 2**62 + 1}, ValueError, NO_BLOCK),
    ({"scale": 5}, TypeError, "scale must be a format or the name of one, got 5"),
    ({"scale": None}, TypeError, "scale must be a format or the name of one, got None"),
    ({"scale": mf.parse("int8")}, ValueError, "scale must be float32 or a Format such as e8m0"),
    ({"scale_rounding": 5}, ValueError, "scale_rounding must be one of .*, got 5"),
    ({"scale": "e8m0:up", "scale_rounding": "down"}, ValueError,
     "scale_rounding must not be given twice, got down and up"),
    ({"fmt": "nf4", "scale_rounding": "even"}, ValueError, 'scale_rounding must not be "even" for'),
    ({"search": "median"}, ValueError,
     "search must be one of absmax, mse, percentile, absmean, shrink, got 'median'"),
    ({"search": "percentile99.9"}, ValueError,
     "search must be one of absmax, .*, got 'percentile99.9'; use search=\"percentile\", "
     "percentile=99.9$"),
    ({"search": None}, ValueError, "search must be one of absmax, .*, got None"),
    ({"percentile": 50}, ValueError,
     'percentile must come with search="percentile", got search="absmax"'),
    ({"percentile": 50, "search": "mse"}, ValueError, "percentile must come with search="),
    ({"search": "percentile", "percentile": 100.5}, ValueError, r"percentile must be in 0\.\.100"),
    ({"search": "percentile", "percentile": "9"}, TypeError, "percentile must be a number in 0"),
    ({"search": "percentile", "percentile": True}, TypeError, "percentile must be a number in 0"),
    ({"search": "percentile", "percentile": [9]}, TypeError, "percentile must be a number in 0"),
    ({"tensor_scale": 1}, TypeError, "tensor_scale must be a bool, got 1"),
    ({"double": "yes"}, TypeError, "double must be a bool, got 'yes'"),
    ({"zero_point": None}, TypeError, "zero_point must be a bool, got None"),
    ({"double": True}, ValueError, 'scale must be "float32", without tensor_scale'),
    ({"double": True, "scale": "float32", "tensor_scale": True}, ValueError,
     'scale must be "float32", without tensor_scale'),
    ({"zero_point": True}, ValueError, "fmt must be an unsigned integer such as uint4"),
    ({"rotation": 128}, TypeError, "rotation must be a Rotation or text, got 128"),
    ({"rotation": "hadamard"}, ValueError, "rotation must be text as hadamard128 or hadamard128:7"),
    ({"rotation": "hadamard6"}, ValueError, "size must be a power of two, or one times 12, 20, "),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "kind", "message"), BAD_FIELDS, ids=str)
def test_fields_that_do_not_go_together(
    fields: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match="^" + message):
        mf.Recipe(**{"fmt": "e2m2", **fields})
    with pytest.raises(kind, match="^" + message):
        mf.Recipe("e2m2").replace(**fields)
    with pytest.raises(kind, match="^" + message):
        mf.quantize([1.0], "e2m2", **fields)


def test_a_huge_integer_is_told_by_its_length() -> None:
    huge = 10**5000  # Python refuses to print it
    for fields, message in (
        ({"block": huge}, NO_BLOCK + "an integer of 5001 digits; use at most"),
        ({"block": (1, huge)}, NO_BLOCK + r"\(1, an integer of 5001 digits\); use at most"),
        (
            {"search": "percentile", "percentile": huge},
            r"percentile must be in 0\.\.100, got an int",
        ),
        ({"search": huge}, "search must be one of .*, got an integer of 5001 digits"),
        ({"scale": huge}, "scale must be a format .*, got an integer of 5001 digits"),
        ({"double": huge}, "double must be a bool, got an integer of 5001 digits"),
    ):
        with pytest.raises((ValueError, TypeError), match="^" + message):
            mf.Recipe("e2m2", **fields)  # type: ignore[arg-type]


def test_other_values_are_no_recipes() -> None:
    for wrong in (5, None, np.float32(3), b"e2m2", ["e2m2"]):
        with pytest.raises(TypeError, match=r"^recipe must be a Recipe, a format or text, got "):
            mf.Recipe.parse(wrong)  # type: ignore[arg-type]
    with pytest.raises(
        TypeError, match=r"^changes must be fields of a recipe, fmt, .*, got 'rule'"
    ):
        mf.RECIPES["nvfp4"].replace(rule="mse")
