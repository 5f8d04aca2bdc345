"""One training run: AdamW with a cosine schedule; it can be stopped, and goes on to the same bits.

All random numbers are functions of the seed and the step: a saved run is its weights, the state of
the optimizer, the step and the losses so far.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from pathlib import Path

import torch
from torch.nn import functional

from analysis.output import write_files
from analysis.training.data import Batch, Data, digits, texts
from analysis.training.model import DIGITS, SHAPES, Model, make_model
from analysis.training.recipe import TrainingRecipe
from analysis.training.threads import torch_threads
from minifloat.formats.base import check_int

WARM_UP = 0.05  # of the steps, in which the rate rises from 0
LAST_RATE = 0.1  # of the highest
BETAS = (0.9, 0.95)
DECAY = 0.1
LARGEST_GRADIENT = 1.0  # norm of all gradients, above which they are scaled down
SAVE_EVERY = 100  # steps


@dataclass(frozen=True)
class Setup:
    """All that a run depends on.

    Parameters
    ----------
    model : str
        "0.2M", "0.8M", "3M" or "digits".
    recipe : TrainingRecipe or str
    seed : int
        Of weights, batches and roundings; 0 to 2**63 - 1.
    items : int
        Bytes, or images, that the run learns from; whole batches, at least one.
    batch : int
        Windows of bytes, or images, of a step.
    rate : float
        The highest learning rate.

    Raises
    ------
    ValueError
        If a number is out of range, or the model or recipe is unknown.
    TypeError
        If a seed, items or a batch is no integer, or the rate no number.

    Examples
    --------
    >>> from analysis.training.run import Setup
    >>> Setup("0.2M", "fp4_e8m0", seed=1, items=200_000).steps
    97
    """

    model: str
    recipe: TrainingRecipe | str = ""
    seed: int = 0
    items: int = 1_000_000
    batch: int = 16
    rate: float = 3e-3

    def __post_init__(self) -> None:
        object.__setattr__(self, "recipe", TrainingRecipe.parse(self.recipe))
        if self.model not in (*SHAPES, DIGITS):
            choices = ", ".join((*SHAPES, DIGITS))
            raise ValueError(f"model must be one of {choices}, got {self.model!r}")
        for name, least, most in (
            ("seed", 0, 2**63 - 1), ("batch", 1, 1 << 20), ("items", 0, None)
        ):  # fmt: skip
            value = check_int(name, getattr(self, name), least, most)
            object.__setattr__(self, name, value)  # such as NumPy's, whose text is another one
        if not isinstance(self.rate, Real):
            raise TypeError(f"rate must be a number, got {self.rate!r}")
        object.__setattr__(self, "rate", float(self.rate))
        if not 0 < self.rate < math.inf:
            raise ValueError(f"rate must be above 0 and finite, got {self.rate}")
        if self.items < self.batch * self.window:
            raise ValueError(
                f"items must be those of a batch, {self.batch * self.window}, or more, got "
                f"{self.items}"
            )

    @property
    def window(self) -> int:
        """Items of a row of a batch."""
        return 1 if self.model == DIGITS else SHAPES[self.model].window

    @property
    def steps(self) -> int:
        """Steps of the run."""
        return self.items // (self.batch * self.window)

    def data(self) -> Data:
        """Return what the model is trained on."""
        return digits() if self.model == DIGITS else texts(self.window)

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step, from 0."""
        warm = max(1, round(WARM_UP * self.steps))
        if step < warm:
            return self.rate * (step + 1) / warm
        part = (step - warm) / max(1, self.steps - warm)
        return self.rate * (LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * part)) / 2)


@dataclass(frozen=True)
class Result:
    """What a run gave.

    Attributes
    ----------
    losses : tuple of float
        Of each step's batch, before the step, in bits for each byte or image.
    validation : float
        After the last step, in the same unit, with the products of the recipe's forward pass; NaN
        if the run diverged or was stopped before its end.
    accuracy : float
        How often the most likely byte or class is right, 0 to 1, over what validates; NaN likewise.
    diverged : bool
        Whether a loss or a gradient was infinite or NaN, which ends the run.
    """

    losses: tuple[float, ...]
    validation: float
    accuracy: float
    diverged: bool


class OtherRun(ValueError):
    """A file holds no state of the run to go on with: that of another one, or none at all."""


