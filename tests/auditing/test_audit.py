"""`audit` names each planted mistake, and passes what other methods give."""

from __future__ import annotations

import json
import math
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import minifloat as mf
from minifloat.auditing import Verdict, audit, inspect, verdicts
from minifloat.cli import main
from tests.auditing import planted
from tests.auditing.planted import FP8, INT4, NAME, OTHER, RECIPES, Plant, weights, write_model
from tests.files.checkpoints.by_hand import stored, write
from tests.files.test_gguf import write as write_gguf

SQUARE = (128, 128)
CASES = [
    pytest.param(name, plant, recipe, id=f"{name} {recipe}")
    for name, plant, recipes in planted.PLANTED
    for recipe in recipes
]


def codes_of(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, str]:
    code = main(["audit", *map(str, argv)])
    out, err = capsys.readouterr()
    return code, err if code == 2 else out


@pytest.mark.parametrize("recipe", RECIPES)
def test_what_the_rule_gives_passes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, recipe: str
) -> None:
    w, norm = weights(), np.ones(8, np.float32)
    held = write_model(tmp_path / "held", {NAME: mf.quantize(w, recipe), "norm": norm})
    original = write_model(tmp_path / "original", {NAME: w, "norm": norm})
    code, out = codes_of(capsys, held, original, "--json")
    content = json.loads(out)
    assert (code, content["wrong"]) == (0, 0)
    [tensor, plain] = content["tensors"]
    assert tensor["text"] == "as the rule gives"
    assert tensor["equal_codes"] == tensor["equal_scales"] == 1
    assert tensor["sqnr_db"] == pytest.approx(mf.quantize(w, recipe).sqnr(w), abs=1e-3)
    assert plain["text"] == "equal"
    if recipe in ("nvfp4", "mxfp4"):
        best = mf.quantize(w, recipe, search="mse").sqnr(w)
        assert tensor["best_sqnr_db"] == pytest.approx(best)
        assert tensor["best_sqnr_db"] > tensor["rule_sqnr_db"]


@pytest.mark.parametrize(("name", "plant", "recipe"), CASES)
@pytest.mark.parametrize("shape", [SQUARE, (64, 128), (2, 128, 64)])
def test_a_planted_mistake_is_named(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    name: str,
    plant: Plant,
    recipe: str,
    shape: tuple[int, ...],
) -> None:
    if "axis" in name and (len(shape) > 2 or (recipe == FP8 and shape != SQUARE)):
        pytest.skip("the scales of the other axis have another shape")
    w = weights(shape)
    q = plant(mf.quantize(w, recipe))
    held = write_model(tmp_path / "held", {NAME: q, OTHER: mf.quantize(w, recipe)})
    original = write_model(tmp_path / "original", {NAME: w, OTHER: w})
    code, out = codes_of(capsys, held, original, "--json")
    wrong, right = json.loads(out)["tensors"]
    assert wrong["text"] == f"wrong: {name}"
    assert right["text"] == "as the rule gives"
    assert code == 1


@pytest.mark.parametrize("recipe", RECIPES)
def test_weights_of_another_layer_are_named(tmp_path: Path, recipe: str) -> None:
    one, two = weights(seed=1), weights(seed=2)
    q = mf.quantize(two, recipe)
    held = write_model(tmp_path / "held", {NAME: q, OTHER: q})
    result = audit(held, {NAME: one, OTHER: two, "third": weights(seed=3)})
    assert [tensor.text for tensor in result.tensors] == [
        f"wrong: weights of {OTHER}",
        "as the rule gives",
        "missing: quantized lacks it",
    ]


@pytest.mark.parametrize("recipe", RECIPES)
def test_transposed_weights_are_named(recipe: str) -> None:
    for shape, text in (
        (SQUARE, "wrong: weights transposed"),
        ((64, 128), "wrong: shape (128, 64), the original has (64, 128); weights transposed"),
    ):
        w = weights(shape)
        [tensor] = audit({"w": mf.quantize(np.ascontiguousarray(w.T), recipe)}, {"w": w}).tensors
        assert tensor.text == text


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_factor_and_what_is_unlike(recipe: str) -> None:
    w = weights()
    [tensor] = audit({"w": mf.quantize(w * np.float32(4), recipe)}, {"w": w}).tensors
    words, _, factor = tensor.text.rpartition(" ")
    assert words == "wrong: all weights times"
    assert float(factor) == pytest.approx(4, rel=0.03)
    [tensor] = audit({"w": mf.quantize(weights(seed=5), recipe)}, {"w": w}).tensors
    assert tensor.text == "wrong: unlike the original"


