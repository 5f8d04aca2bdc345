"""Everything on disk, taken as untrusted: model files, and quantized weights.

`open_weights` lists the tensors of a model file and loads them one by one. `save` and `load` keep
`minifloat.Quantized` and `minifloat.Composite` in a file. A file that cannot be read is a
`WeightsError`.
"""

from minifloat.files.saved import load, save
from minifloat.files.weights import TensorInfo, WeightFile, WeightsError, open_weights

__all__ = [
    "TensorInfo",
    "WeightFile",
    "WeightsError",
    "load",
    "open_weights",
    "save",
]
