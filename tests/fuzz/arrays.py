"""Arrays of any dtype and strides give what a contiguous copy gives, and stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Literal

import ml_dtypes
import numpy as np

import minifloat as mf
from minifloat import arithmetic
from minifloat.arithmetic import p3109
from tests.fuzz.choices import Choices
from tests.fuzz.faults import check, check_line, only
from tests.fuzz.mutations import Change
from tests.fuzz.target import Target

FLOATS = [np.dtype(text) for text in ("<f4", "<f8", "<f2", ml_dtypes.bfloat16, ">f4", ">f8", ">f2")]
INTEGERS = [np.dtype(text) for text in ("u1", "i1", "<u2", ">i2", "<u4", ">i4", "<u8", ">i8")]
OTHERS = [
    np.dtype(text)
    for text in ("?", "<c8", "<M8[s]", "<m8[s]", "S3", "<U2", "V4", "g", ml_dtypes.float8_e5m2)
]
FORMATS = ("e2m2", "e4m3fn", "nf4", "int5", "e8m0", "e5m10ieee", "uint4", "bipolar_int2")
RECIPES = ("e2m2/4/float32", "nvfp4", "nf4/tensor", "uint4/3/float16/zero-point", "int4/2x3/e8m0",
           "int4/3/float16/hadamard2")  # fmt: skip
LENGTHS = (3, 0, 1, 2, 5, 70)  # the last one is worth compiling for
MANY = 40  # dimensions; some of NumPy's functions stop at 32, its arrays at 64
Array = np.ndarray[Any, Any]


def run(data: bytes) -> None:
    """Make an array and a copy, call a verb with both, compare."""
    choices = Choices(data)
    verb = choices.one_of([encode, round_to, decode, quantize, pack, operate, compute, compare])
    kinds = [*FLOATS, *FLOATS, *FLOATS, *INTEGERS, *OTHERS]
    if verb in (decode, pack):
        kinds = [*INTEGERS, *INTEGERS, *FLOATS[:1], *OTHERS[:1]]
    dtype = choices.one_of(kinds)
    call = verb(choices)
    odd, copy = arrays(choices, dtype)
    before = odd.tobytes()
    got, wanted = outcome(call, odd), outcome(call, copy)
    check(got == wanted, f"{dtype} with strides {odd.strides} gives {got}, its copy {wanted}")
    check(odd.tobytes() == before, "the input was changed")


def arrays(choices: Choices, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """Return an array of any strides, perhaps not aligned, and a contiguous copy."""
    shape = [choices.one_of(LENGTHS) for _ in range(choices.below(4))]
    if sum(length == LENGTHS[-1] for length in shape) > 1:
        shape = shape[:1]
    many = [1] * MANY if choices.below(12) == 1 else []
    steps = many + [choices.one_of((1, 2, -1, -3)) for _ in shape]
    constant = [False for _ in many] + [choices.below(8) == 0 for _ in shape]  # strides of 0
    shape = many + shape
    shift, flipped = choices.below(2), choices.below(2)
    large = [
        1 if same else length * abs(step)
        for length, step, same in zip(shape, steps, constant, strict=True)
    ]
    size = int(np.prod(large, dtype=np.int64)) * dtype.itemsize
    raw = np.zeros(size + shift, np.uint8)[shift:]
    content = choices.rest(size)
    if dtype.kind == "b":
        content = bytes(byte & 1 for byte in content)
    if dtype.kind == "U":
        content = b"a\0\0\0" * (size // 4)
    raw[:] = np.frombuffer(content, np.uint8)
    tame = choices.below(3) and dtype in (*FLOATS, *INTEGERS)
    whole = np.ndarray(large, dtype, raw.data, order="F" if flipped else "C")
    if tame:  # small numbers, which most formats take
        whole[...] = np.resize(np.frombuffer(content or b"a", np.int8), large) % 9 / 2
    slices: list[Any] = [
        slice(None, None, 1 if same else step) for step, same in zip(steps, constant, strict=True)
    ]
    view = whole[(*slices, ...)]  # an array also without dimensions
    odd = np.broadcast_to(view, shape) if any(constant) else view  # read-only, or not
    return odd, np.array(odd, dtype.newbyteorder("="), order="C")


Verb = Callable[[Array], Any]


def encode(choices: Choices) -> Verb:
    """Return a call of `encode`, perhaps into an array of its own strides."""
    fmt = choices.one_of([*FORMATS, "tf32"])
    options, spread = policies(choices), choices.below(3)

    def call(x: Array) -> Any:
        if not spread or x.ndim == 0:
            return mf.encode(x, fmt, **options)
        bits = mf.parse(fmt).bits
        dtype = np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32
        out = np.zeros((*x.shape[:-1], spread * x.shape[-1]), dtype)[..., ::spread]
        return mf.encode(x, fmt, out=out, **options)

    return call


def round_to(choices: Choices) -> Verb:
    """Return a call of `round_to`."""
    fmt, options = choices.one_of(FORMATS), policies(choices)
    dtype = choices.one_of([None, np.float64, np.float32, np.float16])
    return lambda x: mf.round_to(x, fmt, dtype=dtype, **options)


def operate(choices: Choices) -> Verb:
    """Return a call of an operation in a format; NumPy's dates and the like are refused there."""
    name = choices.one_of(["add", "divide", "fma", "sqrt", "remainder", "exp", "sinpi", "log2"])
    count = {"add": 2, "divide": 2, "fma": 3, "remainder": 2}.get(name, 1)
    fmt, options = choices.one_of(FORMATS), policies(choices)
    return lambda x: getattr(arithmetic, name)(*[x] * count, fmt, **options)


