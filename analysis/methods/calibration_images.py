"""Calibration without data: GPTQ of EfficientNet-Lite0 on images made from its batch norms (ZeroQ).

The 1x1 convolutions and the classifier, 96 % of the weights, are rounded by GPTQ one after another,
each for the inputs that it gets from the ones before, which are rounded already. What follows a
calibration is measured on photos: the divergence of the predicted classes from those of the
unquantized model. The calibrations, each of `COUNT` images of `SIZE` pixels in square:

- ``synthetic``: noise that is changed by Adam until the mean and the standard deviation of what
  enters each batch norm are those that the batch norm knows (ZeroQ, arXiv 2001.00281). Steps and
  rate are ours.
- ``noise``: what that begins with, normal numbers of mean 0 and variance 1
- ``photos``: crops of other photos than those measured
- ``nearest``: none, rounded to nearest

**Criteria**

One calibration is *better* than another if the mean of the paired differences of the divergences
over the photos is beyond two standard errors and a tenth of the other's. There are few photos, and
rounding is one draw.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np

import minifloat as mf
from analysis.models.efficientnet import WEIGHTS
from analysis.models.evaluation import Progress, counter
from analysis.models.packages import MissingPackage, PackageFile
from analysis.models.photos import SKIMAGE, as_input, read_image
from analysis.models.torch_file import tensors
from analysis.records import Rows

NETWORK = "efficientnet_lite_pytorch"  # of efficientnet-lite-pytorch 0.1.0
RECIPE = "int5/32/float16"
COUNT, SIZE = 16, 128
STEPS, RATE = 100, 0.1
CROPS = 4  # of each photo
MEASURED = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg",
            "camera.png")  # fmt: skip
OTHERS = ("hubble_deep_field.jpg", "ihc.png", "retina.jpg", "coins.png", "grass.png", "moon.png")
DIGESTS = SKIMAGE | {
    "hubble_deep_field.jpg": "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4",
    "ihc.png": "f8dd1aa387ddd1f49d8ad13b50921b237df8e9b262606d258770687b0ef93cef",
    "retina.jpg": "38a07f36f27f095e818aea7b96d34202c05176d30253c66733f2e00379e9e0e6",
    "moon.png": "78739619d11f7eb9c165bb5d2efd4772cee557812ec847532dbb1d92ef71f577",
}
SYNTHETIC, NOISE, PHOTOS, NEAREST = "synthetic", "noise", "photos", "nearest"


def records(*, quick: bool = False, progress: Progress | None = None) -> Rows:
    """Calibrate and measure the divergence on each photo.

    Parameters
    ----------
    quick : bool
        Without calibration.
    progress : callable, optional
        Called with the steps done and all steps.

    Returns
    -------
    list of dict
        ``calibration``, ``photo``, and the ``divergence`` in nats, the mean over crops.

    Raises
    ------
    MissingPackage
        If torch, the model's packages, scikit-image or pillow are missing.
    """
    torch = _torch()
    model = load()
    measured = {name: crops(name, seed=0) for name in MEASURED}
    step = counter(progress, 2 if quick else 5)
    found = _measure(NEAREST, model, rounded(model), measured)
    step()
    if quick:
        return found
    noise = torch.randn((COUNT, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(0))
    calibrations = {
        NOISE: noise,
        PHOTOS: torch.cat([crops(name, seed=1) for name in OTHERS])[:COUNT],
        SYNTHETIC: synthetic(model, noise, STEPS, RATE),
    }
    step()
    for name, images in calibrations.items():
        found += _measure(name, model, calibrated(model, images), measured)
        step()
    return found


def load() -> Any:
    """Return the network with its weights, as a module of torch that is evaluated.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    MissingPackage
        If torch or the model's packages are missing.
    """
    torch = _torch()
    state = {name: torch.from_numpy(tensor) for name, tensor in tensors(WEIGHTS.find()).items()}
    try:
        network = __import__(NETWORK).EfficientNet.from_name("efficientnet-lite0")
    except ModuleNotFoundError as error:
        raise MissingPackage(
            f"needs {NETWORK}; pip install --no-deps efficientnet-lite-pytorch==0.1.0"
        ) from error
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)


def crops(name: str, *, seed: int) -> Any:
    """Return square parts of a photo of scikit-image, at places drawn by chance.

    Parameters
    ----------
    name : str
        Of the file.
    seed : int

    Returns
    -------
    torch.Tensor of float32, (`CROPS`, 3, `SIZE`, `SIZE`)
        Pixels p as (p - 127) / 128, after the photo's smaller side was brought to twice `SIZE`.
    """
    file = PackageFile("scikit-image", "0.26.0", "skimage", f"data/{name}", DIGESTS[name])
    photo = read_image(file.find())
    factor = 2 * SIZE / min(photo.size)
    photo = photo.resize([max(2 * SIZE, round(side * factor)) for side in photo.size])
    pixels = as_input(np.asarray(photo))
    rng = np.random.default_rng([seed, *name.encode()])
    parts = []
    for _ in range(CROPS):
        top, left = (int(rng.integers(side - SIZE + 1)) for side in pixels.shape[:2])
        parts.append(pixels[top : top + SIZE, left : left + SIZE].transpose(2, 0, 1))
    return _torch().from_numpy(np.array(parts))


def synthetic(model: Any, start: Any, steps: int, rate: float) -> Any:
    """Return images whose statistics before each batch norm are those that it knows.

    Parameters
    ----------
    model : torch.nn.Module
        Which is evaluated, not trained.
    start : torch.Tensor, (images, ...)
        Where the search begins.
    steps : int
        Of Adam.
    rate : float
        Its learning rate.

    Returns
    -------
    torch.Tensor
        As ``start``. Of all steps the images of the least `mismatch`, so never worse than it.
    """
    torch = _torch()
    images = start.clone().requires_grad_(True)
    adam = torch.optim.Adam([images], lr=rate)
    least, best = float("inf"), start
    for _ in range(steps + 1):
        adam.zero_grad()
        loss = mismatch(model, images)
        if loss.item() < least:
            least, best = loss.item(), images.detach().clone()
        loss.backward()
        adam.step()
    return best


def mismatch(model: Any, images: Any) -> Any:
    """Return how far the statistics before batch norms are from those that they know.

    Parameters
    ----------
    model : torch.nn.Module
    images : torch.Tensor

    Returns
    -------
    torch.Tensor
        A scalar: summed over batch norms, the mean over channels of the squared differences of
        means and of standard deviations, each over the known variance (ZeroQ does not divide).
    """
    torch = _torch()
    sums = []

    def hook(norm: Any, given: Any) -> None:
        x = given[0]
        mean, variance = x.mean(dim=(0, 2, 3)), x.var(dim=(0, 2, 3), unbiased=False)
        known = norm.running_var + norm.eps
        apart = (mean - norm.running_mean) ** 2
        apart = apart + (torch.sqrt(variance + norm.eps) - torch.sqrt(known)) ** 2
        sums.append((apart / known).mean())

    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(hook) for norm in norms]
    try:
        model(images)
    finally:
        for each in hooks:
            each.remove()
    return torch.stack(sums).sum()


def products(model: Any) -> Iterator[Any]:
    """Yield the layers that are matrix products: 1x1 convolutions and linear layers.

    Parameters
    ----------
    model : torch.nn.Module

    Yields
    ------
    torch.nn.Module
        In the order of the network's definition.
    """
    nn = _torch().nn
    for layer in model.modules():
        pointwise = isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1)
        if isinstance(layer, nn.Linear) or (pointwise and layer.groups == 1):
            yield layer


def rounded(model: Any) -> Any:
    """Return a copy of a model whose matrix products have weights rounded to nearest."""
    changed = copy.deepcopy(model)
    for layer in products(changed):
        _put(layer, mf.quantize(_matrix(layer), RECIPE))
    return changed


def calibrated(model: Any, images: Any) -> Any:
    """Return a copy of a model whose matrix products are rounded by GPTQ, on images.

    Parameters
    ----------
    model : torch.nn.Module
    images : torch.Tensor

    Returns
    -------
    torch.nn.Module
    """
    changed = copy.deepcopy(model)
    for layer in products(changed):
        _put(layer, mf.gptq(_matrix(layer), RECIPE, hessian(changed, layer, images)))
    return changed


def hessian(model: Any, layer: Any, images: Any) -> Any:
    """Return X^T X of the inputs X, at all places of all images, of a layer of a model.

    Parameters
    ----------
    model, layer : torch.nn.Module
    images : torch.Tensor

    Returns
    -------
    ndarray of float64, (inputs, inputs)
    """
    torch = _torch()
    sums = []

    def hook(_: Any, given: Any) -> None:
        x = given[0]
        rows = x.movedim(1, -1).reshape(-1, x.shape[1]) if x.ndim == 4 else x
        sums.append((rows.T @ rows).numpy().astype(np.float64))

    handle = layer.register_forward_pre_hook(hook)
    try:
        with torch.no_grad():
            model(images)
    finally:
        handle.remove()
    return sum(sums)


def _torch() -> Any:
    try:
        return importlib.import_module("torch")
    except ModuleNotFoundError as error:
        raise MissingPackage('needs torch; pip install "minifloat[torch]"') from error


def _matrix(layer: Any) -> Any:
    """Return the weights as (outputs, inputs)."""
    weights = layer.weight.detach().numpy()
    return weights.reshape(len(weights), -1)


def _put(layer: Any, matrix: mf.Quantized) -> None:
    torch = _torch()
    values = torch.from_numpy(matrix.dequantize())
    with torch.no_grad():
        layer.weight.copy_(values.reshape(layer.weight.shape))


def _measure(calibration: str, model: Any, changed: Any, photos: dict[str, Any]) -> Rows:
    torch = _torch()
    found: Rows = []
    for name, images in photos.items():
        with torch.no_grad():
            said, now = (torch.log_softmax(m(images), dim=1) for m in (model, changed))
        divergence = float((said.exp() * (said - now)).sum(dim=1).mean())
        found.append({"calibration": calibration, "photo": name, "divergence": divergence})
    return found
