"""Matrix units: captured results, published probes, and the slow model, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat import arithmetic
from minifloat.arithmetic import UNIT_SOURCES, UNITS, Accumulator, Unit
from minifloat.testing import exact_decode
from tests.arithmetic.slow_sums import field, same, slow_dot

CAPTURED = Path(__file__).with_name("captured")
ARCHITECTURES = {
    "v100": "volta", "a100": "ampere", "ada": "ada", "h100": "hopper", "b200": "blackwell-mma",
}  # fmt: skip
INPUTS = {"fp16": "float16", "bf16": "bfloat16", "tf32": "tf32", "e4m3": "e4m3fn", "e5m2": "e5m2"}

# terms, alignment bits, result, floor for float32 and for float16 results
MODEL: dict[str, tuple[int, int, str, int, int | None]] = {
    "volta/float16": (4, 23, "float32", -131, -20),
    "turing/float16": (8, 24, "float32", -132, -21),
    "ampere/tf32": (4, 24, "float32", -132, None),
    "ampere/bfloat16": (8, 24, "float32", -132, None),
    "ampere/float16": (8, 24, "float32", -132, -21),
    "ada/tf32": (4, 24, "float32", -132, None),
    "ada/bfloat16": (8, 24, "float32", -132, None),
    "ada/float16": (8, 24, "float32", -132, -21),
    "ada/e4m3fn": (16, 13, "e8m13", -132, -21),
    "ada/e5m2": (16, 13, "e8m13", -132, -21),
    "hopper/tf32": (8, 25, "float32", -133, None),
    "hopper/bfloat16": (16, 25, "float32", -133, None),
    "hopper/float16": (16, 25, "float32", -133, -133),
    "hopper/e4m3fn": (32, 13, "e8m13", -133, -133),
    "hopper/e5m2": (32, 13, "e8m13", -133, -133),
    **{
        f"blackwell{rtx}/{fmt}": (terms, 25, "float32", -133, -22 if rtx and half else half)
        for rtx in ("", "-rtx")
        for fmt, terms, half in [
            ("tf32", 8, None), ("bfloat16", 16, None), ("float16", 16, -133),
            *((fmt, 32, -133) for fmt in ("e4m3fn", "e5m2", "e3m2", "e2m3", "e2m1")),
        ]
    },
}  # fmt: skip

# a = [-2**13, -0.5, -0.25, -0.125], b = [2**10, 1, 1, 1], c = 2**23; exactly -0.875
EXAMPLE = {
    **{
        f"{name}/float64": -0.875
        for name in ("ampere", "ada", "hopper", "blackwell", "blackwell-rtx", "cdna2", "cdna3")
    },
    "cdna1/bfloat16": -0.875, "cdna1/float16": -0.875, "cdna1/float32": -0.875,
    "volta/float16": 0.0,
    "turing/float16": -0.5, "ampere/float16": -0.5, "ampere/bfloat16": -0.5, "ampere/tf32": -0.5,
    "ada/float16": -0.5, "ada/bfloat16": -0.5, "ada/tf32": -0.5,
    "hopper/float16": -0.75, "hopper/bfloat16": -0.75, "blackwell/float16": -0.75,
    "blackwell/bfloat16": -0.75, "blackwell-rtx/float16": -0.75,
    "ada/e5m2": 0.0, "hopper/e5m2": 0.0,
    "blackwell/e5m2": -0.75, "blackwell/mxfp8e5m2": -0.75, "blackwell-rtx/e5m2": -0.75,
    "cdna2/bfloat16": -0.375, "cdna2-1k/bfloat16": 0.0, "cdna2/float16": 0.0,
    "cdna3/float16": -0.5, "cdna3/bfloat16": -0.5, "cdna3/e5m2fnuz": -1.0,
}  # fmt: skip

ALL = [(name, *name.split("/")) for name in UNITS]
PLAIN = [name for name, unit in UNITS.items() if unit.scale is None]


def rows(file: str) -> Any:
    with np.load(CAPTURED / f"{file}.npz") as found:
        return dict(found)


def captured() -> list[tuple[str, str, str]]:
    """Return (file, output, unit) of all that is captured."""
    found = []
    for path in sorted(CAPTURED.glob("*.npz")):
        gpu, kind = path.stem.split("_")
        for name in rows(path.stem):
            if name.startswith("d_"):
                output = name.removeprefix("d_")
                mma = "-mma" if (gpu, output) == ("h100", "float16") else ""
                unit = f"{ARCHITECTURES[gpu]}{mma}/{INPUTS[kind]}/{output}"
                found.append((path.stem, output, unit))
    return found


def bits(x: Any) -> np.ndarray:
    return np.asarray(x, np.float32).view(np.uint32)


def mismatches(found: dict[str, Any], output: str, unit: Unit) -> int:
    d = arithmetic.dot(found["a"], found["b"], found["c"], unit=unit)
    return int((bits(d) != bits(found[f"d_{output}"])).sum())


def test_all_rows_are_there() -> None:
    assert len(captured()) == 18 + 2
    assert sum(len(rows(file)["a"]) for file, _, _ in captured()) == 18 * 400 + 2 * 24


@pytest.mark.parametrize(("file", "output", "unit"), captured())
def test_every_captured_row(file: str, output: str, unit: str) -> None:
    assert mismatches(rows(file), output, UNITS[unit]) == 0


@pytest.mark.parametrize(("file", "output", "unit"), captured())
def test_captured_rows_find_mistakes(file: str, output: str, unit: str) -> None:
    """Wrong bits, blocks and roundings, and C added afterwards."""
    found, right = rows(file), UNITS[unit]
    text = str(right.accumulator)
    terms, wide = right.accumulator.terms, right.accumulator.bits
    block = min(terms, found["a"].shape[1]) // 2
    wrong = {
        "a bit less": text.replace(f"bits={wide}", f"bits={wide - 1}"),
        "a bit more": text.replace(f"bits={wide}", f"bits={wide + 1}"),
        "terms to nearest": f"{text}+cut=nearest_even",
        "terms downward": f"{text}+cut=downward",
        "smaller blocks": text.replace(f"terms={terms}", f"terms={block}"),
        "sums to nearest": text.replace(":toward_zero", ""),
    }
    if file.startswith("b200"):  # 24 rows
        wrong = (
            {"one chain of 16": text.replace("+order=split:32", "")} if output == "float16" else {}
        )
        wrong["C first"] = text.partition("+promote")[0]
    elif output == "float16":  # 11 bits of moderate numbers show less
        wrong = {"sums to zero": text.replace("float16/", "float16:toward_zero/", 1)}
    for mistake, other in wrong.items():
        assert other != text
        changed = replace(right, accumulator=Accumulator.parse(other))
        assert mismatches(found, output, changed) > 0, mistake
    if found["c"].any() and right.accumulator.promote is None:
        products = arithmetic.dot(found["a"], found["b"], unit=right)
        late = (products + found["c"].astype(products.dtype)).astype(np.float32)
        assert (bits(late) != bits(found[f"d_{output}"])).any(), "C added afterwards"


@pytest.mark.parametrize("name", MODEL)
def test_units_are_as_published(name: str) -> None:
    terms, wide, single, floor, half_floor = MODEL[name]
    for output, fmt, mode, least in (
        ("float32", single, "toward_zero", floor),
        ("float16", "float16", "nearest_even", half_floor),
    ):
        if least is not None:
            expected = Accumulator(fmt, rounding=mode, terms=terms, bits=wide, floor=least)
            assert UNITS[f"{name}/{output}"].accumulator == expected


def test_every_unit_has_a_line_with_its_source() -> None:
    assert list(UNITS) == list(UNIT_SOURCES)
    assert all(source.startswith(("[1]", "[2], mma")) for source in UNIT_SOURCES.values())
    others = {name.rpartition("/")[0] for name in UNITS} - MODEL.keys()
    others -= {f"blackwell-mma/{fmt}" for fmt in ("e4m3fn", "e5m2")}
    plain = {name.partition("/")[0] for name in others if not name.endswith(("4", "2", "3"))}
    assert plain == {"cdna1", "cdna2", "cdna2-1k", "cdna3", "hopper-mma"}
    chains = {name for name in UNITS if name.endswith("/float64/float64")}
    assert len(chains) == 7
    assert {str(UNITS[name].accumulator) for name in chains} == {"float64"}


@pytest.mark.parametrize("name", EXAMPLE)
def test_the_published_example(name: str) -> None:
    a, b = [-(2.0**13), -0.5, -0.25, -0.125], [2.0**10, 1.0, 1.0, 1.0]
    output = "float64" if name.endswith("float64") else "float32"
    assert arithmetic.dot(a, b, 2.0**23, unit=f"{name}/{output}") == EXAMPLE[name]


V, A, H = "volta/float16/float32", "ampere/float16/float32", "hopper/float16/float32"
STEP = 2.0**-24


@pytest.mark.parametrize(
    ("a", "b", "c", "expected"),
    [
        ([2.0**-14, 2.0**-14, 1], [2.0**-9, 2.0**-10, 2], 0, (2, 2, 2)),  # truncation
        ([2.0**-14, 2.0**-14, 1], [-(2.0**-9), -(2.0**-10), -2], 0, (-2, -2, -2)),  # to zero
        ([1], [1], -(1 - STEP), (2 * STEP, STEP, STEP)),  # an extra bit
        ([1], [1.25], -(2.0**-3 + STEP / 2), (1.125, 1.125, 1.125 - 2 * STEP)),  # two of them
        ([1], [1.25], -(2.0**-3 + STEP + STEP / 4), (1.125, 1.125 - 2 * STEP, 1.125 - 2 * STEP)),
        ([2.0**-10] * 2, [2.0**-14] * 2, 1, (1, 1 + 2 * STEP, 1 + 2 * STEP)),  # partial sums
        ([2.0**-12] * 3, [2.0**-12, 2.0**-13, 2.0**-13], 1, (1, 1, 1 + 2 * STEP)),
        ([1], [1], STEP + STEP / 8, (1, 1, 1)),  # no sticky bit
        ([1] * 8, [1] * 8, 2.0**25 - 2, (33554430, 33554436, 33554436)),
        ([1] * 8, [1] * 8, 2.0**25, (33554432, 33554432, 33554440)),  # which is not monotone
    ],
)  # fmt: skip
def test_published_probes(a: list[float], b: list[float], c: float, expected: tuple) -> None:
    for unit, result in zip((V, A, H), expected, strict=True):
        assert arithmetic.dot(a, b, c, unit=unit) == result


@pytest.mark.parametrize(
    ("unit", "width"),
    [(A, 8), (H, 16), ("turing/float16/float32", 8), ("blackwell/e5m2/float32", 32)],
)
def test_the_width_of_a_block_shows(unit: str, width: int) -> None:
    """Two halves of the last bit count only where one step adds them."""
    n = 64
    a, b = np.zeros((n - 1, n)), np.full((n - 1, n), 2.0**-12)
    a[:, 0] = 2.0**-12
    a[np.arange(n - 1), np.arange(1, n)] = 2.0**-12
    result = arithmetic.dot(a, b, 1.0, unit=unit)
    assert int(np.argmax(result == 1.0)) + 1 == width


def test_mi300_rounds_downward() -> None:
    a, b, c = [2048, 2048], [2048, -2048], np.float32(-1e-6)
    assert arithmetic.dot(a, b, c, unit="cdna3/float16/float32") == -0.25
    assert arithmetic.dot(a, b, -c, unit="cdna3/float16/float32") != 0.25


def test_small_differences_of_scaled_groups() -> None:
    """Blackwell's FP4: each group of 16 is exact, and 35 bits are kept."""
    unit = UNITS["blackwell/nvfp4/float32"]
    assert (unit.accumulator.group, unit.accumulator.bits, unit.accumulator.floor) == (16, 35, -139)
    assert (unit.scale_block, unit.scale) == (16, mf.parse("ue4m3"))