def compute(choices: Choices) -> Verb:
    """Return a call of an operation of P3109, perhaps with results in an IEEE format."""
    name = choices.one_of(["Convert", "Add", "Divide", "FMA", "Sqrt", "MinimumFinite"])
    count = {"Add": 2, "Divide": 2, "FMA": 3, "MinimumFinite": 2}.get(name, 1)
    fmt = choices.one_of(["binary32", "binary64", "binary16", "binary8p4se", "e4m3fn", "e8m0"])
    rounding = choices.one_of([*p3109.ROUNDING_MODES])
    saturation: Any = choices.one_of([*p3109.SATURATION_MODES])
    options: Any = {"rounding": rounding, "saturation": saturation}
    if rounding.startswith("Stochastic"):
        options["seed"] = choices.below(256)
    return lambda x: p3109.compute(name, *[x] * count, fmt=fmt, **options)


def compare(choices: Choices) -> Verb:
    """Return a call of a comparison."""
    name = choices.one_of(["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"])
    return lambda x: getattr(arithmetic, name)(x, 1.5)


def policies(choices: Choices) -> dict[str, Any]:
    """Return options of rounding."""
    rounding = choices.one_of([*mf.Rounding])
    options: dict[str, Any] = {
        "rounding": rounding,
        "overflow": choices.one_of([*mf.Overflow]),
        "nan": choices.one_of([*mf.NaNPolicy]),
        "threads": choices.one_of([1, 2]),
    }
    return options | ({"seed": choices.below(256)} if rounding.is_stochastic else {})


def decode(choices: Choices) -> Verb:
    """Return a call of `decode`, mostly on codes that the format has."""
    fmt = mf.parse(choices.one_of(FORMATS))
    dtype = choices.one_of([np.float32, np.float64, np.float16])
    any_code = choices.below(4) == 0

    def call(x: Array) -> Any:
        if any_code or x.dtype.kind not in "iu":
            return mf.decode(x, fmt, dtype=dtype)
        limited = x.copy(order="K")  # the strides' order stays
        np.remainder(x, min(fmt.code_count, 100), out=limited)
        return mf.decode(limited, fmt, dtype=dtype)

    return call


def quantize(choices: Choices) -> Verb:
    """Return a call of `quantize`."""
    recipe, axis = choices.one_of(RECIPES), choices.one_of([-1, -1, -1, 0, 1, -3])
    threads = choices.one_of([1, 2])

    def call(x: Array) -> Any:
        q = mf.quantize(x, recipe, axis=axis, threads=threads)
        zero_points = q.zero_points if q.zero_points is not None else 0
        return [q.packed, q.scales, q.tensor_scale or 0, zero_points, q.dequantize()]

    return call


def pack(choices: Choices) -> Verb:
    """Return a call of `pack`, which `unpack` undoes."""
    bits = 1 + choices.below(32)
    order: Literal["little", "big"] = "big" if choices.below(2) else "little"

    def call(x: Array) -> Any:
        packed = mf.pack(x, bits, bit_order=order)
        if x.ndim:
            again = mf.unpack(packed, bits, x.shape[-1], bit_order=order)
            check(np.array_equal(again, x), "unpack must undo pack")
        return packed

    return call


def outcome(call: Verb, x: Array) -> list[Any]:
    """Return all bits of what a call gives, or its error in words; NaN has no sign or payload."""
    with only(ValueError, TypeError):
        try:
            result = call(x)
        except (ValueError, TypeError) as error:
            check_line("the message", str(error))
            words = str(error).replace(f"{x.dtype}", f"{x.dtype.newbyteorder('=')}")
            return [type(error).__name__, words]
    parts = result if isinstance(result, list) else [result]
    return [bits_of(np.asarray(part)) for part in parts]


def bits_of(a: Array) -> tuple[str, tuple[int, ...], bytes]:
    """Return an array's dtype, shape and bits, with one NaN for all."""
    if a.dtype.kind == "f":
        a = np.where(np.isnan(a), np.array(np.nan, a.dtype), a)
    return str(a.dtype), a.shape, a.tobytes()


def seeds() -> dict[str, bytes]:
    """Return a call of each verb with a reversed array, and random bytes, some with infinities."""
    random = Random(0)
    reversed_rows = bytes([2, 0, 4, 0, 1, 2, 1, 1, 1, 1, 1])  # 3 x 5 small numbers, not aligned
    verbs = {  # the verb, the dtype, what the verb chooses
        "encode": [0, 0, 0, 0, 0, 0, 0, 2],
        "round_to": [1, 0, 0, 0, 0, 0, 0, 0],
        "decode": [2, 0, 0, 0, 1],
        "quantize": [3, 0, 0, 0, 0],
        "pack": [4, 0, 7, 0],
    }
    calls = {verb: bytes(head) + reversed_rows + bytes(range(9)) for verb, head in verbs.items()}
    odd = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, 3e38, 1.0], np.float32).tobytes()
    signalling = bytes.fromhex("0000a07f 0100f07f 010000000000f07f 017c 817f")
    noise = {f"noise {n}": random.randbytes(60) for n in range(8)}
    heads = {f"odd {n}": random.randbytes(16) + (odd, signalling)[n % 2] for n in range(4)}
    return {**calls, **noise, **heads}


def mutate(data: bytes, random: Random, change: Change) -> bytes:
    """Change one choice, or some bytes."""
    if not data or random.random() < 0.5:
        return change(data)
    at = random.randrange(min(len(data), 20))
    return data[:at] + random.randbytes(1) + data[at + 1 :]


TARGET = Target(run, seeds, mutate)
