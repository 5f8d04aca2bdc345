"""A Whisper of a few weights, each given by a formula, and what `transformers` computes with it."""

from __future__ import annotations

import numpy as np

from analysis.models.layers import Array
from analysis.models.whisper import Whisper

BANDS, FRAMES, WIDTH, HEADS, INNER, WORDS, POSITIONS = 6, 12, 8, 2, 16, 20, 10
TOKENS = [3, 0, 19, 7, 7, 12]

# What WhisperForConditionalGeneration of `transformers` 5.24.0 gives in float64 for these weights,
# each bias of keys left out: every other row of the encoder's output, and the logits after the
# first and the last of TOKENS.
ENCODED = np.array([
    [0.95081, -1.761971, 1.22726, -1.392468, 1.357456, -0.695059, 0.767157, 0.287332],
    [1.091489, 0.597574, -1.104426, -0.450883, 0.433377, 0.29379, -1.858963, 0.63013],
    [1.137985, -1.894532, 0.967252, -1.260993, 1.42643, -0.692458, 0.291587, 0.38822],
])  # fmt: skip
LOGITS = np.array([
    [-0.270093, -0.068258, 0.289956, -0.01612, -0.285265, 0.099132, 0.256418, -0.173749,
     -0.205857, 0.233654, 0.137863, -0.273772, -0.058196, 0.290707, -0.0264, -0.283024,
     0.10876, 0.251375, -0.18191, -0.198439],
    [0.099924, 0.731959, -0.312924, -0.640898, 0.499426, 0.495565, -0.643635, -0.308267,
     0.733341, 0.094865, -0.760947, 0.126571, 0.724115, -0.337288, -0.625964, 0.519443,
     0.474806, -0.657612, -0.283441, 0.740093],
])  # fmt: skip


def tensors() -> dict[str, np.ndarray]:
    """Return the variables by CTranslate2's names: waves, each with a frequency of its own."""
    shapes: dict[str, tuple[int, ...]] = {
        "encoder/conv1/weight": (WIDTH, BANDS, 3),
        "encoder/conv1/bias": (WIDTH,),
        "encoder/conv2/weight": (WIDTH, WIDTH, 3),
        "encoder/conv2/bias": (WIDTH,),
        "encoder/position_encodings/encodings": (FRAMES // 2, WIDTH),
        "decoder/position_encodings/encodings": (POSITIONS, WIDTH),
        "decoder/embeddings/weight": (WORDS, WIDTH),
    }
    for part, layers in (("encoder", 2), ("decoder", 2)):
        norms = [f"{part}/layer_norm"]
        for layer in range(layers):
            name = f"{part}/layer_{layer}"
            linears = {
                "self_attention/linear_0": (3 * WIDTH, WIDTH),
                "self_attention/linear_1": (WIDTH, WIDTH),
                "ffn/linear_0": (INNER, WIDTH),
                "ffn/linear_1": (WIDTH, INNER),
            }
            norms += [f"{name}/self_attention/layer_norm", f"{name}/ffn/layer_norm"]
            if part == "decoder":
                linears["attention/linear_0"] = (WIDTH, WIDTH)
                linears["attention/linear_1"] = (2 * WIDTH, WIDTH)
                linears["attention/linear_2"] = (WIDTH, WIDTH)
                norms.append(f"{name}/attention/layer_norm")
            for linear, shape in linears.items():
                shapes[f"{name}/{linear}/weight"] = shape
                shapes[f"{name}/{linear}/bias"] = shape[:1]
        for norm in norms:
            shapes[f"{norm}/gamma"] = shapes[f"{norm}/beta"] = (WIDTH,)
    found = {
        name: wave(shape, place) + (name.endswith("gamma"))
        for place, (name, shape) in enumerate(sorted(shapes.items()))
    }
    for name, tensor in found.items():  # keys have no bias
        if name.endswith("self_attention/linear_0/bias"):
            tensor[WIDTH : 2 * WIDTH] = 0
        elif name.endswith("/attention/linear_1/bias"):
            tensor[:WIDTH] = 0
    return found | {"encoder/num_heads": np.array(HEADS, np.int16)}


def wave(shape: tuple[int, ...], place: int) -> Array:
    """Return numbers within -0.6 to 0.6 that look random and are the same everywhere."""
    angles = np.arange(np.prod(shape)) * (1 + 0.37 * place) + place
    return (0.6 * np.sin(angles)).astype(np.float32).reshape(shape)


def model() -> Whisper:
    return Whisper.of(tensors())


def spectrogram() -> Array:
    return wave((BANDS, FRAMES), 100)
