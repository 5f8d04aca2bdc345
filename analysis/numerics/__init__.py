"""What arithmetic in small formats does: studies with error bars, and exact errors.

A study draws: texts, matrices, operands, seeds. It is a module of `STUDIES` with a function
``records(*, quick=False, progress=None)``, which measures and returns records: dicts with the same
keys, as `analysis.records` writes them. ``quick`` is a slice that takes seconds; ``progress`` is
called with the steps done and all steps. Records are raw, one for each draw, so that every error
bar can be computed again. A study's docstring has its criteria. ``python -m analysis.numerics``
runs it by its name; docs/data/numerics has its records, and docs/numerics.md shows the results.

What can be computed exactly has no records and is no study: `multiplication`, `gaussian_products`
and `dyadic_scales` are called as functions. docs/multiplication.md shows what they return, with
draws beside the expectations.
"""

STUDIES = (
    "dot_products",
    "reproducibility",
    "masked_bits",
    "lu_refinement",
    "conjugate_gradients",
    "time_steps",
    "heat_equation",
    "k_means",
    "newton_root",
)
