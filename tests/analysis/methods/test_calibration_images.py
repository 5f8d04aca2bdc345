"""Images made from batch norms, and GPTQ of convolutions, on a small network of PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minifloat as mf
from analysis.methods import calibration_images as study

torch = pytest.importorskip("torch")


@pytest.fixture
def network() -> Any:
    """Of a depthwise and two 1x1 convolutions, with batch norms that know other statistics."""
    torch.manual_seed(0)
    nn = torch.nn
    layers = [nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6, momentum=1), nn.Conv2d(6, 6, 3, groups=6),
              nn.BatchNorm2d(6, momentum=1), nn.Conv2d(6, 8, 1), nn.AdaptiveAvgPool2d(1),
              nn.Flatten(), nn.Linear(8, 5)]  # fmt: skip
    model = nn.Sequential(*layers).requires_grad_(False)
    model(2 * torch.randn(50, 3, 9, 9) + torch.tensor([1.0, -2.0, 3.0]).reshape(3, 1, 1))
    return model.eval()


def start(seed: int = 0, count: int = 4) -> Any:
    return torch.randn((count, 3, 9, 9), generator=torch.Generator().manual_seed(seed))


def test_the_mismatch_is_that_of_the_definition(network: Any) -> None:
    images = start()
    x, total = images, 0.0
    for layer in network[:4]:
        if isinstance(layer, torch.nn.BatchNorm2d):
            channels = x.numpy().astype(np.float64).transpose(1, 0, 2, 3).reshape(6, -1)
            known = layer.running_var.numpy() + layer.eps
            means = (channels.mean(axis=1) - layer.running_mean.numpy()) ** 2
            spreads = (np.sqrt(channels.var(axis=1) + layer.eps) - np.sqrt(known)) ** 2
            total += np.mean((means + spreads) / known)
        x = layer(x)
    assert study.mismatch(network, images).item() == pytest.approx(total, rel=1e-5)


def test_images_come_to_match_the_batch_norms(network: Any) -> None:
    before = study.mismatch(network, start()).item()
    images = study.synthetic(network, start(), 60, 0.1)
    after = study.mismatch(network, images).item()
    assert after < before / 20
    assert (study.synthetic(network, start(), 0, 0.1) == start()).all()
    assert study.mismatch(network, study.synthetic(network, start(), 3, 1e3)).item() <= before


def test_hessians_are_those_of_all_places(network: Any) -> None:
    images = start()
    layer = network[4]
    x = network[:4](images).numpy().transpose(0, 2, 3, 1).reshape(-1, 6).astype(np.float64)
    np.testing.assert_allclose(study.hessian(network, layer, images), x.T @ x, rtol=1e-4)
    pooled = network[:7](images).numpy().astype(np.float64)
    np.testing.assert_allclose(
        study.hessian(network, network[7], images), pooled.T @ pooled, rtol=1e-4, atol=1e-6
    )


def test_products_alone_are_quantized_and_gptq_knows_the_ones_before(
    network: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "RECIPE", "int3/channel/float16")
    images = start(2, 8)
    changed = study.calibrated(network, images)
    assert [type(layer).__name__ for layer in study.products(network)] == ["Conv2d"] * 2 + [
        "Linear"
    ]
    for index in (1, 2, 3):
        assert (changed[index].state_dict()["weight"] == network[index].weight).all()
    first = mf.gptq(
        network[0].weight.numpy().reshape(6, 3),
        study.RECIPE,
        study.hessian(network, network[0], images),
    ).dequantize()
    assert (changed[0].weight.numpy().reshape(6, 3) == first).all()
    own = study.hessian(changed, changed[4], images)
    assert np.abs(own - study.hessian(network, network[4], images)).max() > 1e-3
    second = mf.gptq(network[4].weight.numpy().reshape(8, 6), study.RECIPE, own).dequantize()
    assert (changed[4].weight.numpy().reshape(8, 6) == second).all()
    nearest = study.rounded(network)
    assert (nearest[0].weight != changed[0].weight).any() or (
        nearest[4].weight != changed[4].weight
    ).any()
