"""Reading and writing safetensors files.

A file is: the length of the header (8 bytes, little endian), the header (JSON), and the bytes of
the tensors, one after the other without overlap or gap. The reader trusts nothing: it checks every
number before it allocates, reads instead of mapping (a file overwritten under a mapping crashes the
process), and names file and tensor in its errors.

A tensor without elements takes no bytes and may therefore share its offset with a neighbour; it
must still stand on a border between two tensors.
"""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

from .errors import FormatError
from .files import StrPath, atomic_write, open_regular, refuse_pickle, sweep_temporary_files
from .safetensors_header import MAX_HEADER_BYTES, Entry, parse_header

# In the order in which tensors are laid out, widest last: the writer sorts descending, so that
# every tensor is aligned to its own element size.
_DTYPES = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "I8": np.dtype(np.int8),
    "I16": np.dtype("<i2"),
    "U16": np.dtype("<u2"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "I32": np.dtype("<i4"),
    "U32": np.dtype("<u4"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "I64": np.dtype("<i8"),
    "U64": np.dtype("<u8"),
}
_RANK = {name: rank for rank, name in enumerate(_DTYPES)}
_NAMES = {dtype: name for name, dtype in _DTYPES.items() if name != "BF16"}


def _as_array(name: str, value: Any) -> np.ndarray:
    """The array of a Tensor or array, C-contiguous and little endian."""
    if not isinstance(value, (np.ndarray, np.generic)):
        here = value.cpu() if getattr(value, "device", "cpu") != "cpu" else value
        value = getattr(here, "data", value)
    if not isinstance(value, (np.ndarray, np.generic)):
        raise TypeError(
            f"save_file: tensor {name!r} must be a Tensor or array, got {type(value).__name__}"
        )
    array = np.asarray(value)
    if array.dtype.newbyteorder("<") not in _NAMES:
        raise TypeError(
            f"save_file: tensor {name!r} must have one of the dtypes {', '.join(_DTYPES)}, "
            f"got {array.dtype}"
        )
    # ascontiguousarray would make a 0-d array 1-d
    return array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)


