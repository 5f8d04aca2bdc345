"""What small formats do to training: recipes for every product, on models that two cores can train.

A study is a module of `STUDIES`, as in `analysis.numerics`: its docstring has its criteria, and
``python -m analysis.training`` runs it by its name. `analysis.training.recipe` describes how a
model is trained, `analysis.training.run` trains one, and `analysis.training.grid` many. PyTorch on
the CPU is needed: ``pip install -e ".[training]"``.
"""

STUDIES = (
    "fp4", "exponent_mantissa", "instability", "noise", "many_widths", "after_training",
    "quartet_errors",
)  # fmt: skip
