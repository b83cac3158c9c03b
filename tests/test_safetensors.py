"""safetensors: what is written comes back, and no broken file is taken for a good one."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from neurona import safetensors as st
from neurona.errors import FormatError

DTYPES = ["?", "u1", "i1", "<i2", "<u2", "<i4", "<u4", "<f4", "<f8", "<i8", "<u8"]


def write(path: Path, header: object, data: bytes = b"", length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def entry(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def sample_tensors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = [(), (3,), (2, 3), (2, 1, 4), (1, 2, 3, 4), (0, 5)]
    return {
        f"t{i}.{j}": rng.integers(0, 2, shape).astype(dtype)
        for i, dtype in enumerate(DTYPES)
        for j, shape in enumerate(shapes)
    }


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (1, 2, 3, 4, 2), (0, 3), (2, 0)])
def test_round_trip(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(1).integers(0, 2, shape).astype(dtype)
    st.save_file({"x": array}, tmp_path / "f", {"key": "välue \n"})
    loaded, metadata = st.load_with_metadata(tmp_path / "f")
    assert isinstance(loaded["x"], np.ndarray)
    assert loaded["x"].dtype == array.dtype
    assert loaded["x"].shape == shape
    assert loaded["x"].tobytes() == array.tobytes()
    assert metadata == {"key": "välue \n"}


def test_strided_and_big_endian_arrays_are_stored_by_value(tmp_path: Path) -> None:
    base = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    tensors = {"t": base.T, "r": base[::-1, ::2], "b": base.astype(">f4")}
    st.save_file(tensors, tmp_path / "f")
    for name, value in st.load_file(tmp_path / "f").items():
        np.testing.assert_array_equal(value, tensors[name])


def test_half_precision_is_widened(tmp_path: Path) -> None:
    halves = np.array([1.5, -2.0, 65504.0, 0.0, np.inf], np.float16)
    st.save_file({"h": halves}, tmp_path / "f")
    loaded = st.load_file(tmp_path / "f")["h"]
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded, halves.astype(np.float32))


@pytest.mark.parametrize("shape", [[3], [], [3, 1]])
def test_bfloat16_is_widened(tmp_path: Path, shape: list[int]) -> None:
    values = np.array([1.0, -3.5, np.inf] if shape else [1.0], np.float32)
    data = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    path = write(tmp_path / "f", {"b": entry("BF16", shape, 0, len(data))}, data)
    loaded = st.load_file(path)["b"]
    assert loaded.shape == tuple(shape) and loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded.reshape(-1), values)


def test_bytes_equal_those_of_the_safetensors_package(tmp_path: Path) -> None:
    theirs = pytest.importorskip("safetensors.numpy")
    tensors = sample_tensors() | {'quote"\\ü\t\x7f': np.ones(3, np.float32)}
    for metadata in (None, {"format": "pt"}):
        st.save_file(tensors, tmp_path / "ours", metadata)
        assert (tmp_path / "ours").read_bytes() == theirs.save(tensors, metadata)
    theirs.save_file(tensors, str(tmp_path / "theirs"))
    loaded = st.load_file(tmp_path / "theirs")
    assert loaded.keys() == tensors.keys()
    for name, value in tensors.items():
        assert loaded[name].tobytes() == value.tobytes()


F32 = entry("F32", [1], 0, 4)
BAD_HEADERS = {
    "not an object": (b"[1]     ", b"", "begin with"),
    "bad utf-8": (b'{"\xff":1}', b"", "UTF-8"),
    "bad json": (b'{"a" 1}', b"", "expected ':'"),
    "cut json": (b'{"a":{"dtype":"F32"', b"", "expected ','"),
    "trailing": (b"{} {}", b"", "the end of the header"),
    "nan": (b'{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}}', b"0000", "integer >= 0"),
    "negative": (b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', b"0000", "integer"),
    "float": (b'{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}', b"0000", "expected ','"),
    "leading zero": (b'{"a":{"dtype":"F32","shape":[01],"data_offsets":[0,4]}}', b"0000", "','"),
    "huge integer": (
        b'{"a":{"dtype":"F32","shape":[' + b"9" * 5000 + b'],"data_offsets":[0,4]}}',
        b"0000",
        "expected ','",
    ),
    "duplicate tensor": (b'{"a":%s,"a":%s}', b"0000", "each key once"),
    "duplicate field": (b'{"a":{"dtype":"F32","dtype":"F32"}}', b"", "each key once"),
    "nesting": (b"[" * 100_000, b"", "begin with"),
    "nesting inside": (b'{"a":' + b"[" * 100_000, b"", "'a'.*expected '{'"),
    "nesting in shape": (b'{"a":{"shape":' + b"[" * 100_000, b"", "integer >= 0"),
    "unknown field": (b'{"a":{"x":1}}', b"", "field 'x'"),
    "missing field": (b'{"a":{"dtype":"F32"}}', b"", "must all be given"),
    "lone surrogate": (b'{"\\ud800":{}}', b"", "valid string"),
    "metadata number": (b'{"__metadata__":{"a":1}}', b"", "__metadata__.*a string"),
    "metadata list": (b'{"__metadata__":[]}', b"", "__metadata__.*'{'"),
    "three offsets": (
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,4]}}',
        b"0000",
        "begin, end",
    ),
}


@pytest.mark.parametrize("name", BAD_HEADERS)
def test_bad_headers(tmp_path: Path, name: str) -> None:
    header, data, message = BAD_HEADERS[name]
    if b"%s" in header:
        header = header.replace(b"%s", json.dumps(F32).encode())
    path = write(tmp_path / "f", header, data)
    with pytest.raises(FormatError, match=message) as caught:
        st.load_file(path)
    assert str(path) in str(caught.value)


BAD_LAYOUTS = {
    "begin > end": ({"a": entry("F32", [1], 4, 0)}, 4, "begin <= end"),
    "out of range": ({"a": entry("F32", [2], 0, 8)}, 4, "take 8 bytes, but 4"),
    "trailing bytes": ({"a": F32}, 5, "take 4 bytes, but 5"),
    "overlap": ({"a": F32, "b": entry("F32", [1], 2, 6)}, 6, "'b'.*overlaps tensor 'a'"),
    "same place": ({"a": F32, "b": F32}, 4, "overlaps"),
    "hole": ({"a": F32, "b": entry("F32", [1], 8, 12)}, 12, "'b'.*gap after tensor 'a'"),
    "hole at the start": ({"a": entry("F32", [1], 4, 8)}, 8, "gap after the header"),
    "wrong size": ({"a": entry("F32", [3], 0, 4)}, 4, "takes 12 bytes"),
    "wrapping product": (
        {"a": entry("F32", [4194305, 4194305, 211106198978564], 0, 4)},
        4,
        "overflows 64 bits",
    ),
    "zero times huge": ({"a": entry("F32", [0, 2**63], 0, 0)}, 0, "overflows 64 bits"),
    "33 axes": ({"a": entry("F32", [1] * 33, 0, 4)}, 4, "at most 32 axes"),
    "unknown dtype": ({"a": entry("F8_E4M3", [4], 0, 4)}, 4, "dtype 'F8_E4M3'"),
    "zero size inside another": ({"a": F32, "z": entry("F32", [0], 2, 2)}, 4, "overlaps"),
    "bool of 2": ({"a": entry("BOOL", [1], 0, 1)}, 1, "BOOL"),
}


@pytest.mark.parametrize("name", BAD_LAYOUTS)
def test_bad_layouts(tmp_path: Path, name: str) -> None:
    header, size, message = BAD_LAYOUTS[name]
    path = write(tmp_path / "f", header, b"\x02" * size)
    with pytest.raises(FormatError, match=message) as caught:
        st.load_file(path)
    assert str(path) in str(caught.value)


def test_verdicts_of_the_safetensors_package_are_ours(tmp_path: Path) -> None:
    """What only we refuse is listed here, with the reason."""
    theirs = pytest.importorskip("safetensors.numpy")
    stricter = {
        "duplicate tensor",  # ambiguous: one reader sees the first, another the last
        "unknown field",  # a later format is not guessed at
        "bool of 2",  # neither false nor true
        "33 axes",  # more than every NumPy can hold
        "zero times huge",  # NumPy cannot hold the shape, although it has no elements
        "unknown dtype",  # 8-bit floats are not supported
    }
    for name, case in (BAD_HEADERS | BAD_LAYOUTS).items():
        header, data = case[0], case[1]
        if isinstance(header, bytes) and b"%s" in header:
            header = header.replace(b"%s", json.dumps(F32).encode())
        path = write(tmp_path / "f", header, data if isinstance(data, bytes) else b"\x02" * data)
        try:
            theirs.load(path.read_bytes())
        except Exception:  # the package's own exception types differ between versions
            continue
        assert name in stricter, f"{name}: accepted by the package, refused by us"


def test_zero_size_tensors_may_share_an_offset(tmp_path: Path) -> None:
    header = {
        "z": entry("F32", [0, 3], 0, 0),
        "a": F32,
        "y": entry("F32", [0], 4, 4),
        "x": entry("F32", [2, 0], 4, 4),
    }
    loaded = st.load_file(write(tmp_path / "f", header, b"\0" * 4))
    assert {name: value.shape for name, value in loaded.items()} == {
        "z": (0, 3),
        "a": (1,),
        "y": (0,),
        "x": (2, 0),
    }


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 100_000_001, 50, 0, 1])
def test_bad_header_length(tmp_path: Path, length: int) -> None:
    with pytest.raises(FormatError, match="header"):
        st.load_file(write(tmp_path / "f", b"{}", length=length))


def test_truncation_at_every_byte(tmp_path: Path) -> None:
    st.save_file({"a": np.arange(3, dtype=np.float32)}, tmp_path / "f", {"k": "v"})
    content = (tmp_path / "f").read_bytes()
    for end in range(len(content)):
        (tmp_path / "g").write_bytes(content[:end])
        with pytest.raises(FormatError):
            st.load_file(tmp_path / "g")


def test_bit_flips_never_crash(tmp_path: Path) -> None:
    st.save_file({"a": np.arange(3, dtype=np.float32)}, tmp_path / "f", {"k": "v"})
    content = bytearray((tmp_path / "f").read_bytes())
    header_end = 8 + int.from_bytes(content[:8], "little")
    for position in range(header_end * 8):
        content[position // 8] ^= 1 << position % 8
        (tmp_path / "g").write_bytes(content)
        content[position // 8] ^= 1 << position % 8
        try:
            loaded = st.load_file(tmp_path / "g")
        except FormatError:
            continue
        assert all(value.nbytes == 12 for value in loaded.values())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("w.pkl", b"\x80\x04\x95\x10\0\0\0\0\0\0\0."),
        ("w.bin", b"\x80\x02}q\0."),
        ("w.pt", b"PK\x03\x04" + b"\0" * 60),
        ("w.npy", b"\x93NUMPY\x01\0v\0{'descr': '|O'" + b" " * 90),
    ],
)
def test_pickles_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError, match="pickle is never loaded; save as safetensors"):
        st.load_file(tmp_path / name)


def test_saving_over_a_loaded_file_leaves_its_arrays_alone(tmp_path: Path) -> None:
    st.save_file({"a": np.arange(1000)}, tmp_path / "f")
    loaded = st.load_file(tmp_path / "f")["a"]
    loaded[0] = 7  # arrays are writable
    st.save_file({"a": np.zeros(3)}, tmp_path / "f")
    os.truncate(tmp_path / "f", 0)
    assert loaded[0] == 7 and (loaded[1:] == np.arange(1, 1000)).all()


def test_places_that_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for place, kind in [
        (tmp_path / "missing", FileNotFoundError),
        (tmp_path, IsADirectoryError),
        (tmp_path / "fifo", OSError),
        (Path("/dev/zero"), OSError),
    ]:
        with pytest.raises(kind, match=str(place)):
            st.load_file(place)
    with pytest.raises(OSError, match="not a regular file"):
        st.save_file({}, "/dev/null")


@pytest.mark.parametrize(
    ("tensors", "metadata", "kind", "message"),
    [
        ({"a": object()}, None, TypeError, "'a' must be a Tensor or array, got object"),
        ({"a": np.array(["x"])}, None, TypeError, "'a' must have one of the dtypes"),
        ({"a": np.ones(1, complex)}, None, TypeError, "got complex128"),
        ({1: np.ones(1)}, None, TypeError, "names must be str, got 1"),
        ({"__metadata__": np.ones(1)}, None, ValueError, "reserved"),
        ({}, {"a": 1}, TypeError, "metadata must map str to str"),
    ],
)
def test_bad_arguments_leave_the_old_file(
    tmp_path: Path, tensors: dict, metadata: dict, kind: type, message: str
) -> None:
    (tmp_path / "f").write_bytes(b"old")
    with pytest.raises(kind, match=message):
        st.save_file(tensors, tmp_path / "f", metadata)
    assert (tmp_path / "f").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]


def test_bytes_are_those_of_the_file(tmp_path: Path) -> None:
    tensors = sample_tensors()
    st.save_file(tensors, tmp_path / "f", {"a": "b"})
    data = st.save(tensors, {"a": "b"})
    assert data == (tmp_path / "f").read_bytes()
    loaded, metadata = st.load_bytes_with_metadata(data)
    assert metadata == {"a": "b"}
    assert {k: v.tobytes() for k, v in loaded.items()} == {
        k: v.tobytes() for k, v in tensors.items()
    }
    assert st.load(data).keys() == tensors.keys()
    with pytest.raises(FormatError, match="bytes: tensors take .* bytes, but .* follow the header"):
        st.load(data[:-1])
