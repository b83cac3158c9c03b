"""Reading IDX files, the format of MNIST: a magic number, the sizes of the axes, the elements.

    byte 0, 1   zero
    byte 2      type: 8 uint8, 9 int8, 0x0B int16, 0x0C int32, 0x0D float32, 0x0E float64
    byte 3      number of axes
    then        one 4-byte size per axis, and the elements; all big endian

The sizes in the header bound everything that is read or allocated, so that neither a lying header
nor a compression bomb costs more memory than the caller allows.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from typing import IO

import numpy as np

from ..errors import FormatError
from ..files import StrPath, open_regular

_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_CHUNK = 1 << 18
_MAX_AXES = 32
_HEADER_BYTES = 4 + 4 * _MAX_AXES


def _gunzip(path: StrPath, file: IO[bytes]) -> Iterator[bytes]:
    """The decompressed bytes of a single-member gzip file, in chunks of bounded size."""
    decoder = zlib.decompressobj(wbits=31)  # 31: gzip header, and CRC and length are checked
    position = 0
    try:
        while not decoder.eof:
            data = decoder.unconsumed_tail or file.read(_CHUNK)
            if not data:
                raise FormatError(f"{path}: offset {position}: gzip data end too early")
            position = file.tell()
            yield decoder.decompress(data, _CHUNK)
    except zlib.error as error:
        raise FormatError(f"{path}: offset {position}: broken gzip data ({error})") from None
    if decoder.unused_data or file.read(1):
        raise FormatError(f"{path}: bytes follow the end of the gzip data")


def _chunks(path: StrPath, file: IO[bytes]) -> Iterator[bytes]:
    """The content of a plain or gzip file."""
    compressed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    if compressed:
        yield from _gunzip(path, file)
    else:
        while chunk := file.read(_CHUNK):
            yield chunk


def read_stream(path: StrPath, file: IO[bytes], max_bytes: int) -> bytes:
    """All bytes of an open file, decompressed if it is gzip; `FormatError` once they pass
    `max_bytes`."""
    parts = bytearray()
    for chunk in _chunks(path, file):
        parts += chunk
        if len(parts) > max_bytes:
            raise FormatError(f"{path}: offset {max_bytes}: more than {max_bytes} bytes")
    return bytes(parts)


def _parse_header(path: StrPath, head: bytes) -> tuple[np.dtype, tuple[int, ...]]:
    if head[:2] != b"\0\0":
        raise FormatError(f"{path}: offset 0: IDX files begin with two zeros, got {head[:2].hex()}")
    if len(head) < 4:
        raise FormatError(f"{path}: offset {len(head)}: header is cut short")
    if head[2] not in _DTYPES:
        raise FormatError(f"{path}: offset 2: unknown type code 0x{head[2]:02x}")
    axes = head[3]
    if not 1 <= axes <= _MAX_AXES:
        raise FormatError(f"{path}: offset 3: number of axes must be 1..{_MAX_AXES}, got {axes}")
    if len(head) < 4 + 4 * axes:
        raise FormatError(f"{path}: offset {len(head)}: header is cut short")
    shape = tuple(int(size) for size in np.frombuffer(head, ">u4", axes, 4))
    return np.dtype(_DTYPES[head[2]]), shape


def parse_idx(path: StrPath, data: bytes, max_bytes: int = 1 << 30) -> np.ndarray:
    """The array in the bytes of an IDX file; `path` is for messages only.

    >>> parse_idx("demo", bytes([0, 0, 8, 1, 0, 0, 0, 2, 5, 6]))
    array([5, 6], dtype=uint8)
    """
    dtype, shape = _parse_header(path, data[:_HEADER_BYTES])
    start = 4 + 4 * len(shape)
    expected = math.prod(shape) * dtype.itemsize
    if expected > max_bytes:
        raise FormatError(
            f"{path}: offset 4: shape {list(shape)} takes {expected} bytes, at most {max_bytes}"
        )
    if len(data) - start != expected:
        raise FormatError(
            f"{path}: offset {start}: shape {list(shape)} needs {expected} bytes of data, "
            f"got {len(data) - start}"
        )
    array = np.frombuffer(data, dtype, offset=start).reshape(shape)
    return array.astype(dtype.newbyteorder("="))


def read_idx(path: StrPath, max_bytes: int = 1 << 30) -> np.ndarray:
    """Reads an IDX file, plain or gzip; any shape, dtype as stored.

    Raises `FormatError` naming the byte offset if the header is wrong, the data are too short or
    too long or pass `max_bytes`, or the gzip data are broken; `OSError` if the file cannot be read.
    """
    data = bytearray()
    limit: int | None = None
    with open_regular(path) as file:
        for chunk in _chunks(path, file):
            data += chunk
            if limit is None and len(data) >= _HEADER_BYTES:
                dtype, shape = _parse_header(path, bytes(data[:_HEADER_BYTES]))
                # One byte more than promised is enough to know that the file is too long.
                limit = min(4 + 4 * len(shape) + math.prod(shape) * dtype.itemsize, max_bytes) + 1
            if limit is not None and len(data) >= limit:
                break
    return parse_idx(path, bytes(data), max_bytes)
