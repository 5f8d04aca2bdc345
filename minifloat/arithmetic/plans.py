"""Plans: what the kernels need of an accumulator, made once and cached."""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

from minifloat.arithmetic.accumulators import Accumulator
from minifloat.arithmetic.doubles import DoublePlan
from minifloat.arithmetic.step_plans import Negated, Plan
from minifloat.arithmetic.stochastic_plans import DrawnSums, StochasticPlan
from minifloat.arithmetic.sum_formats import FLOAT64
from minifloat.formats.rounding import Rounding

FixedPlan: TypeAlias = Plan | Negated | DoublePlan
TilePlan: TypeAlias = FixedPlan | DrawnSums


@lru_cache(maxsize=256)
def plan_of(accumulator: Accumulator) -> FixedPlan | StochasticPlan:
    """Return the plan of an accumulator."""
    if accumulator.fmt == FLOAT64:
        return DoublePlan(accumulator)
    if accumulator.rounding.is_stochastic:
        return StochasticPlan.of(accumulator)
    one_by_one = accumulator.terms == 1 and accumulator.bits is None
    if accumulator.rounding is Rounding.DOWNWARD and one_by_one and not accumulator.fmt.is_fixed:
        return Negated.of(accumulator)
    return Plan.of(accumulator, accumulator.rounding)
