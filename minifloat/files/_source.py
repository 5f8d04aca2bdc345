"""A file that is opened once, so that everything read of it belongs together."""

from __future__ import annotations

import errno
import io
import os
import stat
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat.files._safe import WeightsError

BUFFER = 1 << 16  # bytes
MAX_KEPT = 64  # files
OPEN = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)  # a pipe would block
_SEEKING = threading.Lock()


class SourceFile:
    """A regular file, of which all reads see one state or raise a `WeightsError`.

    It stays open: another file that takes its name changes nothing. After a write into the file
    itself, or a cut, the next read raises. The file is read, never mapped into memory, since to
    touch a mapped file that was cut short kills the process.

    A process may not hold many files open. Beyond `MAX_KEPT` of them, each read opens the file anew
    and compares facts by which it is known again; another file is an error then. Pickled, a
    `SourceFile` is its path and these facts.

    Attributes
    ----------
    path : Path
        As the caller gave it.
    size : int
        In bytes.

    Raises
    ------
    WeightsError
        If the file is no regular file, or empty.
    OSError
        If it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._place = path.absolute()
        self._facts: tuple[int, ...] = ()
        self._kept: int | None = None
        with self._handle() as handle:
            status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise WeightsError(f"{path}: must be a regular file; copy its content into one")
        if status.st_size == 0:
            raise WeightsError(f"{path}: is empty; download or save it again")
        self._facts = _facts(status)
        self.size = status.st_size

    def __getstate__(self) -> dict[str, Any]:
        # without the number of the file in its file system, which differs between machines
        return {**self.__dict__, "_kept": None, "_facts": self._facts[:2]}

    def read(self, offset: int, size: int) -> NDArray[np.uint8]:
        """Return ``size`` bytes as a new array.

        Raises
        ------
        ValueError
            If they do not lie in the file.
        WeightsError
            If the file is no longer as it was.
        """
        if not 0 <= offset <= offset + size <= self.size:
            raise ValueError("an offset or length beyond the end of the file")
        data = np.empty(size, np.uint8)
        self.read_into(data.data, offset)
        return data

    def read_into(self, view: memoryview, offset: int) -> None:
        """Fill ``view`` with the bytes at ``offset``, which lie in the file."""
        with self._handle() as handle:
            while view:
                count = _read_at(handle, view, offset)
                if count == 0:
                    break
                view, offset = view[count:], offset + count
            if view or _facts(os.fstat(handle))[: len(self._facts)] != self._facts:
                raise self._changed()

    def stream(self) -> io.RawIOBase:
        """Return the file as a stream with a position of its own, without a buffer."""
        return _Stream(self)

    def buffered(self, buffer: int = io.DEFAULT_BUFFER_SIZE) -> io.BufferedReader:
        """Return such a stream with a buffer."""
        return _Buffered(self, buffer)

    @contextmanager
    def _handle(self) -> Iterator[int]:
        if self._kept is not None:
            yield self._kept
            return
        handle = os.open(self._place, OPEN)
        if len(_KEPT) < MAX_KEPT:
            _KEPT.add(self)
            self._kept = handle
            weakref.finalize(self, os.close, handle)
            yield handle
            return
        try:
            yield handle
        finally:
            os.close(handle)

    def _changed(self) -> WeightsError:
        return WeightsError(
            f"{self.path}: was written to or replaced after it was opened; open it again"
        )


_KEPT: weakref.WeakSet[SourceFile] = weakref.WeakSet()  # those that stay open


class _Stream(io.RawIOBase):
    def __init__(self, file: SourceFile) -> None:
        self._file = file
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._file.size}[whence]
        if start + offset < 0:
            raise OSError(errno.EINVAL, "an offset before the start of the file")
        self._at = start + offset
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        """Read so many bytes, or all; those beyond the end of the file take no memory."""
        return super().read(_bounded(size, self._file.size - self._at)) or b""

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)[: max(0, self._file.size - self._at)]
        self._file.read_into(view, self._at)
        self._at += len(view)
        return len(view)


class _Buffered(io.BufferedReader):
    def __init__(self, file: SourceFile, buffer: int) -> None:
        super().__init__(file.stream(), buffer)
        self._size = file.size

    def read(self, size: int | None = -1, /) -> bytes:
        """Read so many bytes, or all; those beyond the end of the file take no memory."""
        return super().read(_bounded(size, self._size - self.tell()))


def _bounded(size: int | None, left: int) -> int:
    left = max(left, 0)
    return left if size is None or size < 0 else min(size, left)


def _facts(status: os.stat_result) -> tuple[int, ...]:
    return status.st_size, status.st_mtime_ns, status.st_ino


def _read_at(handle: int, view: memoryview, offset: int) -> int:
    """Read into ``view`` without moving the position that other threads and forks share."""
    if hasattr(os, "preadv"):
        return os.preadv(handle, [view], offset)
    with _SEEKING:  # Windows
        os.lseek(handle, offset, os.SEEK_SET)
        data = os.read(handle, min(len(view), BUFFER))
    view[: len(data)] = data
    return len(data)
