"""Tensors of PyTorch and JAX as arrays, and arrays as such tensors, which share their memory.

Neither library is imported here: who has a tensor of theirs has imported it. bfloat16 and float8,
which NumPy lacks, become the types of ml_dtypes, by their bits.
"""

from __future__ import annotations

import sys
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]

DLPACK_CPU = (1, 3)  # kDLCPU; kDLCUDAHost is memory of the CPU, too


class TorchTensor(Protocol):
    """What a type checker must know of `torch.Tensor`, without PyTorch's own types."""

    def detach(self) -> Any:
        """Return the tensor without its gradient."""

    def element_size(self) -> int:
        """Return the bytes of an element."""


class JaxArray(Protocol):
    """What a type checker must know of `jax.Array`, without JAX's own types."""

    def block_until_ready(self) -> Any:
        """Return the array when it is computed."""

    def copy_to_host_async(self) -> Any:
        """Begin to copy the array to the CPU."""


AnyTensor: TypeAlias = TorchTensor | JaxArray
Tensor = TypeVar("Tensor", bound=TorchTensor | JaxArray)


def is_torch(x: object) -> bool:
    """Return whether ``x`` is a tensor of PyTorch."""
    return isinstance(x, getattr(sys.modules.get("torch"), "Tensor", ()))


def is_jax(x: object) -> bool:
    """Return whether ``x`` is an array of JAX, or stands for one while JAX traces a function."""
    return isinstance(x, getattr(sys.modules.get("jax"), "Array", ()))


def tensor_array(name: str, x: Any) -> Array | None:
    """Return the array that shares a tensor's memory, or None if ``x`` is no tensor.

    Raises
    ------
    TypeError
        If a tensor has no values in the CPU's memory, or a dtype that NumPy and ml_dtypes lack.
    """
    if is_torch(x):
        return _torch_array(name, x)
    if isinstance(x, getattr(sys.modules.get("torch.fx"), "Proxy", ())):
        raise _traced_by_torch(name)
    if is_jax(x):
        return _jax_array(name, x)
    if hasattr(x, "__dlpack__") and not hasattr(x, "__array__"):
        return _dlpack_array(name, x)
    return None


def writable_array(out: Any) -> Array | None:
    """Return the array that shares the memory of a tensor to write to, or None if it is none.

    Raises
    ------
    TypeError
        As `tensor_array`; if the tensor requires a gradient, or is one of JAX.
    """
    if is_jax(out):
        raise TypeError(
            "out must not be a JAX array, which is never written; leave it out to get a new one"
        )
    if not is_torch(out):
        return None
    if out.requires_grad:
        raise TypeError("out must not require a gradient; pass out.detach()")
    return _torch_array("out", out)


def tensor_like(x: Any, array: Array) -> Any:
    """Return a new array as a tensor of the library that ``x`` is of; None if it is no tensor.

    Raises
    ------
    TypeError
        If JAX has no dtype for it.
    """
    if is_torch(x):
        torch = sys.modules["torch"]
        if array.dtype.name == "bfloat16":
            return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
        return torch.from_numpy(array)
    if is_jax(x):
        jax = sys.modules["jax"]
        if array.dtype.itemsize == 8 and not jax.config.jax_enable_x64:
            raise TypeError(
                f"dtype must be of at most 32 bits for JAX arrays, got {array.dtype}; pass "
                'dtype="float32", or call jax.config.update("jax_enable_x64", True)'
            )
        return jax.device_put(array, next(iter(x.devices())))
    return None


def check_no_gradient(name: str, x: Any) -> None:
    """Raise a TypeError if a result that is computed from ``x`` would lose its gradient."""
    if is_torch(x) and x.requires_grad and sys.modules["torch"].is_grad_enabled():
        raise TypeError(
            f"{name} must not require a gradient, which would be lost; use {name}.detach(), or "
            "minifloat.interop.torch, whose functions have gradients"
        )


def cast_remedy(name: str, x: object, dtype: str) -> str:
    """Return what casts ``x``, an array or a tensor, in its own library's words."""
    return f"{name}.to(torch.{dtype})" if is_torch(x) else f"{name}.astype(numpy.{dtype})"


def view_remedy(name: str, x: object, dtype: str) -> str:
    """Return what reads the bits of ``x``, an array or a tensor, in its own library's words."""
    return f"{name}.view(torch.{dtype})" if is_torch(x) else f"{name}.view(numpy.{dtype})"


