"""What arithmetic in small formats does: studies with error bars, `python -m analysis.numerics`.

Each study is a module of `STUDIES` with a function ``records(*, quick=False, progress=None)``,
which measures and returns records: dicts with the same keys, as `analysis.records` writes them.
``quick`` is a slice that takes seconds; ``progress`` is called with the steps done and all steps.
Records are raw, one for each draw (a text, a matrix, a seed), so that every error bar can be
computed again. A study's docstring has its criteria. docs/numerics.md shows the results.
"""

STUDIES = (
    "reproducibility",
    "masked_bits",
    "lu_refinement",
    "conjugate_gradients",
    "time_steps",
    "heat_equation",
    "k_means",
    "newton_root",
)
