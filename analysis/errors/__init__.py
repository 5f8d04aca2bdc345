"""Exact quantization errors of weights with a known law, and the smallest possible ones."""
