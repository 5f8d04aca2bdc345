"""`inspect` counts codes and scales, and tells what is odd."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.auditing import Contents, TensorContents, inspect
from minifloat.auditing.pictures import BARS, HEIGHT, WIDTH, picture
from minifloat.cli import main
from tests.auditing.planted import FP8, INT4, NAME, RECIPES, changed, recoded, weights, write_model
from tests.files.checkpoints.by_hand import stored, write


def only(q: Any) -> TensorContents:
    [tensor] = inspect({"w": q}).tensors
    return tensor


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_file(tmp_path: Path, recipe: str) -> None:
    w, norm = weights(), np.ones(8, np.float32)
    q = mf.quantize(w, recipe)
    contents = inspect(write_model(tmp_path, {NAME: q, "norm": norm}))
    tensor, plain = contents.tensors
    assert (tensor.name, tensor.shape, tensor.recipe) == (NAME, w.shape, recipe_text(recipe))
    assert contents.layouts == (tensor.layout,)
    assert tensor.layout.startswith("compressed-tensors")
    assert tensor.histogram == tuple(np.bincount(q.codes.reshape(-1), minlength=1 << q.fmt.bits))
    scales = q.scales.astype(np.float64) * (q.tensor_scale or 1)
    assert tensor.scale_min == pytest.approx(scales.min(), rel=1e-6)
    assert tensor.scale_max == pytest.approx(scales.max(), rel=1e-6)
    assert tensor.anomalies == ()
    least = 8 * tensor.nbytes / w.size
    assert tensor.bits_per_weight == pytest.approx(least)
    assert q.bits_per_weight <= least < q.bits_per_weight + 0.1
    assert (plain.dtype, plain.nbytes, plain.histogram) == ("F32", 32, ())
    assert contents.nbytes == tensor.nbytes + 32
    assert contents.parameters == w.size + 8


def recipe_text(recipe: str) -> str:
    return str(mf.Recipe.parse(recipe))


@pytest.mark.parametrize("recipe", ["mxfp4", "e4m3fn/16x32/float16", "nvint4", INT4, FP8])
def test_saturated_codes_are_counted_as_by_hand(recipe: str) -> None:
    w = weights((33, 70))
    q = mf.quantize(w, recipe)
    codes, blocks = q.codes, 0
    width = q.blocks.width
    top = [0, q.fmt.code_count - 1] if q.zero_points is not None else []
    largest = {code for code in range(q.fmt.code_count) if code in top}
    if not largest:
        largest = {
            code
            for code in range(q.fmt.code_count)
            if code != q.fmt.unused_code and abs(q.fmt.value(code)) == q.fmt.max_abs
        }
    for row in codes.tolist():
        for start in range(0, len(row), width):
            block = row[start : start + width]
            blocks += len(block) >= 8 and 2 * sum(code in largest for code in block) > len(block)
    tensor = only(q)
    count = sum(int((codes == code).sum()) for code in largest)
    assert tensor.saturated == pytest.approx(count / w.size)
    assert tensor.saturated_blocks == blocks


def test_what_is_odd_is_told() -> None:
    w = weights()
    q = mf.quantize(w, "mxfp4")
    full = q.codes
    full[5, 32:64] = [7, 15] * 8 + [6] * 16
    assert only(recoded(q, full)).anomalies == ()  # half of a block
    full[5, 48] = 7
    assert only(recoded(q, full)).anomalies == ("1 saturated blocks",)
    scales = q.scales.copy()
    scales[2, 1:3] = np.nan
    tensor = only(changed(q, scales=scales))
    assert (tensor.anomalies, tensor.nan_scales) == (("2 NaN scales",), 2)
    assert math.isfinite(tensor.scale_max)
    few = np.where(np.isin(q.codes, [3, 8]), 0, q.codes)
    assert only(recoded(q, few)).anomalies == ("codes never used: 3",)
    zeros = w.copy()
    zeros[:, :32] = 0
    tensor = only(mf.quantize(zeros, "nvfp4"))
    assert (tensor.anomalies, tensor.zero_scales) == (("128 zero scales",), 128)
    q8 = mf.quantize(w, FP8)
    nan = q8.codes
    nan[0, :3] = 0x7F
    assert only(recoded(q8, nan)).anomalies == ("3 NaN codes",)
    infinite = mf.quantize(w, "e5m2/32/float16")
    codes = infinite.codes
    codes[0, 0] = 0x7C
    assert only(recoded(infinite, codes)).anomalies == ("1 infinite codes",)
    assert only(np.array([1, np.nan, np.inf])).anomalies == ("2 not finite",)
    assert only(mf.quantize(w, "int4full/32/float16")).anomalies == ()  # -8 is not used


def test_other_kinds_of_weights(tmp_path: Path) -> None:
    assert only(mf.quantize(np.zeros((0, 32), np.float32), "mxfp4")).histogram == ()
    assert only(mf.quantize(1.5, "e2m1/tensor/float32")).shape == ()
    assert only(mf.quantize(weights(), "e5m10/32/float32")).histogram == ()
    assert only(np.arange(3)).dtype == "int64"
    folder = write(tmp_path, {"a.weight_scale": stored(np.ones((4, 2), np.uint8))})
    contents = inspect(folder)
    assert contents.tensors == ()
    assert contents.bits_per_weight == 0
    [(name, reason)] = contents.skipped
    assert name == "a.weight_scale"
    assert "missing" in reason
    assert "Skipped 1 tensors:\n  a.weight_scale: part of" in repr(contents)
    with pytest.raises(TypeError, match="source must be a path"):
        inspect(3)  # type: ignore[arg-type]  # what a user may pass


def test_progress_is_told() -> None:
    calls: list[tuple[int, int]] = []
    inspect({"a": np.ones(2), "b": np.ones(2)}, progress=lambda *call: calls.append(call))
    assert calls == [(1, 2), (2, 2)]


def test_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = write_model(tmp_path, {NAME: mf.quantize(weights(), "nvfp4")})
    assert main(["inspect", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "compressed-tensors nvfp4-pack-quantized" in out
    assert "e2m1: codes by value, 8192 in all" in out
    assert main(["inspect", str(folder), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["tensors"][0]["recipe"] == "e2m1/16/e4m3fn/tensor-scale"
    assert sum(content["tensors"][0]["histogram"]) == 8192
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"\x10" + bytes(40))
    assert main(["inspect", str(bad)]) == 2
    assert capsys.readouterr().err.startswith("minifloat: error: ")


def test_a_terminal_without_bars(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = write_model(tmp_path, {NAME: mf.quantize(weights(), "nvfp4")})
    monkeypatch.setattr("minifloat.cli.audit.can_print", str.isascii)
    assert main(["inspect", str(folder)]) == 0
    out = capsys.readouterr().out
    assert out.isascii()
    assert "####" in out


@pytest.mark.parametrize("name", ["int2", "e2m1", "nf4", "e4m3fn", "uint8", "int5"])
def test_a_picture_has_a_mark_for_each_code_that_is_used(name: str) -> None:
    fmt = mf.parse(name)
    counts = np.zeros(fmt.code_count, np.int64)
    used = [code for code in range(fmt.code_count) if math.isfinite(fmt.values()[code])]
    counts[used[0]], counts[used[-1]] = 10**9, 1
    title, *lines, ends = picture(fmt, counts).split("\n")
    assert title.endswith("1000000001 in all")
    assert len(lines) == HEIGHT
    assert max(map(len, lines)) <= WIDTH
    assert set("".join(lines)) <= set(BARS)
    assert {BARS[1], BARS[-1]} <= set(lines[-1])
    values = [fmt.values()[code] for code in used]
    assert ends == f"{min(values):g} .. {max(values):g}"


def test_the_total_is_over_all_tensors() -> None:
    contents = inspect({"a": mf.quantize(np.ones((2, 32)), "mxfp4"), "b": np.ones(64, np.float16)})
    assert isinstance(contents, Contents)
    assert contents.bits_per_weight == (4.25 + 16) / 2


def test_the_head_says_what_is_there() -> None:
    w = np.ones((4, 32), np.float32)
    assert str(inspect({"w": w})).startswith("source in memory\nplain numbers\n")
    held = inspect({"w": mf.quantize(w, "mxfp4")})
    assert str(held).startswith("source in memory\nquantized\n")