@pytest.mark.parametrize("name", ["hopper", "blackwell", "ampere"])
def test_nan_is_that_of_the_unit(name: str) -> None:
    for output, word in (("float32", 0x7FFF_FFFF), ("float16", 0x7FFF)):
        unit = f"{name}/float16/{output}"
        for a, c in (
            ([np.inf, -np.inf], 0),
            ([np.inf, 1], -np.inf),
            ([np.nan, 0], 1),
            ([1, 1], np.nan),
        ):
            result = arithmetic.dot(a, [1, 1], c, unit=unit)
            assert result.view(f"u{result.itemsize}") == word
        assert arithmetic.dot([np.inf, 1], [2, 1], unit=unit) == np.inf
        assert np.isnan(arithmetic.dot([np.inf, 1], [0, 1], unit=unit))


def test_sums_beyond_float32_are_infinite_under_truncation_too() -> None:
    a = np.array([3e38, 3e38], np.float32)
    for name in ("ampere", "hopper"):
        tf32 = f"{name}/tf32/float32"
        assert arithmetic.dot(a, [1, 1], unit=tf32) == np.inf
        assert arithmetic.dot(a, [1, -1], unit=tf32) == 0
        assert arithmetic.dot(a, [2, -2], unit=tf32) == 0  # products may be beyond
    assert np.isnan(
        arithmetic.dot(mf.round_to(a, "bfloat16"), [2, -2], unit="cdna3/bfloat16/float32")
    )


