"""The JIT is loaded when it pays, works without a cache, and never changes a bit."""

from __future__ import annotations

import ast
import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat import _jit
from minifloat._kernels import codec, packing, scalar

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "minifloat"
CAP_DAC_OVERRIDE, PR_CAPBSET_DROP = 1, 24  # Linux: what lets root write read-only files

LOADED = "import sys; print('numba' in sys.modules)"


def run(program: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program, with every warning shown, and require that it ends well."""
    command = [sys.executable, "-W", "always::RuntimeWarning", "-c", program]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert ran.returncode == 0, ran.stderr
    return ran


def numba_is_loaded_by(program: str) -> bool:
    return run(f"{program}\n{LOADED}").stdout.splitlines()[-1] == "True"


@pytest.fixture(scope="module")
def results() -> dict[str, dict[str, Any]]:
    """What every verb returns, by how the kernels are run."""
    strides = {"compiled": 1, "interpreted": 1, "missing": 9, "disabled": 9}

    def result(how: str) -> dict[str, Any]:
        command = [sys.executable, "-W", "ignore", "-m", "tests.every_verb", how, str(strides[how])]
        environment = os.environ | ({"NUMBA_DISABLE_JIT": "1"} if how == "disabled" else {})
        ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
        assert ran.returncode == 0, ran.stderr.decode()
        found: dict[str, Any] = json.loads(ran.stdout)
        return found

    with ThreadPoolExecutor(len(strides)) as pool:
        return dict(zip(strides, pool.map(result, strides), strict=True))


@pytest.mark.parametrize(("how", "least"), [
    ("interpreted", 4000), ("missing", 500), ("disabled", 500),
])  # fmt: skip
def test_bits_do_not_depend_on_the_jit(
    how: str, least: int, results: dict[str, dict[str, Any]]
) -> None:
    wanted, got = results["compiled"]["digests"], results[how]["digests"]
    assert len(got) >= least
    assert [name for name, bits in got.items() if bits != wanted[name]] == []


@pytest.mark.parametrize("how", ["missing", "disabled"])
def test_products_without_the_jit_are_within_their_bound(
    how: str, results: dict[str, dict[str, Any]]
) -> None:
    """Twice the bound that `linear` states, since neither is the exact product."""
    wanted, got = results["compiled"]["products"], results[how]["products"]
    assert wanted.keys() == got.keys()
    for name in got:
        a, b = np.array(got[name]), np.array(wanted[name])
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
        finite = np.isfinite(b)
        np.testing.assert_array_equal(a[~finite], b[~finite])
        n, largest = 40 + 8, 40 * 10.0  # the sum of |x| |w|, 40 normals times at most 10
        assert np.abs(a[finite] - b[finite]).max() <= 2 * n * 2.0**-24 * largest


@pytest.mark.parametrize("arguments", [
    ["encode", "e2m2", "1.1"], ["encode", "nf4", "-0.3", "--rounding", "stochastic", "--seed", "3"],
    ["decode", "e4m3fn", "0x7e"], ["show", "e2m2"], ["list"],
])  # fmt: skip
def test_the_command_answers_without_numba(arguments: list[str]) -> None:
    program = f"from minifloat.cli import main; assert main({arguments}) == 0"
    assert not numba_is_loaded_by(program)


def test_a_property_test_on_small_arrays_meets_no_compile_pause() -> None:
    program = """
import numpy as np, minifloat as mf
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

@settings(max_examples=200, database=None)
@given(arrays.arrays(np.float32, st.integers(0, 12), elements=st.floats(-9, 9, width=32)))
def test(x):
    assert (mf.decode(mf.encode(x, "e2m2"), "e2m2") == mf.round_to(x, "e2m2")).all()

test()
"""
    assert not numba_is_loaded_by(program)


@pytest.mark.parametrize("program", [
    "mf.encode(np.ones(_jit.SMALL + 1), 'e2m2')",
    "for _ in range(2 + _jit.PATIENCE // 10): mf.encode(np.ones(10), 'e2m2')",
    "mf.linear([1.0], mf.quantize([[1.0]], 'e2m2'))",
    "registers.prove(registers.to_half('e2m1', '4'), 'e2m1')",
])  # fmt: skip
def test_numba_is_loaded_when_it_pays(program: str) -> None:
    header = "import numpy as np, minifloat as mf\nfrom minifloat import _jit, registers\n"
    assert numba_is_loaded_by(header + program)


def test_small_calls_are_interpreted_until_it_pays() -> None:
    program = """
import numpy as np, minifloat as mf
from minifloat import _jit, registers
q = mf.quantize(np.ones((1, 8)), "e2m2/4", search="mse")
q.dequantize(), mf.unpack(mf.pack(q.codes, 5), 5, 8)
registers.run(registers.to_half("e2m1", "4"), np.zeros(4, np.uint32))
mf.encode(np.ones(_jit.SMALL), "e4m3fn", rounding="stochastic", seed=1)
"""
    assert not numba_is_loaded_by(program)


def test_a_kernels_name_stands_for_the_compiled_function_once_it_is_loaded() -> None:
    if not _jit.load():
        pytest.skip("the JIT is disabled")
    mf.encode(np.ones(9), "e2m2")
    mf.pack([1], 5)
    for kernel in (codec.encode, codec.round_to, packing.pack, packing.unpack_words):
        assert hasattr(kernel, "signatures")
    # a thread that is in a plain function goes on with plain ones
    assert isinstance(scalar.truncate, FunctionType)


def test_threads_that_come_at_once_load_it_once() -> None:
    """And a thread of small calls meanwhile has the same results."""
    program = """
import threading, numpy as np, minifloat as mf
from minifloat._kernels import codec
x = np.linspace(-8, 8, 5000, dtype=np.float32)
start = threading.Barrier(5)
large, small, kernels, errors = [], [], [], []

def work(size, results, calls):
    start.wait()
    try:
        for _ in range(calls):
            results.append(mf.encode(x[:: 5000 // size], "e2m2").tobytes())
        kernels.append(codec.encode)
    except BaseException as error:
        errors.append(error)

threads = [threading.Thread(target=work, args=(5000, large, 3)) for _ in range(4)]
threads.append(threading.Thread(target=work, args=(10, small, 500)))
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not errors, errors
assert len(large) == 12 and len(set(large)) == 1 and len(small) == 500 and len(set(small)) == 1
assert len(set(map(id, kernels))) == 1
"""
    assert run(program).stderr == ""


USES_EVERYTHING = """
import warnings, numpy as np, minifloat as mf
x = np.linspace(-8, 8, 300, dtype=np.float32)
codes = mf.encode(x, "e2m2")
assert (mf.decode(codes, "e2m2") == mf.round_to(x, "e2m2")).all()
assert (mf.unpack(mf.pack(codes, 5), 5, 300) == codes).all()
q = mf.quantize(x.reshape(3, 100), "e2m2/32")
np.testing.assert_allclose(mf.linear(np.ones(100), q), q.dequantize().sum(axis=1), rtol=1e-4)
"""


def test_one_warning_where_numba_cannot_be_imported() -> None:
    ran = run(f"import sys; sys.modules['numba'] = None\n{USES_EVERYTHING * 2}")
    assert ran.stderr.count("Warning") == 1
    assert "RuntimeWarning: Numba cannot be imported" in ran.stderr
    assert "Install a Numba" in ran.stderr


def test_small_calls_do_not_warn_that_there_is_no_numba() -> None:
    program = (
        "import sys; sys.modules['numba'] = None\nimport minifloat as mf; mf.encode(1, 'e2m2')"
    )
    assert run(program).stderr == ""


def test_no_warning_where_the_jit_is_disabled() -> None:
    assert run(USES_EVERYTHING, env=os.environ | {"NUMBA_DISABLE_JIT": "1"}).stderr == ""


COMPILES = """
import numpy as np, minifloat as mf
codes = mf.encode(np.linspace(-8, 8, 300), "nf4")
assert (mf.unpack(mf.pack(codes, 4), 4, 300) == codes).all()
"""


def installed(folder: Path) -> dict[str, str]:
    """Copy the package; return an environment with it and without a home directory."""
    shutil.copytree(PACKAGE, folder / "minifloat", ignore=shutil.ignore_patterns("__pycache__"))
    kept = {k: v for k, v in os.environ.items() if not re.match("NUMBA|XDG|PYTHON|IPYTHON", k)}
    return kept | {"PYTHONPATH": str(folder), "HOME": os.devnull, "PYTHONDONTWRITEBYTECODE": "1"}


def assert_uncached(ran: subprocess.CompletedProcess[str], folder: Path) -> None:
    assert ran.stderr.count("Warning") == 1, ran.stderr
    assert "set NUMBA_CACHE_DIR to a directory that can be written" in ran.stderr
    assert not list(folder.rglob("*.nbi"))


def test_one_warning_in_a_read_only_installation_without_a_home(tmp_path: Path) -> None:
    environment = installed(tmp_path)
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(path.stat().st_mode & 0o555)

    def give_up_writing() -> None:
        if os.geteuid() == 0:
            ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)

    command = [sys.executable, "-c", "import os, sys; sys.exit(os.access(sys.argv[1], os.W_OK))"]
    try:
        if subprocess.run([*command, tmp_path], check=False, preexec_fn=give_up_writing).returncode:
            pytest.skip("this user can write everywhere")
        ran = run(COMPILES, cwd=tmp_path, env=environment, preexec_fn=give_up_writing)
        assert_uncached(ran, tmp_path)
    finally:
        for path in (tmp_path, *tmp_path.rglob("*")):
            path.chmod(path.stat().st_mode | 0o200)


def test_one_warning_where_every_place_for_the_cache_is_a_file(tmp_path: Path) -> None:
    environment = installed(tmp_path)
    (tmp_path / "minifloat" / "_kernels" / "__pycache__").touch()
    (tmp_path / "file").touch()
    environment["NUMBA_CACHE_DIR"] = str(tmp_path / "file")
    assert_uncached(run(COMPILES, cwd=tmp_path, env=environment), tmp_path)


def test_a_cache_directory_of_the_users_is_used(tmp_path: Path) -> None:
    program = "import minifloat as mf; mf.pack([1] * 99, 5)"
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    assert run(program, env=environment).stderr == ""
    assert list(tmp_path.rglob("packing.pack.*.nbi"))


def test_it_is_told_when_functions_are_compiled_and_not_when_they_are_in_the_cache(
    tmp_path: Path,
) -> None:
    program = """
import minifloat as mf
from minifloat import _jit
told = []
with _jit.observed(lambda: told.append(None)):
    mf.pack([1] * 99, 5)
count = len(told)
mf.unpack(mf.pack([1] * 99, 5), 5, 99)
print(count > 0, len(told) == count)
"""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    assert run(program, env=environment).stdout == "True True\n"
    assert run(program, env=environment).stdout == "False True\n"


@pytest.mark.parametrize(("kind", "kept"), [("nbi", 0), ("nbi", 0.5), ("nbc", 0.5)])
def test_a_file_of_the_cache_that_was_cut_short_is_written_anew(
    tmp_path: Path, kind: str, kept: float
) -> None:
    """As after a power cut."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    program = "import minifloat as mf; print(mf.pack([1] * 99, 5).sum())"
    wanted = run(program, env=environment).stdout
    (path,) = tmp_path.rglob(f"packing.pack.*.{kind}")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    for _ in range(2):
        ran = run(program, env=environment)
        assert (ran.stdout, ran.stderr) == (wanted, "")
    (path,) = tmp_path.rglob(f"packing.pack.*.{kind}")
    assert path.stat().st_size == len(whole)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
def test_one_warning_where_the_disk_is_full(tmp_path: Path) -> None:
    """All writes fail, to a directory that can be written."""
    program = f"""
import builtins, os
opened = builtins.open

def open_full(path, mode="r", *args, **kwargs):
    full = str(path).startswith({str(tmp_path)!r}) and "w" in mode
    return opened("/dev/full" if full else path, mode, *args, **kwargs)

builtins.open = open_full
{COMPILES}
"""
    ran = run(program, env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)})
    assert ran.stderr.count("Warning") == 1, ran.stderr
    assert "No space left on device" in ran.stderr
    assert "set NUMBA_CACHE_DIR to another directory" in ran.stderr


def test_a_change_in_any_kernel_file_compiles_anew(tmp_path: Path) -> None:
    """Also of a function, a constant or a class that another file imports, which Numba misses."""
    environment = installed(tmp_path) | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    kernels = tmp_path / "minifloat" / "_kernels"
    program = "from minifloat._kernels import one, two; print(two.walk(one.ARRAY, one.PAIR))"
    (kernels / "two.py").write_text("""
from minifloat._jit import kernel
from minifloat._kernels.one import ADDEND, step

@kernel
def walk(array, pair):
    return step(array[0] + pair[0]) + ADDEND
""")

    def result(step: int, addend: int, name: str) -> int:
        (kernels / "one.py").write_text(f"""
from typing import NamedTuple
import numpy as np
from minifloat._jit import jit

class {name}(NamedTuple):
    a: int

ADDEND = {addend}
PAIR = {name}(10)
ARRAY = np.zeros(100, np.int64)

@jit
def step(x):
    return x + {step}
""")
        return int(run(program, cwd=tmp_path, env=environment).stdout)

    assert result(100, 1000, "Pair") == 1110
    assert list((tmp_path / "cache").rglob("two.walk*.nbc"))
    assert result(200, 1000, "Pair") == 1210
    assert result(200, 3000, "Pair") == 3210
    assert result(200, 3000, "Renamed") == 3210
    assert len(list((tmp_path / "cache").rglob("two.walk*.nbi"))) == 1  # the others are removed


def test_kernels_are_called_by_their_modules_name() -> None:
    """A kernel that is imported by its own name would never become the compiled one."""
    kernels = {
        node.name
        for path in (PACKAGE / "_kernels").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    }
    assert {"encode", "anneal", "least_squares"} <= kernels
    for path in PACKAGE.rglob("*.py"):
        if path.parent.name == "_kernels":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
                "minifloat._kernels."
            ):
                assert kernels.isdisjoint(alias.name for alias in node.names), path