def numpy_dtype(dtype: object) -> np.dtype[Any]:
    """Return a dtype of NumPy or ml_dtypes; ``dtype`` may be one of PyTorch, or "bfloat16".

    Raises
    ------
    TypeError
        If there is none.
    """
    if type(dtype).__module__ == "torch":
        dtype = str(dtype).removeprefix("torch.")
    if isinstance(dtype, str) and dtype.startswith(("bfloat16", "float8_")):
        return ml_dtype("dtype", dtype)
    like: DTypeLike = dtype  # type: ignore[assignment]  # else NumPy raises
    return np.dtype(like)


def ml_dtype(name: str, dtype: str) -> np.dtype[Any]:
    """Return a dtype of ml_dtypes.

    Raises
    ------
    TypeError
        If ml_dtypes lacks it, or is not installed.
    """
    try:
        import ml_dtypes
    except ImportError:
        raise TypeError(
            f"{name} must have a dtype of NumPy where ml_dtypes is not installed, got {dtype}; "
            "pip install ml_dtypes"
        ) from None
    try:
        found: np.dtype[Any] = np.dtype(getattr(ml_dtypes, dtype))
    except AttributeError:
        raise TypeError(f"{name} must have a dtype of ml_dtypes, got {dtype}") from None
    return found


def _torch_array(name: str, x: Any) -> Array:
    torch = sys.modules["torch"]
    if x.device.type == "meta":
        raise TypeError(f"{name} must have values, got a tensor on the meta device")
    if x.device.type != "cpu":
        raise TypeError(
            f"{name} must be on the CPU, got a tensor on {x.device}; use {name}.cpu(), and "
            f".to({name}.device) for the result"
        )
    if x.layout is not torch.strided:
        raise TypeError(f"{name} must be a dense tensor, got {x.layout}; use {name}.to_dense()")
    if x.is_quantized:
        raise TypeError(
            f"{name} must not be a quantized tensor of PyTorch, got {x.dtype}; use "
            f"{name}.dequantize()"
        )
    if torch.jit.is_tracing():  # what is computed would be a constant of the trace
        raise _traced_by_torch(name)
    dtype = str(x.dtype).removeprefix("torch.")
    lacking = dtype.startswith(("bfloat16", "float8_"))  # in NumPy
    try:
        x = x.detach().resolve_neg()
        if lacking:
            words = x.view(torch.uint8 if x.element_size() == 1 else torch.uint16).numpy()
        else:
            words = x.numpy()
    except RuntimeError as error:
        raise TypeError(
            f"{name} must be a tensor that has its values in memory, got {type(x).__name__} "
            f"({error}); call minifloat outside of torch.vmap, torch.export and the like"
        ) from None
    except TypeError:
        remedy = f"; minifloat.unpack reads the codes of its bytes, {name}.view(torch.uint8)"
        raise TypeError(
            f"{name} must have a dtype that NumPy or ml_dtypes has, got torch.{dtype}"
            f"{remedy if dtype.startswith(('float4', 'int', 'uint')) else ''}"
        ) from None
    return np.asarray(words.view(ml_dtype(name, dtype)) if lacking else words)


def _traced_by_torch(name: str) -> TypeError:
    return TypeError(
        f"{name} must have values, got one that PyTorch traces; call minifloat outside of "
        "torch.jit.trace and torch.fx.symbolic_trace"
    )


def _jax_array(name: str, x: Any) -> Array:
    jax = sys.modules["jax"]
    if isinstance(x, jax.core.Tracer):
        raise TypeError(
            f"{name} must have values, got one that JAX traces; call minifloat outside of jax.jit, "
            "jax.grad and jax.vmap"
        )
    platforms = sorted({device.platform for device in x.devices()})
    if platforms != ["cpu"]:
        raise TypeError(
            f"{name} must be on the CPU, got an array on {' and '.join(platforms)}; use "
            f'jax.device_put({name}, jax.devices("cpu")[0])'
        )
    return np.asarray(x)


def _dlpack_array(name: str, x: Any) -> Array:
    device = x.__dlpack_device__()[0]
    if device not in DLPACK_CPU:
        raise TypeError(
            f"{name} must be on the CPU, got {type(x).__name__} on DLPack's device {int(device)}; "
            "copy it to the CPU first"
        )
    try:
        return np.from_dlpack(x)
    except (RuntimeError, BufferError, ValueError) as error:
        raise TypeError(
            f"{name} must have a dtype that NumPy takes by DLPack, got {type(x).__name__} "
            f"({error}); convert it to float32 first"
        ) from None
