"""How fast SmolLM2-135M writes on a CPU, beside what a user would pick: bits, speed, and quality.

In one run, in turns, `ROUNDS` times, each program decodes `TOKENS` tokens greedily, one after
another; figures are medians over rounds. ``cpu`` is the time of all threads of the CPU for a token,
which other work on the machine disturbs less, and ``tokens per second`` is by the clock. Beside
minifloat run, where they are installed (two threads only where two cores are free: programs whose
threads wait for each other would measure the other work):

- llama.cpp (``pip install xllamacpp``), on SmolLM2's own file: weights of Q4_1, embeddings of Q8_0,
  and vectors rounded to 8 bits in blocks of 32.
- onnxruntime's MatMulNBits of 4 and 8 bits, in blocks of 32, with vectors of 8 bits too. It runs
  the seven matrices of one layer; ``layer`` is the time of the CPU for these.

Ours multiplies by the matrices of one input at once (`analysis.models.joined_llama`). ``nats`` is
the loss in nats per token on the first `CHUNKS` chunks of both texts of `analysis.models.smollm2`,
for minifloat alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from analysis.claims.timing import free_threads, product_on, threads_of
from analysis.models import smollm2
from analysis.models.evaluation import REFERENCE, Progress, counter
from analysis.models.joined_llama import joined
from analysis.models.layers import Array
from analysis.models.llama import ATTENTION, GATED, MATRICES, Llama
from analysis.models.packages import optional
from analysis.models.texts import TEXTS
from analysis.records import Row, Rows
from minifloat.files.checkpoints import open_checkpoint

INT8 = "int8/channel/float32"  # of vectors: one scale for each
CASES = (  # weights and vectors
    (REFERENCE, "float32"),
    ("e2m2/128/float16", "float32"),
    ("int5/128/float16", "float32"),
    ("e2m2/128/float16", INT8),
    ("int8/128/float16", INT8),
)
LLAMA_CPP, ONNXRUNTIME = "xllamacpp", "onnxruntime"
NBITS, BLOCK = (4, 8), 32  # of MatMulNBits
ROUNDS, TOKENS, CHUNKS = 5, 24, 4
LAYER_CALLS = 20  # of one layer's products, in a round


@dataclass
class _Program:
    """What is measured: a function that decodes so many tokens, or one that multiplies a layer."""

    about: Row
    decode: Callable[[int], object] | None
    layer: Callable[[], object] | None

    def __post_init__(self) -> None:
        self.tokens: list[tuple[float, float]] = []  # seconds of the CPU and of the clock
        self.layers: list[float] = []

    def measure(self) -> None:
        if self.decode is not None:
            cpu, clock = time.process_time(), time.perf_counter()
            self.decode(TOKENS)
            cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
            self.tokens.append((cpu / TOKENS, clock / TOKENS))
        if self.layer is not None:
            start = time.process_time()
            for _ in range(LAYER_CALLS):
                self.layer()
            self.layers.append((time.process_time() - start) / LAYER_CALLS)

    @property
    def row(self) -> Row:
        cpu, clock = np.median(self.tokens, axis=0) if self.tokens else (None, None)
        return self.about | {
            "cpu in ms per token": None if cpu is None else 1e3 * float(cpu),
            "tokens per second": None if clock is None else 1 / float(clock),
            "cpu of a layer in us": 1e6 * float(np.median(self.layers)) if self.layers else None,
        }


def records(*, quick: bool = False, progress: Progress | None = None) -> Rows:
    """Return a row for each program, kind of weights and number of threads.

    Parameters
    ----------
    quick : bool
        Whether to measure float32 and E2M2 alone, in one round on one thread, without other
        programs.
    progress : callable, optional

    Returns
    -------
    list of dict
        With the columns program, weights, vectors, threads, bits per weight, nats (None for other
        programs) and those of the times, which are None where a program has none.

    Raises
    ------
    MissingPackage
        If a package of the model is not installed.
    """
    cases, threads, rounds = (CASES[:2], (1,), 1) if quick else (CASES, free_threads(), ROUNDS)
    chunks = [] if quick else _chunks()
    step = counter(progress, len(cases) + rounds)
    programs: list[_Program] = []
    model = smollm2.load()
    models = dict(joined(model).variants(dict.fromkeys(weights for weights, _ in cases[1:])))
    for weights, vectors in cases:
        programs += _ours(models[weights], weights, vectors, threads, chunks, vectors_of(model))
        step()
    if not quick:
        programs += [*llama_cpp_programs(threads), *_onnxruntime(model, threads)]
    for program in programs:  # compiles, and reads what is read late
        program.measure()
        program.tokens.clear()
        program.layers.clear()
    for _ in range(rounds):
        for program in programs:
            program.measure()
        step()
    return [program.row for program in programs]


def _chunks() -> list[Any]:
    words = smollm2.tokenizer()
    parts = (smollm2.chunks(np.array(words.encode(read()).ids))[0] for read in TEXTS.values())
    return [chunk for part in parts for chunk in part[:CHUNKS]]


def _about(program: str, weights: str, vectors: str, threads: int, bits: float) -> Row:
    return {
        "program": program,
        "weights": weights,
        "vectors": vectors,
        "threads": threads,
        "bits per weight": bits,
        "nats": None,
    }


def _ours(
    model: Llama, weights: str, vectors: str, threads: tuple[int, ...], chunks: list[Any],
    inputs: tuple[Array, Array],
) -> Iterator[_Program]:  # fmt: skip
    activations = None if vectors == "float32" else vectors
    loss = None
    for count in threads_of(weights, threads):
        used = replace(model, multiply=product_on(count, activations))
        if loss is None and chunks:
            loss = float(np.mean([smollm2.nats(used, chunk) for chunk in chunks]))
        about = _about("minifloat", weights, vectors, count, model.storage[0])
        layer = partial(_layer, used, *inputs)
        yield _Program(about | {"nats": loss}, partial(_decode, used), layer)


def _decode(model: Llama, count: int) -> None:
    cache = model.cache(count)
    token = np.array([smollm2.END])
    for _ in range(count):
        token = np.array([int(model.logits(token, cache)[-1].argmax())])


def vectors_of(model: Llama) -> tuple[Array, Array]:
    """Return an input of a layer, and one of its last matrix."""
    draw = np.random.default_rng(1)
    sizes = (model.matrices[f"blk.0.{name}.weight"].shape[1] for name in ("attn_q", "ffn_down"))
    x, inner = (draw.standard_normal((1, size), np.float32) for size in sizes)
    return x, inner


def _layer(model: Llama, x: Array, inner: Array) -> None:
    for names in (ATTENTION, ("attn_output",), GATED, ("ffn_down",)):
        model.products(0, names, inner if names == ("ffn_down",) else x)


def llama_cpp_programs(threads: tuple[int, ...]) -> Iterator[_Program]:
    """Yield llama.cpp with each number of threads; nothing where it is not installed."""
    if not find_spec(LLAMA_CPP):
        return
    llama_cpp = optional(LLAMA_CPP)
    bits = _bits_of_file()
    for count in threads:
        params = llama_cpp.CommonParams()
        params.model.path = str(smollm2.WEIGHTS.find())
        params.n_ctx, params.n_parallel, params.n_gpu_layers = 256, 1, 0
        params.warmup, params.verbosity, params.fit_params = False, 0, False
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = count
        server = llama_cpp.Server(params)
        about = _about(f"llama.cpp, {LLAMA_CPP}", "Q4_1 and Q8_0", "Q8_1", count, bits)
        yield _Program(about, partial(_complete, server), None)


def _complete(server: Any, count: int) -> None:
    """Let llama.cpp decode so many tokens, the end of an answer among them or not."""
    asked = {"prompt": "The", "max_tokens": count, "temperature": 0, "ignore_eos": True}
    answer = server.handle_completions(asked | {"cache_prompt": False})
    decoded = answer["usage"]["completion_tokens"]
    if decoded != count:
        raise RuntimeError(f"llama.cpp must decode {count} tokens, got {decoded}")


def _bits_of_file() -> float:
    held = open_checkpoint(smollm2.WEIGHTS.find()).descriptions
    matrices = [tensor for tensor in held if len(tensor.shape) == 2]
    return sum(tensor.bits for tensor in matrices) / sum(tensor.size for tensor in matrices)


def _onnxruntime(model: Llama, threads: tuple[int, ...]) -> Iterator[_Program]:
    if not (find_spec(ONNXRUNTIME) and find_spec("onnx")):
        return
    x, inner = vectors_of(model)
    for bits in NBITS:
        graph = layer_graph(model, bits)
        for count in threads:
            session = session_of(graph, count)
            about = _about(
                f"{ONNXRUNTIME} {optional(ONNXRUNTIME).__version__}",
                f"MatMulNBits of {bits} bits",
                "8 bits",
                count,
                bits + 32 / BLOCK,
            )
            yield _Program(about, None, partial(session.run, None, {"x": x, "inner": inner}))


def session_of(graph: bytes, threads: int) -> Any:
    """Return an onnxruntime session of a model, whose idle threads sleep."""
    runtime = optional(ONNXRUNTIME)
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def layer_graph(model: Llama, bits: int) -> bytes:
    """Return a model of the products of the first layer with weights of so many bits."""
    onnx = optional("onnx")
    make, float32 = onnx.helper, onnx.TensorProto.FLOAT
    nodes, constants, outputs, inputs = [], [], [], {}
    for name in MATRICES:
        w = np.asarray(model.matrices[f"blk.0.{name}.weight"])
        source = "inner" if name == "ffn_down" else "x"
        inputs[source] = make.make_tensor_value_info(source, float32, [1, w.shape[1]])
        outputs.append(make.make_tensor_value_info(name, float32, [1, w.shape[0]]))
        for part, array in zip(("codes", "scales"), blocks_of_integers(w, bits), strict=True):
            constants.append(onnx.numpy_helper.from_array(array, f"{name}.{part}"))
        node = make.make_node(
            "MatMulNBits", [source, f"{name}.codes", f"{name}.scales"], [name],
            domain="com.microsoft", K=w.shape[1], N=w.shape[0], bits=bits, block_size=BLOCK,
            accuracy_level=4,
        )  # fmt: skip
        nodes.append(node)
    graph = make.make_graph(nodes, "layer", list(inputs.values()), outputs, constants)
    opsets = [make.make_opsetid("", 17), make.make_opsetid("com.microsoft", 1)]
    made: bytes = make.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    return made


def blocks_of_integers(w: Array, bits: int) -> tuple[Any, Array]:
    """Return codes, (rows, blocks, bytes), whose zero is half of their range, and scales."""
    middle = 1 << (bits - 1)
    blocks = w.reshape(len(w), -1, BLOCK)
    scales = np.abs(blocks).max(axis=2) / np.float32(middle - 1)
    codes = np.rint(blocks / np.maximum(scales, 1e-30)[..., None]) + middle
    codes = codes.astype(np.uint8)
    if bits == 4:  # the first of two in the low half of a byte
        codes = codes[..., 0::2] | codes[..., 1::2] << 4
    return codes, scales.reshape(-1)