def train(
    setup: Setup,
    *,
    data: Data | None = None,
    state: Path | str | None = None,
    stop: int | None = None,
    threads: int = 1,
    progress: Callable[[int, int], object] | None = None,
) -> Result:
    """Train a model, or go on where a file ends.

    Parameters
    ----------
    setup : Setup
    data : Data, optional
        Other data than ``setup.data()``.
    state : path, optional
        Where the state of the run is saved every 100 steps and at the end; if the file is there,
        the run goes on from it. It is written whole or not at all.
    stop : int, optional
        Stop when so many steps are done, counted from the first of the run.
    threads : int
        Of PyTorch and of the rounding. With two or more, sums may have other last bits, and the
        environment variable ``GOMP_SPINCOUNT=1000`` at the start of the process keeps PyTorch's
        idle threads off the cores.
    progress : callable, optional
        Called with the steps done and all steps.

    Returns
    -------
    Result

    Raises
    ------
    OtherRun
        If the file is of a run with another setup, or cannot be read as a state.
    MissingPackage
        If the package of a text or of the digits is not installed.
    ValueError, TypeError
        If `threads` or `stop` is no number of threads or steps.
    """
    state = None if state is None else Path(state)
    threads = check_int("threads", threads, 1)
    end = setup.steps if stop is None else min(check_int("stop", stop, 0), setup.steps)
    with torch_threads(threads):
        run = Run(setup, setup.data() if data is None else data)
        if state is not None and state.exists():
            try:
                run.load(state.read_bytes())
            except OtherRun as error:
                raise OtherRun(f"{error}; name another file than {state}, or remove it") from None
        while run.step < end and not run.diverged:
            run.advance()
            if state is not None and (run.step % SAVE_EVERY == 0 or run.step == end):
                write_files(state.parent, {state.name: run.saved()})
            if progress is not None:
                progress(run.step, setup.steps)
        return run.result()


class Run:
    """A run at a step.

    Parameters
    ----------
    setup : Setup
    data : Data
    """

    def __init__(self, setup: Setup, data: Data) -> None:
        self.setup, self.data = setup, data
        self.model: Model = make_model(setup.model, TrainingRecipe.parse(setup.recipe), setup.seed)
        matrices = [p for p in self.model.parameters() if p.ndim > 1]
        rest = [p for p in self.model.parameters() if p.ndim == 1]
        groups = [
            {"params": matrices, "weight_decay": DECAY},
            {"params": rest, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW([g for g in groups if g["params"]], betas=BETAS)
        self.losses: list[float] = []
        self.diverged = False

    @property
    def step(self) -> int:
        """Steps done."""
        return len(self.losses)

    def advance(self) -> None:
        """Do one step, or find that the run has diverged."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.setup.rate_at(self.step)
        self.model.set_step(self.step)
        self.optimizer.zero_grad()
        batch = self.data.batch(self.setup.seed, self.step, self.setup.batch)
        try:
            loss, _ = self.loss(batch)
            bits = loss.item() / math.log(2)
            self.diverged = not math.isfinite(bits)
            if not self.diverged:
                loss.backward()
        except ValueError as error:  # what minifloat cannot round
            if "finite" not in str(error) and "NaN" not in str(error):
                raise
            self.diverged, bits = True, math.nan
        self.losses.append(bits)
        if self.diverged:
            return
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), LARGEST_GRADIENT)
        if not math.isfinite(norm):
            self.diverged = True
            return
        self.optimizer.step()

    def loss(self, batch: Batch) -> tuple[torch.Tensor, float]:
        """Return the loss of a batch in nats, and the part that is predicted right."""
        inputs, targets = batch
        logits = self.model(inputs)
        logits, targets = logits.reshape(-1, logits.shape[-1]), targets.reshape(-1)
        right = (logits.argmax(1) == targets).double().mean()
        return functional.cross_entropy(logits, targets), right.item()

    def result(self) -> Result:
        """Return what the run gave so far."""
        validation = accuracy = math.nan
        if self.step == self.setup.steps and not self.diverged:
            with torch.no_grad():
                loss, accuracy = self.loss(self.data.validation())
            validation = loss.item() / math.log(2)
        return Result(tuple(self.losses), validation, accuracy, self.diverged)

    def saved(self) -> bytes:
        """Return the state as the bytes of a file."""
        file = io.BytesIO()
        torch.save(
            {
                "setup": repr(self.setup),
                "losses": self.losses,
                "diverged": self.diverged,
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
            },
            file,
        )
        return file.getvalue()

    def load(self, content: bytes) -> None:
        """Go to the state that a file holds.

        Raises
        ------
        OtherRun
            If it is not one of this setup, or no state.
        """
        try:
            found = torch.load(io.BytesIO(content), weights_only=True)
            parts = [found[name] for name in ("setup", "model", "optimizer", "losses", "diverged")]
        except Exception as error:  # torch names no type for a damaged file
            raise OtherRun(
                f"state must be a whole file that a run has written, got {len(content)} bytes that "
                f"are none ({type(error).__name__})"
            ) from error
        setup, model, optimizer, losses, self.diverged = parts
        if setup != repr(self.setup):
            raise OtherRun(f"state must be of {self.setup}, got that of {setup}")
        self.model.load_state_dict(model)
        self.optimizer.load_state_dict(optimizer)
        self.losses = list(losses)
