"""Records of the studies that grow, made up: for pages and figures, without PyTorch."""

from __future__ import annotations

from itertools import product

import numpy as np

from analysis.records import Row, Rows
from analysis.training import after_training_losses as after
from analysis.training import exponent_mantissa_losses as splits
from analysis.training import noise_losses as noises
from analysis.training.noise_laws import SOURCES
from analysis.training.samplings import SAMPLINGS, WIDTHS


def records(study: str, seeds: int) -> Rows:
    """Return the records of whole seeds of a study."""
    draw = np.random.default_rng(0)
    rows: Rows = []
    for seed in range(seeds):
        start = 3 + float(draw.normal(0, 0.05))
        for row in OF_SEED[study](start, draw):
            rows.append({"seed": seed} | row)
    return rows


def _noise(draw: np.random.Generator) -> float:
    return float(draw.normal(0, 0.002))


def exponent_mantissa(start: float, draw: np.random.Generator) -> Rows:
    rows: Rows = [{"recipe": splits.PLAIN, "validation": start}]
    for cell in splits.CELLS:
        loss = start + 5 * splits.gaussian_error(cell) + _noise(draw)
        rows.append({"recipe": cell.recipe, "validation": loss})
    return rows


def noise(start: float, draw: np.random.Generator) -> Rows:
    rows: Rows = []
    for recipe, source in product(noises.RECIPES, (noises.NONE, noises.ROUNDED, *SOURCES)):
        row: Row = {"recipe": recipe, "source": source}
        row |= {name: start + _noise(draw) for name in noises.LOSSES}
        row["rounded"] += 0.05 * (source == "frozen")
        rows.append(row | {"ratio": 1.01})
    return rows


def many_widths(start: float, draw: np.random.Generator) -> Rows:
    alone = [(f, "dedicated", f"{w} bits", (w,)) for f in ("integers", "exmy") for w in WIDTHS]
    shared = [(f, "shared", name, WIDTHS) for f in ("integers", "exmy") for name in SAMPLINGS]
    more = [("exmy", sharing, "whole", WIDTHS) for sharing in ("low rank", "decoupled")]
    rows: Rows = []
    for family, sharing, sampling, widths in (*alone, *shared, *more):
        for width in widths:
            loss = start + 0.1 * (sharing != "dedicated") * (7 - width) + _noise(draw)
            row: Row = {"family": family, "sharing": sharing, "sampling": sampling}
            rows.append(row | {"width": width, "training": loss, "validation": loss})
    return rows


def after_training(start: float, draw: np.random.Generator) -> Rows:
    rows: Rows = [{"recipe": after.PLAIN, "method": after.PLAIN, "validation": start}]
    for recipe, (method, part) in product(
        after.RECIPES, ((after.NEAREST, 1.0), (after.GPTQ, 0.5), (after.AWARE, 0.4))
    ):
        loss = start + 0.1 * part * (recipe != after.RECIPES[0]) + _noise(draw)
        rows.append({"recipe": recipe, "method": method, "validation": loss})
    return rows


OF_SEED = {
    "exponent_mantissa": exponent_mantissa,
    "noise": noise,
    "many_widths": many_widths,
    "after_training": after_training,
}
