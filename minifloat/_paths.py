"""Paths that callers give, and files that are replaced whole."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO


def file_path(name: str, path: Any) -> Path:
    """Return the path that a caller gave as the argument ``name``.

    Raises
    ------
    TypeError
        If it is neither a str nor a path of str.
    ValueError
        If it is empty or has a NUL character, so that no file can have it.
    """
    text = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(text, str):
        raise TypeError(f"{name} must be a str or a pathlib.Path, got {path!r}; os.fsdecode helps")
    if not text or "\0" in text:
        raise ValueError(
            f"{name} must be a path of at least a character, none of them NUL, "
            f"got {text!r}; name a file"
        )
    return Path(text)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Yield a new file that replaces ``path`` at the end, unless there is an exception.

    A reader sees the old file or the whole new one, also after a crash. The new file stands beside
    the old one, hidden and named after it, and takes over its permissions, and its owner where that
    is allowed. A symbolic link stays one: its target is replaced.

    Raises
    ------
    OSError
        If the file cannot be written; it names ``path``.
    """
    try:
        target = Path(os.path.realpath(path))
        old = _replaceable(target)
        new = target.with_name(f".{target.name[:40]}.{secrets.token_hex(8)}.new")
        try:
            with _created(new, old) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            new.replace(target)
        finally:
            new.unlink(missing_ok=True)
        _sync_folder(target.parent)
    except OSError as error:
        if error.errno is None:
            raise
        reason = error.strerror or os.strerror(error.errno)
        if error.errno == errno.ENOENT:
            reason = f"{reason}; make its folder first"
        raise OSError(error.errno, reason, os.fspath(path)) from error


def _replaceable(target: Path) -> os.stat_result | None:
    """Return the facts of the file that is there, if one is, and that may be replaced."""
    try:
        old = target.stat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(old.st_mode):
        raise IsADirectoryError(errno.EISDIR, "Is a directory")
    if not stat.S_ISREG(old.st_mode):  # a pipe or a device
        raise OSError(errno.EINVAL, "Not a regular file")
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, "Permission denied: the file is read-only")
    return old


def _created(new: Path, old: os.stat_result | None) -> BinaryIO:
    """Create a file with the permissions of the old one, before a byte of content is in it."""
    mode = 0o666 if old is None else 0o600
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    file = os.fdopen(os.open(new, flags, mode), "wb")
    if old is not None and hasattr(os, "fchmod"):
        with suppress(OSError):  # only root may give a file away
            os.fchown(file.fileno(), old.st_uid, old.st_gid)
        os.fchmod(file.fileno(), stat.S_IMODE(old.st_mode))
    return file


def _sync_folder(folder: Path) -> None:
    """Let the new name survive a power cut, where folders can be synced."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
