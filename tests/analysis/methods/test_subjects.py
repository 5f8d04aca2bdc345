"""Subjects that see and hear: their matrices, inputs and losses, on small models and real ones."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from analysis.methods import efficientnet_subject, table, whisper_subject
from analysis.methods.contenders import rotation
from analysis.methods.efficientnet_subject import EfficientNetLite0
from analysis.methods.subjects import Inputs, inputs_over
from analysis.methods.table import MAIN, Run
from analysis.models.efficientnet import EfficientNet
from analysis.models.images import seen
from analysis.models.matrices import MatrixModel
from analysis.models.packages import MissingPackage
from analysis.models.photos import CROPS
from tests.analysis.models import tiny_efficientnet as tiny

RNG = np.random.default_rng(8)


def test_inputs_are_summed_over_items() -> None:
    model = MatrixModel(matrices={"m": RNG.standard_normal((3, 4)).astype("f4")}, vectors={})
    items = [RNG.standard_normal((n, 4)).astype("f4") for n in (600, 5, 700)]
    found = inputs_over(model, ["m"], items, lambda m, x: m.multiply(x, m.matrices["m"]))["m"]
    whole = np.concatenate(items)
    assert found.gram == pytest.approx(whole.T.astype(float) @ whole, rel=1e-5, abs=1e-3)
    assert len(found.samples) <= 256
    rows = {row.tobytes() for row in whole}
    assert all(row.tobytes() in rows for row in found.samples)
    assert items[1].tobytes() in found.samples.tobytes()  # of a short item all


def test_both_uses_of_embeddings_count_alike() -> None:
    given = Inputs.both_uses(RNG.standard_normal((50, 6)).astype("f4") * 30)
    outputs = given.gram - np.eye(6)
    assert np.trace(outputs) == pytest.approx(6, rel=1e-4)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> EfficientNetLite0:
    """A made-up network that sees made-up photos, three of each origin."""
    pixels = RNG.integers(0, 256, (6, CROPS, 9, 8, 3), np.uint8)
    pictures = [
        SimpleNamespace(label=n if n % 2 else None, crops=lambda p=p: p)
        for n, p in enumerate(pixels)
    ]
    monkeypatch.setattr(efficientnet_subject, "photos", lambda: pictures)
    monkeypatch.setattr(efficientnet_subject, "load", tiny.model)
    monkeypatch.setattr(efficientnet_subject, "LEAST", 6)
    subject = EfficientNetLite0.load()
    subject.__dict__["pixels"] = pixels
    return subject


def test_photos_for_calibration_are_others(small: EfficientNetLite0) -> None:
    pixels = small.__dict__["pixels"]
    tested = {crops.tobytes() for found in small.tests.values() for crops in found}
    assert len(tested) == 4
    assert {middle.tobytes() for middle in small.heard} == {
        crops[0].tobytes() for crops in pixels if crops.tobytes() not in tested
    }


def test_losses_are_divergences_of_the_changed_network(small: EfficientNetLite0) -> None:
    pytest.importorskip("onnxruntime")
    name = next(iter(small.matrices))
    changed = small.matrices[name] + np.float32(0.3)
    exact = tiny.model()
    model = EfficientNet(matrices={**exact.matrices, name: changed}, vectors=exact.vectors)
    losses = small.losses({name: changed})
    for origin, photos in small.tests.items():
        for loss, crops in zip(losses[origin], photos, strict=True):
            p, q = (seen(m, crops).astype(float) for m in (exact, model))
            assert loss == pytest.approx((np.exp(p) * (p - q)).sum(axis=1).mean(), rel=1e-3)
    assert small.losses({}) == {origin: [0.0, 0.0] for origin in small.tests}
    assert small.divergence(name, changed) > 0


def test_matrices_of_few_inputs_are_left_out(small: EfficientNetLite0) -> None:
    every = tiny.model().matrices
    assert set(small.matrices) == {name for name, w in every.items() if w.shape[1] >= 6}
    assert len(small.matrices) < len(every)
    assert small.calibration.keys() == small.test.keys() == small.matrices.keys()


@pytest.mark.parametrize(("inputs", "size"), [(64, 64), (80, 16), (672, 32), (1152, 64), (33, 1)])
def test_rotations_divide_the_inputs(inputs: int, size: int) -> None:
    assert rotation(inputs) == f"hadamard{size}"


def test_images_and_speech_have_the_main_methods() -> None:
    runs = [run for run in table.plan() if run.model not in table.TEXTS]
    assert {run.model for run in runs} == {"EfficientNet-Lite0", "Whisper base"}
    assert {run.method for run in runs} == {*MAIN, "fp32", "divergence"}
    assert {run.budget for run in runs} == {4.25, 5.25, 32.0}
    texts = [run for run in table.plan() if run.model in table.TEXTS]
    assert len(texts) == 292
    assert Run("SmolLM2-135M", "SpQR, INT", 3.25, 0) in texts


@pytest.mark.long
def test_whisper_is_what_it_was_where_nothing_is_changed() -> None:
    try:
        subject = whisper_subject.WhisperBase.load(quick=True)
    except MissingPackage as error:
        pytest.skip(str(error))
    assert subject.calibration.keys() == subject.test.keys() == subject.matrices.keys()
    for name, matrix in subject.matrices.items():
        assert subject.test[name].shape == (matrix.shape[1],) * 2
    assert subject.losses({}) == {"recordings": [pytest.approx(0, abs=1e-6)]}
    name = "decoder/layer_0/ffn/linear_0/weight"
    assert subject.divergence(name, subject.matrices[name] * np.float32(0.5)) > 1e-3
