"""The readers of texts: formats, recipes, layouts, distributions, accumulators, units."""

from __future__ import annotations

from random import Random

import minifloat as mf
from analysis import parse_distribution
from analysis.training.recipe import TrainingRecipe
from minifloat.arithmetic import UNITS, Accumulator, Unit
from tests.fuzz import mutations
from tests.fuzz.faults import check, check_line, only
from tests.fuzz.mutations import Change
from tests.fuzz.target import Target

WORDS = [
    *(
        "e",
        "m",
        "b",
        "u",
        "int",
        "uint",
        "bipolar_int",
        "binary",
        "p",
        "full",
        "fn",
        "fnuz",
        "ieee",
    ),
    *("none", "p3109", "_nosub", "nf4", "tf32", "float16", "e2m2", "mxfp4", "nvfp4", "dense", "s"),
    *("/", "+", ":", "x", "channel", "tensor", "e8m0", "float32", "ceil", "up", "mse", "authors"),
    *("hadamard", "hadamard12:7"),
    *("percentile", "99.9", "tensor-scale", "double", "zero-point", "(", ")", "student_t", "nu"),
    *("terms", "bits", "floor", "=", "order", "pairwise", "fixed", "int32", "flush", "=all", ","),
    *("float64", "split:4", "outer", "promote", "blocks", "strided", "reversed", "product"),
    *("forward=", "weights=", "gradients=", "backward-rotation=", "stochastic(", "quartet", " "),
    *("normal", "uniform", "fpe2m2_kernel", "5x1p", "000005", "1e3", "nan", "inf", "1_0", "-", "."),
]


def run(data: bytes) -> None:
    """Read a text as each of them: a value whose own text means the same, or a ValueError."""
    text = data.decode("utf-8", "surrogateescape")
    read_format(text)
    read_recipe(text)
    for bits in (None, 5):
        read_layout(text, bits)
    read_distribution(text)
    read_accumulator(text)
    read_training_recipe(text)
    with only(ValueError):
        check(Unit.parse(text) in UNITS.values(), f"{text!r} must be a unit's name")


def read_format(text: str) -> None:
    """Read the name of a format."""
    with only(ValueError):
        fmt = mf.parse(text)
        check_plain(text.partition("(")[0])
        check_line("repr", repr(fmt))
        check(mf.parse(fmt.name) == fmt, f"{fmt!r} is not what its name means")
        check(mf.parse(str(fmt)) == fmt, f"{fmt!r} is not what its text means")
        for code in (0, fmt.max_code, fmt.min_code, fmt.code_count - 1):
            if code != fmt.unused_code:
                check(type(fmt.value(code)) is float, f"code {code} of {fmt!r} must have a value")


def read_recipe(text: str) -> None:
    """Read the text of a recipe."""
    with only(ValueError):
        recipe = mf.Recipe.parse(text)
        check_plain(text.partition("(")[0])
        check_line("repr", repr(recipe))
        check(mf.Recipe.parse(str(recipe)) == recipe, f"{recipe!r} is not what its text means")


def read_layout(text: str, bits: int | None) -> None:
    """Read the name of a layout."""
    with only(ValueError):
        layout = mf.parse_layout(text, bits)
        check_plain(text)
        check_line("repr", repr(layout))
        again = mf.parse_layout(layout.spelling, layout.bits)
        check(again == layout, f"{layout!r} is not what its spelling means")


def read_distribution(text: str) -> None:
    """Read the name of a distribution."""
    with only(ValueError):
        distribution = parse_distribution(text)
        check_plain(text)
        check_line("name", distribution.name)
        again = parse_distribution(distribution.name)
        check(again == distribution, f"{distribution} is not what its name means")


def read_accumulator(text: str) -> None:
    """Read the text of an accumulator."""
    with only(ValueError, TypeError):  # a TypeError where a word stands for a number
        accumulator = Accumulator.parse(text)
        check_plain(text.partition("(")[0])
        check_line("repr", repr(accumulator))
        again = Accumulator.parse(str(accumulator))
        check(again == accumulator, f"{accumulator!r} is not what its text means")


def read_training_recipe(text: str) -> None:
    """Read the text of a training recipe."""
    with only(ValueError, TypeError):  # a TypeError as of an accumulator
        recipe = TrainingRecipe.parse(text)
        check_plain(text)
        check_line("repr", repr(recipe))
        again = TrainingRecipe.parse(str(recipe))
        check(again == recipe, f"{recipe!r} is not what its text means")


def check_plain(text: str) -> None:
    """Refuse a name that is taken although it has other than ASCII characters."""
    check(text.isascii(), f"{text!r} must not be taken for a name")


def seeds() -> dict[str, bytes]:
    """Return names of all kinds."""
    texts = [
        *("e2m2", "ue5m3", "e4m3fn", "e2m2b-3_nosub", "binary8p3se", "int4full", "bipolar_int3"),
        *("float8_e4m3fn", "E2M1 (ocp)", "e16m1", "e2m1b99999", "e4m3b11fnuz", "binary5p2uf"),
        *("e2m2/64", "e2m1/32/e8m0:ceil", "nf4/64/float32/double+mse", "nvfp4", "mxint8/32"),
        *("e4m3fn/128x128/float32", "uint4/channel/float16/zero-point", "int4/8/e4m3fn/shrink"),
        *("int4/64/float16/hadamard128", "uint4/64/float16/zero-point+hadamard12:7"),
        *("e3m2/tensor/ue5m3:up/percentile99.9+tensor-scale", "dense", "1+4", "2+1+1", "nvfp4"),
        *("fpe2m2_kernel", "2x1p000005001003", "5x1s000001002003004", "normal", "student_t(5)"),
        *("float32:toward_zero/terms=8+bits=24+floor=-132", "hopper/e4m3fn/float32"),
        *("int32/overflow=wrap", "float32/terms=4+bits=24+lanes=2+late=31+drops", "fixed24.8"),
        *("e6m9/product=e6m9+order=((0,1),(2,3))", "e8m13/promote=128", "float32/order=blocks:4"),
        *("forward=mxfp4 gradients=stochastic(mxfp4,0.75) backward-rotation=hadamard32",),
        *("weights=quest(mxfp4) gradient=clipped accumulator=float16", "quartet", "places=all"),
        *("student_t( 2.5e1 )", "laplace", "posit", "", " ", "e2m2\n", "e\u0662m2", "int\u0664"),
        *(
            "student_t(\u0665)",
            "e2m2/\u0668",
            "e99m99",
            "9+9+9",
            "99x999p000",
        ),
    ]
    return {text: text.encode() for text in texts}


def mutate(data: bytes, random: Random, change: Change) -> bytes:
    """Change a word, or some bytes."""
    if random.random() < 0.15:
        return change(data)
    return mutations.text(data.decode(errors="replace"), random, WORDS).encode(errors="replace")


TARGET = Target(run, seeds, mutate)
