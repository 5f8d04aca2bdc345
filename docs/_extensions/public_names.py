"""The build warns of every public name that no page documents."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from typing import Any

PACKAGES = (
    "minifloat",
    "minifloat.caches",
    "minifloat.composites",
    "minifloat.registers",
    "minifloat.hardware",
    "minifloat.testing",
    "analysis",
)
STUDIES = ("claims", "hardware", "methods", "models", "numerics", "training")
NO_PAGE = {f"analysis.{name}.__main__" for name in STUDIES}


def public_names() -> Iterator[str]:
    """Yield all names of the packages' ``__all__``, and all modules of `analysis`."""
    for package in PACKAGES:
        yield from (f"{package}.{name}" for name in import_module(package).__all__)
    analysis = import_module("analysis")
    for module in pkgutil.walk_packages(analysis.__path__, "analysis."):
        if not module.ispkg and module.name not in NO_PAGE:
            yield module.name


def check(app: Any, env: Any) -> None:
    """Warn of public names that no page documents."""
    from sphinx.util import logging

    documented = {entry[0] for entry in env.domains["py"].get_objects()}
    for name in public_names():
        package, _, short = name.rpartition(".")
        home = getattr(getattr(import_module(package), short, None), "__module__", "")
        if not documented & {name, f"{home}.{short}"}:
            logging.getLogger(__name__).warning("%s is public and on no page of docs/api", name)


def setup(app: Any) -> dict[str, bool]:
    """Check when all pages have been read."""
    app.connect("env-check-consistency", check)
    return {"parallel_read_safe": True}
