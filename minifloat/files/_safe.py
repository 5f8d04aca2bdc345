"""Care with files: one error for everything that is wrong with one, and writes that are atomic."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


class WeightsError(ValueError):
    """A file that cannot be read as weights: ``<path>: <what is wrong>; <remedy>``."""


@contextmanager
def untrusted(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn every exception that a reader raises on a bad file into a `WeightsError`."""
    try:
        yield
    except WeightsError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise WeightsError(
            f"{path}: cannot be read ({reason}); check the path and its permissions"
        ) from error
    except MemoryError as error:
        raise WeightsError(f"{path}: does not fit into memory; use a larger machine") from error
    except Exception as error:  # readers of damaged files raise a dozen undocumented types
        reason = " ".join(str(error).split()) or type(error).__name__
        raise WeightsError(
            f"{path}: is damaged or of another kind ({reason[:300]}); download or save it again"
        ) from error


def check_file(path: Path) -> None:
    """Refuse an empty file, and a path that is no regular file (a pipe would block)."""
    if path.exists() and not path.is_file():
        raise WeightsError(f"{path}: must be a regular file; copy its content into one")
    if path.stat().st_size == 0:
        raise WeightsError(f"{path}: is empty; download or save it again")


def missing_package(path: Path, package: str, extra: str) -> WeightsError:
    """Return the error that says which package to install to use ``path``."""
    return WeightsError(
        f'{path}: needs the package {package}; pip install "minifloat[{extra}]"',
    )


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Yield a new file beside ``path`` that replaces it at the end, unless there is an exception.

    A reader sees the old file or the whole new one, also after a crash.
    """
    new = path.with_name(f".{secrets.token_hex(8)}.new")
    try:
        with new.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
