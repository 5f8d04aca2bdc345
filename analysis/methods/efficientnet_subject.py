"""EfficientNet-Lite0 as a subject: how far the probabilities of classes move on photos.

Of the 35 photos of `analysis.models.photos` every third is for calibration, the others are for
tests: 23, each with its six crops as one part. Matrices with fewer than `LEAST` inputs, 1 % of the
weights, stay float32 like the depthwise convolutions, since not even one scale for a row keeps
within the budgets. The network runs in onnxruntime, as in `analysis.claims.images`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from analysis.methods.subjects import Grams, Inputs, grams_of, inputs_over
from analysis.models import images
from analysis.models.efficientnet import EfficientNet, load
from analysis.models.efficientnet_onnx import Session
from analysis.models.layers import Array
from analysis.models.photos import Photo, Pixels, as_input, photos
from analysis.models.predictions import divergence

CALIBRATES = 3  # of so many photos one is for calibration
LEAST = 64  # inputs of a matrix
IMAGENET, OTHERS = "photos of ImageNet", "other photos"
QUICK = 3  # photos of each origin


@dataclass(frozen=True)
class EfficientNetLite0:
    """The network, its photos, and the Gram matrices of its inputs.

    Attributes
    ----------
    model : EfficientNet
    tests : mapping of str to sequence of ndarray of uint8, (crops, height, width, 3)
        Photos by their origin.
    heard : ndarray of uint8, (photos, height, width, 3)
        The middles of the photos for calibration, on which divergences are measured.
    calibration : mapping of str to Inputs
    test : mapping of str to ndarray of float32
    """

    model: EfficientNet
    tests: Mapping[str, Sequence[Pixels]]
    heard: Pixels
    calibration: Mapping[str, Inputs]
    test: Grams
    name = images.MODEL

    @classmethod
    def load(cls, *, quick: bool = False) -> EfficientNetLite0:
        """Read the network and the photos; quickly with few of these.

        Raises
        ------
        MissingPackage
            If a package of the network or of the photos is not installed.
        """
        model = load()
        names = [name for name, matrix in model.matrices.items() if matrix.shape[1] >= LEAST]
        tests: dict[str, Sequence[Pixels]] = {}
        calibration: list[Pixels] = []
        for origin, found in by_origin(photos()).items():
            crops = [photo.crops() for photo in (found[:QUICK] if quick else found)]
            calibration += crops[::CALIBRATES]
            tests[origin] = [each for n, each in enumerate(crops) if n % CALIBRATES]
        every = [crops for origin in tests.values() for crops in origin]
        given, tested = (
            inputs_over(model, names, list(np.concatenate(pictures)), _see)
            for pictures in (calibration, every)
        )
        heard = np.stack([crops[0] for crops in calibration])
        return cls(model, tests, heard, given, grams_of(tested))

    @cached_property
    def matrices(self) -> Mapping[str, Array]:
        """The matrices with at least `LEAST` inputs."""
        matrices: dict[str, Array] = self.model.matrices  # type: ignore[assignment]  # as loaded
        return {name: matrices[name] for name in self.test}

    def losses(self, matrices: Mapping[str, Array]) -> dict[str, list[float]]:
        """Return the mean Kullback-Leibler divergence, in nats, over the crops of each photo."""
        session = self._session(matrices)
        return {
            origin: [
                float(divergence(session.seen(crops), exact).mean())
                for crops, exact in zip(found, self._exact[origin], strict=True)
            ]
            for origin, found in self.tests.items()
        }

    def divergence(self, name: str, matrix: Array) -> float:
        """Return the mean divergence with another matrix, on the photos for calibration."""
        return float(divergence(self._session({name: matrix}).seen(self.heard), self._heard).mean())

    def _session(self, matrices: Mapping[str, Array]) -> Session:
        return Session(replace(self.model, matrices={**self.model.matrices, **matrices}))

    @cached_property
    def _exact(self) -> dict[str, list[Array]]:
        session = self._session({})
        return {origin: list(map(session.seen, found)) for origin, found in self.tests.items()}

    @cached_property
    def _heard(self) -> Array:
        return self._session({}).seen(self.heard)


def by_origin(found: Sequence[Photo]) -> dict[str, list[Photo]]:
    """Return photos of ImageNet and others apart.

    Examples
    --------
    >>> from analysis.models.photos import photos
    >>> {origin: len(each) for origin, each in by_origin(photos()).items()}
    {'photos of ImageNet': 20, 'other photos': 15}
    """
    apart: dict[str, list[Photo]] = {IMAGENET: [], OTHERS: []}
    for photo in found:
        apart[OTHERS if photo.label is None else IMAGENET].append(photo)
    return apart


def _see(model: EfficientNet, crop: Pixels) -> None:
    model.logits(as_input(crop))
