"""A CPU that replaces subnormal numbers by 0: no verb gives wrong results in silence."""

import platform
import subprocess
import sys

import pytest

SET_MODE = """
import ctypes
import numpy as np
import minifloat as mf

libm = ctypes.CDLL("libm.so.6")
environment = (ctypes.c_uint32 * 8)()  # glibc's fenv_t on x86-64; the last word is MXCSR
libm.fegetenv(environment)
environment[7] |= 0x8040  # flush to zero, and subnormal inputs are zeros
w = np.full((2, 64), 2**-125, np.float32)
q = mf.quantize(w, "mxfp4")
libm.fesetenv(environment)
assert np.float32(2**-126) * np.float32(0.5) == 0
"""
CALLS = (
    'mf.encode(w, "e8m0")',
    'mf.round_to(w, "e8m0")',
    'mf.decode([0, 1], "e8m0")',
    'mf.quantize(w, "mxfp4")',
    "q.dequantize()",
    "mf.linear(w, q)",
    "mf.linear(w, q, activations='int8/channel/float32')",
    "q @ w.T",
    "q.sqnr(w)",
    'mf.compare(w, "mxfp4")',
)
is_glibc = sys.platform == "linux" and platform.machine() == "x86_64"


@pytest.mark.skipif(not is_glibc, reason="the mode is set through glibc's x86-64 interface")
def test_every_verb_refuses_a_cpu_without_subnormal_numbers() -> None:
    script = SET_MODE
    for call in CALLS:
        script += f"""
try:
    {call}
except RuntimeError as error:
    assert "subnormal" in str(error), error
else:
    print({call!r}, "gave a result")
"""
    script += """
ctypes.CDLL(None).fesetenv(ctypes.c_void_p(-1))  # the remedy
assert mf.encode(np.float32(1.1e-38), "e8m0") == 1
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=300
    )
    assert (result.returncode, result.stdout) == (0, ""), result.stdout + result.stderr
