"""What methods that make a recipe lose less do to weights, layers and models.

A study is a module of `STUDIES`, as in `analysis.numerics`: ``records(*, quick=False,
progress=None)`` measures and returns raw records, its docstring has its criteria, and
``python -m analysis.methods`` runs it by its name; docs/data/methods has its records. ``table``
takes hours, and is continued where its file ends.
"""

STUDIES = (
    "calibration_images",
    "calibration_texts",
    "equalization",
    "few_levels",
    "key_value_cache",
    "layer_rounding",
    "learned_rotations",
    "low_rank",
    "outliers",
    "rotation_theory",
    "rotations",
    "sensitivities",
    "table",
)
