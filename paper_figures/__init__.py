"""The figures, one file each; `python -m paper_figures` draws them.

A figure is a module with two functions. ``data(progress)`` computes rows of numbers, which are
saved as a CSV file beside the figure; ``draw(rows)`` makes a Matplotlib figure of them and computes
nothing else. To draw one for your own formats, edit the line ``FORMATS`` at its top.
"""

FIGURES = (  # in the order of the story; each is a module of this package
    "anatomy",
    "rounding_steps",
    "packing_steps",
    "register_conversion",
    "grid_loss",
    "block_size",
    "error_density",
    "pareto",
    "best_splits",
    "instructions",
    "real_weights",
    "models",
    "crest_factor",
    "multiplication_error",
    "circuit_cost",
    "circuit_loss",
    "circuit_shares",
    "speed",
    "dot_products",
    "reproducibility",
    "masked_bits",
    "linear_systems",
    "time_steps",
    "roots_and_clusters",
    "methods",
    "four_bit_recipes",
    "nested_formats",
    "fp4",
    "exponent_mantissa",
    "instability",
    "noise",
    "many_widths",
    "after_training",
)
