"""Every float16 and every bfloat16 is taken as the number it is, on every CPU and interpreted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys, ml_dtypes, numpy as np, minifloat as mf
words = np.arange(0, 65536, int(sys.argv[1]), np.uint16)
for source, own in ((np.float16, "float16"), (ml_dtypes.bfloat16, "bfloat16")):
    x = words.view(source)
    wide = x.astype(np.float32)
    is_nan = np.isnan(wide)
    codes = mf.encode(x, own, overflow="ieee")
    assert (codes[~is_nan] == words[~is_nan]).all()
    assert np.isnan(mf.decode(codes[is_nan], own)).all()
    for fmt in ("e2m2", "e5m2", "int8full", "nf4", "e8m0"):
        for options in ({}, {"overflow": "sat_none"}, {"rounding": "to_odd", "overflow": "ieee"}):
            options |= {"nan": "max"}
            same = mf.encode(x, fmt, **options) == mf.encode(wide, fmt, **options)
            assert same.all(), (own, fmt, options, words[~same])
            rounded = mf.round_to(x, fmt, dtype=np.float32, **options)
            np.testing.assert_array_equal(
                rounded.view(np.int32), mf.round_to(wide, fmt, **options).view(np.int32)
            )
print(len(words))
"""


@pytest.mark.parametrize(
    ("environment", "step"),
    [
        ({}, 1),
        ({"NUMBA_CPU_NAME": "generic"}, 1),
        ({"NUMBA_DISABLE_JIT": "1"}, 61),
    ],
    ids=["this CPU", "any CPU", "interpreted"],
)
def test_all_numbers_of_16_bits(environment: dict[str, str], step: int, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(step)],
        cwd=ROOT,
        env=os.environ | environment | {"NUMBA_CACHE_DIR": str(tmp_path)} if environment else None,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) == len(range(0, 65536, step))
