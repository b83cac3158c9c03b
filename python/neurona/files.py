"""Files that are either old or new, never torn.

A file is written under a temporary name in its own folder, synced, and renamed over the old one. A
process killed in between leaves only a temporary file behind, which the next save or load sweeps.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from .errors import FormatError

try:
    import fcntl
except ImportError:  # Windows, where the system itself refuses to remove a file still open
    fcntl = None  # type: ignore[assignment]

TEMPORARY_SUFFIX = ".neurona-tmp"
StrPath = str | os.PathLike[str]


def _lock(descriptor: int) -> bool:
    """Takes the lock that tells a temporary file in use from a stale one; False if it is taken."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: treat every file as in use, sweep nothing
        return False
    return True


def _open_temporary(target: Path) -> tuple[int, Path]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    while True:
        temporary = target.with_name(f".{target.name}.{os.urandom(6).hex()}{TEMPORARY_SUFFIX}")
        descriptor = os.open(temporary, flags, 0o666)
        _lock(descriptor)
        # A sweep in another process may have removed the file between its creation and the lock.
        if temporary.exists():
            return descriptor, temporary
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # a folder cannot be opened there, and renames are journalled
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep_temporary_files(path: StrPath) -> int:
    """Removes what killed saves of `path` left in its folder; returns how many files that were.

    A temporary file that a live process is still writing holds a lock and is left alone.
    """
    target = Path(os.path.realpath(path))
    removed = 0
    try:
        names = os.listdir(target.parent)
    except OSError:  # no such folder, or not ours to list: whoever opens the file will say so
        return 0
    for name in names:
        if not (name.startswith(f".{target.name}.") and name.endswith(TEMPORARY_SUFFIX)):
            continue
        stale = target.parent / name
        try:
            descriptor = os.open(stale, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        except OSError:  # gone already, or another user's
            continue
        try:
            if _lock(descriptor):
                if os.name == "nt":
                    os.close(descriptor)
                    descriptor = -1
                os.unlink(stale)
                removed += 1
        except OSError:  # in use (Windows) or a folder we may not write: it stays
            continue
        finally:
            if descriptor >= 0:
                os.close(descriptor)
    return removed


@contextmanager
def atomic_write(path: StrPath) -> Iterator[IO[bytes]]:
    """Opens `path` for writing so that a reader sees the old file or the whole new one.

    The new file keeps the mode of the old one; a symbolic link is followed. An exception inside
    the block leaves the old file as it was. Raises `OSError` if `path` is a folder or a device.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     target = pathlib.Path(folder, "note.txt")
    ...     with atomic_write(target) as file:
    ...         _ = file.write(b"hello")
    ...     target.read_bytes()
    b'hello'
    """
    target = Path(os.path.realpath(path))
    old_mode: int | None = None
    if target.exists():
        status = target.stat()
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(21, "is a folder, cannot be saved over", str(path))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(22, "is not a regular file, cannot be saved over", str(path))
        old_mode = stat.S_IMODE(status.st_mode)
    sweep_temporary_files(target)
    descriptor, temporary = _open_temporary(target)
    try:
        with open(descriptor, "wb") as file:
            if old_mode is not None and hasattr(os, "fchmod"):
                os.fchmod(descriptor, old_mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
            if os.name != "nt":
                # Renamed while the lock is still held, so that no sweep can take it for stale.
                os.replace(temporary, target)
        if os.name == "nt":
            os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def open_regular(path: StrPath) -> IO[bytes]:
    """Opens a regular file for reading; a folder, pipe or device raises `OSError` at once."""
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(21, "is a folder, not a file", str(path))
        raise OSError(22, "is not a regular file", str(path))
    return open(descriptor, "rb")


def refuse_pickle(path: StrPath, head: bytes) -> None:
    """Raises `FormatError` if the first bytes are those of a pickle, a `.pt` archive or a `.npy`.

    Loading a pickle runs whatever program its author put in it.
    """
    suffix = Path(path).suffix.lower()
    is_pickle = len(head) > 1 and head[0] == 0x80 and head[1] <= 5
    if (
        is_pickle
        or head.startswith((b"PK\x03\x04", b"\x93NUMPY"))
        or suffix in (".pkl", ".pickle", ".pt", ".pth", ".npy", ".npz", ".joblib")
    ):
        raise FormatError(f"{path}: offset 0: pickle is never loaded; save as safetensors")
