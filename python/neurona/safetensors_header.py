"""The header of a safetensors file: a strict parser for the one shape of JSON that it may have.

A general JSON parser would accept too much (duplicate keys, NaN, arbitrary nesting) and build too
much (a hostile header of many small lists grows twentyfold in memory), so this one accepts only

    {"__metadata__": {str: str, ...},
     name: {"dtype": str, "shape": [int, ...], "data_offsets": [int, int]}, ...}
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple, NoReturn

from .errors import FormatError
from .files import StrPath

MAX_HEADER_BYTES = 100_000_000

_SPACE = re.compile(r"[ \t\n\r]*")
_INTEGER = re.compile(r"0|[1-9][0-9]{0,19}")
_PREVIEW = 24


class Entry(NamedTuple):
    """Where a tensor lies: bytes `begin` to `end` after the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class _Reader:
    """A position in the header's text, and the few tokens that may stand there."""

    def __init__(self, path: StrPath, text: str) -> None:
        self.path, self.text, self.position = path, text, 0

    def fail(self, expected: str, where: str = "") -> NoReturn:
        found = self.text[self.position : self.position + _PREVIEW]
        # The header starts 8 bytes into the file; counted in bytes, as the names may be any UTF-8.
        offset = 8 + len(self.text[: self.position].encode())
        place = f"{self.path}: {where}offset {offset}"
        raise FormatError(f"{place}: expected {expected}, got {found!r}")

    def skip_space(self) -> None:
        match = _SPACE.match(self.text, self.position)
        assert match is not None  # the pattern matches the empty string
        self.position = match.end()

    def take(self, token: str) -> bool:
        """Steps over `token` if it comes next."""
        self.skip_space()
        if not self.text.startswith(token, self.position):
            return False
        self.position += len(token)
        return True

    def expect(self, token: str, where: str = "") -> None:
        if not self.take(token):
            self.fail(repr(token), where)

    def string(self, where: str = "") -> str:
        self.skip_space()
        if not self.text.startswith('"', self.position):
            self.fail("a string", where)
        try:
            value, end = json.decoder.scanstring(self.text, self.position + 1, True)  # type: ignore[attr-defined]
            value.encode()  # an escaped lone surrogate is no text
        except ValueError:  # JSONDecodeError and UnicodeEncodeError
            self.fail("a valid string", where)
        self.position = end
        return str(value)

    def integers(self, where: str) -> tuple[int, ...]:
        self.expect("[", where)
        values: list[int] = []
        if self.take("]"):
            return ()
        while True:
            self.skip_space()
            match = _INTEGER.match(self.text, self.position)
            if match is None:
                self.fail("an integer >= 0", where)
            values.append(int(match.group()))
            self.position = match.end()
            if self.take("]"):
                return tuple(values)
            self.expect(",", where)

    def members(self, where: str = "") -> Iterator[str]:
        """Yields the keys of an object, each positioned at its value; refuses a key seen before."""
        self.expect("{", where)
        seen: set[str] = set()
        if self.take("}"):
            return
        while True:
            self.skip_space()
            start = self.position
            key = self.string(where)
            if key in seen:
                self.position = start
                self.fail("each key once", where)
            seen.add(key)
            self.expect(":", where)
            yield key
            if self.take("}"):
                return
            self.expect(",", where)


def _entry(reader: _Reader, name: str) -> Entry:
    where = f"tensor {name!r}: "
    dtype: str | None = None
    shape: tuple[int, ...] | None = None
    offsets: tuple[int, ...] | None = None
    for field in reader.members(where):
        if field == "dtype":
            dtype = reader.string(where)
        elif field == "shape":
            shape = reader.integers(where)
        elif field == "data_offsets":
            offsets = reader.integers(where)
        else:
            raise FormatError(f"{reader.path}: {where}field {field!r} is not part of the format")
    if dtype is None or shape is None or offsets is None:
        raise FormatError(f"{reader.path}: {where}dtype, shape and data_offsets must all be given")
    if len(offsets) != 2 or offsets[0] > offsets[1]:
        raise FormatError(
            f"{reader.path}: {where}data_offsets must be [begin, end] with begin <= end, "
            f"got {list(offsets[:4])}"
        )
    return Entry(dtype, shape, offsets[0], offsets[1])


def parse_header(path: StrPath, header: bytes) -> tuple[dict[str, Entry], dict[str, str]]:
    """Parses the header's bytes into entries by tensor name, and the metadata.

    Raises `FormatError` naming `path`, the tensor and the byte offset in the file.
    """
    try:
        text = header.decode()
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: offset {8 + error.start}: header is not valid UTF-8") from None
    reader = _Reader(path, text)
    entries: dict[str, Entry] = {}
    metadata: dict[str, str] = {}
    for name in reader.members():
        if name == "__metadata__":
            where = "__metadata__: "
            metadata = {key: reader.string(where) for key in reader.members(where)}
        else:
            entries[name] = _entry(reader, name)
    reader.skip_space()
    if reader.position != len(text):
        reader.fail("the end of the header")
    return entries, metadata
