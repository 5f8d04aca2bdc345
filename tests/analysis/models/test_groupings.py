from __future__ import annotations

import numpy as np
import pytest

import minifloat as mf
from analysis.models.groupings import regrouped
from analysis.models.matrices import MatrixModel, dense


@pytest.fixture(scope="module")
def model() -> MatrixModel:
    weights = np.random.default_rng(74).standard_normal((2, 6, 256)).astype(np.float32)
    return MatrixModel(matrices={"a": weights[0], "b": weights[1]}, vectors={})


def test_the_first_grouping_is_the_order_of_the_file(model: MatrixModel) -> None:
    for name, matrix in model.quantized("e2m2").matrices.items():
        assert np.array_equal(regrouped(model, "e2m2", 0).matrices[name], dense(matrix))


def test_groupings_differ_in_the_blocks_alone(model: MatrixModel) -> None:
    draws = [regrouped(model, "e2m2", grouping) for grouping in range(3)]
    again = regrouped(model, "e2m2", 1)
    for name, matrix in model.matrices.items():
        weights = dense(matrix)
        found = [dense(draw.matrices[name]) for draw in draws]
        assert np.array_equal(found[1], dense(again.matrices[name]))
        errors = [np.linalg.norm(w - weights) / np.linalg.norm(weights) for w in found]
        assert errors == pytest.approx([errors[0]] * 3, rel=0.2)
        for other in found[1:]:
            assert np.mean(other != found[0]) > 0.1
    order = np.random.default_rng(2).permutation(256)
    by_hand = mf.quantize(dense(model.matrices["a"])[:, order], "e2m2").dequantize()
    assert np.array_equal(dense(draws[2].matrices["a"])[:, order], by_hand)


def test_one_scale_for_a_row_has_no_groupings(model: MatrixModel) -> None:
    for name in model.matrices:
        first, second = (regrouped(model, "fpe2m2", g).matrices[name] for g in (0, 3))
        assert np.array_equal(dense(first), dense(second))
