"""All targets, by name."""

from __future__ import annotations

from tests.fuzz import (
    arrays,
    checkpoint_files,
    command_lines,
    compare_command,
    conversion_record,
    gguf_file,
    index_file,
    npz_file,
    onnx_file,
    pickle_file,
    quantized_file,
    safetensors_file,
    texts,
)
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {
    "safetensors": safetensors_file.TARGET,
    "npz": npz_file.TARGET,
    "npy": npz_file.NPY_TARGET,
    "gguf": gguf_file.TARGET,
    "index": index_file.TARGET,
    "checkpoint": checkpoint_files.TARGET,
    "onnx": onnx_file.TARGET,
    "pickle": pickle_file.TARGET,
    "conversion": conversion_record.TARGET,
    "load_npz": quantized_file.NPZ_TARGET,
    "load_safetensors": quantized_file.SAFETENSORS_TARGET,
    "load_composite_npz": quantized_file.COMPOSITE_NPZ_TARGET,
    "load_composite_safetensors": quantized_file.COMPOSITE_SAFETENSORS_TARGET,
    "load_complex_npz": quantized_file.COMPLEX_NPZ_TARGET,
    "load_complex_safetensors": quantized_file.COMPLEX_SAFETENSORS_TARGET,
    "compare_command": compare_command.TARGET,
    "command_lines": command_lines.TARGET,
    "texts": texts.TARGET,
    "arrays": arrays.TARGET,
}
