"""Writing result files: each whole, or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder; make the folder if needed.

    All files are complete before the first one replaces an older file.

    Parameters
    ----------
    folder : path
    files : mapping of str to bytes
        Contents by file name.

    Raises
    ------
    OSError
        If the folder cannot be made or written to.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from analysis.output import write_files
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_files(Path(folder, "new"), {"a.txt": b"content"})
    ...     Path(folder, "new", "a.txt").read_text()
    'content'
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as fresh:
        for name, content in files.items():
            (Path(fresh) / name).write_bytes(content)
        for name in files:
            (Path(fresh) / name).replace(folder / name)
