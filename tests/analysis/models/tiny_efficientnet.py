"""An EfficientNet of a few weights, and its forward pass by definition, in float64."""

from __future__ import annotations

import numpy as np

from analysis.models.efficientnet import EfficientNet
from analysis.models.layers import Array

STEM, CLASSES = 4, 5
BLOCKS = ((None, 3, 1, 4), (12, 5, 2, 6), (18, 3, 1, 6))  # wide, side, stride, narrow


def tensors() -> dict[str, np.ndarray]:
    """Return random tensors by the names of the PyTorch file, and some that are never used."""
    rng = np.random.default_rng(2020)
    found: dict[str, np.ndarray] = {}

    def convolution(name: str, norm: str, outputs: int, inputs: int, side: int) -> None:
        scale = 2 / (inputs * side * side) ** 0.5
        found[f"{name}.weight"] = rng.standard_normal((outputs, inputs, side, side)) * scale
        found[f"{norm}.weight"] = rng.uniform(0.5, 2, outputs)
        found[f"{norm}.bias"] = rng.standard_normal(outputs)
        found[f"{norm}.running_mean"] = rng.standard_normal(outputs) / 4
        found[f"{norm}.running_var"] = rng.uniform(0.01, 2, outputs)
        found[f"{norm}.num_batches_tracked"] = np.array(0)

    convolution("_conv_stem", "_bn0", STEM, 3, 3)
    inputs = STEM
    for number, (wide, side, _, narrow) in enumerate(BLOCKS):
        name = f"_blocks.{number}"
        if wide:
            convolution(f"{name}._expand_conv", f"{name}._bn0", wide, inputs, 1)
        convolution(f"{name}._depthwise_conv", f"{name}._bn1", wide or inputs, 1, side)
        convolution(f"{name}._project_conv", f"{name}._bn2", narrow, wide or inputs, 1)
        inputs = narrow
    convolution("_conv_head", "_bn1", 10, inputs, 1)
    found["_fc.weight"] = rng.standard_normal((CLASSES, 10))
    found["_fc.bias"] = rng.standard_normal(CLASSES)
    return {
        name: tensor.astype(np.float32) if tensor.ndim else tensor for name, tensor in found.items()
    }


def model(*, depthwise: bool = False) -> EfficientNet:
    return EfficientNet.of(tensors(), depthwise=depthwise)


def image(height: int = 13, width: int = 10) -> Array:
    return np.random.default_rng(height).standard_normal((height, width, 3)).astype(np.float32)


def slow_logits(image: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """Return the logits, with each sum written out and batch norms apart."""

    def convolve(x: np.ndarray, name: str, stride: int = 1) -> np.ndarray:
        kernel = weights[f"{name}.weight"].astype(np.float64)
        outputs, inputs, side, _ = kernel.shape
        height, width = (-(-n // stride) for n in x.shape[:2])
        before = [
            max(0, (n - 1) * stride + side - length) // 2
            for n, length in zip((height, width), x.shape[:2], strict=True)
        ]
        y = np.zeros((height, width, outputs))
        for row, column in np.ndindex(height, width):
            for i, j in np.ndindex(side, side):
                at = row * stride + i - before[0], column * stride + j - before[1]
                if 0 <= at[0] < x.shape[0] and 0 <= at[1] < x.shape[1]:
                    if inputs == x.shape[2]:
                        y[row, column] += kernel[:, :, i, j] @ x[at]
                    else:
                        y[row, column] += kernel[:, 0, i, j] * x[at]
        return y

    def normed(x: np.ndarray, name: str) -> np.ndarray:
        gain, bias, mean, variance = (
            weights[f"{name}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        y: np.ndarray = (x - mean) / np.sqrt(variance + 0.001) * gain + bias
        return y

    def cut(x: np.ndarray) -> np.ndarray:
        return np.array(np.clip(x, 0, 6))

    x = cut(normed(convolve(image, "_conv_stem", 2), "_bn0"))
    for number, (wide, _, stride, narrow) in enumerate(BLOCKS):
        name, y = f"_blocks.{number}", x
        if wide:
            y = cut(normed(convolve(y, f"{name}._expand_conv"), f"{name}._bn0"))
        y = cut(normed(convolve(y, f"{name}._depthwise_conv", stride), f"{name}._bn1"))
        y = normed(convolve(y, f"{name}._project_conv"), f"{name}._bn2")
        x = x + y if stride == 1 and x.shape[2] == narrow else y
    x = cut(normed(convolve(x, "_conv_head"), "_bn1"))
    features = x.reshape(-1, x.shape[2]).mean(axis=0)
    logits: np.ndarray = weights["_fc.weight"].astype(np.float64) @ features + weights["_fc.bias"]
    return logits
