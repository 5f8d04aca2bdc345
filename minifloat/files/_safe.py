"""Care with files: one error for everything that is wrong with one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minifloat._text import printable

LONGEST_NAME = 100  # characters of a tensor's name in a message


class WeightsError(ValueError):
    """A file that cannot be read as weights: ``<path>: <what is wrong>; <remedy>``.

    The message is one line without control characters, whatever the file and its name hold.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def quoted(name: str) -> str:
    """Return a name out of a file for a message: in quotes, and not longer than a line."""
    return repr(name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}...")


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


def missing_package(path: Path, package: str, extra: str) -> WeightsError:
    """Return the error that says which package to install to use ``path``."""
    return WeightsError(
        f'{path}: needs the package {package}; pip install "minifloat[{extra}]"',
    )