def test_tf32_operands_are_cut() -> None:
    x = np.float32(1 + 2.0**-11 + 2.0**-12)
    assert arithmetic.dot([x], [1], unit="ampere/tf32/float32") == 1
    assert arithmetic.dot([-x], [1], unit="cdna3/tf32/float32") == -1


@pytest.mark.parametrize("floor", [-134, -133, -132])
def test_the_floor_shows_in_tiny_sums(floor: int) -> None:
    """15 terms of 2**-159 reach a result of 2**-149, unless they are cut at 2**(floor - 25)."""
    top = 255 / 256 * 2.0**-75
    a, b = [top, *[2.0**-80] * 15], [2.0**-74, *[2.0**-79] * 15]
    text = f"float32:toward_zero/terms=16+bits=25+floor={floor}"
    unit = replace(UNITS["hopper/bfloat16/float32"], accumulator=Accumulator.parse(text))
    assert arithmetic.dot(a, b, unit=unit) == (2.0**-149 if floor < -133 else 0)
    assert arithmetic.dot(a, b, unit=unit) == slow_dot(a, b, 0, unit.accumulator)


def values_of(unit: Unit, size: int, rng: np.random.Generator) -> np.ndarray:
    """Return values of a unit's input format, of all exponents, and close ones."""
    fmt = unit.inputs[0]
    spread = rng.choice([0, 2, 8, 30, 60, 120])
    x = rng.standard_normal(size) * 2.0 ** rng.integers(-spread, spread + 1, size)
    x = np.where(rng.random(size) < 0.1, 0.0, x).astype(np.float32)
    if fmt in (arithmetic.SumFormat.parse("float32"), arithmetic.SumFormat.parse("float64")):
        return x if fmt.name == "float32" else x * (1 + 2.0**-30 * rng.standard_normal(size))
    return np.asarray(mf.round_to(x, fmt, nan="zero"))


