"""Layers and functions for other libraries, each in a module of its name, which imports it.

`minifloat.interop.torch` is for PyTorch. The functions of `minifloat` take tensors as they are.
"""
