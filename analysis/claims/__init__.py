"""Whether the claim of FPE2M2, nearly lossless in five bits, holds for models of a kind.

A study is a module of `STUDIES`, as in `analysis.numerics`: ``records(*, quick=False,
progress=None)``, or ``growing`` (`analysis.studies`), measures raw records, its docstring has its
criteria, and ``python -m analysis.claims`` runs it by its name; docs/data/claims has its records.
"""

STUDIES = (
    "text",
    "embeddings",
    "activations",
    "measures",
    "speech",
    "speech_speed",
    "images",
    "images_speed",
    "text_speed",
)
