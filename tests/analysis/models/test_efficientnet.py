"""EfficientNet's forward pass: by definition, in onnxruntime, in torch, and what it sees."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from analysis.models import efficientnet, photos
from analysis.models.efficientnet import EfficientNet
from analysis.models.efficientnet_onnx import Session
from analysis.models.matrices import dense
from analysis.models.packages import MissingPackage
from analysis.models.photos import as_input
from analysis.models.torch_file import tensors
from tests.analysis.models import tiny_efficientnet as tiny

SIDES = [(13, 10), (8, 16), (1, 5), (4, 4)]


@pytest.mark.parametrize("sides", SIDES)
def test_logits_are_those_of_the_definition(sides: tuple[int, int]) -> None:
    image = tiny.image(*sides)
    wanted = tiny.slow_logits(image.astype(np.float64), tiny.tensors())
    assert tiny.model().logits(image) == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("tile", [1, 100])
def test_tiles_change_nothing(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = tiny.model().logits(tiny.image())
    monkeypatch.setattr(efficientnet, "TILE", tile)
    np.testing.assert_array_equal(tiny.model().logits(tiny.image()), wanted)


@pytest.mark.parametrize("sides", SIDES)
def test_onnxruntime_gives_the_same(sides: tuple[int, int]) -> None:
    images = np.stack([tiny.image(*sides), tiny.image(*sides)[::-1]])
    model = tiny.model()
    found = Session(model).logits(images)
    assert found == pytest.approx(np.stack(list(map(model.logits, images))), abs=1e-4)


@pytest.mark.parametrize("depthwise", [False, True])
def test_packed_matrices_give_what_their_values_give(depthwise: bool) -> None:
    """The stem and the depthwise convolutions too where that is asked, also in onnxruntime."""
    exact = tiny.model(depthwise=depthwise)
    packed = exact.quantized("e2m2/4/float16")
    rounded = replace(packed, matrices={name: dense(m) for name, m in packed.matrices.items()})
    image = tiny.image()
    found = packed.logits(image)
    assert found == pytest.approx(rounded.logits(image), abs=1e-4)
    assert found == pytest.approx(Session(packed).logits(image[None])[0], abs=1e-4)
    assert found != pytest.approx(exact.logits(image), abs=1e-3)
    kernels = {name for name in packed.matrices if name.endswith(("_stem", "_depthwise_conv"))}
    assert len(kernels) == (1 + len(tiny.BLOCKS) if depthwise else 0)


def test_all_weights_are_counted() -> None:
    weights = [t.size for name, t in tiny.tensors().items() if t.ndim > 1]
    channels = [t.size for name, t in tiny.tensors().items() if name.endswith("running_mean")]
    for depthwise in (False, True):
        bits, nbytes = tiny.model(depthwise=depthwise).storage
        assert (bits, nbytes) == (32, 4 * (sum(weights) + sum(channels) + tiny.CLASSES))


def test_a_row_of_a_kernel_has_a_scale_of_its_own() -> None:
    packed = tiny.model(depthwise=True).quantized("e2m2/128/float32")
    kernel = packed.matrices["_blocks.1._depthwise_conv"]
    assert kernel.shape == (12, 25)
    assert kernel.scales.size == 12  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def network() -> EfficientNet:
    try:
        return efficientnet.load()
    except MissingPackage as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def middles() -> np.ndarray:
    """The middles of ImageNet's photos."""
    try:
        return np.stack([p.crops()[0] for p in photos.photos() if p.label is not None])
    except MissingPackage as error:
        pytest.skip(str(error))


def test_the_shipped_network_has_its_layers(network: EfficientNet) -> None:
    assert [block.stride for block in network.blocks] == [
        1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1
    ]  # fmt: skip
    assert sum(block.added for block in network.blocks) == 9
    assert sum(m.size for m in network.matrices.values()) == 4_426_112
    assert network.storage[1] == 4 * (4_426_112 + 182_880 + 22_008)


def test_the_shipped_network_knows_photos_of_imagenet(
    network: EfficientNet, middles: np.ndarray
) -> None:
    """Against the classes in the names of the package's files: two jeeps are other cars."""
    found = Session(network).seen(middles).argmax(axis=1)
    labels = [photo.label for photo in photos.photos() if photo.label is not None]
    wrong = [(label, n) for label, n in zip(labels, found.tolist(), strict=True) if label != n]
    assert wrong == [(609, 436), (609, 511)]
    logits = np.stack([network.logits(as_input(middle)) for middle in middles[:2]])
    assert logits == pytest.approx(Session(network).logits(as_input(middles[:2])), abs=1e-4)


def test_the_shipped_network_gives_what_torch_gives(network: EfficientNet) -> None:
    """Layers as torch has them, with batch norms of their own."""
    torch = pytest.importorskip("torch")
    f = torch.nn.functional
    weights = {
        name: torch.from_numpy(t) for name, t in tensors(efficientnet.WEIGHTS.find()).items()
    }

    def layer(x: Any, name: str, norm: str, stride: int = 1, *, cut: bool = True) -> Any:
        kernel = weights[f"{name}.weight"]
        side, groups = kernel.shape[-1], len(kernel) if "depthwise" in name else 1
        odd = (side - stride) % 2  # TensorFlow's padding of an even length
        around = (side - stride) // 2
        x = f.pad(x, (around, around + odd, around, around + odd))
        x = f.conv2d(x, kernel, stride=stride, groups=groups)
        names = ("running_mean", "running_var", "weight", "bias")
        x = f.batch_norm(x, *(weights[f"{norm}.{part}"] for part in names), eps=1e-3)
        return f.relu6(x) if cut else x

    images = np.random.default_rng(16).uniform(-1, 1, (2, 64, 96, 3)).astype(np.float32)
    x = layer(torch.from_numpy(images).permute(0, 3, 1, 2), "_conv_stem", "_bn0", 2)
    stages = ((1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1))  # blocks, stride of the first
    block = 0
    for count, stride in stages:
        for number in range(count):
            name = f"_blocks.{block}"
            y = layer(x, f"{name}._expand_conv", f"{name}._bn0") if block else x
            step = 1 if number else stride
            y = layer(y, f"{name}._depthwise_conv", f"{name}._bn1", step)
            y = layer(y, f"{name}._project_conv", f"{name}._bn2", cut=False)
            x = x + y if number else y
            block += 1
    x = layer(x, "_conv_head", "_bn1").mean((2, 3))
    wanted = f.linear(x, weights["_fc.weight"], weights["_fc.bias"]).numpy()
    assert np.stack(list(map(network.logits, images))) == pytest.approx(wanted, abs=1e-4)
