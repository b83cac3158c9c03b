"""Atomic files: a reader sees the old content or the new one, whatever happens to the writer."""

from __future__ import annotations

import errno
import os
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from neurona import files
from neurona import safetensors as st

KILLS = 200


def test_mode_and_symlinks_are_kept(tmp_path: Path) -> None:
    target, link = tmp_path / "real", tmp_path / "link"
    target.write_bytes(b"old")
    target.chmod(0o640)
    link.symlink_to(target)
    with files.atomic_write(link) as file:
        file.write(b"new")
    assert link.is_symlink() and target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_new_files_follow_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        with files.atomic_write(tmp_path / "f") as file:
            file.write(b"x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o640


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_failing_disk_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def fail(*args: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.os, call, fail)
    with pytest.raises(OSError, match=os.strerror(number)):
        st.save_file({"a": np.ones(4)}, path)
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]


def test_stale_temporary_files_are_swept_and_live_ones_kept(tmp_path: Path) -> None:
    path = tmp_path / "f"
    stale = tmp_path / f".f.0123456789ab{files.TEMPORARY_SUFFIX}"
    other = tmp_path / f".g.0123456789ab{files.TEMPORARY_SUFFIX}"
    for leftover in (stale, other):
        leftover.write_bytes(b"half")
    with files.atomic_write(path) as file:
        file.write(b"x")
        assert not stale.exists()
        assert files.sweep_temporary_files(path) == 0, "the file being written was swept"
    assert path.read_bytes() == b"x"
    assert other.exists(), "a leftover of another file was swept"
    stale.write_bytes(b"half")
    st.save_file({}, path)
    stale.write_bytes(b"half")
    st.load_file(path)
    assert sorted(os.listdir(tmp_path)) == sorted(["f", other.name])


# Forks a writer for every line it reads: a hundred times faster than starting Python each time.
_WRITERS = """
import os, sys, numpy as np
from neurona import safetensors as st
def save_for_ever(path):
    number = 0
    while True:
        number += 1
        st.save_file({"a": np.full(1 << 17, number, np.float32)}, path, {"n": str(number)})
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        save_for_ever(line.strip())
    print(child, flush=True)
    os.waitpid(child, 0)
    print("dead", flush=True)
"""


def _is_whole(path: Path) -> bool:
    loaded, metadata = st.load_with_metadata(path)
    return bool((loaded["a"] == float(metadata["n"])).all())


def test_kill_at_any_moment(tmp_path: Path) -> None:
    """A process that saves without pause is killed; the file must be whole every time."""
    path = tmp_path / "w.safetensors"
    st.save_file({"a": np.zeros(1, np.float32)}, path, {"n": "0"})
    rng = random.Random(0)
    torn = stale = 0
    with subprocess.Popen(
        [sys.executable, "-c", _WRITERS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writers:
        assert writers.stdin is not None and writers.stdout is not None
        for _ in range(KILLS):
            writers.stdin.write(f"{path}\n")
            writers.stdin.flush()
            child = int(writers.stdout.readline())
            time.sleep(rng.random() * 0.02)
            os.kill(child, signal.SIGKILL)
            assert writers.stdout.readline() == "dead\n"
            stale += len(os.listdir(tmp_path)) - 1
            torn += not _is_whole(path)
            assert os.listdir(tmp_path) == [path.name], "the load left a stale file"
        writers.stdin.close()
    assert torn == 0
    assert stale > 0, "no kill hit a save: the test proves nothing"


def test_a_stopped_writer_keeps_its_temporary_file(tmp_path: Path) -> None:
    """A load in one process must not sweep the file that another one is writing."""
    path = tmp_path / "f"
    with files.atomic_write(path) as file:
        file.write(b"x" * 100)
        script = (
            "import sys; from neurona import files; print(files.sweep_temporary_files(sys.argv[1]))"
        )
        seen = subprocess.run(
            [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
        )
        assert seen.stdout == "0\n"
    assert path.read_bytes() == b"x" * 100
