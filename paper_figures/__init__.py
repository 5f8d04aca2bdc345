"""The figures, one file each; `python -m paper_figures` draws them."""