def _header(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    position = 0
    for name, array in arrays.items():
        header[name] = {
            "dtype": _NAMES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [position, position + array.nbytes],
        }
        position += array.nbytes
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    if len(text) > MAX_HEADER_BYTES - 8:
        raise ValueError(
            f"save_file: header must take at most {MAX_HEADER_BYTES} bytes, got {len(text)}"
        )
    return text + b" " * (-len(text) % 8)


def save_file(
    tensors: Mapping[str, Any], path: StrPath, metadata: Mapping[str, str] | None = None
) -> None:
    """Writes named tensors and a dictionary of strings to a safetensors file, atomically.

    Raises `TypeError` for a value that is no tensor, an unsupported dtype or metadata that are not
    strings, `ValueError` for a reserved name, `OSError` if the file cannot be written.

    >>> import tempfile, os
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "w.safetensors")
    ...     save_file({"w": np.ones((2, 3), np.float32)}, path, {"format": "pt"})
    ...     load_file(path)["w"].shape, read_metadata(path)
    ((2, 3), {'format': 'pt'})
    """
    chunks = _chunks(tensors, metadata or {})  # everything is checked before the file is opened
    with atomic_write(path) as file:
        for chunk in chunks:
            file.write(chunk)


def save(tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> bytes:
    """The bytes that `save_file` would write; the same errors.

    >>> load(save({"w": np.ones((2, 3), np.float32)}))["w"].shape
    (2, 3)
    """
    return b"".join(_chunks(tensors, metadata or {}))


def _chunks(tensors: Mapping[str, Any], metadata: Mapping[str, str]) -> list[Any]:
    """The parts of a file, one after the other: length, header, the bytes of each tensor."""
    for key, value in metadata.items():
        if not (isinstance(key, str) and isinstance(value, str)):
            raise TypeError(f"save_file: metadata must map str to str, got {key!r}: {value!r}")
    arrays: dict[str, np.ndarray] = {}
    for name, value in tensors.items():
        if not isinstance(name, str):
            raise TypeError(f"save_file: tensor names must be str, got {name!r}")
        if name == "__metadata__":
            raise ValueError("save_file: tensor name '__metadata__' is reserved by the format")
        arrays[name] = _as_array(name, value)
    # Names are compared as bytes, the order other writers use.
    order = sorted(arrays, key=lambda name: (-_RANK[_NAMES[arrays[name].dtype]], name.encode()))
    arrays = {name: arrays[name] for name in order}
    header = _header(arrays, metadata)
    data = [array.reshape(-1).view(np.uint8).data for array in arrays.values()]
    return [len(header).to_bytes(8, "little"), header, *data]


def _check_layout(path: StrPath, entries: Mapping[str, Entry], data_bytes: int) -> None:
    """Every byte of the data belongs to exactly one tensor, and to its shape and dtype."""
    position, previous = 0, "the header"
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        where = f"{path}: tensor {name!r}"
        if entry.dtype not in _DTYPES:
            raise FormatError(f"{where}: dtype {entry.dtype!r} is not supported")
        if len(entry.shape) > 32:
            raise FormatError(f"{where}: at most 32 axes are supported, got {len(entry.shape)}")
        # Python's integers do not wrap; NumPy's would, hence the limit, zero-sized axes left out.
        itemsize = _DTYPES[entry.dtype].itemsize
        if math.prod(max(size, 1) for size in entry.shape) * itemsize >= 2**63:
            raise FormatError(f"{where}: shape {list(entry.shape)} overflows 64 bits")
        expected = math.prod(entry.shape) * itemsize
        if entry.end - entry.begin != expected:
            raise FormatError(
                f"{where}: shape {list(entry.shape)} of {entry.dtype} takes {expected} bytes, but "
                f"data_offsets [{entry.begin}, {entry.end}] hold {entry.end - entry.begin}"
            )
        if entry.begin != position:
            fault = "overlaps" if entry.begin < position else "leaves a gap after"
            raise FormatError(f"{where}: data_offsets begin at {entry.begin}, {fault} {previous}")
        position, previous = entry.end, f"tensor {name!r}"
    if position != data_bytes:
        raise FormatError(
            f"{path}: tensors take {position} bytes, but {data_bytes} follow the header"
        )


def _read_header(path: StrPath, file: IO[bytes]) -> tuple[dict[str, Entry], dict[str, str]]:
    total = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(9)
    length = int.from_bytes(head[:8], "little")
    if len(head) < 9 or head[8:9] != b"{" or not 2 <= length <= total - 8:
        refuse_pickle(path, head)
    if len(head) < 8:
        raise FormatError(f"{path}: offset 0: file of {len(head)} bytes has no header length")
    if length > MAX_HEADER_BYTES:
        raise FormatError(
            f"{path}: offset 0: header must take at most {MAX_HEADER_BYTES} bytes, got {length}"
        )
    if length > total - 8:
        raise FormatError(
            f"{path}: offset 0: header of {length} bytes does not fit in a file of {total} bytes"
        )
    if head[8:9] != b"{" or length < 2:
        raise FormatError(f"{path}: offset 8: header must begin with '{{', got {head[8:9]!r}")
    text = head[8:9] + file.read(length - 1)
    entries, metadata = parse_header(path, text)
    _check_layout(path, entries, total - 8 - length)
    return entries, metadata


def _read_tensor(path: StrPath, name: str, entry: Entry, file: Any) -> np.ndarray:
    array = np.empty(entry.shape, _DTYPES[entry.dtype])
    buffer = array.reshape(-1).view(np.uint8)
    if entry.dtype == "BOOL":
        buffer = np.empty(array.size, np.uint8)
    if buffer.size and file.readinto(buffer.data) != buffer.size:
        raise FormatError(f"{path}: tensor {name!r}: file was cut short while it was read")
    if entry.dtype == "BOOL":
        if buffer.size and buffer.max() > 1:
            raise FormatError(f"{path}: tensor {name!r}: BOOL bytes must be 0 or 1")
        return buffer.astype(np.bool_).reshape(entry.shape)
    if entry.dtype == "F16":
        return array.astype(np.float32)
    if entry.dtype == "BF16":  # the upper half of a float32
        wide = array.astype(np.uint32)
        wide <<= np.uint32(16)
        return wide.view(np.float32)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def load_with_metadata(path: StrPath) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Reads all tensors of a file, in the order of their data, and its metadata.

    F16 and BF16 are widened to float32. Raises `FormatError` for a file that breaks the format,
    `OSError` if it cannot be read.
    """
    sweep_temporary_files(path)
    with open_regular(path) as file:
        return _read(path, file)


def _read(path: StrPath, file: IO[bytes]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    entries, metadata = _read_header(path, file)
    order = sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end))
    return {name: _read_tensor(path, name, entry, file) for name, entry in order}, metadata


def load_file(path: StrPath) -> dict[str, np.ndarray]:
    """Reads all tensors of a safetensors file as arrays; see `load_with_metadata`."""
    return load_with_metadata(path)[0]


def load_bytes_with_metadata(data: bytes) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """All tensors and the metadata in the bytes of a file; `FormatError` if they break the format.

    The bytes are checked as strictly as a file, and the tensors are copies.
    """
    return _read("bytes", io.BytesIO(data))


def load(data: bytes) -> dict[str, np.ndarray]:
    """All tensors in the bytes of a safetensors file; see `load_bytes_with_metadata`."""
    return load_bytes_with_metadata(data)[0]


def read_metadata(path: StrPath) -> dict[str, str]:
    """Reads the metadata of a safetensors file, without its tensors; the header is checked."""
    with open_regular(path) as file:
        return _read_header(path, file)[1]
