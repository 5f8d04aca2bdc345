"""Layers that loaders fuse have one tensor scale, that of the joined weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.auditing import Verdict, audit
from minifloat.conversion import convert
from minifloat.conversion.fused import FUSED, partners
from minifloat.files.checkpoints import modelopt, open_checkpoint
from tests.conversion.models import numbers
from tests.files.checkpoints.by_hand import stored, write

LAYER = "model.layers.3"
ROWS = {
    "self_attn.q_proj": 32,
    "self_attn.k_proj": 16,
    "self_attn.v_proj": 16,
    "self_attn.o_proj": 48,
    "mlp.gate_proj": 64,
    "mlp.up_proj": 80,
    "mlp.down_proj": 48,
}
TOGETHER = [
    ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    ["self_attn.o_proj"],
    ["mlp.gate_proj", "mlp.up_proj"],
    ["mlp.down_proj"],
]


def weights(module: str) -> Any:
    """Return weights of which each module has another range."""
    seed = list(ROWS).index(module)
    return numbers((ROWS[module], 64), seed) * np.float32(2.0**seed)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a model whose fused layers lie in two shards."""
    folder = tmp_path / "source"
    folder.mkdir()
    for number in (0, 1):
        held = {
            f"{LAYER}.{module}.weight": stored(weights(module))
            for place, module in enumerate(ROWS)
            if place % 2 == number
        }
        write(folder, held, name=f"model-0000{number + 1}-of-00002.safetensors")
    return folder


@pytest.mark.parametrize("layout", ["modelopt", "compressed-tensors"])
def test_parts_are_those_of_the_joined_weights(source: Path, tmp_path: Path, layout: str) -> None:
    convert(source, tmp_path / "new", "nvfp4", layout=layout)
    checkpoint = open_checkpoint(tmp_path / "new")
    for modules in TOGETHER:
        joined = mf.quantize(np.concatenate([weights(module) for module in modules]), "nvfp4")
        start = 0
        for module in modules:
            rows = slice(start, start := start + ROWS[module])
            held = checkpoint[f"{LAYER}.{module}.weight"]
            assert isinstance(held, mf.Quantized)
            np.testing.assert_array_equal(held.codes, joined.codes[rows])
            np.testing.assert_array_equal(held.scales, joined.scales[rows])
            if layout == "modelopt":
                assert held.tensor_scale == joined.tensor_scale
            else:  # its inverse is stored, the same for all
                assert held.tensor_scale == pytest.approx(joined.tensor_scale, rel=2**-23, abs=0)


@pytest.mark.parametrize("layout", ["modelopt", "compressed-tensors"])
def test_audit_takes_the_shared_tensor_scale(source: Path, tmp_path: Path, layout: str) -> None:
    convert(source, tmp_path / "new", "nvfp4", layout=layout)
    assert {tensor.verdict for tensor in audit(tmp_path / "new", source).tensors} == {Verdict.RULE}


def test_audit_does_not_take_any_tensor_scale(tmp_path: Path) -> None:
    """One so large that most scales are gone is no fused layer's."""
    w = weights("mlp.up_proj")
    q = mf.quantize(w, "nvfp4")
    assert q.tensor_scale is not None
    for factor, by_rule in ((1 + 2.0**-18, True), (2.0, True), (2.0**19, False)):
        scale = float(np.float32(q.tensor_scale * factor))
        held = mf.quantize(w, "nvfp4", tensor_scale=scale)
        parts = modelopt.tensors("a.weight", held)
        folder = tmp_path / str(factor)
        folder.mkdir()
        write(folder, {p.name: (p.dtype, list(p.shape), p.read().tobytes()) for p in parts})
        [tensor] = audit(folder, {"a.weight": w}).tensors
        assert (tensor.verdict == Verdict.RULE) == by_rule


def test_other_layouts_have_a_tensor_scale_for_each(source: Path, tmp_path: Path) -> None:
    convert(source, tmp_path / "new", "nvfp4", layout="minifloat")
    checkpoint = open_checkpoint(tmp_path / "new")
    for module in ROWS:
        assert checkpoint[f"{LAYER}.{module}.weight"] == mf.quantize(weights(module), "nvfp4")


def test_what_is_left_out_does_not_count(source: Path, tmp_path: Path) -> None:
    convert(source, tmp_path / "new", "nvfp4", layout="modelopt", exclude="*.v_proj.*")
    held = open_checkpoint(tmp_path / "new")[f"{LAYER}.self_attn.q_proj.weight"]
    both = [weights(module) for module in TOGETHER[0][:2]]
    assert isinstance(held, mf.Quantized)
    assert held.tensor_scale == mf.quantize(np.concatenate(both), "nvfp4").tensor_scale


def test_a_shard_depends_on_those_beside_it(source: Path, tmp_path: Path) -> None:
    """Its tensor scale does, so that it is written again when the other shard changes."""
    new, names = tmp_path / "new", sorted(path.name for path in source.iterdir())
    convert(source, new, "nvfp4")
    held = {
        f"{LAYER}.{module}.weight": stored(weights(module) * np.float32(4))
        for place, module in enumerate(ROWS)
        if place % 2
    }
    write(source, held, name=names[1])
    (new / "conversion.json").write_text(
        (new / "conversion.json").read_text().replace('"complete": true', '"complete": false')
    )
    assert convert(source, new, "nvfp4").kept == ()
    convert(source, tmp_path / "again", "nvfp4")
    for name in names:
        assert (new / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_partners_lie_side_by_side() -> None:
    names = [f"a.{part}.weight" for group in FUSED for part in group]
    for group in FUSED:
        expected = tuple(f"a.{part}.weight" for part in group)
        for name in expected:
            assert partners(name, names) == expected
            assert partners(name, [name]) == ()
            assert partners(name, [other.replace("a.", "b.") for other in names]) == ()
    assert partners("a.down_proj.weight", names) == ()
    assert partners("q_proj.weight", ["q_proj.weight", "k_proj.weight"]) != ()
