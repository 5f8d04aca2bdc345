"""What the JSON files beside the weights say of their quantization."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from minifloat.files._json import json_object
from minifloat.files._safe import WeightsError, untrusted
from minifloat.files._source import SourceFile

LIMIT = 16 << 20  # bytes of a config.json
# the file, and the entry of it that tells of the quantization; "" for the whole file
PLACES = (
    ("config.json", "quantization_config"),
    ("hf_quant_config.json", "quantization"),  # ModelOpt
    ("quantize_config.json", ""),  # AutoGPTQ
    ("quant_config.json", ""),  # AWQ
)
MOST_BITS = 64
LONGEST_BLOCK = 1 << 40


class Config:
    """The settings of a quantized model, read when they are first asked for.

    They are hints, as everything in a file is: what the tensors' shapes tell counts.

    Attributes
    ----------
    folder : Path
        Where the files lie.
    metadata : dict of str to str
        What the headers of the .safetensors files say.
    """

    def __init__(self, folder: Path, metadata: Mapping[str, str]) -> None:
        self.folder = folder
        self.metadata = metadata

    @cached_property
    def entries(self) -> dict[str, Any]:
        """The settings, of the first file that has some; empty without such a file."""
        for name, key in PLACES:
            path = self.folder / name
            if not path.is_file():
                continue
            config = json_file(path)
            found = config.get(key) if key else config
            if found is None and isinstance(text := config.get("text_config"), dict):
                found = text.get(key)  # of a model of texts and images
            if isinstance(found, dict):
                return found
        return {}

    @property
    def method(self) -> str:
        """Who wrote the weights: "gptq", "compressed-tensors" ...; empty if it is not said."""
        return self._text("quant_method")

    @property
    def checkpoint_format(self) -> str:
        """GPTQ's version: "gptq" or "gptq_v2"; empty if it is not said."""
        return self._text("checkpoint_format")

    def count(self, name: str, most: int) -> int | None:
        """Return an integer from 1 on, of the settings or of all groups of weights in them."""
        found = {value for entry in self._of_weights() if _is_count(value := entry.get(name), most)}
        return found.pop() if len(found) == 1 else None

    @property
    def bits(self) -> int | None:
        """Width of a code, where one is said for all weights."""
        names = ("bits", "w_bit", "num_bits")
        return next((n for name in names if (n := self.count(name, MOST_BITS))), None)

    @property
    def group_size(self) -> int | None:
        """Weights that share a scale, where one number is said for all weights."""
        names = ("group_size", "q_group_size")
        return next((n for name in names if (n := self.count(name, LONGEST_BLOCK))), None)

    @property
    def tile(self) -> tuple[int, int] | None:
        """Rows and columns of a tile that shares a scale, where one size is said."""
        for entry in self._of_weights():
            for name in ("weight_block_size", "block_structure"):
                sizes = entry.get(name)
                if isinstance(sizes, list) and len(sizes) == 2:
                    height, width = sizes
                    if _is_count(height, LONGEST_BLOCK) and _is_count(width, LONGEST_BLOCK):
                        return height, width
        return None

    def _text(self, name: str) -> str:
        value = self.entries.get(name)
        return value if isinstance(value, str) else ""

    def _of_weights(self) -> list[dict[str, Any]]:
        """Return the settings and, in compressed-tensors' and ModelOpt's, those of each group."""
        groups = self.entries.get("config_groups")
        several = list(groups.values()) if isinstance(groups, dict) else []
        weights = [group.get("weights") for group in several if isinstance(group, dict)]
        return [self.entries, *(entry for entry in weights if isinstance(entry, dict))]


def json_file(path: Path) -> dict[str, Any]:
    """Return the JSON object that a file holds.

    Raises
    ------
    WeightsError
        If it holds something else, or cannot be read.
    """
    with untrusted(path):
        file = SourceFile(path)
        if file.size > LIMIT:
            raise WeightsError(f"{path}: is longer than 16 MiB; it is no such file")
        return json_object(file.read(0, file.size).tobytes().decode())


def _is_count(value: object, most: int) -> bool:
    return type(value) is int and 1 <= value <= most
