"""Data sets: the bundled ones, the search for the others, and the IDX parser against bad files."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import resource
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from neurona import datasets
from neurona.datasets import locate, mnist_like, parse_idx, read_idx
from neurona.errors import FormatError


def idx(shape: tuple[int, ...], data: bytes, code: int = 8) -> bytes:
    return struct.pack(f">4B{len(shape)}I", 0, 0, code, len(shape), *shape) + data


def images(count: int, side: int = 4) -> np.ndarray:
    rng = np.random.default_rng(count)
    return rng.integers(0, 256, (count, side, side), dtype=np.uint8)


# ---- bundled data sets ----


def test_digits() -> None:
    data = datasets.digits()
    x_train, y_train, x_test, y_test = data
    assert (x_train.shape, x_test.shape) == ((1437, 1, 8, 8), (360, 1, 8, 8))
    assert x_train.dtype == np.float32 and y_train.dtype == np.int64
    assert (x_train.min(), x_train.max()) == (0.0, 1.0)
    assert np.bincount(y_train).tolist() == [143, 146, 142, 146, 144, 145, 144, 143, 141, 143]
    assert np.bincount(y_test).sum() == 360
    assert data.input_shape == (1, 8, 8) and len(data.classes) == 10 and data.scale == 16


def test_digits_are_those_of_scikit_learn() -> None:
    theirs = pytest.importorskip("sklearn.datasets").load_digits()
    data = datasets.digits()
    ours = np.concatenate([data.train[0], data.test[0]])[:, 0] * 16
    np.testing.assert_array_equal(ours, theirs.images)
    np.testing.assert_array_equal(np.concatenate([data.train[1], data.test[1]]), theirs.target)


def test_iris() -> None:
    data = datasets.iris()
    assert data.train[0].shape == (120, 4) and data.test[0].shape == (30, 4)
    assert np.bincount(data.test[1]).tolist() == [10, 10, 10]
    assert data.train[0][0].tolist() == np.array([5.1, 3.5, 1.4, 0.2], np.float32).tolist()
    assert data.classes == ("setosa", "versicolor", "virginica")


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ValueError, match="got 'minst'; did you mean 'mnist'"):
        datasets.load("minst")
    assert datasets.load("IRIS").name == "iris"


# ---- IDX ----


@pytest.mark.parametrize(
    ("code", "dtype"), [(8, "u1"), (9, "i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")]
)
def test_idx_types(tmp_path: Path, code: int, dtype: str) -> None:
    values = np.arange(-3, 3).astype(dtype).reshape(2, 3)
    (tmp_path / "f").write_bytes(idx((2, 3), values.tobytes(), code))
    array = read_idx(tmp_path / "f")
    assert array.dtype.isnative and array.dtype == values.dtype.newbyteorder("=")
    np.testing.assert_array_equal(array, values)
    (tmp_path / "g").write_bytes(gzip.compress(idx((2, 3), values.tobytes(), code)))
    np.testing.assert_array_equal(read_idx(tmp_path / "g"), values)


BAD_IDX = {
    "empty": (b"", "offset 0"),
    "wrong magic": (b"\1\0\x08\x01\0\0\0\0", "offset 0: IDX files begin with two zeros"),
    "unknown type": (b"\0\0\x0a\x01\0\0\0\0", "offset 2: unknown type code 0x0a"),
    "no axes": (b"\0\0\x08\0", "offset 3: number of axes must be 1..32, got 0"),
    "200 axes": (b"\0\0\x08\xc8" + b"\0\0\0\1" * 200, "offset 3.*got 200"),
    "dims beyond 2^63": (idx((2**32 - 1,) * 3, b""), "offset 4.*at most"),
    "dims beyond file": (idx((100, 28, 28), b"abc"), "needs 78400 bytes of data, got 3"),
    "truncated header": (b"\0\0\x08\x03\0\0\0\1\0\0", "offset 10: header is cut short"),
    "truncated magic": (b"\0\0\x08", "offset 3: header is cut short"),
    "truncated data": (idx((3,), b"ab"), "offset 8.*needs 3 bytes of data, got 2"),
    "trailing bytes": (idx((3,), b"abcd"), "offset 8.*needs 3 bytes of data, got 4"),
}


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("name", BAD_IDX)
def test_bad_idx(tmp_path: Path, name: str, compressed: bool) -> None:
    content, message = BAD_IDX[name]
    path = tmp_path / "f"
    path.write_bytes(gzip.compress(content) if compressed else content)
    with pytest.raises(FormatError, match=message) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def test_idx_truncated_at_every_byte() -> None:
    content = idx((2, 2), b"abcd")
    for end in range(len(content)):
        with pytest.raises(FormatError):
            parse_idx("f", content[:end])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda z: z[:-9], "end too early"),
        (lambda z: z[:-4], "end too early"),
        (lambda z: z[:-8] + bytes([z[-8] ^ 1]) + z[-7:], "broken gzip"),
        (lambda z: z + b"junk", "follow the end"),
        (lambda z: z[:12] + bytes([z[12] ^ 0xFF]) + z[13:], "gzip|offset"),
        (lambda z: b"\x1f\x8b" + b"\0" * 20, "broken gzip"),
    ],
)
def test_bad_gzip(tmp_path: Path, damage: object, message: str) -> None:
    whole = gzip.compress(idx((1000,), np.arange(1000, dtype=np.uint32).tobytes()[:1000]))
    (tmp_path / "f").write_bytes(damage(whole))  # type: ignore[operator]
    with pytest.raises(FormatError, match=message):
        read_idx(tmp_path / "f")


def test_a_bomb_stops_at_the_promised_size(tmp_path: Path) -> None:
    """1 MB that unpacks to 256 MB: reading ends where the header says, memory stays small."""
    path = tmp_path / "bomb"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(idx((1000,), b""))
        for _ in range(64):
            file.write(b"\0" * (1 << 22))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FormatError, match="needs 1000 bytes of data"):
        read_idx(path)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 16 * 1024, f"{grown} KiB"


# ---- the search for MNIST ----


@pytest.fixture
def small_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """MNIST replaced by eight images whose checksums are known, and no real folder searched."""
    contents = {
        "train-images-idx3-ubyte": idx((6, 4, 4), images(6).tobytes()),
        "train-labels-idx1-ubyte": idx((6,), bytes(range(6))),
        "t10k-images-idx3-ubyte": idx((2, 4, 4), images(2).tobytes()),
        "t10k-labels-idx1-ubyte": idx((2,), bytes([7, 9])),
    }
    files = {k: (len(v), hashlib.sha256(v).hexdigest()) for k, v in contents.items()}
    monkeypatch.setattr(mnist_like, "_MNIST", mnist_like._MNIST._replace(files=files, mirrors=()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NEURONA_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(locate, "_SYSTEM_FOLDER", tmp_path / "system")
    stored = tmp_path / "stored"
    stored.mkdir()
    for name, content in contents.items():
        (stored / f"{name}.gz").write_bytes(gzip.compress(content))
    yield stored


@pytest.mark.parametrize(
    "place",
    ["data", "data/mnist", "data/MNIST/raw", "cache/neurona/mnist", "system/mnist"],
)
@pytest.mark.parametrize("plain", [False, True])
def test_places_searched(tmp_path: Path, small_source: Path, place: str, plain: bool) -> None:
    folder = tmp_path / place
    folder.mkdir(parents=True)
    for file in small_source.iterdir():
        if plain:
            (folder / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
        else:
            (folder / file.name).write_bytes(file.read_bytes())
    x_train, y_train, x_test, y_test = datasets.mnist()
    np.testing.assert_array_equal(x_train[:, 0], images(6).astype(np.float32) / np.float32(255))
    assert x_train.shape == (6, 1, 4, 4) and x_test.shape == (2, 1, 4, 4)
    assert y_train.tolist() == list(range(6)) and y_test.tolist() == [7, 9]


def test_missing_data_names_the_folders(tmp_path: Path, small_source: Path) -> None:
    with pytest.raises(FileNotFoundError, match="NEURONA_DATA") as caught:
        datasets.mnist()
    for folder in ("data", "cache", "system"):
        assert str(tmp_path / folder) in str(caught.value)


def test_other_data_under_the_same_names(tmp_path: Path, small_source: Path) -> None:
    """A wrong copy is passed over for a right one, and named if there is none."""
    folder = tmp_path / "data"
    folder.mkdir()
    for file in small_source.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    labels = folder / "t10k-labels-idx1-ubyte.gz"
    labels.write_bytes(gzip.compress(idx((2,), bytes([7, 8]))))
    with pytest.raises(FormatError, match=f"{labels}.*sha256"):
        datasets.mnist()
    (tmp_path / "system").mkdir()
    for file in small_source.iterdir():
        (tmp_path / "system" / file.name).write_bytes(file.read_bytes())
    assert datasets.mnist().test[1].tolist() == [7, 9]


@pytest.fixture
def mirror(small_source: Path) -> Iterator[str]:
    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(small_source))  # type: ignore[arg-type]

        def log_message(self, *args: object) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


def test_download_checks_and_caches(
    tmp_path: Path, small_source: Path, mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = "http://127.0.0.1:9/"
    source = mnist_like._MNIST._replace(mirrors=(dead, mirror))
    monkeypatch.setattr(mnist_like, "_MNIST", source)
    with pytest.raises(FileNotFoundError):
        datasets.mnist()  # never without being asked
    cached = tmp_path / "cache/neurona/mnist"
    cached.mkdir(parents=True)
    (cached / "t10k-labels-idx1-ubyte.gz").write_bytes(b"damaged")
    assert datasets.mnist(download=True).test[1].tolist() == [7, 9]
    assert sorted(p.name for p in cached.iterdir()) == sorted(
        p.name for p in small_source.iterdir()
    )
    monkeypatch.setattr(mnist_like, "_MNIST", source._replace(mirrors=(dead,)))
    assert datasets.mnist().test[1].tolist() == [7, 9]


def test_a_lying_mirror_is_refused(
    tmp_path: Path, small_source: Path, mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mnist_like, "_MNIST", mnist_like._MNIST._replace(mirrors=(mirror,)))
    (small_source / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx((6,), b"\0" * 6)))
    with pytest.raises(ConnectionError, match=r"no mirror gave train-labels.*sha256"):
        datasets.mnist(download=True)
    assert not (tmp_path / "cache/neurona/mnist/train-labels-idx1-ubyte.gz").exists()