@pytest.mark.parametrize("name", PLAIN)
def test_units_are_the_slow_model(name: str) -> None:
    unit, rng = UNITS[name], np.random.default_rng(len(name))
    emin = unit.inputs[0].emin
    for n in (1, 3, 5, 16, 40):
        a, b = (np.stack([values_of(unit, n, rng) for _ in range(12)]) for _ in range(2))
        with np.errstate(over="ignore"):
            c = (rng.standard_normal(12) * 2.0 ** rng.integers(-40, 14, 12)).astype(unit.output)
        c[::4] = 0
        fast = arithmetic.dot(a, b, c, unit=unit)
        slow = [slow_dot(*row, unit.accumulator, (emin, emin)) for row in zip(a, b, c, strict=True)]
        agree = same(fast, slow)
        assert agree.all(), (name, n, np.asarray(fast)[~agree], np.asarray(slow)[~agree])


@pytest.mark.parametrize(
    ("name", "c"),
    [
        ("hopper/e4m3fn/float32", 1.0),
        ("ada/e5m2/float16", -0.0078125),
        ("blackwell/e4m3fn/float32", 3e-5),
        ("cdna3/e4m3fnuz/float32", -1e-3),
        ("hopper/e5m2/float32", -3e-3),
        ("ada/e4m3fn/float32", 0.0),
        ("blackwell-mma/e5m2/float32", 17.0),
        ("cdna3/e5m2fnuz/float32", 1e-4),
        ("blackwell/e2m1/float16", 0.5),
    ],
)
def test_every_product_of_two_values(name: str, c: float) -> None:
    unit = UNITS[name]
    fmt = unit.inputs[0]
    values = np.array([exact_decode(code, fmt) for code in range(2**fmt.bits)], float)
    start = np.asarray(c, unit.output)
    fast = arithmetic.matmul(values[:, None], values[None, :], start, unit=unit)
    assert np.array_equal(fast, fast.T, equal_nan=True)
    # signs are symmetric, and shown so where the unit cuts toward zero
    if "cdna" not in name:
        mirrored = arithmetic.matmul(-values[:, None], values[None, :], -start, unit=unit)
        assert np.array_equal(fast, -mirrored, equal_nan=True)
    emins, numbers = (fmt.emin, fmt.emin), values.tolist()
    fields = [field(Fraction(x), fmt.emin) if np.isfinite(x) else 0 for x in numbers]
    known: dict[tuple[float, int], float] = {}  # one for each product and exponent
    for i, row in enumerate(fast[: len(values) // 2]):
        slow = []
        for y, e in zip(numbers[i:], fields[i:], strict=True):
            key = numbers[i] * y, fields[i] + e
            if key not in known:
                known[key] = slow_dot([numbers[i]], [y], start, unit.accumulator, emins)
            slow.append(known[key])
        assert same(row[i:], slow).all()


def test_zero_is_positive_but_where_something_was_rounded_to_it() -> None:
    for name in ("hopper/float16/float16", "hopper/float16/float32", "cdna3/float16/float32"):
        assert not np.signbit(arithmetic.dot([-0.0, 0.0], [1, -1], -0.0, unit=name))
        assert not np.signbit(arithmetic.dot([1, -1], [1, 1], unit=name))
    tiny = arithmetic.dot([-(2.0**-14)], [2.0**-14], unit="hopper/float16/float16")
    assert tiny == 0
    assert np.signbit(tiny)
