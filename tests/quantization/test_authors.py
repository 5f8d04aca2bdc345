"""The arithmetic of FPE2M2's authors: on fractions, and by PyTorch itself."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import minifloat as mf
from minifloat.files.checkpoints import fpe2m2, open_checkpoint
from tests.files.checkpoints.by_hand import write

PRECISION = {"bfloat16": 8, "float16": 11, "float32": 24}
MAGNITUDES = [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 10, 12, 14]
FPE2M2 = "e2m2b0/channel/bfloat16/authors"


def rounded(x: Fraction, bits: int) -> Fraction:
    """Round to so many significant bits, a tie to even; exponents have no end."""
    if x == 0:
        return x
    exponent = 0
    while abs(x) * Fraction(2) ** -exponent >= 2:
        exponent += 1
    while abs(x) * Fraction(2) ** -exponent < 1:
        exponent -= 1
    step = Fraction(2) ** (exponent - bits + 1)
    return round(x / step) * step  # Python's round is to even


def code_of(x: Fraction) -> int:
    """Return the nearest code, of two the even one; with the sign of x."""
    distances = [(abs(abs(x) - Fraction(m)), k % 2, k) for k, m in enumerate(MAGNITUDES)]
    return min(distances)[2] + (16 if x < 0 else 0)


def by_fractions(row: list[Fraction], bits: int) -> tuple[list[int], Fraction]:
    scale = rounded(max(map(abs, row)) / 14, bits) or rounded(Fraction(1, 14), bits)
    return [code_of(rounded(w / scale, bits)) for w in row], rounded(scale, 8)


def weights(dtype: str, rows: int = 12, columns: int = 64) -> Any:
    """Return normal weights, of which many a quotient is near to a decision point."""
    random = np.random.default_rng(5)
    w = random.standard_normal((rows, columns)).astype(np.float32)
    points = (np.array(MAGNITUDES[1:]) + MAGNITUDES[:-1]) / 2
    w[::2] = random.choice(points, (rows // 2, columns)) * random.uniform(0.01, 2, (rows // 2, 1))
    w[::2, 0] = 14 * np.abs(w[::2]).max(axis=1) / 13
    w[-1] = 0
    return w.astype(np.dtype(getattr(ml_dtypes, dtype, dtype)))


@pytest.mark.parametrize("dtype", PRECISION)
def test_codes_and_scales_are_those_of_fractions(dtype: str) -> None:
    w = weights(dtype)
    q = mf.quantize(w, FPE2M2)
    for row, codes, scale in zip(w.astype(np.float64), q.codes, q.scales, strict=True):
        expected, held = by_fractions([Fraction(x) for x in row.tolist()], PRECISION[dtype])
        assert codes.tolist() == expected
        assert Fraction(float(scale.item())) == held


def test_the_two_arithmetics_differ_where_the_second_rounding_or_the_scale_does() -> None:
    """The authors' differs from one rounding in about 1 % of bfloat16 weights."""
    w = np.random.default_rng(1).standard_normal((64, 512)).astype(np.float32)
    for given, least, most in ((w.astype(ml_dtypes.bfloat16), 0.005, 0.02), (w, 0.002, 0.01)):
        exact, theirs = (mf.quantize(given, text) for text in ("fpe2m2", FPE2M2))
        np.testing.assert_array_equal(exact.scales, theirs.scales)
        assert least < np.mean(exact.codes != theirs.codes) < most


@pytest.mark.parametrize("block", [16, "channel", "tensor", (4, 8)])
@pytest.mark.parametrize("axis", [-1, 0])
def test_blocks_of_all_kinds(block: Any, axis: int) -> None:
    if isinstance(block, tuple) and axis == 0:
        return
    w = np.random.default_rng(3).standard_normal((24, 40)).astype(ml_dtypes.bfloat16)
    q = mf.quantize(w, "e2m2b0", block=block, scale="bfloat16", arithmetic="authors", axis=axis)
    exact = mf.quantize(w, "e2m2b0", block=block, scale="bfloat16", axis=axis)
    np.testing.assert_array_equal(q.scales, exact.scales)  # bfloat16 in both
    spread = exact.dequantize() / np.where(
        exact.dequantize() == 0, 1, mf.decode(exact.codes, "e2m2b0")
    )
    scales = np.where(spread == 0, 1, spread)
    quotients = mf.round_to(w.astype(np.float32) / scales, "bfloat16")
    known = exact.dequantize() != 0
    np.testing.assert_array_equal(q.codes[known], mf.encode(quotients, "e2m2b0")[known])


def test_gptq_has_the_unrounded_scale_in_its_loop() -> None:
    """With inputs that do not touch, GPTQ rounds to nearest, by the float32 scale."""
    w = np.random.default_rng(4).standard_normal((8, 64)).astype(ml_dtypes.bfloat16)
    q = mf.gptq(w, FPE2M2, np.eye(64))
    single = mf.quantize(w, "fpe2m2", scale="float32")
    np.testing.assert_array_equal(q.codes, single.codes)
    np.testing.assert_array_equal(q.scales, mf.round_to(single.scales, "bfloat16"))
    assert (q.codes != mf.quantize(w, "fpe2m2").codes).any()
    assert str(q.recipe) == FPE2M2


def test_a_row_of_zeros_has_a_scale() -> None:
    q = mf.quantize(np.zeros((2, 32), np.float32), FPE2M2)
    assert q.scales.tolist() == [[float(ml_dtypes.bfloat16(1 / 14))]] * 2
    assert not q.dequantize().any()