def test_orders_of_other_layouts_are_named() -> None:
    w = weights()
    q = mf.quantize(w, INT4)
    codes = q.codes
    eights = codes.reshape(8, 8, 128)
    words = eights[:, [0, 4, 1, 5, 2, 6, 3, 7]].reshape(codes.shape)
    inverse = eights[:, [0, 2, 4, 6, 1, 3, 5, 7]].reshape(codes.shape)
    backwards = eights[:, ::-1].reshape(codes.shape)
    halves = codes.reshape(64, 4, 2, 16).swapaxes(-1, -2).reshape(codes.shape)
    for name, order in (
        ("nibbles in AWQ's order", words),
        ("nibbles in AWQ's order", inverse),
        ("nibbles of a word in reverse order", backwards),
        ("nibbles in GGUF's order", halves),
    ):
        [tensor] = audit({"w": planted.recoded(q, order)}, {"w": w}).tensors
        assert tensor.text == f"wrong: {name}"


def hessian(size: int, samples: int = 512) -> planted.Array:
    """Return X^T X of inputs that are strongly correlated."""
    rng = np.random.default_rng(4)
    mix = rng.standard_normal((size // 4, size)) * np.exp(rng.standard_normal(size))
    x = rng.standard_normal((samples, size // 4)) @ mix + 0.3 * rng.standard_normal((samples, size))
    return np.asarray(x.T @ x)


@pytest.mark.parametrize(
    "recipe",
    [
        *("nvfp4", "mxfp4", INT4, "uint3/32/float16/zero-point", "int4full/64/float16"),
        *("uint2/32/float16/zero-point", "int2"),
    ],
)
def test_gptq_is_another_method(recipe: str) -> None:
    w = weights()
    q = mf.gptq(w, recipe, hessian(128))
    [tensor] = audit({"w": q}, {"w": w}).tensors
    assert tensor.verdict is Verdict.METHOD, tensor
    assert tensor.equal_codes < 0.9


@pytest.mark.parametrize("recipe", ["nvfp4", "mxfp4", INT4, FP8])
def test_a_mistake_in_what_gptq_gives_is_named(recipe: str) -> None:
    w = weights(SQUARE)
    q = mf.gptq(w, recipe, hessian(128))
    for name, plant, recipes in planted.PLANTED:
        if recipe in recipes and plant is not planted.shift_scales:
            if plant is planted.transpose_scales:
                continue  # it quantizes again
            [tensor] = audit({"w": plant(q)}, {"w": w}).tensors
            assert tensor.text == f"wrong: {name}"


@pytest.mark.parametrize("act_order", [False, True])
@pytest.mark.parametrize("version", ["gptq", "gptq_v2"])
def test_a_gptq_file_of_another_version(tmp_path: Path, version: str, act_order: bool) -> None:
    """Version 1 stores zero points less 1; what reads it as version 2 is off by one."""
    w = weights()
    order = np.random.default_rng(7).permutation(128) if act_order else None
    turned = w if order is None else w[:, order]
    q = mf.gptq(turned, "uint4/32/float16/zero-point", np.eye(128))
    assert q.zero_points is not None
    assert q.zero_points.min() > 0
    path = planted.write_gptq(tmp_path / "held", q, version, order)
    [tensor] = audit(path, {"l.weight": w}).tensors
    if version == "gptq":
        assert tensor.text == ("another method" if act_order else "as the rule gives")
    elif act_order:
        assert tensor.text == f"wrong: {verdicts.OFFSETS}"
    else:
        assert tensor.text == "wrong: zero point off by one"
    assert math.isnan(tensor.equal_codes) == act_order


@pytest.mark.parametrize("name", mf.RECIPES)
def test_every_published_recipe_passes(name: str) -> None:
    w = weights(SQUARE)
    [tensor] = audit({"w": mf.quantize(w, name)}, {"w": w}, best=True).tensors
    assert tensor.text == "as the rule gives"
    if not (mf.RECIPES[name].double or mf.RECIPES[name].one_scale):  # these have no search "mse"
        assert tensor.best_sqnr_db >= tensor.rule_sqnr_db - 1e-9


def test_weights_that_no_recipe_expresses(tmp_path: Path) -> None:
    """Of GGUF's Q4_0, whose scales have both signs."""
    gguf = pytest.importorskip("gguf")
    w = weights()
    kind = gguf.GGMLQuantizationType.Q4_0
    write_gguf(tmp_path / "m.gguf", {"w": (gguf.quants.quantize(w, kind), kind)})
    for original, text in ((w, "another method"), (-w, "wrong: sign flipped")):
        [tensor] = audit(tmp_path / "m.gguf", {"w": original}).tensors
        assert tensor.text == text
        assert tensor.recipe == ""


@pytest.mark.parametrize("recipe", RECIPES)
def test_searches_and_rounded_scales_are_another_method(tmp_path: Path, recipe: str) -> None:
    w = weights()
    folder = write_model(tmp_path, {"w.weight": mf.quantize(w, recipe, search="mse")})
    [tensor] = audit(folder, {"w.weight": w}).tensors
    assert tensor.text == "another method"
    rounded = w.astype(np.float16).astype(np.float32)
    [tensor] = audit({"w": mf.quantize(rounded, recipe)}, {"w": w}).tensors
    assert tensor.text in ("another method", "as the rule gives")


def test_a_scale_computed_in_bfloat16_is_another_method() -> None:
    """As torch does where weights are bfloat16: absmax / 7 in bfloat16, and codes by it."""
    w = weights()
    rounded = mf.round_to(w, "bfloat16").reshape(64, 4, 32)
    scales = mf.round_to(np.abs(rounded).max(-1, keepdims=True) / np.float32(7.5), "bfloat16")
    codes = np.clip(np.rint(mf.round_to(rounded / scales, "bfloat16")), -8, 7).astype(np.int8)
    recipe = mf.Recipe(mf.Integer(4, symmetric=False), block=32, scale="bfloat16")
    packed = mf.pack(codes.view(np.uint8).reshape(-1) & np.uint8(15), 4)
    q = mf.Quantized(packed, scales[..., 0], recipe, w.shape, 1)
    [tensor] = audit({"w": q}, {"w": w}).tensors
    assert tensor.text == "another method"


@pytest.mark.parametrize("rows", [False, True])
def test_scaled_inputs_are_another_method(rows: bool) -> None:
    """AWQ multiplies a layer's inputs by their importance, and the outputs of the one before."""
    w, rng = weights(), np.random.default_rng(6)
    factors = np.exp(0.7 * rng.standard_normal(128))
    if rows:
        factors = factors * np.exp(-0.7 * rng.standard_normal((64, 1)))
    q = mf.quantize(w * factors, INT4)
    norm = np.ones(128)
    [tensor, changed] = audit({"w": q, "norm": norm / 3}, {"w": w, "norm": norm}).tensors
    words = "inputs and outputs" if rows else "inputs"
    assert tensor.text.startswith(f"another method: {words} scaled, by 0."), tensor
    assert changed.text == "changed"


@pytest.mark.parametrize("step", [1, 15])
def test_a_zero_point_that_went_round_is_off_by_one(step: int) -> None:
    """One less than 0 is 15 in 4 bits; a few such blocks are most of the error."""
    w = weights((64, 128))
    w[3] = abs(w[3]) * (1 if step == 15 else -1)
    q = mf.quantize(w, INT4)
    assert q.zero_points is not None
    assert (q.zero_points[3] == (0 if step == 15 else 15)).all()
    wrong = planted.changed(q, zero_points=(q.zero_points + np.uint8(step)) % np.uint8(16))
    assert audit({NAME: wrong}, {NAME: w}).tensors[0].text == "wrong: zero point off by one"


def test_both_signs_of_zero_are_alike() -> None:
    w = weights()
    q = mf.quantize(w, "mxfp4")
    assert (q.codes == 8).any()
    [tensor] = audit(
        {"w": planted.recoded(q, np.where(q.codes == 8, 0, q.codes))}, {"w": w}
    ).tensors
    assert tensor.text == "as the rule gives"


def test_names_shapes_and_what_cannot_be_read(tmp_path: Path) -> None:
    w = weights()
    q = mf.quantize(w, "mxfp4")
    held = {"a": q, "b": q, "d": w, "e": -w, "f": w[0], "i": np.full_like(w, np.nan)}
    wanted = {"b": w[:32], "c": w, "d": np.full_like(w, np.inf), "e": w, "f": w[0] / 2, "i": w}
    result = audit(held, wanted)
    assert {tensor.name: tensor.text for tensor in result.tensors} == {
        "a": "missing: original lacks it",
        "b": "wrong: shape (64, 128), the original has (32, 128)",
        "c": "missing: quantized lacks it",
        "d": "unread: original is not finite",
        "e": "wrong: unlike the original",
        "f": "changed",
        "i": "wrong: not finite",
    }
    assert [
        tensor.name for tensor in audit(held, wanted, include="[f-i]", exclude="i").tensors
    ] == ["f"]
    with pytest.raises(ValueError, match="include must match"):
        audit(held, wanted, include="none*")
    with pytest.raises(ValueError, match="original must have tensors of the names"):
        audit({"a": q}, {"b": w})
    with pytest.raises(TypeError, match="original must be a path"):
        audit({"a": q}, 3)  # type: ignore[arg-type]  # what a user may pass


def test_parts_that_are_missing_are_unread(tmp_path: Path) -> None:
    w = weights()
    scale = stored(np.ones((64, 2), np.uint8))
    folder = write(tmp_path, {f"{NAME}_scale": scale, "norm": stored(w[0])})
    result = audit(folder, {NAME: w, "norm": w[0]})
    assert {tensor.name: tensor.verdict for tensor in result.tensors} == {
        "norm": Verdict.EQUAL,
        f"{NAME}_scale": Verdict.UNREAD,
        NAME: Verdict.MISSING,
    }


def test_nan_scales_are_wrong() -> None:
    w = weights()
    q = mf.quantize(w, "mxfp4")
    scales = q.scales.copy()
    scales[3, 1] = np.nan
    [tensor] = audit({"w": planted.changed(q, scales=scales)}, {"w": w}).tensors
    assert tensor.text == "wrong: 32 weights are NaN"
    assert tensor.sqnr_db == -math.inf
    assert json.loads(audit({"w": q}, {"w": w}).to_json())["wrong"] == 0


def test_zeros_are_as_the_rule_gives() -> None:
    w = np.zeros((4, 32), np.float32)
    [tensor] = audit({"w": mf.quantize(w, "mxfp4")}, {"w": w}).tensors
    assert tensor.text == "as the rule gives"
    [tensor] = audit({"w": mf.quantize(weights((4, 32)), "mxfp4")}, {"w": w}).tensors
    assert tensor.text == "wrong: unlike the original"


def test_a_hostile_file_is_an_error(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    original = write_model(tmp_path / "original", {NAME: weights()})
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"\xff" * 64)
    for arguments in ((bad, original), (original, bad), (tmp_path / "none", original)):
        code, message = codes_of(capsys, *arguments)
        assert code == 2
        assert message.startswith("minifloat: error: ")
        assert message.count("\n") == 1


def test_the_table_tells_what_is_wrong_first(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    w = weights()
    q = mf.quantize(w, "nvfp4")
    held = write_model(tmp_path / "held", {OTHER: q, NAME: planted.swap_nibbles(q)})
    original = write_model(tmp_path / "original", {NAME: w, OTHER: w})
    code, out = codes_of(capsys, held, original)
    lines = out.splitlines()
    assert code == 1
    assert lines[3].startswith(NAME)
    assert lines[3].endswith("wrong: nibbles swapped")
    assert lines[4].startswith(OTHER)
    assert lines[-1] == "2 tensors: 1 as the rule gives, 1 wrong"


def test_the_thresholds() -> None:
    assert not verdicts.is_suspect(20, 17)
    assert verdicts.is_suspect(20, 16.9)
    assert verdicts.is_suspect(2, -0.1)
    assert not verdicts.is_suspect(90, 50)
    assert verdicts.explains(20, 16.9, 20)
    assert not verdicts.explains(20, 16.9, 19.8)
    assert verdicts.explains(20, 5, 12.1)
    assert not verdicts.explains(20, 5, 11.9)
    assert verdicts.explains(20, -5, 6)
    assert not verdicts.explains(20, -5, 4.9)
    assert not verdicts.explains(30, 8, 17.9)


def test_scales_of_the_other_axis_that_are_turned_too() -> None:
    w = weights(SQUARE)
    down = mf.quantize(w, "mxfp4", axis=0)
    turned = np.ascontiguousarray(down.scales.T)
    q = planted.changed(down, axis=1, scales=turned)
    [tensor] = audit({"w": q}, {"w": w}).tensors
    assert tensor.text == "wrong: scales along the wrong axis"


def test_a_tensor_scale_may_differ_in_its_last_bit() -> None:
    w = weights()
    q = mf.quantize(w, "nvfp4")
    next_one = float(np.nextafter(np.float32(q.tensor_scale), np.float32(1)))
    for scale, text in ((next_one, "as the rule gives"), (next_one * 1.0625, "another method")):
        held = planted.changed(q, tensor_scale=float(np.float32(scale)))
        assert audit({"w": held}, {"w": w}).tensors[0].text == text


def test_factors_of_both_signs_or_of_channels_are_wrong() -> None:
    w = weights()
    signs = np.where(np.arange(128) % 2, -1, 1)
    [tensor] = audit({"w": mf.quantize(w * signs, INT4)}, {"w": w}).tensors
    assert tensor.text == "wrong: unlike the original"
    q = mf.quantize(w, FP8)
    factors = np.exp(np.random.default_rng(8).standard_normal(q.scales.shape))
    held = planted.changed(q, scales=(q.scales * factors).astype(np.float32))
    assert audit({"w": held}, {"w": w}).tensors[0].text == "wrong: unlike the original"


def test_scales_of_activations_are_no_weights_and_rounded_numbers_are_rounded(
    tmp_path: Path,
) -> None:
    w = weights()
    write_model(
        tmp_path,
        {
            NAME: mf.quantize(w, "nvfp4"),
            "layers.0.input_scale": np.ones(1, np.float32),
            "embed": w.astype(np.float16),
        },
    )
    result = audit(tmp_path, {NAME: w, "embed": w})
    assert {tensor.name: tensor.text for tensor in result.tensors} == {
        NAME: "as the rule gives",
        "embed": "rounded",
    }


def test_an_original_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    w = weights()
    scale = stored(np.ones((64, 2), np.uint8))
    folder = write(tmp_path, {"a.weight_scale": scale, "b": stored(w)})
    result = audit({"a.weight_scale": w, "b": w}, folder)
    assert [tensor.verdict for tensor in result.tensors] == [Verdict.UNREAD, Verdict.EQUAL]
    assert result.tensors[0].reason.startswith("original: part of quantized weights")


def test_tensors_of_other_libraries_in_memory() -> None:
    torch = pytest.importorskip("torch")
    layer = torch.nn.Linear(64, 32).bfloat16()
    held = {"weight": mf.quantize(layer.weight, "nvfp4"), "bias": layer.bias}
    for original in (layer.state_dict(), dict(layer.named_parameters())):
        assert [tensor.text for tensor in audit(held, original).tensors] == [
            "as the rule gives",
            "equal",
        ]
        assert [tensor.shape for tensor in inspect(original).tensors] == [(32, 64), (32,)]


def test_small_types_in_memory_are_their_values() -> None:
    w = weights().astype(ml_dtypes.bfloat16)
    [tensor] = audit({"w": mf.quantize(w, "mxfp4")}, {"w": w}).tensors
    assert tensor.text == "as the rule gives"


@pytest.mark.parametrize("wrong", ["x", None, np.array(["a"]), np.ones(2, complex)])
def test_what_is_no_array_of_numbers_is_a_type_error(wrong: object) -> None:
    w = weights()
    with pytest.raises(TypeError, match=r"original\['w'\] must be float16, bfloat16"):
        audit({"w": w}, {"w": wrong})  # type: ignore[dict-item]  # what a user may pass
    with pytest.raises(TypeError, match=r"source\['w'\] must be float16, bfloat16"):
        inspect({"w": wrong})  # type: ignore[dict-item]


def test_patterns_that_leave_nothing() -> None:
    w = weights()
    with pytest.raises(ValueError, match="include and exclude must leave a tensor to audit"):
        audit({"w": w}, {"w": w}, exclude="*")
    with pytest.raises(TypeError, match="include must be a str or a sequence of str, got 3"):
        audit({"w": w}, {"w": w}, include=3)  # type: ignore[arg-type]
