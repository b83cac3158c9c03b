"""Where data files are looked for, and how they are checked.

Order: `NEURONA_DATA` (one or several folders), the user's cache, `/usr/share/datasets`; the network
only on request. In each folder the files may lie directly or in a sub-folder named like the data
set. A file counts only if the sha256 of its *decompressed* bytes is the published one: copies are
often recompressed, and MNIST and Fashion-MNIST use the same file names.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from ..errors import FormatError
from ..files import StrPath, atomic_write, open_regular
from .idx import parse_idx, read_stream

_TIMEOUT_S = 30
_SYSTEM_FOLDER = Path("/usr/share/datasets")


class Source(NamedTuple):
    """A data set kept in several files: file name -> (bytes, sha256), both of the plain content."""

    name: str
    folders: Sequence[str]
    files: Mapping[str, tuple[int, str]]
    mirrors: Sequence[str]


def cache_folder() -> Path:
    """The folder for downloads: `$XDG_CACHE_HOME/neurona`, or `~/.cache/neurona`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "neurona"


def search_folders() -> list[Path]:
    """The folders in which data sets are looked for, in order."""
    named = os.environ.get("NEURONA_DATA", "")
    folders = [Path(part).expanduser() for part in named.split(os.pathsep) if part]
    return [*folders, cache_folder(), _SYSTEM_FOLDER]


def _checked(path: StrPath, file: IO[bytes], expected: tuple[int, str]) -> bytes:
    """The plain content of a file if it is the published one, else `FormatError`."""
    size, digest = expected
    data = read_stream(path, file, max_bytes=size)
    if len(data) != size:
        raise FormatError(f"{path}: expected {size} bytes when decompressed, got {len(data)}")
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        raise FormatError(f"{path}: sha256 must be {digest}, got {found}")
    return data


def _read_from(folder: Path, source: Source) -> dict[str, np.ndarray] | None:
    """The arrays of all files in `folder`; None if one of them is not there."""
    paths: dict[str, Path] = {}
    for name in source.files:
        for candidate in (folder / name, folder / f"{name}.gz"):
            if candidate.exists():
                paths[name] = candidate
                break
        else:
            return None
    # Smallest first: the labels tell at once that a folder holds another data set.
    order = sorted(paths, key=lambda name: source.files[name][0])
    arrays: dict[str, np.ndarray] = {}
    for name in order:
        with open_regular(paths[name]) as file:
            data = _checked(paths[name], file, source.files[name])
        arrays[name] = parse_idx(paths[name], data)
    return arrays


def _fetch(url: str, expected: tuple[int, str]) -> bytes:
    """The bytes behind a URL, once their plain content is known to be right."""
    # Imported here because it takes 13 to 56 ms, and most runs never touch the network.
    from urllib.request import urlopen

    with urlopen(url, timeout=_TIMEOUT_S) as reply:
        # Compressed files are smaller than their content: no good reply can be longer.
        content: bytes = reply.read(expected[0] + 1024)
    _checked(url, io.BytesIO(content), expected)
    return content


def _is_good(path: Path, expected: tuple[int, str]) -> bool:
    try:
        with open_regular(path) as file:
            _checked(path, file, expected)
    except (FormatError, FileNotFoundError):
        return False
    return True


def _download(source: Source) -> None:
    """Fetches the files that the cache lacks or holds damaged."""
    from http.client import HTTPException

    folder = cache_folder() / source.folders[0]
    folder.mkdir(parents=True, exist_ok=True)
    for name, expected in source.files.items():
        target = folder / f"{name}.gz"
        if _is_good(target, expected):
            continue
        problems: list[str] = []
        for mirror in source.mirrors:
            url = f"{mirror}{name}.gz"
            try:
                content = _fetch(url, expected)
            except (OSError, HTTPException, FormatError) as error:  # URLError is an OSError
                problems.append(f"{url}: {error}")
                continue
            with atomic_write(target) as file:
                file.write(content)
            break
        else:
            raise ConnectionError(f"{source.name}: no mirror gave {name}: {'; '.join(problems)}")


def load_source(source: Source, download: bool = False) -> dict[str, np.ndarray]:
    """The arrays of a data set by file name.

    Raises `FileNotFoundError` naming every folder searched if it is nowhere, `FormatError` if it
    was found only in a damaged copy, `ConnectionError` if a download fails.
    """
    faults: list[FormatError] = []
    for attempt in range(2 if download else 1):
        if attempt == 1:
            _download(source)
        for base in search_folders():
            for folder in (base, *(base / name for name in source.folders)):
                try:
                    arrays = _read_from(folder, source)
                except FormatError as fault:
                    faults.append(fault)
                    continue
                if arrays is not None:
                    return arrays
    if faults:
        raise FormatError(f"{source.name}: no usable copy was found: {faults[-1]}")
    searched = ", ".join(str(folder) for folder in search_folders())
    raise FileNotFoundError(
        f"{source.name}: not found in {searched} (nor in a sub-folder {source.folders[0]}); set "
        "NEURONA_DATA to the folder that holds it, or pass download=True (--download)"
    )
