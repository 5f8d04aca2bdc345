"""The models of installed packages; a test that needs a missing package is skipped."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from analysis.models import minilm, recogniser, smollm2, speech, textgenrnn, voice_activity
from analysis.models.llama import Llama
from analysis.models.packages import MissingPackage, require
from analysis.models.recogniser import Recogniser
from analysis.models.transcription import Vocabulary
from analysis.models.voice_activity import Detector
from analysis.models.whisper import Whisper


def need(module: ModuleType) -> None:
    """Skip the test unless the model's packages, and the readers they need, are installed."""
    try:
        require(module.FILES)
    except MissingPackage as error:
        pytest.skip(str(error))


def loaded(module: ModuleType, load: str = "load") -> Any:
    need(module)
    try:
        return getattr(module, load)()
    except MissingPackage as error:
        pytest.skip(str(error))


@pytest.fixture
def skip_without() -> Callable[[ModuleType], None]:
    """A function that skips the test unless a model can be loaded."""
    return loaded


@pytest.fixture(scope="session")
def characters() -> textgenrnn.CharacterModel:
    return loaded(textgenrnn)  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def encoder() -> minilm.Encoder:
    return loaded(minilm)  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def smol() -> Llama:
    return loaded(smollm2)  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def words() -> Any:
    """SmolLM2's tokenizer."""
    return loaded(smollm2, "tokenizer")


@pytest.fixture(scope="session")
def reader() -> Recogniser:
    return loaded(recogniser)  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def detector() -> Detector:
    return loaded(voice_activity)  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def whisper() -> Whisper:
    return loaded(speech)  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    return loaded(speech, "vocabulary")  # type: ignore[no-any-return]
