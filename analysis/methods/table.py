"""All methods against all at equal bits: errors of layers, and losses of whole models.

All matrices of a model are quantized by one method (`analysis.methods.contenders`) to 3.25, 4.25 or
5.25 bits per weight, everything counted, or in the mean of the matrices, where a budget is
allocated. Then come the error of each matrix's outputs on test inputs, in dB below the outputs, and
the loss of the model on `PARTS` parts of each of two texts: of SmolLM2 in nats per token, of MiniLM
1 - cosine to its own embeddings. Methods see calibration text alone, which is of the same two books
and from other places.

EfficientNet-Lite0 and Whisper base have the methods of `MAIN` alone, in 4.25 and 5.25 bits; their
loss is the Kullback-Leibler divergence from the unchanged model, in nats: of the classes of photos,
or of the decoder's tokens on recordings, of which each is a part. Photos and recordings for
calibration are others.

What is random is drawn more than once: a draw k > 0 numbers the inputs of each matrix otherwise, so
blocks have other members, GPTQ another order, and rotations turn other inputs together.

**Criteria**

- A method's loss is what it adds to that of the unchanged model, the mean of the texts. Its error
  is from paired differences: their variance over the parts (each the mean of its draws) over the
  number of parts, plus the variance between draws over their number. Where there is one draw, the
  variance between draws is that of the other methods of the model and budget: the mean of their
  variances relative to the squared loss.
- One method is better than another at a budget if its loss is less by two errors of the paired
  difference, with the variances between draws of both.
- Aim 1: within 4.25 bits, a loss of SmolLM2 no larger than that of E2M2 in blocks of 128, plain,
  at 5.125 bits, on each of its texts. Aim 2: within 5.25 bits, a perplexity at most 3 % above that
  of the unchanged model, a loss of ln 1.03, on each. An aim is reached if the difference is
  below 0 by two errors on both texts, missed if it is above 0 by two errors on one, else open.
- An error of outputs is the mean over the matrices in dB; its error is over matrices.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass

import numpy as np

import minifloat as mf
from analysis.methods.bit_budgets import Packed, counted
from analysis.methods.contenders import ALLOCATED, BEST, FINEST, METHODS, REFERENCE
from analysis.methods.efficientnet_subject import EfficientNetLite0
from analysis.methods.minilm_subject import MiniLM
from analysis.methods.mixed_precision import AT, allocated, divergences
from analysis.methods.smollm2_subject import SmolLM2
from analysis.methods.subjects import Subject, place
from analysis.methods.whisper_subject import WhisperBase
from analysis.models.evaluation import Progress
from analysis.models.layers import Array
from analysis.records import Row, Rows
from analysis.studies import grown

SUBJECTS: dict[str, Callable[..., Subject]] = {
    SmolLM2.name: SmolLM2.load,
    MiniLM.name: MiniLM.load,
    EfficientNetLite0.name: EfficientNetLite0.load,
    WhisperBase.name: WhisperBase.load,
}
TEXTS = (SmolLM2.name, MiniLM.name)  # models that have all methods
LOSS, OUTPUT_ERROR, DIVERGENCE = "loss", "output error", "divergence"  # what a record holds
UNCHANGED, FLOAT32 = "fp32", 32.0  # the method of the unchanged model, and its bits
COLUMNS = 30  # numbers of a record: of the parts of a text, or of the layers
DRAWS = 3
REPEATED = (REFERENCE, "E2My, mse", BEST, f"allocated {BEST}")  # methods with `DRAWS` draws
ORDER = (4.25, 5.25, 3.25)  # of the budgets
MAIN = (*REPEATED, "INT, mse", "GPTQ, E2My, mse", "GPTQ, INT, mse", FINEST)  # of images and speech


@dataclass(frozen=True)
class Run:
    """A model with all of its matrices quantized.

    Attributes
    ----------
    model, method : str
    budget : float
        Bits per weight.
    draw : int
    """

    model: str
    method: str
    budget: float
    draw: int


def plan(*, quick: bool = False) -> list[Run]:
    """Return what is measured, in this order: what matters most first.

    Parameters
    ----------
    quick : bool
        Two methods alone.

    Returns
    -------
    list of Run
    """
    names = [*REPEATED, *(name for name in (*METHODS, *ALLOCATED) if name not in REPEATED)]
    if quick:
        names = [REFERENCE, next(iter(ALLOCATED))]
    runs = [
        run
        for model in SUBJECTS
        for run in (Run(model, UNCHANGED, FLOAT32, 0), Run(model, DIVERGENCE, AT, 0))
    ]
    for part in (names[: len(REPEATED)], names[len(REPEATED) :]):
        for budget in (AT,) if quick else ORDER:
            runs += [Run(model, name, budget, 0) for model in SUBJECTS for name in part]
    if not quick:
        for draw in range(1, DRAWS):
            for budget in ORDER:
                runs += [Run(model, name, budget, draw) for model in SUBJECTS for name in REPEATED]
    return [run for run in runs if run.model in TEXTS or _is_main(run)]


def _is_main(run: Run) -> bool:
    """Return whether a run is one of those of images and speech."""
    return run.method in (UNCHANGED, DIVERGENCE, *(MAIN if run.budget != ORDER[-1] else ()))


def growing(
    known: Rows,
    *,
    quick: bool = False,
    progress: Progress | None = None,
    models: Collection[str] = tuple(SUBJECTS),
) -> Iterator[Rows]:
    """Measure what is not known yet, and yield all records after each run.

    Parameters
    ----------
    known : list of dict
        Records of an earlier call that was stopped.
    quick : bool
        Two methods, few texts, and one layer of SmolLM2.
    progress : callable, optional
        Called with the runs done and all runs.
    models : collection of str
        Of `SUBJECTS`.

    Yields
    ------
    list of dict
        The records, in the order of the plan. ``model``, ``method``, ``budget``, ``draw``;
        ``bits`` per weight; what it is: ``kind`` (`LOSS`, `OUTPUT_ERROR`, `DIVERGENCE`) ``of`` a
        text or a kind of matrix; ``at_0`` and so on: of each part of the text, or of each layer.

    Raises
    ------
    MissingPackage
        If the package of a model, or of a text, is not installed.
    ValueError
        If a method needs more bits than its budget.
    """
    every = plan(quick=quick)
    runs = [run for run in every if run.model in models]
    done = dict[Run, Rows]()
    for row in known:
        done.setdefault(_run_of(row), []).append(row)
    measurers = dict[str, _Measurer]()

    def measure(run: Run) -> Rows:
        if run.model not in measurers:
            measurers[run.model] = _Measurer(SUBJECTS[run.model](quick=quick), done)
        done[run] = measurers[run.model].rows(run)
        return done[run]

    for _ in grown(known, runs, _run_of, measure, progress):
        yield _ordered(done, every)


def _ordered(done: Mapping[Run, Rows], runs: Iterable[Run]) -> Rows:
    return [row for run in runs if run in done for row in done[run]]


class _Measurer:
    """Measures runs of one model; an allocated budget needs the divergences of an earlier one."""

    def __init__(self, subject: Subject, done: Mapping[Run, Rows]) -> None:
        self.subject = subject
        self.done = done

    def rows(self, run: Run) -> Rows:
        """Return the records of a run."""
        if run.method == DIVERGENCE:
            return _by_layer(run, AT, DIVERGENCE, divergences(self.subject), 9)
        values, errors, bits = dict[str, Array](), dict[str, float](), 0.0
        for name, budget in self._budgets(run).items():
            weights, test = self.subject.matrices[name], self.subject.test[name]
            packed, values[name] = quantized(run, self.subject, name, budget)
            used = counted(packed)
            if used > budget:
                raise ValueError(f"bits must be at most {budget:g}, got {used:g} by {run}, {name}")
            bits += used * weights.size
            errors[name] = decibels(weights, values[name], test)
        whole = sum(weights.size for weights in self.subject.matrices.values())
        bits = FLOAT32 if run.method == UNCHANGED else bits / whole
        found = _by_layer(run, bits, OUTPUT_ERROR, errors, 3)
        for text, losses in self.subject.losses(values).items():
            found.append(_row(run, bits, LOSS, text, dict(enumerate(losses)), 6))
        return found

    def _budgets(self, run: Run) -> Mapping[str, float]:
        """Return the bits per weight of each matrix."""
        names = list(self.subject.matrices)
        if run.method == UNCHANGED:
            return {}
        if run.method not in ALLOCATED:
            return dict.fromkeys(names, run.budget)
        measured = self.done[Run(run.model, DIVERGENCE, AT, 0)]
        known = {(row["of"], k): row[f"at_{k}"] for row in measured for k in range(COLUMNS)}
        moved = {name: known[place(name)] for name in names}
        sizes = {name: weights.size for name, weights in self.subject.matrices.items()}
        return allocated(sizes, moved, run.budget)


def quantized(run: Run, subject: Subject, name: str, budget: float) -> tuple[Packed, Array]:
    """Return a matrix by the method of a run, packed and as numbers, its inputs in their own order.

    Parameters
    ----------
    run : Run
    subject : Subject
    name : str
        Of the matrix.
    budget : float
        Its bits per weight.

    Returns
    -------
    packed : Quantized or Composite
        With its inputs in the order of the draw.
    values : ndarray of float32, (outputs, inputs)

    Raises
    ------
    ValueError
        If a method corrects biases, which are no part of a matrix.
    """
    method = {**METHODS, **ALLOCATED}[run.method]
    weights, inputs = subject.matrices[name], subject.calibration[name]
    order = np.arange(weights.shape[1])
    if run.draw:
        rng = np.random.default_rng([run.draw, *name.encode()])
        order = rng.permutation(order)
    ordered = np.ascontiguousarray(weights[:, order])
    packed = method(ordered, inputs.ordered(order), budget)
    if isinstance(packed, mf.Composite) and packed.bias is not None:
        raise ValueError(f"methods must leave biases as they are, got one by {run.method}")
    values = np.empty_like(weights)
    values[:, order] = packed.dequantize()
    return packed, values


def decibels(weights: Array, values: Array, gram: Array) -> float:
    """Return the squared outputs over the squared errors of outputs, in dB.

    Parameters
    ----------
    weights, values : ndarray of float32, (outputs, inputs)
    gram : ndarray of float32, (inputs, inputs)
        X^T X of the inputs X.

    Returns
    -------
    float
        Infinite where nothing is lost.

    Examples
    --------
    >>> w = np.ones((2, 3), np.float32)
    >>> round(decibels(w, 0.9 * w, np.eye(3, dtype=np.float32)), 3)
    20.0
    """
    lost = _energy(weights - values, gram)
    return 10 * math.log10(_energy(weights, gram) / lost) if lost else math.inf


def _energy(w: Array, gram: Array) -> float:
    """Return the trace of w gram w^T."""
    return float(np.vdot(w @ gram, w.astype(np.float64)))


def _by_layer(run: Run, bits: float, kind: str, numbers: Mapping[str, float], digits: int) -> Rows:
    """Return a record for each kind of matrix, with the numbers of its layers."""
    found: dict[str, dict[int, float]] = {}
    for name, number in numbers.items():
        of, layer = place(name)
        found.setdefault(of, {})[layer] = number
    return [_row(run, bits, kind, of, layers, digits) for of, layers in found.items()]


def _row(
    run: Run, bits: float, kind: str, of: str, numbers: Mapping[int, float], digits: int
) -> Row:
    values = {
        f"at_{k}": round(float(numbers[k]), digits) if k in numbers else None
        for k in range(COLUMNS)
    }
    return {**asdict(run), "bits": round(bits, 6), "kind": kind, "of": of, **values}


def _run_of(row: Row) -> Run:
    return Run(row["model"], row["method"], row["budget"], row["draw"])
