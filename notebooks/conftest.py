"""The notebook that needs PyTorch is left out where it is not installed."""

import importlib.util

collect_ignore = [] if importlib.util.find_spec("torch") else ["07_with_pytorch.ipynb"]
