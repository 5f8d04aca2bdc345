"""Files inside installed packages: found without importing the package, checked by a digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType


class MissingPackage(ImportError):
    """A package is not installed; the message says how to install it."""


@dataclass(frozen=True)
class PackageFile:
    """A file that a package on PyPI ships.

    Attributes
    ----------
    package, version : str
        For pip.
    module : str
        The top-level module that holds the file.
    path : str
        Of the file within that module.
    sha256 : str
        Of the file, 64 hexadecimal digits.
    """

    package: str
    version: str
    module: str
    path: str
    sha256: str

    @property
    def command(self) -> str:
        """The line that installs the package without its dependencies; only a file is read."""
        return f"pip install --no-deps {self.package}=={self.version}"

    def find(self) -> Path:
        """Return where the file is.

        Returns
        -------
        Path

        Raises
        ------
        MissingPackage
            If the package is not installed, or its file is missing or not the one of ``version``.

        Examples
        --------
        >>> PackageFile("tiny-model", "1.0", "tiny_model", "w.bin", 64 * "0").find()
        Traceback (most recent call last):
        analysis.models.packages.MissingPackage: tiny_model/w.bin needs the package tiny-model; \
pip install --no-deps tiny-model==1.0
        """
        name = f"{self.module}/{self.path}"
        spec = find_spec(self.module)
        if spec is None or not spec.submodule_search_locations:
            raise MissingPackage(f"{name} needs the package {self.package}; {self.command}")
        for folder in spec.submodule_search_locations:
            path = Path(folder, self.path)
            if path.is_file() and _sha256(path) == self.sha256:
                return path
        raise MissingPackage(f"{name} is not that of {self.package} {self.version}; {self.command}")


def require(files: Iterable[PackageFile]) -> None:
    """Check that files are there, before long work that needs them.

    Parameters
    ----------
    files : iterable of PackageFile

    Raises
    ------
    MissingPackage
        If files are missing; the message has one line that installs all their packages.

    Examples
    --------
    >>> require([PackageFile("tiny", "1.0", "tiny_model", name, 64 * "0") for name in "ab"])
    Traceback (most recent call last):
    analysis.models.packages.MissingPackage: needs tiny==1.0; pip install --no-deps tiny==1.0
    """
    missing: dict[str, None] = {}
    for file in files:
        try:
            file.find()
        except MissingPackage:
            missing[f"{file.package}=={file.version}"] = None
    if missing:
        packages = " ".join(missing)
        raise MissingPackage(f"needs {packages}; pip install --no-deps {packages}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def optional(name: str) -> ModuleType:
    """Import a module of the extra ``models``.

    Parameters
    ----------
    name : str

    Returns
    -------
    module

    Raises
    ------
    MissingPackage
        If it is not installed.

    Examples
    --------
    >>> optional("json").loads("5")
    5
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise MissingPackage(
            f'needs the package {name}; pip install "minifloat[models]"'
        ) from error