def test_other_inputs() -> None:
    integers = np.arange(-32, 32).reshape(2, 32)
    for given in (integers, integers.astype(np.float64)):
        q = mf.quantize(given, FPE2M2)
        single = mf.quantize(given.astype(np.float32), FPE2M2)
        np.testing.assert_array_equal(q.codes, single.codes)
    assert mf.quantize(np.zeros((0, 32), np.float32), FPE2M2).shape == (0, 32)
    assert mf.quantize(np.float32(3), "e2m2b0/tensor/bfloat16/authors").codes == 15
    with pytest.raises(ValueError, match="w must be finite, got nan at index"):
        mf.quantize([1.0, np.nan], FPE2M2)
    with pytest.raises(ValueError, match="w must be finite, got inf at index"):
        mf.quantize([1e300], FPE2M2)  # they compute in float32
    with pytest.raises(ValueError, match=r"scale must hold every block's scale, got 7\.14286e"):
        mf.quantize([1e9], "e2m2b0/channel/float16/authors")


ERRORS = {
    "e2m2b0/channel/e8m0/authors": "with e8m0:floor; leave one of them out",
    "e2m2b0/channel/bfloat16:up/authors": "with bfloat16:up; leave one of them out",
    "e2m2b0/channel/bfloat16/authors+tensor-scale": "with tensor_scale",
    "uint4/channel/bfloat16/authors+zero-point": "with zero_point",
    "e2m2b0/channel/bfloat16/authors+exact": "each kind once",
}


@pytest.mark.parametrize("text", ERRORS)
def test_what_the_authors_have_not_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=ERRORS[text]):
        mf.Recipe.parse(text)


def test_values_of_the_option() -> None:
    assert mf.RECIPES["fpe2m2"].replace(arithmetic="authors") == mf.Recipe.parse(FPE2M2)
    for wrong in ("other", 3, None):
        with pytest.raises(ValueError, match="arithmetic must be exact or authors, got"):
            mf.Recipe("e2m2", arithmetic=wrong)  # type: ignore[arg-type]


def packed_as_the_authors_pack(values: Any, scales: Any) -> dict[str, Any]:
    """Return what their file holds, word by word, of values on the grid, (out, in)."""
    outputs, inputs = values.shape
    qweight = np.zeros((inputs // 8, outputs), np.uint32)
    sign_map = np.zeros((inputs // 32, outputs), np.uint32)
    for j in range(inputs):
        for i in range(outputs):
            magnitude = MAGNITUDES.index(abs(float(values[i, j])))
            qweight[j // 8, i] |= np.uint32(magnitude << 4 * (j % 8))
            sign_map[j // 32, i] |= np.uint32((not values[i, j] > 0) << j % 32)
    return {"l.qweight": qweight, "l.sign_map": sign_map, "l.scales": scales.reshape(1, outputs)}


@pytest.mark.parametrize("dtype", PRECISION)
def test_files_are_those_of_pytorch_bit_for_bit(dtype: str, tmp_path: Path) -> None:
    """PyTorch divides and rounds, in the weights' dtype, as the authors' code asks it to."""
    torch = pytest.importorskip("torch")
    w = torch.randn(96, 256, generator=torch.Generator().manual_seed(7)).to(getattr(torch, dtype))
    w[3, ::3] = 0
    scale = w.abs().amax(dim=-1, keepdim=True) / 14
    quotient = (w / scale).clamp(-14, 14)
    exponent = torch.log2(quotient.abs()).floor().clamp(1)
    values = torch.round(quotient / 2 ** (exponent - 2)) * 2 ** (exponent - 2)
    words = scale.to(torch.bfloat16).view(torch.uint16).numpy()
    theirs = packed_as_the_authors_pack(values.float().numpy(), words)
    ours = fpe2m2.tensors("l.weight", mf.quantize(w, FPE2M2))
    for stored in ours:
        assert stored.read().tobytes() == theirs[stored.name].tobytes(), stored.name
    parts = {each.name: (each.dtype, list(each.shape), each.read().tobytes()) for each in ours}
    held = open_checkpoint(write(tmp_path, parts))["l.weight"]
    expected = values.float() * scale.to(torch.bfloat16).float()
    np.testing.assert_array_equal(held.dequantize(), expected.numpy())


def test_written_weights_come_back(tmp_path: Path) -> None:
    w = weights("float32")
    q = mf.quantize(w, "fpe2m2")
    stored = fpe2m2.tensors("l.weight", q)
    parts = {each.name: (each.dtype, list(each.shape), each.read().tobytes()) for each in stored}
    held = open_checkpoint(write(tmp_path, parts))["l.weight"]
    assert held.recipe == q.recipe
    np.testing.assert_array_equal(held.scales, q.scales)
    np.testing.assert_array_equal(held.codes, np.where(q.codes == 0, 16, q.codes))


def test_what_a_checkpoint_of_theirs_does_not_hold_is_refused() -> None:
    w = np.ones((4, 32), np.float32)
    for q in (
        mf.quantize(w, "e2m2b0/16/bfloat16"),
        mf.quantize(w, "e2m2/channel/bfloat16"),
        mf.quantize(w, "fpe2m2", axis=0),
        mf.quantize(w[:, :31], "fpe2m2"),
        mf.quantize(w[0], "fpe2m2"),
    ):
        with pytest.raises(ValueError, match="q must be a matrix in the recipe fpe2m2"):
            fpe2m2.tensors("l.weight", q)
