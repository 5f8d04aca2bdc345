"""What only arrays of JAX have: functions that are traced, and no 64 bits unless asked for."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

import minifloat as mf

jax = pytest.importorskip("jax", reason='JAX is not installed: extra "jax"')

X = jax.numpy.asarray(np.float32([[1.0, -2.5], [0.3, 7.0]]))
CALLS: list[Callable[..., object]] = [
    jax.jit(lambda x: mf.encode(x, "e2m2")),
    jax.grad(lambda x: mf.round_to(x, "e2m2").sum()),
    jax.vmap(lambda x: mf.round_to(x, "e2m2")),
]


@pytest.mark.parametrize("call", CALLS)
def test_traced_values_are_refused(call: Callable[..., object]) -> None:
    with pytest.raises(TypeError, match=r"x must have values, .*outside of jax\.jit, jax\.grad"):
        call(X)


def test_64_bits_are_not_cut_in_silence() -> None:
    with pytest.raises(TypeError, match="dtype must be of at most 32 bits for JAX arrays"):
        mf.round_to(X, "e2m2", dtype="float64")
    with pytest.raises(TypeError, match='pass dtype="float32"'):
        mf.round_to(X.astype(int), "e2m2")
    jax.config.update("jax_enable_x64", True)
    try:
        assert mf.round_to(X.astype(int), "e2m2").dtype == np.float64
    finally:
        jax.config.update("jax_enable_x64", False)


def test_results_are_on_the_device_of_the_argument() -> None:
    assert mf.encode(X, "e2m2").devices() == X.devices()


def test_arrays_elsewhere_and_arrays_to_write_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TypeError, match="out must not be a JAX array"):
        mf.encode(X, "e2m2", out=mf.encode(X, "e2m2"))
    monkeypatch.setattr(type(X), "devices", lambda _: [SimpleNamespace(platform="gpu")])
    with pytest.raises(TypeError, match=r"on the CPU, got an array on gpu; use jax\.device_put"):
        mf.encode(X, "e2m2")


def test_keys_are_no_numbers() -> None:
    with pytest.raises(TypeError, match="PRNGKey"):
        mf.encode(jax.random.key(0), "e2m2")
