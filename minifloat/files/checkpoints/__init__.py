"""Checkpoints that other tools wrote: their weights as `minifloat.Quantized`, bit for bit.

A file here is one layout: which tensors belong together, what their types and shapes tell, and how
they become weights. `reading` asks the layouts in turn.
"""

from minifloat.files.checkpoints.checkpoint import Checkpoint, open_checkpoint
from minifloat.files.checkpoints.weights import Dequantizable, Description

__all__ = ["Checkpoint", "Dequantizable", "Description", "open_checkpoint"]
