"""What is in a quantized checkpoint, and whether it is what its original gives.

`inspect` reads a checkpoint alone: formats, scales, codes, and what looks odd. `audit` holds it
against the weights that it was made of, tensor by tensor, and names mistakes of writers that it
knows (`minifloat.auditing.mistakes`); `minifloat.auditing.verdicts` has the thresholds.
"""

from minifloat.auditing.contents import inspect
from minifloat.auditing.original import audit
from minifloat.auditing.records import Audit, Contents, TensorAudit, TensorContents, Verdict

__all__ = [
    "Audit",
    "Contents",
    "TensorAudit",
    "TensorContents",
    "Verdict",
    "audit",
    "inspect",
]
