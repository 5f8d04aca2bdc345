"""A model with quantized activations and cache, or on a matrix unit, in the table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.models import smollm2
from analysis.models.activations import OnUnit, RoundedInputs
from analysis.models.llama import Llama
from analysis.models.packed_cache import PackedCache
from analysis.models.settings import Setting
from minifloat.caches import CacheRecipe
from tests.analysis.conftest import WORDS

TOKENS = np.random.default_rng(6).integers(0, WORDS, 40)
INT8, INT4 = "int8/channel/float32", "int4/4/float16"


def test_a_setting_is_what_its_parts_are(llama: Llama) -> None:
    own = smollm2.nats(llama, TOKENS)
    for setting, model, cache in (
        (Setting(), llama, None),
        (Setting(activations=INT8), replace(llama, multiply=RoundedInputs(INT8)), None),
        (Setting(unit="hopper/e4m3fn/float32"),
         replace(llama, multiply=OnUnit("hopper/e4m3fn/float32")), None),
        (Setting(cache=INT4), llama, PackedCache(llama, CacheRecipe(INT4, INT4), 39)),
    ):  # fmt: skip
        changed = setting.applied(llama)
        found = smollm2.nats(changed, TOKENS, setting.cache_for(changed, 39))
        assert found == smollm2.nats(model, TOKENS, cache)
        assert (found == own) == (setting == Setting())
        assert bool(setting.name) == (setting != Setting())


def test_no_activations_with_a_unit() -> None:
    with pytest.raises(ValueError, match="activations must be left out with a unit"):
        Setting(activations=INT8, unit="hopper/e4m3fn/float32")
