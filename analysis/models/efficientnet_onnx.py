"""EfficientNet as an ONNX model, which onnxruntime runs: a second program for the same network."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.models.efficientnet import COLORS, EfficientNet
from analysis.models.layers import Array
from analysis.models.packages import optional
from analysis.models.photos import Pixels, as_input
from analysis.models.predictions import log_probabilities

OPERATORS = 13  # version of ONNX's set of operators


class Session:
    """The network in onnxruntime, on one thread.

    Parameters
    ----------
    model : EfficientNet or bytes
        Packed matrices are dequantized; bytes are those of a file.
    threads : int

    Raises
    ------
    MissingPackage
        If onnx or onnxruntime is not installed.
    """

    def __init__(self, model: EfficientNet | bytes, threads: int = 1) -> None:
        runtime = optional("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        content = model if isinstance(model, bytes) else onnx_model(model).SerializeToString()
        self.session = runtime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"]
        )

    def logits(self, images: Array) -> Array:
        """Return the logits, (images, classes), of images (images, height, width, 3)."""
        logits: Array = self.session.run(None, {"image": as_channels(images)})[0]
        return logits

    def seen(self, crops: Pixels) -> Array:
        """Return ln p of all classes, as `analysis.models.images.seen`, which takes longer."""
        return log_probabilities(self.logits(as_input(crops)))


def as_channels(images: Array) -> Array:
    """Return images with the channels first, as the model takes them."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def onnx_model(model: EfficientNet) -> Any:
    """Return the network as an ONNX model of float32.

    Parameters
    ----------
    model : EfficientNet

    Returns
    -------
    onnx.ModelProto
        From ``image``, (images, 3, height, width), to ``logits``, (images, classes).

    Raises
    ------
    MissingPackage
        If onnx is not installed.
    """
    graph = _Graph()
    x = graph.convolution("image", "_conv_stem", *model.filters("_conv_stem"), stride=2)
    for block in model.blocks:
        y = x
        if block.expand:
            y = graph.convolution(y, block.expand, *model.filters(block.expand))
        weights, bias = model.filters(block.depthwise)
        y = graph.convolution(
            y, block.depthwise, weights, bias, stride=block.stride, groups=len(weights)
        )
        y = graph.convolution(y, block.project, *model.filters(block.project), cut=False)
        x = graph.add("Add", [x, y], f"{block.project}.sum") if block.added else y
    x = graph.convolution(x, "_conv_head", *model.filters("_conv_head"))
    x = graph.add("GlobalAveragePool", [x], "means")
    x = graph.add("Flatten", [x], "features")
    weights, bias = model.filters("_fc")
    names = [graph.constant("_fc", weights[:, :, 0, 0]), graph.constant("_fc.bias", bias)]
    graph.add("Gemm", [x, *names], "logits", transB=1)
    return graph.model()


class _Graph:
    """Nodes and constants of an ONNX model, under construction."""

    def __init__(self) -> None:
        self.onnx = optional("onnx")
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.limits = [
            self.constant(name, np.array(value, np.float32)) for name, value in (("0", 0), ("6", 6))
        ]

    def constant(self, name: str, value: Array) -> str:
        self.constants.append(self.onnx.numpy_helper.from_array(value, name))
        return name

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        node = self.onnx.helper.make_node(operator, inputs, [output], output, **attributes)
        self.nodes.append(node)
        return output

    def convolution(
        self,
        x: str,
        name: str,
        weights: Array,
        bias: Array,
        *,
        stride: int = 1,
        groups: int = 1,
        cut: bool = True,
    ) -> str:
        """Add a convolution with TensorFlow's "same" padding, and ReLU6 if ``cut``."""
        inputs = [x, self.constant(name, weights), self.constant(f"{name}.bias", bias)]
        strides = [stride, stride]
        y = self.add(
            "Conv", inputs, f"{name}.out", auto_pad="SAME_UPPER", strides=strides, group=groups
        )
        return self.add("Clip", [y, *self.limits], f"{name}.cut") if cut else y

    def model(self) -> Any:
        helper, kind = self.onnx.helper, self.onnx.TensorProto.FLOAT
        image = helper.make_tensor_value_info("image", kind, ["n", COLORS, "height", "width"])
        logits = helper.make_tensor_value_info("logits", kind, ["n", None])
        graph = helper.make_graph(self.nodes, "efficientnet", [image], [logits], self.constants)
        versions = [helper.make_opsetid("", OPERATORS)]
        return helper.make_model(graph, opset_imports=versions, ir_version=8)
