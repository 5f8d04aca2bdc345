"""What methods that make a recipe lose less do to weights, layers and models.

A study is a module of `STUDIES`, as in `analysis.numerics`: ``records(*, quick=False,
progress=None)`` measures and returns raw records, its docstring has its criteria, and
``python -m analysis.methods`` runs it by its name; docs/data/methods has its records.
"""

STUDIES = ("equalization", "learned_rotations", "rotation_theory", "rotations", "sensitivities")
