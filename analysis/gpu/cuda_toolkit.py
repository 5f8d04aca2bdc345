"""NVIDIA's compiler and disassembler: found, and called."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REMEDY = 'on Linux, install g++ and "minifloat[cuda]", or set CUDA_HOME to a CUDA 13 toolkit'


@dataclass(frozen=True)
class Toolkit:
    """A CUDA toolkit.

    Parameters
    ----------
    root : Path
        The directory with ``bin/nvcc`` and its headers.
    nvdisasm : Path
        The disassembler.
    libraries : Path
        The directory of the static CUDA runtime.
    """

    root: Path
    nvdisasm: Path
    libraries: Path

    @property
    def nvcc(self) -> Path:
        """The compiler."""
        return self.root / "bin" / "nvcc"

    @property
    def version(self) -> str:
        """Version of the compiler, as in ``13.5.37``: instruction counts depend on it."""
        match = re.search(r"\bV(\d+(\.\d+)+)", run_tool(self.nvcc, "--version"))
        return match[1] if match else "unknown"


def find_toolkit() -> Toolkit | None:
    """Return the first complete CUDA toolkit.

    The packages of the extra ``cuda`` come first, then CUDA_HOME, then the ``nvcc`` on PATH. If a
    toolkit has no disassembler, the one on PATH is used. The compiler itself needs g++.

    Returns
    -------
    Toolkit or None
        None if there is none, or no g++ on PATH.

    Examples
    --------
    >>> from analysis.gpu.cuda_toolkit import find_toolkit
    >>> toolkit = find_toolkit()
    >>> toolkit is None or toolkit.nvcc.exists()
    True
    """
    if shutil.which("g++") is None:
        return None
    for root in _roots():
        nvdisasm = shutil.which("nvdisasm", path=root / "bin") or shutil.which("nvdisasm")
        runtimes = [root / name / "libcudart_static.a" for name in ("lib64", "lib")]
        libraries = [path.parent for path in runtimes if path.exists()]
        if (root / "bin" / "nvcc").exists() and nvdisasm and libraries:
            return Toolkit(root, Path(nvdisasm), libraries[0])
    return None


def need_toolkit() -> Toolkit:
    """Return the toolkit that `find_toolkit` finds.

    Returns
    -------
    Toolkit

    Raises
    ------
    RuntimeError
        If there is none.
    """
    toolkit = find_toolkit()
    if toolkit is None:
        raise RuntimeError(f"a CUDA toolkit must be installed, got none; {REMEDY}")
    return toolkit


def _roots() -> Iterator[Path]:
    """Yield possible roots of a toolkit: this environment's packages, CUDA_HOME, PATH."""
    package = importlib.util.find_spec("nvidia")  # a namespace that NVIDIA's packages share
    for location in (package and package.submodule_search_locations) or ():
        yield from sorted(Path(location).glob("cu[0-9]*"), reverse=True)
    if home := os.environ.get("CUDA_HOME"):
        yield Path(home)
    if nvcc := shutil.which("nvcc"):
        yield Path(nvcc).resolve().parents[1]


def compile_cubin(source: str, arch: str) -> bytes:
    """Compile CUDA C++ to the machine code of one architecture.

    Parameters
    ----------
    source : str
        CUDA C++.
    arch : str
        Such as "sm_80".

    Returns
    -------
    bytes
        The cubin, an ELF file.

    Raises
    ------
    RuntimeError
        If there is no toolkit, or the source does not compile (with the compiler's messages).
    """
    return _compile(source, f"-arch={arch}", "-cubin", output="code.cubin")


def compile_program(source: str, arch: str) -> bytes:
    """Compile CUDA C++ with a ``main`` to a program that needs only NVIDIA's driver.

    Parameters
    ----------
    source : str
        CUDA C++.
    arch : str
        Such as "sm_80"; the program runs on GPUs of this architecture.

    Returns
    -------
    bytes
        The executable file.

    Raises
    ------
    RuntimeError
        If there is no toolkit, or the source does not compile (with the compiler's messages).
    """
    libraries = need_toolkit().libraries
    return _compile(source, f"-arch={arch}", "-cudart=static", f"-L{libraries}", output="program")


def disassemble(cubin: bytes) -> str:
    """Return disassembled machine code, as JSON.

    Parameters
    ----------
    cubin : bytes
        From `compile_cubin`.

    Returns
    -------
    str
        nvdisasm's own JSON: a header, then an object for each function.

    Raises
    ------
    RuntimeError
        If there is no toolkit, or ``cubin`` is not machine code.
    """
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "code.cubin"
        path.write_bytes(cubin)
        return run_tool(need_toolkit().nvdisasm, "-json", path)


def run_tool(*command: str | Path) -> str:
    """Run a program and return its output.

    Parameters
    ----------
    *command : str or Path
        The program and its arguments.

    Returns
    -------
    str

    Raises
    ------
    RuntimeError
        If it fails, with its messages.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{Path(command[0]).name} failed:\n{done.stderr or done.stdout}")
    return done.stdout


def _compile(source: str, *options: str, output: str) -> bytes:
    nvcc = need_toolkit().nvcc
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        (path / "source.cu").write_text(source, encoding="utf-8")
        # Host code is simple, so a host compiler newer than the toolkit supports is fine.
        common = ("-std=c++17", "-allow-unsupported-compiler")
        run_tool(nvcc, *common, *options, "-o", path / output, path / "source.cu")
        return (path / output).read_bytes()
