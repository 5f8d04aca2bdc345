"""Functions of codes under test: right ones pass, and planted mistakes are found and named."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minifloat as mf
from minifloat import arithmetic, testing
from minifloat.testing import check_adder, check_dot, check_encoder, check_fma, check_multiplier

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
CHECKS = {"multiplier": check_multiplier, "add": check_adder, "fma": check_fma}
COMPUTED = {"multiplier": arithmetic.multiply, "add": arithmetic.add, "fma": arithmetic.fma}
ONE = {"roundings": ["nearest_even"], "overflows": ["saturate"]}


def right(unit):
    """Return a function of codes that is right."""

    def computed(codes, options):
        values = (mf.decode(x, FMT, dtype=np.float64) for x in codes)
        result = COMPUTED[unit](*values, FMT, nan="zero", **options)
        return mf.encode(result, FMT, overflow="saturate_finite")

    if unit == "fma":
        return lambda a, b, c, **options: computed([a, b, c], options)
    return lambda a, b, **options: computed([a, b], options)


FMT = "e4m3fn"


@pytest.mark.parametrize("unit", CHECKS)
def test_arithmetic_is_right(unit):
    some = {"roundings": ["nearest_even", "downward", "to_odd"], "overflows": ["ieee", "raise"]}
    assert CHECKS[unit](right(unit), FMT, **some) > 15000


def flushed(codes):
    return np.where(codes & 0x78, codes, codes & 0x80).astype(codes.dtype)


def without(codes, wrong, instead):
    return np.where(codes == wrong, instead, codes).astype(codes.dtype)


def mistakes(unit):
    """Return functions of codes that are wrong, by what is wrong with them."""
    exact = right(unit)

    def of(*arguments, **options):
        codes = [x for x in arguments if isinstance(x, np.ndarray)]  # without the format
        return exact(*codes, **{"rounding": "nearest_even", "overflow": "saturate", **options})

    def in_float16(a, b, c):
        a, b, c = (mf.decode(x, FMT, dtype=np.float16) for x in (a, b, c))
        with np.errstate(all="ignore"):
            return mf.encode(a * b + c, FMT)

    def ports(change_a, change_b):
        return lambda a, b, *others: of(change_a(a), change_b(b), *others)

    def same(x):
        return x

    wrong = {
        "ties away": lambda *x: of(*x, rounding="nearest_away"),
        "ties to odd": lambda *x: of(*x, rounding="nearest_odd"),
        "truncated": lambda *x: of(*x, rounding="toward_zero"),
        "-0 lost": lambda *x: without(of(*x), 0x80, 0),
        "subnormal results lost": lambda *x: flushed(of(*x)),
        "subnormal inputs lost": ports(flushed, same),
        "NaN of one input ignored": ports(same, lambda x: without(x, 0x7F, 0x7E)),
        "NaN instead of the largest": lambda *x: without(of(*x), 0x7E, 0x7F),
        "the largest is one too small": lambda *x: without(of(*x), 0x7E, 0x7D),
        "one code": lambda *x: without(of(*x), 0x31, 0x32),
        "an input's sign": ports(same, lambda x: x & 0x7F),
        "an input's last bit": ports(lambda x: x & 0xFE, same),
    }  # fmt: skip
    if unit == "fma":
        wrong["computed in float16"] = in_float16
        wrong["rounded twice"] = lambda a, b, c: right("add")(
            right("multiplier")(a, b, **ROUNDED), c, **ROUNDED
        )
        wrong["addend forgotten"] = lambda a, b, c: of(a, b, np.zeros_like(c))
    if unit == "add":
        wrong["0 - 0 is -0"] = lambda a, b: np.where(a == b ^ 0x80, 0x80, of(a, b)).astype(np.uint8)
    return wrong


ROUNDED = {"rounding": "nearest_even", "overflow": "saturate"}


@pytest.mark.parametrize(
    ("unit", "mistake"), [(unit, mistake) for unit in CHECKS for mistake in mistakes(unit)]
)
def test_a_planted_mistake_is_found(unit, mistake):
    with pytest.raises(AssertionError, match=rf"^e4m3fn {unit} nearest_even saturate: \d+ of \d+"):
        CHECKS[unit](mistakes(unit)[mistake], FMT, **ONE)


def test_the_message_names_the_first_wrong_inputs():
    message = (
        r"e2m1 multiplier nearest_even saturate: 1 of 256 results differ\n"
        r"  a = 0x3 \(1\.5\); b = 0xd \(-3\.0\): got 0x1 \(0\.5\), expected 0xe \(-4\.0\)$"
    )

    def e2m1(a, b):
        values = (mf.decode(x, "e2m1") for x in (a, b))
        codes = mf.encode(arithmetic.multiply(*values, "e2m1"), "e2m1")
        return np.where((a == 3) & (b == 0xD), 1, codes).astype(np.uint8)

    with pytest.raises(AssertionError, match=message):
        check_multiplier(e2m1, "e2m1", **ONE)


def test_an_overflow_that_is_no_error_is_found():
    def add(a, b):
        return right("add")(a, b, **ROUNDED)

    with pytest.raises(AssertionError, match=r"add nearest_even raise: a = .* must be an error"):
        check_adder(add, FMT, roundings=["nearest_even"], overflows=["raise"])


def dot(a, b):
    values = (mf.decode(x, "e2m1").astype(np.float64) for x in (a, b))
    return mf.encode(np.multiply(*values).sum(axis=1), "e5m4")


def dot_exact(a, b):
    values = (mf.decode(x, "e2m1").astype(np.float64) for x in (a, b))
    return (np.multiply(*values).sum(axis=1) * 4).astype(np.int64)


def lanes_swapped(a, b):
    return a[:, [1, 0, *range(2, a.shape[1])]], b


def last_lane_lost(a, b):
    return np.where(np.arange(a.shape[1]) == a.shape[1] - 1, 0, a).astype(a.dtype), b


def test_dot_products():
    assert check_dot(dot, "e2m1", output="e5m4", **ONE) > 2000
    assert check_dot(dot_exact, "e2m1", output="exact") > 2000
    for change in (lanes_swapped, last_lane_lost):
        with pytest.raises(AssertionError, match=r"e2m1 dot nearest_even saturate: .* differ"):
            check_dot(lambda a, b, f=change: dot(*f(a, b)), "e2m1", output="e5m4", **ONE)
        with pytest.raises(AssertionError, match=r"e2m1 dot exact: .* differ"):
            check_dot(lambda a, b, f=change: dot_exact(*f(a, b)), "e2m1", lanes=3, output="exact")
    narrow = lambda a, b: (dot_exact(a, b) + 1024) % 2048 - 1024  # noqa: E731
    with pytest.raises(AssertionError, match=r"e2m1 dot exact: .* differ"):
        check_dot(narrow, "e2m1", output="exact")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, TypeError, r"multiply must take rounding to be checked in 9 modes, got plain\(a, b\)"),
        ({"roundings": "upward"}, TypeError, r"must take overflow to be checked in 5 policies"),
        ({"roundings": "stochastic"}, ValueError, "roundings must be modes without random bits"),
        ({"roundings": []}, ValueError, "roundings must hold at least one, got none"),
        ({"output": "e99"}, ValueError, "output must be a known format name"),
        ({"fmt": "e8m0", "output": "exact"}, ValueError, 'output must not be "exact" for e8m0'),
        ({"output": "e5m6", **ONE}, AssertionError, r"results must be uint16 of .* got uint8"),
        ({"output": "exact"}, AssertionError, r"results must be int64 of shape .* got uint8"),
        ({"function": lambda a: a}, TypeError, r"must be f\(a, b\) or f\(a, b, fmt\), with no"),
        ({"function": lambda a, b, fmt, x: a}, TypeError, "but rounding, overflow, got <lambda>"),
        ({"function": 3}, TypeError, "multiply must be a function, got 3"),
    ],
)  # fmt: skip
def test_errors(arguments, error, message):
    def plain(a, b):
        return a

    arguments = {"function": plain, "fmt": "e2m1", **arguments}
    with pytest.raises(error, match=message):
        check_multiplier(arguments.pop("function"), arguments.pop("fmt"), **arguments)


KERNEL = """
#include <math.h>
#include <stddef.h>
#include <stdint.h>
void encode(const float *x, uint8_t *codes, size_t n) {
    for (size_t i = 0; i < n; i++)
        codes[i] = (int8_t)fminf(fmaxf(rintf(x[i]), -7), 7) & 15;
}
void decode(const uint8_t *codes, float *y, size_t n) {
    for (size_t i = 0; i < n; i++)
        y[i] = (int8_t)(codes[i] << 4) >> 4;
}
void dot(const uint8_t *a, const uint8_t *b, int64_t *sums, size_t n) {
    for (size_t i = 0; i < n; i++) {
        sums[i] = 0;
        for (size_t k = 16 * i; k < 16 * i + 16; k++)
            sums[i] += ((int8_t)(a[k] << 4) >> 4) * ((int8_t)(b[k] << 4) >> 4);
    }
}
static int quarters(uint8_t code) { /* of E2M2 */
    int exponent = code >> 2 & 3, mantissa = code & 3;
    int size = exponent ? (4 + mantissa) << (exponent - 1) : mantissa;
    return code & 16 ? -size : size;
}
void dot_e2m2_int8(const uint8_t *a, const uint8_t *b, int64_t *sums, size_t n) {
    for (size_t i = 0; i < n; i++) {
        sums[i] = 0;
        for (size_t k = 8 * i; k < 8 * i + 8; k++)
            sums[i] += quarters(a[k]) * (int8_t)b[k];
    }
}
"""
needs_c = pytest.mark.skipif(
    os.name != "posix" or shutil.which("cc") is None, reason="needs a C compiler"
)


@pytest.fixture
def library(tmp_path):
    (tmp_path / "kernel.c").write_text(KERNEL)
    build = ["cc", "-O1", "-shared", "-fPIC", "kernel.c", "-o", "kernel.so", "-lm"]
    subprocess.run(build, cwd=tmp_path, check=True)
    return ctypes.CDLL(str(tmp_path / "kernel.so"))


@needs_c
def test_functions_of_a_library(library):
    assert check_encoder(library.encode, "int4", dtypes=["float32"], **ONE) == 574
    assert testing.check_decoder(library.decode, "int4", dtypes=["float32"]) == 15
    assert check_dot(library.dot, "int4", output="exact") > 2000
    library.dot.argtypes = [*[ctypes.POINTER(ctypes.c_uint8)] * 2, ctypes.c_void_p, ctypes.c_size_t]
    assert check_dot(library.dot, "int4", output="exact") > 2000
    with pytest.raises(AssertionError, match=r"int4 dot exact: .* results differ"):
        check_dot(library.dot, "int4", lanes=15, output="exact")
    with pytest.raises(AssertionError, match=r"int4 nearest_away .* codes differ"):
        check_encoder(
            library.encode, "int4", dtypes=["float32"], **{**ONE, "roundings": "nearest_away"}
        )
    with pytest.raises(TypeError, match=r"encode must take rounding to be .* got encode\(x\)"):
        check_encoder(library.encode, "int4", dtypes=["float32"])


@needs_c
def test_functions_of_a_library_take_two_formats(library):
    two = {"lanes": 8, "other": "int8", "output": "exact"}
    assert check_dot(library.dot_e2m2_int8, "e2m2", **two) > 2000
    for wrong in ({**two, "other": "uint8"}, {**two, "lanes": 4}):
        with pytest.raises(AssertionError, match=r"e2m2 dot exact: .* results differ"):
            check_dot(library.dot_e2m2_int8, "e2m2", **wrong)
    with pytest.raises(AssertionError, match=r"results differ"):
        check_dot(library.dot_e2m2_int8, "int8", **{**two, "other": "e2m2"})  # swapped


@needs_c
def test_the_example_in_c_prints_what_its_page_says(tmp_path):
    page = (EXAMPLES.parent / "test_bench.md").read_text(encoding="utf-8")
    done = subprocess.run(
        [sys.executable, EXAMPLES / "check_c_kernel.py"], check=True, capture_output=True, text=True
    )
    assert done.stdout in page
    folder = tmp_path / "wrong"
    shutil.copytree(EXAMPLES, folder)
    kernel = folder / "e4m3_kernel.c"
    kernel.write_text(kernel.read_text().replace("nearbyint", "round"))  # ties away
    wrong = subprocess.run(
        [sys.executable, folder / "check_c_kernel.py"], capture_output=True, text=True, check=False
    )
    assert "e4m3fn multiplier nearest_even saturate: " in wrong.stderr


@pytest.mark.skipif(
    not (importlib.util.find_spec("cocotb") and shutil.which("iverilog")),
    reason="needs cocotb and Icarus Verilog",
)
def test_the_example_with_cocotb(tmp_path):
    script = (EXAMPLES / "cocotb_multiplier.py").read_text()
    circuit = '    Path("multiplier.v").write_text(circuit.verilog)\n'
    assert circuit in script
    wrong = script.replace("circuit.verilog)", 'circuit.verilog.replace("a_bits[0]", "a_bits[1]"))')
    assert wrong != script
    for text, rc in ((script, 0), (wrong, 1)):
        (tmp_path / "cocotb_multiplier.py").write_text(text)
        command = [sys.executable, "cocotb_multiplier.py"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == rc, done.stdout + done.stderr


def test_two_formats_of_factors():
    def multiply(a, b):
        values = mf.decode(a, "e2m1") * mf.decode(b, "int8")
        return (values * 2).astype(np.int64)  # in halves

    def dot(a, b):
        return multiply(a, b).sum(axis=1)

    assert check_multiplier(multiply, "e2m1", other="int8", output="exact") == 16 * 255
    assert check_dot(dot, "e2m1", other="int8", lanes=3, output="exact") > 3000
    with pytest.raises(AssertionError, match=r"e2m1 multiplier exact: \d+ of 4080 results differ"):
        check_multiplier(lambda a, b: multiply(a ^ 1, b), "e2m1", other="int8", output="exact")
    with pytest.raises(AssertionError, match="e2m1 dot exact"):
        check_dot(lambda a, b: dot(a[:, ::-1], b), "e2m1", other="int8", lanes=3, output="exact")
