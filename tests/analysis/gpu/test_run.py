"""The GPU programs compile everywhere; where there is a GPU their results are the CPU's."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import minifloat as mf
from analysis.gpu.cuda_toolkit import REMEDY, compile_program, find_toolkit
from analysis.gpu.device_function import DeviceFunction
from analysis.gpu.run import Gemv, convert_on_gpu, find_gpu, gemv_on_gpu, time_gemv
from minifloat import registers
from minifloat.packing.layouts import FPE2M2_KERNEL
from tests.analysis.gpu.device_functions import ARCHITECTURES, e2m2, one_word, pair_table
from tests.registers.programs import every_input

needs_toolkit = pytest.mark.skipif(find_toolkit() is None, reason=f"no CUDA toolkit; {REMEDY}")
gpu = find_gpu()
needs_gpu = pytest.mark.skipif(
    gpu is None or gpu.cuda < (13, 0), reason="no GPU with a driver for CUDA 13"
)


@cache
def e2m2_words(groups: int) -> np.ndarray:
    """Return words of random codes after one group each of 32 times the same code, all 32."""
    words = np.random.default_rng(17).integers(0, 2**32, (groups, 5), np.uint32)
    for code in range(32):
        words[code, :4] = 0x11111111 * (code & 15)
        words[code, 4] = 0xFFFFFFFF * (code >> 4)
    return words


def e2m2_values(words: np.ndarray) -> np.ndarray:
    """Return the float16 values of fpe2m2 codes in the kernel's layout, bit by bit."""
    codes = np.zeros((len(words), FPE2M2_KERNEL.count), np.uint8)
    for code, row in enumerate(FPE2M2_KERNEL.places):
        for bit, place in enumerate(row):
            codes[:, code] |= (words[:, place // 32] >> (place % 32) & 1).astype(np.uint8) << bit
    return mf.decode(codes, "fpe2m2", dtype=np.float16)


def test_the_reference_knows_the_layout() -> None:
    values = e2m2_values(e2m2_words(32))
    assert np.array_equal(values, np.repeat(mf.parse("fpe2m2").values()[:, None], 32, axis=1))
    low_magnitude, first_sign = np.uint32([[0x3, 0, 0, 0, 0], [0, 0, 0, 0, 0x8000]])
    assert e2m2_values(low_magnitude[None])[0, 0] == 1.5
    assert np.signbit(e2m2_values(first_sign[None])[0]).tolist() == [True] + [False] * 31


@needs_toolkit
@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("program", ["convert.cu", "gemv.cu"])
@pytest.mark.parametrize("function", [e2m2(multiply=True), pair_table()], ids=["e2m2", "table"])
def test_programs_compile(function: DeviceFunction, program: str, arch: str) -> None:
    assert compile_program(function.source("host.cu", program), arch).startswith(b"\x7fELF")


@needs_toolkit
@needs_gpu
def test_conversion_is_the_cpus_bit_for_bit() -> None:
    words = e2m2_words(1 << 20)
    pairs = convert_on_gpu(e2m2(multiply=True), words)
    assert np.array_equal(pairs.view(np.uint16), e2m2_values(words).view(np.uint16))


@needs_toolkit
@needs_gpu
@pytest.mark.parametrize(
    "program",
    [
        registers.to_half("e2m2", "1+4"),
        registers.to_half("e2m2", "dense"),
        registers.to_half("e2m2", "1+4", target="bfloat16"),
        registers.to_half("e3m2", "2+4"),
        registers.to_half("e4m3", "8"),
        registers.to_half("int5", "1+4"),
        registers.to_half("int5", "dense"),
        registers.to_half("e5m2fnuz", "8"),
        registers.look_up("nf4", "4"),
        registers.look_up("nf5", "dense"),
    ],
    ids=lambda program: f"{program.name}-{program.layout.name}",
)
def test_register_programs_run_on_the_gpu_as_on_the_cpu(program: registers.Program) -> None:
    words = every_input(program)
    table = np.array(program.table, np.uint32)
    pairs = convert_on_gpu(DeviceFunction.of(program), words, table)
    assert np.array_equal(pairs, registers.run(program, words))


@needs_toolkit
@needs_gpu
def test_scaled_conversion_is_a_power_of_two_smaller() -> None:
    words = e2m2_words(1 << 12)
    pairs = convert_on_gpu(e2m2(multiply=False), words)
    assert np.array_equal(pairs.view(np.float16), e2m2_values(words) * np.float16(2**-15))


@needs_toolkit
@needs_gpu
def test_table_conversion_is_the_cpus() -> None:
    words = np.random.default_rng(3).integers(0, 2**32, (1000, 1), np.uint32)
    table = np.random.default_rng(4).integers(0, 2**32, 256, np.uint32)
    assert np.array_equal(convert_on_gpu(pair_table(), words, table), table[words.view(np.uint8)])


def assert_product(gemv: Gemv, weights: np.ndarray, x: np.ndarray) -> None:
    """An element goes through fewer than 64 float32 roundings: 32 products, a scale, two sums."""
    weights, x = np.float64(weights), np.float64(x)
    error_bound = 64 * 2.0**-24 * (np.abs(weights) @ np.abs(x))
    for y in (gemv.y, gemv.y_float16):
        assert np.all(np.abs(y - weights @ x) <= error_bound)


@needs_toolkit
@needs_gpu
@pytest.mark.parametrize("columns", [1024, 4096])
def test_product_is_the_cpus(columns: int) -> None:
    rows = 36
    random = np.random.default_rng(5)
    words = e2m2_words(rows * columns // 32)
    scales = random.uniform(0.5, 2, (rows, columns // 128)).astype(np.float16)
    x = random.standard_normal(columns).astype(np.float16)
    weights = e2m2_values(words).reshape(rows, columns) * np.repeat(np.float64(scales), 128, axis=1)
    gemv = gemv_on_gpu(e2m2(multiply=True), words.reshape(rows, -1, 5), scales, x)
    assert_product(gemv, weights, x)


@needs_toolkit
@needs_gpu
def test_product_with_groups_of_eight_codes() -> None:
    rows, columns = 8, 2048
    random = np.random.default_rng(6)
    words = random.integers(0, 2**32, (rows, columns // 8, 1), np.uint32)
    table = random.standard_normal((256, 2)).astype(np.float16)
    weights = np.float64(table)[words.view(np.uint8)].reshape(rows, columns)
    x = random.standard_normal(columns).astype(np.float16)
    scales = np.ones((rows, columns // 128), np.float16)
    gemv = gemv_on_gpu(pair_table(), words, scales, x, table.view(np.uint32).ravel())
    assert_product(gemv, weights, x)


@needs_toolkit
@needs_gpu
def test_times() -> None:
    gemv = time_gemv(e2m2(multiply=True), rows=8, columns=2048)
    assert gemv.y.shape == gemv.y_float16.shape == (8,)
    assert gemv.microseconds.keys() == {"gemv", "gemv_float16", "copy", "copy_float16"}
    assert min(gemv.microseconds.values()) > 0


def test_shapes_are_checked() -> None:
    function = one_word("out[0] = w[0];")
    words, scales, x = (
        np.zeros((4, 512, 1), np.uint32),
        np.zeros((4, 8), np.float16),
        np.zeros(1024, np.float16),
    )
    with pytest.raises(ValueError, match=r"words must have shape \(groups, 1\), got \(4, 2\)"):
        convert_on_gpu(function, np.zeros((4, 2), np.uint32))
    with pytest.raises(ValueError, match=r"rows must be a multiple of 4, .* got 3 and 1024"):
        gemv_on_gpu(function, words[:3], scales[:3], x)
    with pytest.raises(ValueError, match=r"words must have shape \(4, 512, 1\), got \(4, 511, 1\)"):
        gemv_on_gpu(function, words[:, 1:], scales, x)
    with pytest.raises(ValueError, match=r"scales must have shape \(4, 8\), got \(4, 7\)"):
        gemv_on_gpu(function, words, scales[:, 1:], x)


@pytest.mark.skipif(gpu is not None, reason="there is a GPU")
def test_a_missing_gpu_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="a GPU with NVIDIA's driver must be present, got none"):
        convert_on_gpu(one_word("out[0] = w[0];"), np.zeros((1, 1), np.uint32))
